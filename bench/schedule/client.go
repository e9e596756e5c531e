package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"time"

	"keepword/inspect/packet"
	"keepword/inspect/seqnum"
)

// client plays one schedule. It is a TCP that lives outside of the kernel: it sends the
// schedule's packets, and then, as a lawful sender, what is not acknowledged.
type client struct {
	*Schedule
	headers
	wire    *wire
	replies <-chan reply

	seen   bool         // the server's SYN
	acked  seqnum.Value // by the server
	finals int          // last lines of replies (RFC 5321 section 4.2.1) that were received
	heard  []byte       // the line at hand
	reset  bool
	begun  time.Time
}

const (
	// firstWait is how long the first retransmission waits, and lastWait the last: each
	// waits twice as long as the one before. Together they outlast a busy machine.
	firstWait = 20 * time.Millisecond
	lastWait  = 1280 * time.Millisecond
	// replyWait bounds the wait for a reply in a dialogue that forged octets may have
	// disturbed.
	replyWait = 60 * time.Millisecond
	// segmentLimit is the longest payload of a lawful segment: the links carry packets
	// of 1500 octets.
	segmentLimit = 1400
)

// play sends the schedule. It says whether every octet was acknowledged, and whether
// every reply was received.
func (c *client) play(ctx context.Context) (complete, answered bool, err error) {
	c.begun = time.Now()
	for i := range c.Syns {
		if err := c.put(&c.Syns[i]); err != nil {
			return false, false, err
		}
	}
	last := &c.Syns[len(c.Syns)-1]
	ok, err := c.until(ctx, func() bool { return c.seen }, func() error { return c.put(last) })
	if !ok {
		return false, false, err
	}
	if err := c.put(&Segment{}); err != nil {
		return false, false, err
	}
	due := 1 // the greeting
	if _, err := c.replied(ctx, due); err != nil {
		return false, false, err
	}
	for i := range c.Turns {
		t := &c.Turns[i]
		for i := range t.Segments {
			if err := c.put(&t.Segments[i]); err != nil {
				return false, false, err
			}
			c.drain()
		}
		end := t.Start + len(t.Octets)
		all := seqnum.Value(c.first).Add(end)
		ok, err := c.until(ctx, func() bool { return all.LessEq(c.acked) }, func() error { return c.repair(end) })
		if !ok {
			return false, false, err
		}
		due += t.Replies
		if answered, err = c.replied(ctx, due); err != nil {
			return false, false, err
		}
		if c.reset {
			return false, answered, nil
		}
	}
	return true, answered, nil
}

// put sends one segment.
func (c *client) put(s *Segment) error {
	c.stamp = uint32(time.Since(c.begun).Milliseconds()) + 1<<24
	c.id = c.wire.id.Add(1)
	for _, p := range s.packets(&c.headers) {
		if err := c.wire.send(p); err != nil {
			return err
		}
	}
	return nil
}

// repair sends again what has not been acknowledged up to end, in order.
func (c *client) repair(end int) error {
	text := c.Text()
	for at := int(c.acked.Sub(seqnum.Value(c.first))); at < end; at += segmentLimit {
		s := Segment{Offset: at, Flags: packet.PSH, Octets: text[at:min(at+segmentLimit, end)]}
		if err := c.put(&s); err != nil {
			return err
		}
	}
	return nil
}

// until waits for done; again is called whenever that takes too long.
func (c *client) until(ctx context.Context, done func() bool, again func() error) (bool, error) {
	for wait := firstWait; wait <= lastWait; wait *= 2 {
		if ok, err := c.wait(ctx, wait, done); ok || err != nil {
			return ok && !c.reset, err
		}
		if err := again(); err != nil {
			return false, err
		}
	}
	ok, err := c.wait(ctx, lastWait, done)
	return ok && !c.reset, err
}

// replied waits until the server has sent that many replies in all.
func (c *client) replied(ctx context.Context, due int) (bool, error) {
	limit := replyWait
	if c.Lawful {
		limit = 2 * lastWait
	}
	_, err := c.wait(ctx, limit, func() bool { return c.finals >= due })
	return c.finals >= due, err
}

// wait takes the server's packets until done, a reset, or the limit. It says whether
// there is nothing more to wait for.
func (c *client) wait(ctx context.Context, limit time.Duration, done func() bool) (bool, error) {
	c.drain()
	if done() || c.reset {
		return true, nil
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case r := <-c.replies:
			if err := c.take(&r); err != nil {
				return false, err
			}
			if done() || c.reset {
				return true, nil
			}
		case <-timer.C:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// drain takes what of the server has come already.
func (c *client) drain() {
	for {
		select {
		case r := <-c.replies:
			if c.take(&r) != nil {
				return // the next put meets the same
			}
		default:
			return
		}
	}
}

// take is the receiving half of the client's TCP.
func (c *client) take(r *reply) error {
	switch {
	case r.flags.Has(packet.RST):
		// A reset that is not meant for this very moment is not believed (RFC 5961
		// section 3.2); before the server's SYN every one is.
		c.reset = c.reset || !c.seen || r.seq == c.ack
		return nil
	case r.flags.Has(packet.SYN):
		if !c.seen && r.ack == c.first {
			c.seen, c.ack, c.acked = true, r.seq+1, seqnum.Value(r.ack)
			c.echo = r.stamp
		}
		return nil
	case !c.seen:
		return nil
	}
	c.acked = c.acked.Max(seqnum.Value(r.ack)) // beyond the text, where forged octets follow it
	c.echo = max(c.echo, r.stamp)
	old := int(int32(c.ack - r.seq))
	if old < 0 {
		return nil // behind a gap; it comes again
	}
	if old < len(r.octets) {
		c.hear(r.octets[old:])
		c.ack += uint32(len(r.octets) - old)
	}
	if len(r.octets) == 0 && old == 0 {
		return nil // else it wants an answer, as the probe of a closed window does
	}
	return c.put(&Segment{Offset: int(c.acked.Sub(seqnum.Value(c.first)))})
}

// hear counts the replies in octets of the server.
func (c *client) hear(octets []byte) {
	c.heard = append(c.heard, octets...)
	for {
		line, rest, ok := bytes.Cut(c.heard, []byte("\r\n"))
		if !ok {
			return
		}
		if len(line) > 3 && line[3] == ' ' {
			c.finals++
		}
		c.heard = rest
	}
}

// newClient makes the client that plays s between two addresses.
func newClient(s *Schedule, from, to netip.AddrPort, w *wire) *client {
	c := &client{Schedule: s, wire: w, headers: headers{
		client: from, server: to, first: s.First, window: 1<<15 - 1, stamps: s.Stamps,
	}}
	const mss = segmentLimit
	c.syn = binary.BigEndian.AppendUint16([]byte{2, 4}, mss) // RFC 9293 section 3.2
	c.syn = append(c.syn, 1, 3, 3, 2)                        // RFC 7323 section 2.2
	if s.Stamps {
		c.syn = append(c.syn, 1, 1, 8, 10)
		c.syn = binary.BigEndian.AppendUint32(c.syn, 1<<24)
		c.syn = binary.BigEndian.AppendUint32(c.syn, 0)
	}
	return c
}
