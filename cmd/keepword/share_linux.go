package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"

	"keepword/cmd/keepword/internal/config"
	"keepword/dataplane"
	"keepword/dataplane/offload"
	"keepword/dataplane/steer"
	"keepword/inspect/verdict"
)

// share is what the kernel does of the work by itself, and why no more. Its zero value is
// that it does nothing.
type share struct {
	program *offload.Offload // nil: there is none
	// connmark says that connections leave by their connection mark; beside the program,
	// those of which it does not see both directions with the same addresses.
	connmark bool
	lacks    []string // in words, why auto has found no better way
	log      *slog.Logger

	stopWatching context.CancelFunc
	watching     sync.WaitGroup
}

// open prepares the way that the configuration asks for. With auto, what the kernel can't do
// is no error.
func (s *share) open(cfg *config.Config, workers int, log *slog.Logger) error {
	s.log = log
	switch cfg.Offload {
	case config.OffloadOff:
		return nil
	case config.OffloadConnmark:
		s.connmark = true
		return nil
	}
	program, err := offload.Open(offload.Config{
		Ports: cfg.Ports, Mark: cfg.Mark, Workers: workers,
		Worker: func(port uint16) int { return int(steer.QueueOf(port, uint16(workers))) },
		Pins:   offload.BPFFS,
	})
	switch {
	case err == nil:
		s.program = program
		s.connmark = besides(cfg)
	case cfg.Offload == config.OffloadBPF:
		return fmt.Errorf("offload: bpf: %w", err)
	default:
		s.connmark = true
		s.lacks = append(s.lacks, "no bpf: "+err.Error())
	}
	return nil
}

// besides says whether connections are to leave by connection mark too where there is the
// program. It looks at what comes in by an interface, and so sees one direction only of this
// host's own connections; and a translated one it sees under different addresses in the two
// directions.
func besides(cfg *config.Config) bool {
	if slices.Contains(cfg.Hooks, config.Input) || slices.Contains(cfg.Hooks, config.Output) {
		return true
	}
	found, err := translated()
	return found && err == nil // steering meets the same error
}

// divert opens the table, and does without connection marks where that is allowed and the
// kernel has none.
func (s *share) divert(cfg *config.Config, queues int) (*steer.Table, error) {
	if s.program != nil {
		if err := s.program.Prepare(); err != nil {
			return nil, err
		}
	}
	table, err := steer.Open(steering(cfg, queues, s))
	if errors.Is(err, steer.ErrNoConnmark) && s.connmark {
		if cfg.Offload == config.OffloadConnmark {
			return nil, fmt.Errorf("offload: connmark: %w", err)
		}
		s.connmark = false
		s.lacks = append(s.lacks, "no connmark: "+steer.ErrNoConnmark.Error())
		table, err = steer.Open(steering(cfg, queues, s))
	}
	if err != nil {
		return nil, err
	}
	if _, why := table.Tracking(); why != nil {
		s.log.Warn("connections are tracked, for that puts fragments together: this kernel has no other way", "reason", why)
	}
	return table, nil
}

// on says that the kernel follows dialogues.
func (s *share) on() bool { return s.program != nil }

// rings are what the kernel keeps mail data in.
func (s *share) rings() []dataplane.Ring {
	if s.program == nil {
		return nil
	}
	return s.program.Rings()
}

// follower returns worker i's part, nil where there is none.
func (s *share) follower(i int) dataplane.Follower {
	if s.program == nil {
		return nil
	}
	return s.program.Worker(i)
}

// set puts in force what a reload may change. window is how many octets in flight inspection
// can keep.
func (s *share) set(cfg *config.Config, window int) error {
	if s.program == nil {
		return nil
	}
	return s.program.Set(cfg.Ports, kept(cfg, window))
}

// kept is the window that senders are held to.
func kept(cfg *config.Config, window int) uint32 {
	if cfg.Mode == verdict.Observe {
		return 0 // nothing is altered, so nothing is kept to it
	}
	return uint32(min(window, math.MaxUint32))
}

