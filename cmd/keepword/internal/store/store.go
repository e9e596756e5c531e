// Package store keeps the history of servers: in memory, where all workers share it, and
// behind that in a file, which is written a second later and read at the start.
//
// Whatever is wrong with the file, keepword says so once and runs on with its memory only:
// a history that is lost costs some failed sessions, a gateway that stands still costs the
// mail. A file that can't be used is never altered.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"net/netip"
	"sync"
	"syscall"

	"keepword/inspect"
	"keepword/inspect/history"
)

// MaxServers is how many servers are remembered. They take 40 MB of memory and 100 MB on
// disk at the most; a gateway that sends to more servers than these within the month that
// an offer counts (history.Lapse) forgets some of them early.
const MaxServers = 100_000

// part is how many servers are looked at while the lock is held: some 0.2 ms, in which the
// workers wait.
const part = 512

// Store is a history of servers. Its methods are safe for concurrent use. Those of
// inspect.History take one lock for less than a microsecond, and wait for no file.
type Store struct {
	log *slog.Logger

	mu      sync.Mutex // never held while a file is touched
	history *history.History
	state   State

	writer *writer // nil: memory only
}

var _ inspect.History = (*Store)(nil)

// State is how a Store fares.
type State struct {
	// Entries are the servers that are remembered.
	Entries int
	// Unwritten is why what is learned is not written to the file, "" where it is.
	// Lost says that it never will be, until keepword is started anew.
	Unwritten string
	Lost      bool
	// WriteErrors counts writes that failed, and files that could not be used.
	WriteErrors uint64
	// Skipped entries of the file could not be understood. They stay in it until their
	// server is seen again.
	Skipped int
}

// Open returns the Store of the file at path, which is made where there is none, with its
// directory; "" is memory only. Where the file can't be used, the Store is memory only too:
// log and State say why.
func Open(path string, limits history.Breaker, log *slog.Logger) *Store {
	s := newStore(limits, log)
	if path == "" {
		s.state.Unwritten, s.state.Lost = "history.path is empty", true
		return s
	}
	f, err := openFile(path, false)
	if err == nil {
		if err = s.start(f, path); err == nil {
			return s
		}
		s.history = newHistory(limits)
	} else if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		// What it holds is worth knowing all the same.
		if f, err := openFile(path, true); err == nil {
			s.load(f, path)
			f.close()
		}
	}
	s.lose(err)
	return s
}

// Load returns the Store of the file at path, for a command without a daemon: an error
// says why the file can't be used. With readOnly nothing is written.
func Load(path string, readOnly bool, limits history.Breaker, log *slog.Logger) (*Store, error) {
	f, err := openFile(path, readOnly)
	if err != nil {
		return nil, err
	}
	s := newStore(limits, log)
	if !readOnly {
		return s, s.start(f, path)
	}
	if _, err = s.load(f, path); err == nil {
		err = f.close()
	}
	return s, err
}

func newStore(limits history.Breaker, log *slog.Logger) *Store {
	return &Store{log: log, history: newHistory(limits)}
}

func newHistory(limits history.Breaker) *history.History {
	return history.New(history.Config{Servers: MaxServers, Breaker: limits})
}

// start reads f and has it written from now on.
func (s *Store) start(f *file, path string) error {
	surplus, err := s.load(f, path)
	if err != nil {
		return err
	}
	s.writer = newWriter(f, surplus)
	go s.writer.run(s)
	return nil
}

// load reads all entries of f, and returns those to be deleted because there is no room for
// them.
func (s *Store) load(f *file, path string) (surplus []change, err error) {
	skipped, reason := 0, error(nil)
	s.history.Merge(func(yield func(netip.AddrPort, history.Record) bool) {
		err = f.each(func(key, value []byte) {
			var e Entry
			bad := e.UnmarshalJSON(value)
			if bad == nil && e.Server.String() != string(key) {
				bad = errors.New("it stands under another server")
			}
			if bad != nil {
				skipped, reason = skipped+1, fmt.Errorf("%.64q: %w", key, bad)
				return
			}
			yield(e.Server, e.Record)
		})
	})
	if err != nil {
		return nil, fmt.Errorf("history %s: %w: %s", path, err, remedy(err))
	}
	s.state.Skipped = skipped
	if skipped > 0 {
		s.log.Warn("history: entries of the file can't be understood and are left alone",
			"path", path, "entries", skipped, "last", reason)
	}
	s.history.Changes(func(server netip.AddrPort, r *history.Record) bool {
		if r == nil {
			surplus = append(surplus, change{key: []byte(server.String())})
		}
		return true
	})
	return surplus, nil
}

// lose says that from now on there is memory only.
func (s *Store) lose(err error) {
	s.mu.Lock()
	s.state.Unwritten, s.state.Lost = err.Error(), true
	s.state.WriteErrors++
	s.mu.Unlock()
	s.log.Warn("history: what is learned of servers is kept in memory only, until keepword is started anew", "error", err)
}

// Recall is history.History's.
func (s *Store) Recall(client netip.Addr, server netip.AddrPort, now int64, mayHide bool) (history.Memory, history.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.history.Recall(client, server, now, mayHide)
}

// Note is history.History's.
func (s *Store) Note(server netip.AddrPort, seen history.Seen) history.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.history.Note(server, seen)
}

// Failed is history.History's.
func (s *Store) Failed(client netip.Addr, server netip.AddrPort, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history.Failed(client, server, now)
}

// Lookup is history.History's.
func (s *Store) Lookup(server netip.AddrPort) (history.Record, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.history.Lookup(server)
}

// SetBreaker changes the breaker's limits.
func (s *Store) SetBreaker(limits history.Breaker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history.SetBreaker(limits)
}

// State returns how s fares.
func (s *Store) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.state
	state.Entries = s.history.Len()
	return state
}

// All returns every entry, in no order. The workers go on meanwhile: a server that comes or
// goes may be left out, or told twice where it does both.
func (s *Store) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		some := make([]Entry, 0, part)
		tell := func() bool {
			s.mu.Unlock()
			defer s.mu.Lock()
			for _, e := range some {
				if !yield(e) {
					return false
				}
			}
			some = some[:0]
			return true
		}
		more := true
		s.history.Each(func(server netip.AddrPort, r *history.Record) bool {
			if some = append(some, Entry{server, *r}); len(some) == part {
				more = tell()
			}
			return more
		})
		if more {
			tell()
		}
	}
}

// Merge enters records of other gateways.
func (s *Store) Merge(entries []Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history.Merge(func(yield func(netip.AddrPort, history.Record) bool) {
		for _, e := range entries {
			if !yield(e.Server, e.Record) {
				return
			}
		}
	})
}

// Forget forgets the servers that match, and returns how many they were.
func (s *Store) Forget(match func(netip.AddrPort) bool) (forgotten int) {
	for e := range s.All() {
		if !match(e.Server) {
			continue
		}
		s.mu.Lock()
		if s.history.Forget(e.Server) {
			forgotten++
		}
		s.mu.Unlock()
	}
	return forgotten
}

// Close writes what is left, and ends the use of the file. It waits until ctx is done at the
// latest. An error says what was not written.
func (s *Store) Close(ctx context.Context) error {
	if s.writer == nil {
		return nil
	}
	close(s.writer.stop)
	select {
	case <-s.writer.done:
		return s.writer.err
	case <-ctx.Done():
		return errors.New("history: the last changes were not written in time, look after the disk")
	}
}
