package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"keepword/cmd/keepword/internal/config"
	"keepword/cmd/keepword/internal/control"
	"keepword/cmd/keepword/internal/store"
	"keepword/inspect/history"
)

// memory is what is remembered of servers: by the running daemon, or in its file.
type memory interface {
	each(context.Context, control.ServerQuery, func(store.Entry) error) error
	merge(context.Context, []store.Entry) error
	forget(context.Context, control.ServerQuery) (int, error)
	// close writes what was changed.
	close(context.Context) error
}

// openMemory returns the memory of the daemon that runs with the configuration file at
// path, or where none runs, the file's.
func openMemory(ctx context.Context, e *env, path string, readOnly bool) (memory, error) {
	cfg, err := load(path)
	if err != nil {
		return nil, err
	}
	idle := errors.New("control.socket is switched off")
	if socket := cfg.Control.Socket; socket != "" {
		if idle = control.Running(ctx, socket); !errors.Is(idle, control.ErrNotRunning) {
			return daemonMemory{socket}, idle
		}
	}
	if cfg.History.Path == "" {
		return nil, fmt.Errorf("history.path is empty, so that only a running daemon remembers: %w", idle)
	}
	s, err := store.Load(cfg.History.Path, readOnly, breakerLimits(cfg), slog.New(slog.NewTextHandler(e.stderr, nil)))
	if err != nil {
		return nil, err
	}
	return fileMemory{s}, nil
}

// breakerLimits are the configuration's limits of the circuit breaker in the history's.
func breakerLimits(cfg *config.Config) history.Breaker {
	return history.Breaker{Failures: cfg.History.Breaker.Failures, Retry: int64(cfg.History.Breaker.Retry)}
}

// daemonMemory is the running daemon's, behind its control socket.
type daemonMemory struct{ socket string }

func (m daemonMemory) each(ctx context.Context, q control.ServerQuery, f func(store.Entry) error) error {
	return control.CallStream(ctx, m.socket, control.RequestHistory, q, func(text json.RawMessage) error {
		var e store.Entry
		if err := json.Unmarshal(text, &e); err != nil {
			return fmt.Errorf("understand the daemon's history; is it of another version? %w", err)
		}
		return f(e)
	})
}

func (m daemonMemory) merge(ctx context.Context, entries []store.Entry) error {
	return control.Call(ctx, m.socket, control.RequestMerge, entries, nil)
}

func (m daemonMemory) forget(ctx context.Context, q control.ServerQuery) (n int, err error) {
	err = control.Call(ctx, m.socket, control.RequestForget, q, &n)
	return n, err
}

func (daemonMemory) close(context.Context) error { return nil }

// fileMemory is a file's.
type fileMemory struct{ store *store.Store }

func (m fileMemory) each(_ context.Context, q control.ServerQuery, f func(store.Entry) error) error {
	for e := range m.store.All() {
		if q.Matches(e.Server) {
			if err := f(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m fileMemory) merge(_ context.Context, entries []store.Entry) error {
	m.store.Merge(entries)
	return nil
}

func (m fileMemory) forget(_ context.Context, q control.ServerQuery) (int, error) {
	return m.store.Forget(q.Matches), nil
}

func (m fileMemory) close(ctx context.Context) error { return m.store.Close(ctx) }

// historyHandlers answer the requests about the daemon's memory.
func historyHandlers(s *store.Store) map[string]control.Handler {
	return map[string]control.Handler{
		control.RequestHistory: func(_ context.Context, args json.RawMessage) (any, error) {
			var q control.ServerQuery
			if err := json.Unmarshal(args, &q); err != nil {
				return nil, fmt.Errorf("which servers? %w", err)
			}
			return control.Stream(func(yield func(any) bool) {
				for e := range s.All() {
					if q.Matches(e.Server) && !yield(e) {
						return
					}
				}
			}), nil
		},
		control.RequestMerge: func(_ context.Context, args json.RawMessage) (any, error) {
			var entries []store.Entry
			if err := json.Unmarshal(args, &entries); err != nil {
				return nil, fmt.Errorf("these are no entries of a history: %w", err)
			}
			s.Merge(entries)
			return nil, nil
		},
		control.RequestForget: func(_ context.Context, args json.RawMessage) (any, error) {
			var q control.ServerQuery
			if err := json.Unmarshal(args, &q); err != nil {
				return nil, fmt.Errorf("which servers? %w", err)
			}
			return s.Forget(q.Matches), nil
		},
	}
}

// historyStatus is the state of the daemon's memory.
func historyStatus(s *store.Store) control.History {
	state := s.State()
	h := control.History{Entries: state.Entries, Store: "ok", Reason: state.Unwritten, WriteErrors: state.WriteErrors, Skipped: state.Skipped}
	switch {
	case state.Lost:
		h.Store = "memory only"
	case state.Unwritten != "":
		h.Store = "not written"
	}
	for e := range s.All() {
		if e.Record.Promise.State != history.Closed {
			h.Open++
		}
	}
	return h
}
