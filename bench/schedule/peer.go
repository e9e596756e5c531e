package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"keepword/inspect/packet"
	"keepword/inspect/seqnum"
)

// peer is the end of a connection that plays a schedule: a TCP that lives outside of the
// kernel. It is a net.Conn to its application. Each Write is a turn: it sends the turn's
// packets, and then, as a lawful sender, what is not acknowledged. It is for one goroutine.
type peer struct {
	schedule *Schedule
	headers
	receiver
	wire     *wire
	arrivals <-chan arrival // closed when the connection is given up

	seen     bool         // the other side's SYN
	acked    seqnum.Value // by the other side
	over     bool         // it was reset, or the other side has said its last
	wasReset bool
	stalled  bool      // a Write was not acknowledged
	taken    int       // octets that were Read
	limit    time.Time // of Read
	begun    time.Time
}

const (
	// firstWait is how long the first retransmission waits; each waits twice as long as
	// the one before, until the wait is lastWait, or lastLawfulWait where the other side
	// must answer. Together they outlast a busy machine.
	firstWait      = 20 * time.Millisecond
	lastWait       = 1280 * time.Millisecond
	lastLawfulWait = 5120 * time.Millisecond
)

// newPeer makes the end of s between two addresses.
func newPeer(s *Schedule, from, to netip.AddrPort, w *wire, arrivals <-chan arrival) *peer {
	p := &peer{
		schedule: s, wire: w, arrivals: arrivals, begun: time.Now(),
		headers: headers{from: from, to: to, first: s.First, window: windowField, stamps: s.Stamps},
		acked:   seqnum.Value(s.First).Add(-1),
	}
	p.syn = binary.BigEndian.AppendUint16([]byte{2, 4}, segmentLimit) // RFC 9293 section 3.2
	p.syn = append(p.syn, 1, 3, 3, windowScale)                       // RFC 7323 section 2.2
	if s.Stamps {
		p.syn = append(p.syn, 1, 1, 8, 10)
		p.syn = binary.BigEndian.AppendUint32(p.syn, 1<<24)
		p.syn = binary.BigEndian.AppendUint32(p.syn, 0)
	}
	return p
}

var (
	errOver    = errors.New("the connection is over")
	errStalled = errors.New("the other side does not acknowledge")
)

// open opens the connection to a server.
func (p *peer) open() error {
	if err := p.synchronise(func() bool { return p.seen }); err != nil {
		return err
	}
	return p.put(&Segment{})
}

// accept waits for a client.
func (p *peer) accept() error {
	p.wait(time.Now().Add(lawfulWait), func() bool { return p.seen })
	if !p.seen {
		return errStalled
	}
	first := seqnum.Value(p.first)
	return p.synchronise(func() bool { return first.LessEq(p.acked) })
}

// synchronise sends the SYNs, the last of them until done.
func (p *peer) synchronise(done func() bool) error {
	syns := p.schedule.Syns
	for i := range syns {
		if err := p.put(&syns[i]); err != nil {
			return err
		}
	}
	return p.until(done, func() error { return p.put(&syns[len(syns)-1]) })
}

// Write says octets.
func (p *peer) Write(octets []byte) (int, error) {
	t := p.schedule.Turn(octets)
	for i := range t.Segments {
		if err := p.put(&t.Segments[i]); err != nil {
			return 0, err
		}
		p.drain()
	}
	end := t.Start + len(octets)
	all := seqnum.Value(p.first).Add(end)
	if err := p.until(func() bool { return all.LessEq(p.acked) }, func() error { return p.repair(end) }); err != nil {
		p.stalled = errors.Is(err, errStalled)
		return 0, err
	}
	return len(octets), nil
}

// Read returns octets in order, until the connection is over or given up.
func (p *peer) Read(b []byte) (int, error) {
	limit := p.limit
	if limit.IsZero() {
		limit = time.Now().Add(idle)
	}
	p.wait(limit, func() bool { return p.taken < len(p.octets) })
	n := copy(b, p.octets[p.taken:])
	p.taken += n
	switch {
	case n > 0:
		return n, nil
	case p.over:
		return 0, io.EOF
	}
	return 0, os.ErrDeadlineExceeded
}

