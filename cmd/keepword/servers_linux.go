package main

import (
	"context"
	"encoding/json"
	"maps"
	"os"

	"keepword/cmd/keepword/internal/config"
	"keepword/cmd/keepword/internal/control"
	"keepword/cmd/keepword/internal/metrics"
)

// listener is the control socket or the metrics.
type listener interface {
	// Serve answers until the context is done.
	Serve(context.Context) error
	// Close ends one that is not served.
	Close() error
}

// listen takes the addresses that the daemon answers at.
func (d *daemon) listen(cfg *config.Config) error {
	if socket := cfg.Control.Socket; socket != "" {
		handlers := map[string]control.Handler{
			control.RequestStatus: func(context.Context, json.RawMessage) (any, error) {
				s := d.status()
				return &s, nil
			},
			control.RequestReload: func(context.Context, json.RawMessage) (any, error) {
				return nil, d.reload()
			},
			control.RequestExplain: d.session,
		}
		maps.Copy(handlers, historyHandlers(d.history))
		s, err := control.Listen(socket, handlers, d.log)
		if err != nil {
			return err
		}
		d.servers = append(d.servers, s)
	}
	if address := cfg.Metrics.Listen; address != "" {
		s, err := metrics.Listen(address, func() metrics.Snapshot {
			return metrics.Snapshot{Status: d.status(), Latency: d.latency()}
		}, d.log)
		if err != nil {
			return err
		}
		d.servers = append(d.servers, s)
	}
	return nil
}

// status gathers the counters of every worker. It may be called by any goroutine.
func (d *daemon) status() control.Status {
	cfg := d.cfg.Load()
	s := control.Status{
		Version:    version(),
		PID:        os.Getpid(),
		Started:    d.started,
		Mode:       cfg.Mode.String(),
		Ports:      cfg.Ports,
		Engine:     string(engine(cfg)),
		Expression: d.expression(),
		Offload:    d.share.String(),
		ConfigPath: d.path,
		Reload:     d.lastReload.Load(),
		Events:     control.Events{Dropped: d.events.Dropped(), WriteErrors: d.events.WriteErrors()},
		History:    historyStatus(d.history),
	}
	for _, h := range cfg.Hooks {
		s.Hooks = append(s.Hooks, string(h))
	}
	d.count(&s)
	return s
}

// expression names the kernel's way to queue for us.
func (d *daemon) expression() string {
	if d.table.Native() {
		return "native"
	}
	return "compat"
}
