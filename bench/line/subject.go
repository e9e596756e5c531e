package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// subject is what stands on the gateway in a run.
type subject struct {
	name string
	// missing says why the subject can't be had here, "" if it can.
	missing func(ctx context.Context, s *site) string
	// stand sets it up. It is set down by stop.
	stand func(ctx context.Context, s *site) (*standing, error)
}

// standing is a subject at work.
type standing struct {
	program *child // nil where the kernel is alone
	undo    func() error
}

// pid is the number of the program's process, 0 where there is none.
func (s *standing) pid() int {
	if s.program == nil {
		return 0
	}
	return s.program.pid()
}

// stop sets the subject down.
func (s *standing) stop() error {
	var errs []error
	if s.program != nil {
		errs = append(errs, s.program.stop())
	}
	if s.undo != nil {
		errs = append(errs, s.undo())
	}
	return errors.Join(errs...)
}

// subjects are all there are, the one that the others are compared with first.
var subjects = []subject{
	{
		name:  "raw forwarding",
		stand: func(context.Context, *site) (*standing, error) { return &standing{}, nil },
	},
	{
		name: "go-nfqueue v2.1.0, accepts everything unseen",
		stand: func(ctx context.Context, s *site) (*standing, error) {
			return s.onQueue(ctx, readyLine, ownProgram, "accept")
		},
	},
	suricata,
	keepword("engine: portable", "engine: portable\noffload: off\n"),
	keepword("offload: off", "offload: off\n"),
	keepword("offload: connmark", "offload: connmark\n"),
	keepword("defaults", ""),
}

// defaults is the row that keepword's targets are for.
const defaults = "keepword, defaults"

// chosen returns raw forwarding and the subjects with one of the words, which commas
// part, in their names; all without words.
func chosen(words string) []subject {
	if words == "" {
		return subjects
	}
	list := subjects[:1:1]
	for _, s := range subjects[1:] {
		if slices.ContainsFunc(strings.Split(words, ","), func(word string) bool { return strings.Contains(s.name, word) }) {
			list = append(list, s)
		}
	}
	return list
}

// onQueue starts a program on the gateway and diverts to its queue once it says that it
// is ready.
func (s *site) onQueue(ctx context.Context, ready, name string, args ...string) (*standing, error) {
	c, err := start(ctx, s.Gateway, name, args...)
	if err != nil {
		return nil, err
	}
	if err := c.await(ctx, ready); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	c.drain()
	undo, err := divert(s.Gateway)
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return &standing{c, undo}, nil
}

// Where keepword finds its configuration and leaves its events.
const (
	keepwordConf   = "/etc/line/keepword.yaml"
	keepwordEvents = "/var/log/keepword/eve.json"
)

// keepword is keepword of this tree with a configuration. Where that says nothing else,
// events go to a file and history to its store; the host keeps both in memory.
func keepword(how, config string) subject {
	return subject{
		name: "keepword, " + how,
		missing: func(ctx context.Context, s *site) string {
			if err := s.Gateway.WriteFile(keepwordConf, []byte(config), 0o644); err != nil {
				return err.Error()
			}
			if out, err := s.Gateway.Command(ctx, keepwordProgram, "check", "-c", keepwordConf).CombinedOutput(); err != nil {
				return strings.TrimSpace(string(out))
			}
			return ""
		},
		stand: func(ctx context.Context, s *site) (*standing, error) {
			return s.keepword(ctx, config)
		},
	}
}

// keepword runs keepword on the gateway.
func (s *site) keepword(ctx context.Context, config string) (*standing, error) {
	if err := s.Gateway.WriteFile(keepwordConf, []byte(config), 0o644); err != nil {
		return nil, err
	}
	c, err := start(ctx, s.Gateway, keepwordProgram, "run", "-c", keepwordConf)
	if err != nil {
		return nil, err
	}
	if err := c.await(ctx, readyLine); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	c.drain()
	return &standing{program: c, undo: func() error {
		// What was written is not the next run's to keep in memory.
		if err := s.Gateway.WriteFile(keepwordEvents, nil, 0o644); err != nil {
			return fmt.Errorf("remove the events: %w", err)
		}
		return nil
	}}, nil
}
