package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"keepword/cmd/keepword/internal/config"
	"keepword/cmd/keepword/internal/eve"
	"keepword/cmd/keepword/internal/progress"
	"keepword/cmd/keepword/internal/report"
	"keepword/cmd/keepword/internal/store"
	"keepword/dataplane/pcap"
	"keepword/inspect"
	"keepword/inspect/history"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// replayOptions are replay's flags.
type replayOptions struct {
	config       *string
	json, report *bool
	inline       *bool
	checksums    *string
	failOn       *failOn
}

func newReplay(e *env) *cobra.Command {
	var opt replayOptions
	cmd := command("replay [-c FILE] PCAP...", "Inspect captures (pcap, pcapng; - is stdin)", cobra.MinimumNArgs(1),
		func(ctx context.Context, args []string) error {
			switch {
			case *opt.json && *opt.report:
				return usageError{errors.New("--json and --report exclude each other")}
			case *opt.checksums != "auto" && *opt.checksums != "verify" && *opt.checksums != "ignore":
				return usageError{fmt.Errorf("--checksums is auto, verify or ignore, not %q", *opt.checksums)}
			}
			return replay(ctx, e, opt, args)
		})
	flags := cmd.Flags()
	opt = replayOptions{
		config: configFlag(cmd),
		json:   flags.Bool("json", false, "print EVE JSON lines (the default where stdout is no terminal)"),
		report: flags.Bool("report", false, "print the report (the default on a terminal)"),
		inline: flags.Bool("inline", false, "decide as run would in mode enforce, instead of what would have been done"),
		checksums: flags.String("checksums", "auto",
			"auto | verify | ignore: a capture of a host that leaves checksums\nto its network card shows wrong ones, so that auto ignores them"),
		failOn: new(failOn),
	}
	flags.Var(opt.failOn, "fail-on",
		"exit code 1 on these findings: ids with commas between; any: all;\naction: those that keepword would do more about than report them")
	cmd.Long = cmd.Short + ".\n\nWhat is written to a pipe is inspected as it comes:\n\n    tcpdump -U -w - tcp port 25 | keepword replay -\n\ntells of each session when it ends. Ctrl-C ends it with the summary."
	return cmd
}

// output is where replay tells what it has found.
type output interface {
	inspect.Sink
	// Close writes what is still to be written.
	Close() error
}

// replay inspects the files in order. A file that can't be read to its end does not
// stop the others.
func replay(ctx context.Context, e *env, opt replayOptions, paths []string) error {
	cfg, err := load(*opt.config)
	if err != nil {
		return err
	}
	cfg.Mode = verdict.Observe
	if *opt.inline {
		cfg.Mode = verdict.Enforce
	}
	total, onTerminal := size(e, paths), e.terminal()
	bar := progress.On(e.stderr, total)
	ctx, release := untilStopped(ctx, bar)
	defer release()
	e = besideBar(e, bar)
	how := replaying{passive: !*opt.inline, ignoreChecksums: *opt.checksums != "verify", bar: bar, waiting: func() {}}
	var out output
	if *opt.report || !*opt.json && onTerminal {
		out = report.New(e.stdout, report.Options{Color: onTerminal && os.Getenv("NO_COLOR") == "", HideEnvelope: !cfg.Events.Envelope})
	} else {
		events := eve.NewStream(e.stdout, eventOptions(cfg, nil))
		out, how.waiting = events, events.Flush
	}
	wanted := opt.failOn
	wanted.next = out
	var bad error
	for i, path := range paths {
		how.seed = uint64(i) << 32
		if err := replayFile(ctx, e, cfg, how, path, wanted); err != nil {
			e.report(err)
			bad = errReported
		}
	}
	bar.Close()
	if err := out.Close(); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	if err := wanted.failure(); err != nil {
		e.report(err)
		bad = errReported
	}
	return bad
}

// replayFile inspects one file: its flows have nothing to do with another's.
func replayFile(ctx context.Context, e *env, cfg *config.Config, how replaying, path string, sink inspect.Sink) error {
	var r io.Reader = e.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		r = f
	}
	if regular(e, path) {
		how.waiting = nil
	}
	err := inspectCapture(ctx, cfg, how, r, path, sink)
	switch {
	case !errors.Is(err, context.Canceled):
		return err
	case how.waiting != nil:
		return nil // what comes live ends when its reader says so
	}
	return fmt.Errorf("%s: stopped before its end; what it showed until then is reported", path)
}

// replaying is how a capture is inspected.
type replaying struct {
	passive, ignoreChecksums bool
	seed                     uint64        // where the flows' ids begin
	bar                      *progress.Bar // nil: nobody waits
	waiting                  func()        // pcap.Options.Waiting; nil: the input is there as a whole
}

// inspectCapture inspects the capture in r, whose name is path. What is remembered of
// servers is what the capture shows: the same capture gives the same findings everywhere.
func inspectCapture(ctx context.Context, cfg *config.Config, how replaying, r io.Reader, path string, sink inspect.Sink) error {
	p := inspect.New(inspect.Config{
		Policy:     policy.New(cfg.Policy()),
		Ports:      cfg.Ports,
		Limits:     limits(cfg, 1),
		MemoryFull: whens[cfg.When.MemoryFull],
		Midstream:  whens[cfg.When.Midstream],
		Passive:    how.passive,
		Sink:       told(cfg, sink),
		Seed:       how.seed,
		History:    history.New(history.Config{Servers: store.MaxServers, Breaker: breakerLimits(cfg)}),
		Account:    account,
	})
	stats, err := pcap.Replay(ctx, how.bar.Reader(r), path, how.bar.Inspector(p), pcap.Options{IgnoreChecksums: how.ignoreChecksums, Waiting: how.waiting})
	p.Flush(stats.Last)
	return err
}
