// Package progress shows on a terminal how far a long reading has come, as one line
// below what else is written there. It is drawn from within the reading, at most ten
// times a second, with the control sequences of ECMA-48 that every terminal knows.
package progress

import (
	"io"
	"sync"
	"time"

	"keepword/cmd/keepword/internal/terminal"
	"keepword/dataplane"
)

const (
	// interval is the shortest time between two drawings, and that before the first:
	// what is read at once needs no line.
	interval = time.Second / 10
	erase    = "\r\x1b[K" // to the line's begin, and EL: erase to its end
	eraseEnd = "\x1b[K"
)

// Bar is the line. Its methods may be called from several goroutines, and on a nil Bar,
// which shows nothing.
type Bar struct {
	w     io.Writer
	total int64 // octets, 0: unknown
	width func() int
	now   func() time.Time

	mu      sync.Mutex
	begun   time.Time
	due     time.Time // of the next drawing
	octets  int64     // read so far
	packets uint64    // inspected so far
	line    string    // as it is on the terminal; empty: it is not
	midLine bool      // what was last written above did not end its line
	closed  bool
}

// On returns a Bar for the reading of total octets, 0 where nobody knows how many, or nil
// where w is no terminal that could show it.
func On(w io.Writer, total int64) *Bar {
	if !terminal.Is(w) || terminal.Dumb() {
		return nil
	}
	columns := func() int { n, _ := terminal.Size(w); return n }
	return newBar(w, total, columns, time.Now)
}

func newBar(w io.Writer, total int64, width func() int, now func() time.Time) *Bar {
	b := &Bar{w: w, total: total, width: width, now: now, begun: now()}
	b.due = b.begun.Add(interval)
	return b
}

// Reader returns r with what is read of it counted.
func (b *Bar) Reader(r io.Reader) io.Reader {
	if b == nil {
		return r
	}
	return reader{b, r}
}

type reader struct {
	bar *Bar
	r   io.Reader
}

// Read is that of the reader below.
func (r reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.bar.read(n)
	return n, err
}

func (b *Bar) read(octets int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.octets += int64(octets)
	if now := b.now(); !now.Before(b.due) {
		b.due = now.Add(interval)
		b.draw(now)
	}
}

// Inspector returns next with the packets that it is given counted.
func (b *Bar) Inspector(next dataplane.Inspector) dataplane.Inspector {
	if b == nil {
		return next
	}
	return inspector{b, next}
}

type inspector struct {
	bar  *Bar
	next dataplane.Inspector
}

// Inspect is that of the Inspector behind.
func (i inspector) Inspect(batch *dataplane.Batch) {
	i.next.Inspect(batch)
	i.bar.mu.Lock()
	i.bar.packets += uint64(len(batch.Packets))
	i.bar.mu.Unlock()
}

// Above returns a writer to w, the same terminal, whose lines come above the Bar.
func (b *Bar) Above(w io.Writer) io.Writer {
	if b == nil {
		return w
	}
	return above{b, w}
}

type above struct {
	bar *Bar
	w   io.Writer
}

// Write writes p in place of the line, and the line below it.
func (a above) Write(p []byte) (int, error) {
	b := a.bar
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(p) == 0 {
		return a.w.Write(p)
	}
	line := b.line
	b.wipe()
	n, err := a.w.Write(p)
	if b.midLine = p[len(p)-1] != '\n'; !b.midLine {
		b.put(line)
	}
	return n, err
}

// Close takes the line off the terminal for good. What was returned by the other methods
// goes on working without it.
func (b *Bar) Close() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wipe()
	b.closed = true
}

// draw puts the line for this moment on the terminal, unless that is in the middle of
// another one.
func (b *Bar) draw(now time.Time) {
	if b.closed || b.midLine {
		return
	}
	s := state{octets: b.octets, total: b.total, packets: b.packets, spent: now.Sub(b.begun)}
	b.put(s.line(b.width()))
}

func (b *Bar) put(line string) {
	if line == "" {
		return
	}
	io.WriteString(b.w, "\r"+line+eraseEnd) // a terminal that takes no line is no reason to stop
	b.line = line
}

func (b *Bar) wipe() {
	if b.line != "" {
		io.WriteString(b.w, erase)
		b.line = ""
	}
}
