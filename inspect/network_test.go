package inspect_test

import (
	"bytes"
	"net/netip"
	"slices"

	"pgregory.net/rapid"

	"keepword/inspect/packet"
)

// ear is a receiver's reassembly: which copy of an octet that is not next counts is
// the receiver's choice.
type ear struct {
	lastWins bool
	ahead    map[int]byte
	got      []byte
}

func (r *ear) hear(at int, b []byte) {
	for i, c := range b {
		if _, known := r.ahead[at+i]; at+i >= len(r.got) && (!known || r.lastWins) {
			r.ahead[at+i] = c
		}
	}
	for c, ok := r.ahead[len(r.got)]; ok; c, ok = r.ahead[len(r.got)] {
		delete(r.ahead, len(r.got))
		r.got = append(r.got, c)
	}
}

// peer is a TCP end that repeats what was lost, and hears with two ears, so that a
// difference between them shows whatever depends on the receiver.
type peer struct {
	*end
	first       uint32 // sequence number of its first octet
	said        []byte
	sent, acked int // octets of said
	ears        [2]ear
}

// network is a connection whose segments are cut, lost, repeated and reordered as rapid
// draws it, on both sides of the pipeline.
type network struct {
	*wire
	t       *rapid.T
	a, b    *peer    // client, server
	flying  [][]byte // sent, not at the pipeline yet
	urgent  bool     // a segment with octets left that was marked urgent
	longest int      // segment
}

func newNetwork(t *rapid.T, c setup) *network {
	c.isn = rapid.SampledFrom([]uint32{0, 7, 1<<31 - 1000, 1<<32 - 1010, 1<<32 - 1300}).Draw(t, "isn")
	c.ends = rapid.SampledFrom([][2]netip.AddrPort{version4, version6}).Draw(t, "ip")
	w := newWire(t, c)
	n := &network{wire: w, t: t, longest: rapid.SampledFrom([]int{1, 2, 5, 40, 1460}).Draw(t, "longest")}
	for _, p := range []struct {
		to  **peer
		end *end
	}{{&n.a, w.client}, {&n.b, w.server}} {
		*p.to = &peer{end: p.end, first: p.end.snd}
		for i := range (*p.to).ears {
			(*p.to).ears[i] = ear{lastWins: i == 1, ahead: map[int]byte{}}
		}
	}
	return n
}

func (n *network) other(p *peer) *peer {
	if p == n.a {
		return n.b
	}
	return n.a
}

// of returns the segment of p's octets from one place up to another.
func (n *network) of(p *peer, from, to int) []byte {
	flags := packet.ACK
	if to > from {
		flags |= packet.PSH
	}
	return n.segment(p.end, p.first+uint32(from), flags, p.said[from:to])
}

// pass takes one packet through the pipeline; lost says that what leaves for its
// receiver does not arrive.
func (n *network) pass(pkt []byte, lost bool) {
	n.now += 1e6
	arrive := n.arrive
	if lost {
		arrive = func([]byte) {}
	}
	n.inspect(pkt, arrive, n.arrive)
}

// rest lets time pass.
func (n *network) rest(nanoseconds int64) { n.idle(nanoseconds, n.arrive) }

// window is what a receiver takes ahead of what it has (no scaling).
const window = 65535

// arrive is the receiver of a packet (RFC 9293 §3.10.7.4, RFC 5961 §3.2).
func (n *network) arrive(pkt []byte) {
	var v packet.View
	if c := packet.Parse(pkt, &v); c != packet.OK || !v.ChecksumOK() {
		n.t.Fatalf("a packet left that a receiver would discard: %v", c)
	}
	to := n.a
	if v.DstPort == n.b.addr.Port() {
		to = n.b
	}
	from := n.other(to)
	if v.Flags.Has(packet.URG) && len(v.Payload) > 0 {
		n.urgent = true
	}
	if v.Flags.Has(packet.RST) && v.Seq == to.rcv {
		to.reset = true
	}
	if to.reset || v.Flags.Has(packet.SYN) || v.Flags.Has(packet.RST) {
		return
	}
	if acked := int(int32(v.Ack - to.first)); v.Flags.Has(packet.ACK) && acked > to.acked && acked <= to.sent {
		to.acked = acked
	}
	at := int(int32(v.Seq - from.first))
	if at < 0 && at+len(v.Payload) > 0 {
		v.Payload, at = v.Payload[-at:], 0
	}
	if at < 0 || at > len(to.ears[0].got)+window {
		return
	}
	for i := range to.ears {
		to.ears[i].hear(at, v.Payload)
	}
	to.rcv = from.first + uint32(len(to.ears[0].got))
}

func (n *network) draw(label string, below int) int {
	return rapid.IntRange(0, below-1).Draw(n.t, label)
}