// put sends one segment.
func (p *peer) put(s *Segment) error {
	p.stamp = uint32(time.Since(p.begun).Milliseconds()) + 1<<24
	p.id = p.wire.id.Add(1)
	for _, pkt := range s.packets(&p.headers) {
		if err := p.wire.send(pkt, len(s.Octets) > segmentLimit); err != nil {
			return err
		}
	}
	return nil
}

// repair sends again what has not been acknowledged up to end, in order.
func (p *peer) repair(end int) error {
	text := p.schedule.Text()
	for at := int(p.acked.Sub(seqnum.Value(p.first))); at < end; at += segmentLimit {
		s := Segment{Offset: at, Flags: packet.PSH, Octets: text[at:min(at+segmentLimit, end)]}
		if err := p.put(&s); err != nil {
			return err
		}
		p.drain()
	}
	return nil
}

// until waits for done; again is called whenever that takes too long.
func (p *peer) until(done func() bool, again func() error) error {
	last := lastWait
	if p.schedule.Lawful {
		last = lastLawfulWait
	}
	for wait := firstWait; ; wait *= 2 {
		p.wait(time.Now().Add(wait), done)
		switch {
		case p.over && !done():
			return errOver
		case done():
			return nil
		case wait >= last:
			return errStalled
		}
		if err := again(); err != nil {
			return err
		}
	}
}

// wait takes the other side's packets until done, the end of the connection, or the
// limit.
func (p *peer) wait(limit time.Time, done func() bool) {
	p.drain()
	if done() || p.over {
		return
	}
	timer := time.NewTimer(time.Until(limit))
	defer timer.Stop()
	for !done() && !p.over {
		select {
		case a, ok := <-p.arrivals:
			p.takeOr(a, ok)
		case <-timer.C:
			return
		}
	}
}

// drain takes what has come already.
func (p *peer) drain() {
	for !p.over {
		select {
		case a, ok := <-p.arrivals:
			p.takeOr(a, ok)
		default:
			return
		}
	}
}

func (p *peer) takeOr(a arrival, ok bool) {
	if !ok {
		p.over = true
		return
	}
	p.take(&a)
}

// take is the receiving half.
func (p *peer) take(a *arrival) {
	switch {
	case a.flags.Has(packet.RST):
		// A reset that is not meant for this very moment is not believed (RFC 5961
		// section 3.2); before the other side's SYN every one is.
		if !p.seen || a.seq == p.next {
			p.over, p.wasReset = true, true
		}
		return
	case a.flags.Has(packet.SYN):
		p.takeSYN(a)
		return
	case !p.seen:
		return
	}
	if a.flags.Has(packet.ACK) {
		p.acked = p.acked.Max(seqnum.Value(a.ack)) // beyond the text, where forged octets follow it
	}
	p.echo = max(p.echo, a.stamp)
	isNew := a.seq != p.next || len(a.octets) > 0
	p.receiver.take(a.seq, a.octets)
	p.ack = p.next
	if a.flags.Has(packet.FIN) && a.seq+uint32(len(a.octets)) == p.next {
		p.ack, p.over = p.next+1, true
		isNew = true
	}
	if isNew { // or wants an answer, as the probe of a closed window does
		// An error is met by the next packet of the schedule too.
		_ = p.put(&Segment{Offset: int(p.acked.Sub(seqnum.Value(p.first)))})
	}
}

// takeSYN takes the other side's SYN.
func (p *peer) takeSYN(a *arrival) {
	answers := a.flags.Has(packet.ACK)
	if p.seen || answers != (p.schedule.Side == ClientSide) || answers && a.ack != p.first {
		return
	}
	p.seen, p.echo = true, a.stamp
	p.start(a.seq + 1)
	p.ack = p.next
	if answers {
		p.acked = seqnum.Value(a.ack)
	}
}

// The rest of net.Conn.

// Close does nothing: the connection is given up with its port.
func (p *peer) Close() error { return nil }

// LocalAddr returns the end that p speaks for.
func (p *peer) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(p.from) }

// RemoteAddr returns the other end.
func (p *peer) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(p.to) }

// SetDeadline bounds Read alone, as SetReadDeadline does.
func (p *peer) SetDeadline(t time.Time) error { return p.SetReadDeadline(t) }

// SetWriteDeadline does nothing: a Write is bounded by itself.
func (p *peer) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline sets the time at which a Read gives up.
func (p *peer) SetReadDeadline(t time.Time) error { p.limit = t; return nil }
