package eve

import (
	"bufio"
	"fmt"
	"io"

	"keepword/inspect"
)

// Stream writes events in order, in the caller's goroutine. It is for replay, which
// has no packets waiting.
type Stream struct {
	enc *encoder
	w   *bufio.Writer
	err error
}

var _ inspect.Sink = (*Stream)(nil)

// NewStream returns a Stream that writes to w.
func NewStream(w io.Writer, opt Options) *Stream {
	return &Stream{enc: newEncoder(opt), w: bufio.NewWriter(w)}
}

// Finding writes r as an alert event.
func (s *Stream) Finding(r *inspect.FindingRecord) { s.write(s.enc.finding(r)) }

// FlowEnd writes r as a flow event.
func (s *Stream) FlowEnd(r *inspect.FlowRecord) { s.write(s.enc.flowEnd(r)) }

func (s *Stream) write(line []byte, err error) {
	if s.err != nil {
		return
	}
	if err == nil {
		_, err = s.w.Write(line)
	}
	s.err = err
}

// Flush writes out what is buffered. An error is Close's to return.
func (s *Stream) Flush() {
	if s.err == nil {
		s.err = s.w.Flush()
	}
}

// Close writes out what is buffered and returns the first error of the Stream's
// life; nothing was written after it. It does not close the underlying writer.
func (s *Stream) Close() error {
	s.Flush()
	if s.err != nil {
		return fmt.Errorf("write events: %w", s.err)
	}
	return nil
}
