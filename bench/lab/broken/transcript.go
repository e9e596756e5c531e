package broken

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Direction is the way that octets go, in SMTP's roles, so that what a server sent
// and what a client received are asked for in the same words.
type Direction uint8

const (
	// ToServer is from the SMTP client to the SMTP server.
	ToServer Direction = iota
	// ToClient is from the SMTP server to the SMTP client.
	ToClient
)

// String returns the mark that transcripts put before a line.
func (d Direction) String() string {
	if d == ToClient {
		return "S:"
	}
	return "C:"
}

// What says what an Event is.
type What uint8

const (
	// Octets went over the wire in one read or one write.
	Octets What = iota
	// Ended means that the peer closed its direction (FIN).
	Ended
	// Reset means that the peer, or somebody in its name, sent a RST.
	Reset
	// TLSBegan means that a handshake was completed. Octets are ciphertext from
	// the handshake on: a transcript is of the wire.
	TLSBegan
)

// Event is one thing that happened on a connection.
type Event struct {
	// At is the time since the connection was accepted or given.
	At time.Duration
	// What happened. Only Octets has octets.
	What What
	// Direction is which way the octets went, or which direction ended.
	Direction Direction
	// Octets are one read's or one write's.
	Octets []byte
}

// Transcript is what one end of one connection saw, in order.
type Transcript struct {
	// Local and Remote are the addresses as host:port.
	Local, Remote string
	// Began is when the connection was accepted or given.
	Began time.Time
	// Events in the order of their happening at this end.
	Events []Event
	// Omitted counts by Direction the octets beyond Limits.Transcript, which are not
	// kept.
	Omitted [2]int64
}

// Octets returns all octets of one direction, without Omitted.
func (t Transcript) Octets(d Direction) []byte {
	var all []byte
	for _, e := range t.Events {
		if e.What == Octets && e.Direction == d {
			all = append(all, e.Octets...)
		}
	}
	return all
}

// Has says whether such an event happened.
func (t Transcript) Has(w What) bool {
	for _, e := range t.Events {
		if e.What == w {
			return true
		}
	}
	return false
}

// String returns the dialogue for a reader, a line of it on a line, and what is
// not text by its length.
func (t Transcript) String() string {
	var out strings.Builder
	for i := 0; i < len(t.Events); {
		e := t.Events[i]
		if e.What != Octets {
			fmt.Fprintf(&out, "%s (%s)\n", e.Direction, [...]string{Ended: "closes", Reset: "resets", TLSBegan: "TLS has begun"}[e.What])
			i++
			continue
		}
		var run []byte
		for ; i < len(t.Events) && t.Events[i].What == Octets && t.Events[i].Direction == e.Direction; i++ {
			run = append(run, t.Events[i].Octets...)
		}
		writeLines(&out, e.Direction, run)
	}
	for d, n := range t.Omitted {
		if n > 0 {
			fmt.Fprintf(&out, "%s (%d more octets, not kept)\n", Direction(d), n)
		}
	}
	return out.String()
}

// writeLines prints the lines that are text, and the rest from the first that is
// not as a count.
func writeLines(out *strings.Builder, d Direction, octets []byte) {
	for len(octets) > 0 {
		line := octets
		if i := bytes.IndexByte(octets, '\n'); i >= 0 {
			line = octets[:i+1]
		}
		text := bytes.TrimRight(line, "\r\n")
		if bytes.ContainsFunc(text, func(r rune) bool { return r != '\t' && (r < ' ' || r == 0x7f || r == '\uFFFD') }) {
			fmt.Fprintf(out, "%s (%d octets that are no text)\n", d, len(octets))
			return
		}
		fmt.Fprintf(out, "%s %s\n", d, text)
		octets = octets[len(line):]
	}
}

// tap is a connection that writes down what goes through it.
type tap struct {
	net.Conn
	in, out Direction
	limit   int64 // octets kept of each direction

	writing sync.Mutex // so that the transcript has writes in the order of the wire

	mu   sync.Mutex
	t    Transcript
	kept [2]int64
	gone bool // an end of the read side is written down
}

func newTap(c net.Conn, in Direction, limit int64) *tap {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetNoDelay(true) // one write, one segment; fails only on a dead socket
	}
	return &tap{Conn: c, in: in, out: 1 - in, limit: limit, t: Transcript{
		Local: c.LocalAddr().String(), Remote: c.RemoteAddr().String(), Began: time.Now(),
	}}
}

// Read implements net.Conn.
func (c *tap) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.octets(c.in, p[:n])
	switch {
	case errors.Is(err, io.EOF):
		c.end(Ended)
	case isReset(err):
		c.end(Reset)
	}
	return n, err
}

// Write implements net.Conn. The octets are written down first, so that no answer
// to them can come before them in the transcript; of a write that failed those
// that the kernel didn't take are struck out again.
func (c *tap) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	event := c.octets(c.out, p)
	n, err := c.Conn.Write(p)
	if n < len(p) {
		c.strike(event, n, len(p))
	}
	if isReset(err) {
		c.end(Reset)
	}
	return n, err
}

// CloseWrite ends this side's direction and keeps the other open.
func (c *tap) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Conn.Close()
}

// abort closes with a RST.
func (c *tap) abort() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails only where the socket is closed already
	}
	_ = c.Conn.Close() // nobody is left to tell
}

// octets appends an event with as many octets as the limit allows and returns its
// index.
func (c *tap) octets(d Direction, p []byte) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p) == 0 {
		return len(c.t.Events)
	}
	keep := min(int64(len(p)), c.limit-c.kept[d])
	c.kept[d] += keep
	c.t.Omitted[d] += int64(len(p)) - keep
	if keep > 0 {
		c.t.Events = append(c.t.Events, Event{At: time.Since(c.t.Began), Direction: d, Octets: bytes.Clone(p[:keep])})
	}
	return len(c.t.Events) - 1
}

// strike shortens an event to the n octets of size that were sent.
func (c *tap) strike(event, n, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	beyond := min(int64(size-n), c.t.Omitted[c.out])
	c.t.Omitted[c.out] -= beyond
	if extra := size - n - int(beyond); extra > 0 {
		e := &c.t.Events[event]
		e.Octets = e.Octets[:len(e.Octets)-extra]
		c.kept[c.out] -= int64(extra)
	}
}

// end writes down how the peer's direction ended, once.
func (c *tap) end(w What) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gone {
		c.gone = true
		c.t.Events = append(c.t.Events, Event{At: time.Since(c.t.Began), What: w, Direction: c.in})
	}
}

// tlsBegan writes down that a handshake was completed.
func (c *tap) tlsBegan() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t.Events = append(c.t.Events, Event{At: time.Since(c.t.Began), What: TLSBegan, Direction: c.out})
}

// transcript returns what was written down so far. Its octets are shared and never
// change, but for the last write's while it is under way.
func (c *tap) transcript() Transcript {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.t
	t.Events = append([]Event(nil), c.t.Events...)
	return t
}

// isReset says whether err is how the kernel reports a RST.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
