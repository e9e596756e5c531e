package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"slices"

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
	lacks   error            // why auto has found no better way
	log     *slog.Logger
}

// open prepares the way that the configuration asks for. With auto, what the kernel can't do
// is no error.
func (s *share) open(cfg *config.Config, workers int, log *slog.Logger) error {
	s.log = log
	if cfg.Offload != config.OffloadAuto && cfg.Offload != config.OffloadBPF {
		return nil
	}
	program, err := offload.Open(offload.Config{
		Ports: cfg.Ports, Mark: cfg.Mark, Workers: workers,
		Worker: func(port uint16) int { return int(steer.QueueOf(port, uint16(workers))) },
	})
	switch {
	case err == nil:
		s.program = program
	case cfg.Offload == config.OffloadBPF:
		return fmt.Errorf("offload: bpf: %w", err)
	default:
		s.lacks = err
	}
	return nil
}

// on says that the kernel follows dialogues.
func (s *share) on() bool { return s.program != nil }

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
	if cfg.Mode == verdict.Observe {
		window = 0 // nothing is altered, so nothing is kept to it
	}
	return s.program.Set(cfg.Ports, uint32(min(window, math.MaxUint32)))
}

// start begins to decide in the kernel.
func (s *share) start(_ context.Context, cfg *config.Config, window int) error {
	if s.program == nil {
		return nil
	}
	if err := s.set(cfg, window); err != nil {
		return err
	}
	all, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list the interfaces: %w", err)
	}
	var errs []error
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 || len(cfg.Interfaces) > 0 && !slices.Contains(cfg.Interfaces, i.Name) {
			continue
		}
		errs = append(errs, s.program.Attach(i.Index))
	}
	return errors.Join(errs...)
}

// detach has everything come up.
func (s *share) detach() {
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

// String says what the kernel does by itself.
func (s *share) String() string {
	switch {
	case s.program != nil:
		return fmt.Sprintf("bpf: follows dialogues and passes TLS on %s", plural(s.program.Interfaces(), "interface", "interfaces"))
	case s.lacks != nil:
		return "none, every packet goes through the queue: " + s.lacks.Error()
	}
	return "none, every packet goes through the queue"
}
