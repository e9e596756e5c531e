package store

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"keepword/inspect/history"
)

const (
	// writePause is how long changes are gathered before they are written together.
	writePause = time.Second
	// maxPause is the longest pause behind writes that fail. Pauses double.
	maxPause = 5 * time.Minute
)

// writer writes the changes of a Store to its file, in a goroutine of its own.
type writer struct {
	file *file
	// taken are changes that have left the Store's list, and are not in the file yet.
	// It is at most part long but for the surplus of a file that was just read.
	taken []change
	stop  chan struct{}
	done  chan struct{}
	err   error // of the last write, valid when done is closed
}

func newWriter(f *file, surplus []change) *writer {
	return &writer{file: f, taken: surplus, stop: make(chan struct{}), done: make(chan struct{})}
}

// run writes until it is stopped, then once more, or until the file is of no use any more.
func (w *writer) run(s *Store) {
	defer close(w.done)
	pause := writePause
	for running := true; running; {
		select {
		case <-time.After(pause):
		case <-w.stop:
			running = false
		}
		w.err = w.flush(s)
		if errors.Is(w.err, errDamaged) {
			s.lose(w.err)
			return
		}
		s.wrote(w.err)
		if w.err == nil {
			pause = writePause
		} else {
			pause = min(2*pause, maxPause)
		}
	}
	w.err = errors.Join(w.err, w.file.close())
}

// flush writes all changes.
func (w *writer) flush(s *Store) error {
	for {
		if len(w.taken) == 0 {
			w.taken = s.take()
		}
		if len(w.taken) == 0 {
			return nil
		}
		if err := w.file.write(w.taken); err != nil {
			return fmt.Errorf("history %s: %w", w.file.path, err)
		}
		w.taken = nil
	}
}

// take takes some changes from the list.
func (s *Store) take() []change {
	var entries []Entry
	var gone []netip.AddrPort
	s.mu.Lock()
	s.history.Changes(func(server netip.AddrPort, r *history.Record) bool {
		if r != nil {
			entries = append(entries, Entry{server, *r})
		} else {
			gone = append(gone, server)
		}
		return len(entries)+len(gone) < part
	})
	s.mu.Unlock()
	changes := make([]change, 0, part)
	for _, e := range entries {
		changes = append(changes, e.change())
	}
	for _, server := range gone {
		changes = append(changes, change{key: []byte(server.String())})
	}
	return changes
}

// wrote notes whether a write succeeded, and says so where that has changed.
func (s *Store) wrote(err error) {
	s.mu.Lock()
	failedBefore := s.state.Unwritten != ""
	s.state.Unwritten = ""
	if err != nil {
		s.state.Unwritten = err.Error()
		s.state.WriteErrors++
	}
	s.mu.Unlock()
	switch {
	case err != nil && !failedBefore:
		s.log.Warn("history not written, it is tried again: make room on its disk, or let keepword write there", "error", err)
	case err == nil && failedBefore:
		s.log.Info("history written again")
	}
}
