package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"keepword/cmd/keepword/internal/control"
	"keepword/cmd/keepword/internal/explain"
	"keepword/cmd/keepword/internal/recent"
	"keepword/inspect"
	"keepword/inspect/verdict"
)

// maxExplained bounds the sessions of a file of which one is to be chosen: the last ones.
const maxExplained = 1 << 16

// explainOptions are explain's flags.
type explainOptions struct {
	config, from       *string
	addresses, content *bool
}

func newExplain(e *env) *cobra.Command {
	var opt explainOptions
	cmd := command("explain FLOW_ID", "Tell in plain words what happened in a session", cobra.MaximumNArgs(1),
		func(ctx context.Context, args []string) error {
			var id int64
			if len(args) > 0 {
				n, err := strconv.ParseInt(args[0], 10, 64)
				if err != nil || n <= 0 {
					return usageError{fmt.Errorf("%q is no flow_id: a number, as in the events", args[0])}
				}
				id = n
			}
			if id == 0 && *opt.from == "" {
				return usageError{errors.New("name a session by the flow_id of its events, or a file with --from")}
			}
			return explainSession(ctx, e, opt, id)
		})
	flags := cmd.Flags()
	opt = explainOptions{
		config:    configFlag(cmd),
		from:      flags.String("from", "", "look in `FILE`, events (EVE JSON) or a capture, gzip or not, - for stdin,\ninstead of asking the daemon; with one session in it FLOW_ID may be left out"),
		addresses: flags.Bool("addresses", false, "show the addresses of both ends"),
		content:   flags.Bool("content", false, "show what the events quote: names, senders and recipients, texts of replies"),
	}
	return cmd
}

func explainSession(ctx context.Context, e *env, opt explainOptions, id int64) error {
	look := explain.Options{Color: e.terminal() && os.Getenv("NO_COLOR") == "", Addresses: *opt.addresses, Content: *opt.content}
	var sessions []recent.Session
	var err error
	if *opt.from == "" {
		look.Unfinished = "not ended"
		sessions, err = askSession(ctx, *opt.config, id)
	} else {
		look.Unfinished = "its end is not there"
		sessions, err = sessionsOf(ctx, e, opt, id)
	}
	if err != nil && len(sessions) == 0 {
		return err
	}
	if err != nil { // the file ends too early: what is there may be what is asked for
		e.report(err)
		err = errReported
	}
	switch {
	case len(sessions) == 1:
		return cmp.Or(explain.Write(e.stdout, sessions[0], look), err)
	case len(sessions) > 1:
		if err := explain.List(e.stdout, sessions, look.Location); err != nil {
			return err
		}
		return usageError{fmt.Errorf("%s holds %d sessions: name one of them", *opt.from, len(sessions))}
	case id == 0:
		return fmt.Errorf("%s holds no SMTP session on the ports of the configuration; see ports", *opt.from)
	}
	return fmt.Errorf("%s holds no session %d; without a number its sessions are listed", *opt.from, id)
}

// askSession gets a session from the daemon.
func askSession(ctx context.Context, config string, id int64) ([]recent.Session, error) {
	socket, err := controlSocket(config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	events, err := control.AskSession(ctx, socket, id)
	if err != nil {
		return nil, err
	}
	kept := recent.New(1, nobody{})
	if err := explain.ReadEvents(bytes.NewReader(events), id, kept); err != nil {
		return nil, fmt.Errorf("understand the answer of keepword on %s; is it of another version? %w", socket, err)
	}
	return all(kept), nil
}

// nobody is a Sink that keeps nothing.
type nobody struct{}

func (nobody) Finding(*inspect.FindingRecord) {}
func (nobody) FlowEnd(*inspect.FlowRecord)    {}

// sessionsOf reads the session with that flow_id, or all for 0, out of a file.
func sessionsOf(ctx context.Context, e *env, opt explainOptions, id int64) ([]recent.Session, error) {
	path := *opt.from
	var r io.Reader = e.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	in, err := unzipped(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	n := maxExplained
	if id != 0 {
		n = 1
	}
	kept := recent.New(n, nobody{})
	if start, _ := in.Peek(1); string(start) == "{" {
		if err = explain.ReadEvents(in, id, kept); err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
		return all(kept), err
	}
	cfg, err := load(*opt.config)
	if err != nil {
		return nil, err
	}
	cfg.Mode = verdict.Observe
	err = inspectCapture(ctx, cfg, replaying{passive: true, ignoreChecksums: true}, in, path, explain.Only{ID: id, Next: kept})
	return all(kept), err
}

// unzipped returns r, out of its gzip where it has one.
func unzipped(r io.Reader) (*bufio.Reader, error) {
	in := bufio.NewReader(r)
	// RFC 1952 section 2.3.1. An error will be met again by whoever reads.
	if magic, _ := in.Peek(2); string(magic) != "\x1f\x8b" {
		return in, nil
	}
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	return bufio.NewReader(z), nil
}

func all(kept *recent.Sessions) (sessions []recent.Session) {
	kept.Each(func(_ uint64, s recent.Session) bool {
		sessions = append(sessions, s)
		return true
	})
	return sessions
}
