package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// run inspects until it is told to stop, by ctx or by a signal.
func run(ctx context.Context, e *env, path string) error {
	cfg, err := load(path)
	if err != nil {
		return err
	}

	// Signals wait from here on, so that one that comes during the start finds
	// somebody who cleans up.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(signals)
	// A reader of our messages that goes away must not end us with diverted traffic.
	signal.Ignore(syscall.SIGPIPE)

	log := slog.New(slog.NewTextHandler(e.stderr, nil))
	d, err := startDaemon(path, cfg, log)
	if err != nil {
		return err
	}
	log.Info("offload: " + d.share.String())
	fmt.Fprint(e.stderr, summary(cfg, len(d.workers), d.expression(), d.share.String()))
	fmt.Fprintln(e.stderr, "ready")
	tell(log, systemd.SdNotifyReady)

	failed := d.serve(ctx, signals)
	tell(log, systemd.SdNotifyStopping)
	return errors.Join(failed, d.stop())
}

// serve answers signals until one, or ctx, says stop, or a part of d fails.
func (d *daemon) serve(ctx context.Context, signals <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-d.failed:
			return err
		case s := <-signals:
			switch s {
			case syscall.SIGHUP:
				// The log has the result; nobody waits for the error.
				_ = d.reload()
			case syscall.SIGUSR1:
				if err := d.events.Reopen(); err != nil {
					d.log.Error("event log not reopened", "error", err)
				}
			default:
				d.log.Info("stopping", "signal", s.String())
				return nil
			}
		}
	}
}

// tell sends systemd a state; without systemd it does nothing.
func tell(log *slog.Logger, state string) {
	if _, err := systemd.SdNotify(false, state); err != nil {
		log.Warn("systemd not notified", "error", err)
	}
}