// takeOver puts the settings in force, and has the program take the place of a killed
// instance's. It is called before a worker grants anything.
func (s *share) takeOver(cfg *config.Config, window int) error {
	if s.program == nil {
		return nil
	}
	if err := s.program.Start(cfg.Ports, kept(cfg, window)); err != nil {
		return err
	}
	pins := s.program.Pinned()
	if pins.Mounted {
		s.log.Info("a BPF file system is mounted: what is pinned there lasts as long as the mount", "at", offload.BPFFS)
	}
	if pins.Adopted {
		s.log.Info("connections in TLS that a killed keepword had let go go on", "pins", pins.Dir)
	}
	for _, why := range pins.Void {
		s.log.Warn("pins of a killed keepword can't be used and are replaced: its connections in TLS come up once", "reason", why)
	}
	return nil
}

// start begins to decide in the kernel, at the interfaces that there are and at those that
// come. What a killed instance has left at others is taken away.
func (s *share) start(cfg *config.Config) error {
	if s.program == nil {
		s.removed(offload.RemoveLeft(offload.BPFFS))
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stopWatching = stop
	first, ended := make(chan attaching, 1), make(chan error, 1)
	s.watching.Go(func() {
		a := attaching{missing: slices.Clone(cfg.Interfaces)}
		report := func(name string, err error) {
			a.missing = slices.DeleteFunc(a.missing, func(m string) bool { return m == name })
			if err != nil {
				a.refused = err
				s.refused(err)
			}
		}
		err := s.program.AttachAll(ctx, cfg.Interfaces, report, func() {
			first <- attaching{slices.Clone(a.missing), a.refused}
		})
		if err != nil {
			s.log.Error("interfaces that come from now on go through the queue", "error", err)
		}
		ended <- err
	})
	select {
	case err := <-ended:
		return err
	case a := <-first:
		for _, name := range a.missing {
			s.log.Warn("there is no interface " + name + ": the kernel's program is attached when it comes")
		}
		if a.refused != nil && s.program.Interfaces() == 0 && cfg.Offload == config.OffloadBPF {
			return fmt.Errorf("offload: bpf: no interface takes the program: %w", a.refused)
		}
		s.removed(s.program.RemoveLeft())
		return nil
	}
}

func (s *share) removed(err error) {
	if err != nil {
		s.log.Warn("what a killed keepword has left in the kernel is not removed", "error", err)
	}
}

// attaching is how far attaching to interfaces has come.
type attaching struct {
	missing []string // of those in the configuration
	refused error    // the last
}

// refused says why the packets of an interface go through the queue.
func (s *share) refused(err error) {
	if errors.Is(err, offload.ErrNotEthernet) {
		s.log.Info("packets of an interface go through the queue", "reason", err)
		return
	}
	s.log.Warn("packets of an interface go through the queue", "reason", err)
}

// detach has everything come up.
func (s *share) detach() {
	if s.stopWatching != nil {
		s.stopWatching()
		s.watching.Wait()
	}
	if s.program != nil {
		s.program.DetachAll()
	}
}

func (s *share) close() error {
	if s.program == nil {
		return nil
	}
	return s.program.Close()
}

// String says what the kernel does by itself, and why no more.
func (s *share) String() string {
	var text string
	switch {
	case s.program != nil:
		text = fmt.Sprintf("bpf: the kernel follows dialogues and passes TLS on %s (%s)",
			plural(s.program.Interfaces(), "interface", "interfaces"), s.program.Way())
		if s.connmark {
			text += ", and by connection mark what it can't tell there"
		}
		if pins := s.program.Pinned(); pins.Why != nil {
			text += "; not pinned, so connections in TLS come up after a kill: " + pins.Why.Error()
		} else if pins.Dir != "" {
			text += "; pinned at " + pins.Dir
		}
	case s.connmark:
		text = "connmark: connections in TLS pass by their mark"
	default:
		text = "off: every packet goes through the queue"
	}
	return strings.Join(append([]string{text}, s.lacks...), "; ")
}
