package eve

import (
	"bytes"
	"io"
)

const (
	// flushAt is the size at which a buffer is written although more events wait.
	flushAt = 64 << 10
	// bufferLimit is how much is kept for a destination that fails.
	bufferLimit = 256 << 10
)

// sink is a destination and the lines that wait for it. A write that fails half way
// keeps its rest, so that a full disk does not leave half a line behind which the
// next one begins.
type sink struct {
	dst     io.WriteCloser
	keep    bool // close leaves dst open: it is not ours
	ragged  bool // dst ends in the middle of a line that nobody will go on with
	buf     []byte
	torn    bool // the destination ends in the middle of the line that buf begins with
	failing bool // the last write failed
}

// add appends a line, or returns false where the destination fails and bufferLimit
// is reached.
func (s *sink) add(line []byte) bool {
	if s.failing && len(s.buf)+len(line) > bufferLimit {
		return false
	}
	s.buf = append(s.buf, line...)
	return true
}

func (s *sink) full() bool { return len(s.buf) >= flushAt }

func (s *sink) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	if s.ragged {
		if _, err := s.dst.Write([]byte{'\n'}); err != nil {
			s.failing = true
			return err
		}
		s.ragged = false
	}
	n, err := s.dst.Write(s.buf)
	if n > 0 {
		s.torn = s.buf[n-1] != '\n'
		s.buf = s.buf[:copy(s.buf, s.buf[n:])]
	}
	s.failing = err != nil
	return err
}

// dropTorn gives up the rest of a line whose beginning is in a file that is being
// left, and returns the number of events lost by it: 0 or 1.
func (s *sink) dropTorn() uint64 {
	if !s.torn {
		return 0
	}
	s.torn = false
	end := bytes.IndexByte(s.buf, '\n') + 1
	s.buf = s.buf[:copy(s.buf, s.buf[end:])]
	return 1
}

// abandon empties the buffer and returns the number of events that were in it.
func (s *sink) abandon() uint64 {
	n := bytes.Count(s.buf, []byte{'\n'})
	s.buf = nil
	return uint64(n)
}

func (s *sink) close() {
	if !s.keep {
		// Every octet was given to the kernel or counted as lost; there is no
		// further message to gain from the error.
		_ = s.dst.Close()
	}
}