// fly sends one packet on its way.
func (n *network) fly(pkt []byte) { n.flying = append(n.flying, pkt) }

// chance does one of the things that may happen in a network while p speaks.
func (n *network) chance(p *peer) {
	switch n.draw("event", 8) {
	case 0, 1, 2: // something new is sent
		if size := min(n.longest, len(p.said)-p.sent); size > 0 {
			size = 1 + n.draw("size", size)
			n.fly(n.of(p, p.sent, p.sent+size))
			p.sent += size
		}
	case 3: // something is sent again, otherwise cut
		if p.acked < p.sent {
			from := p.acked + n.draw("from", p.sent-p.acked)
			n.fly(n.of(p, from, min(from+1+n.draw("size", n.longest), p.sent)))
		}
	case 4: // the other end acknowledges
		o := n.other(p)
		n.fly(n.of(o, o.sent, o.sent))
	case 5, 6: // a packet reaches the pipeline, in order or not, and goes on
		if k := len(n.flying); k > 0 {
			i := n.draw("packet", k)
			pkt := n.flying[i]
			n.flying = slices.Delete(n.flying, i, i+1)
			n.pass(pkt, n.draw("lost", 8) == 0)
		}
	case 7: // a packet is lost, or comes twice
		if k := len(n.flying); k > 0 {
			i := n.draw("packet", k)
			if n.draw("twice", 2) == 1 {
				n.pass(slices.Clone(n.flying[i]), false)
			} else {
				n.flying = slices.Delete(n.flying, i, i+1)
			}
		}
	}
}

// finish repeats what p said until it has been acknowledged, and says whether it was.
func (n *network) finish(p *peer) bool {
	for _, pkt := range n.flying {
		n.pass(pkt, false)
	}
	n.flying = n.flying[:0]
	p.sent = len(p.said)
	o := n.other(p)
	for range 20 {
		if p.acked == len(p.said) || p.reset || o.reset {
			return true
		}
		n.rest(250e6)
		for at := p.acked; at < len(p.said); at += n.longest {
			n.pass(n.of(p, at, min(at+n.longest, len(p.said))), false)
			n.pass(n.of(o, o.sent, o.sent), false)
		}
	}
	return false
}

// turn is what one end says before the other speaks.
type turn struct {
	fromClient bool
	text       string
}

// begin has one end say what is its turn, and returns it. Nothing is sent yet.
func (n *network) begin(t turn) *peer {
	p := n.b
	if t.fromClient {
		p = n.a
	}
	p.said = append(p.said, t.text...)
	p.end.snd = p.first + uint32(len(p.said))
	return p
}

// speak has an end say what is its turn, with all that may happen on its way, and
// returns it.
func (n *network) speak(t turn) *peer {
	p := n.begin(t)
	for range n.draw("events", 24) {
		n.chance(p)
	}
	if !n.finish(p) {
		n.t.Fatalf("stalled: %d of %d octets of %q acknowledged, %d packets held", p.acked, len(p.said), t.text, len(n.waiting))
	}
	return p
}

// speakAttacked is speak while somebody sends what a lawful end would not. What is said
// need not arrive.
func (n *network) speakAttacked(t turn) {
	p := n.begin(t)
	for range n.draw("events", 24) {
		if n.draw("attack", 3) == 0 {
			n.attack(p)
		} else {
			n.chance(p)
		}
	}
	n.finish(p)
}

// wantOneTruth fails where the octets that an application reads depend on which copy
// of an octet its receiver believes.
func (n *network) wantOneTruth() {
	for _, p := range []*peer{n.a, n.b} {
		if !bytes.Equal(p.ears[0].got, p.ears[1].got) {
			n.t.Fatalf("receivers differ:\n %q\n %q", p.ears[0].got, p.ears[1].got)
		}
	}
}

// hangUp closes both directions in order.
func (n *network) hangUp() {
	for _, p := range []*peer{n.a, n.b} {
		n.pass(n.segment(p.end, p.first+uint32(len(p.said)), packet.FIN|packet.ACK, nil), false)
		n.other(p).rcv++
	}
	n.pass(n.segment(n.a.end, n.a.first+uint32(len(n.a.said))+1, packet.ACK, nil), false)
}

// wantNothingLeft fails where the pipeline keeps anything of the connection.
func (n *network) wantNothingLeft() {
	n.rest(11e9) // longer than anything is held
	if len(n.waiting) > 0 {
		n.t.Fatalf("%d packets are still held", len(n.waiting))
	}
	n.p.Flush(n.now)
	n.rest(0)
	if n.p.Lent() != 0 {
		n.t.Fatalf("%d octets lent at the end", n.p.Lent())
	}
}
