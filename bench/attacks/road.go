package main

import (
	"fmt"
	"net/netip"
	"slices"

	"keepword/dataplane"
	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/verdict"
)

// The addresses of the pure play. Each connection has a port of its own.
var (
	clientAddr = netip.MustParseAddr("192.0.2.1")
	serverAddr = netip.MustParseAddrPort("198.51.100.25:25")
)

// end is one end's TCP: it repeats what did not arrive, and receives in order.
type end struct {
	addr      netip.AddrPort
	next      uint32   // sequence number of what it sends next
	want      uint32   // and of what it expects
	outbox    [][]byte // segments to be sent
	sent, got []byte
	ahead     map[uint32][]byte
	hear      func(octets []byte)
	hangUp    func() // the other side has closed
	leaves    bool   // it closes when its outbox is empty
	left      bool   // it has
	abandoned bool   // the other side has closed
	reset     bool
	repeats   int // in vain, in a row
}

// over says that the connection has ended for this end.
func (e *end) over() bool { return e.reset || e.left && e.abandoned }

// road is one TCP connection through a Pipeline, with an end on each side.
type road struct {
	pipeline       *inspect.Pipeline
	client, server *end
	now            int64
	id             uint32
	held           map[uint32][]byte
	fault          string
	killed         bool // the Pipeline sent packets of its own
}

const millisecond = 1_000_000

// newRoad opens a connection from a port of the client's.
func newRoad(p *inspect.Pipeline, port uint16, now int64) *road {
	r := &road{
		pipeline: p, now: now, held: map[uint32][]byte{},
		client: &end{addr: netip.AddrPortFrom(clientAddr, port), next: 1000, ahead: map[uint32][]byte{}},
		server: &end{addr: serverAddr, next: 1 << 31, ahead: map[uint32][]byte{}},
	}
	r.client.want, r.server.want = r.server.next+1, r.client.next+1
	r.send(r.client, packet.SYN, nil)
	r.client.next++
	r.send(r.server, packet.SYN|packet.ACK, nil)
	r.server.next++
	r.send(r.client, packet.ACK, nil)
	return r
}

func (r *road) other(e *end) *end {
	if e == r.client {
		return r.server
	}
	return r.client
}

// send takes one segment through the Pipeline.
func (r *road) send(from *end, flags packet.Flags, payload []byte) {
	r.sendAt(from, from.next, flags, payload)
}

func (r *road) sendAt(from *end, seq uint32, flags packet.Flags, payload []byte) {
	to := r.other(from)
	s := packet.Segment{
		Version: 4, Src: from.addr.Addr().As16(), Dst: to.addr.Addr().As16(),
		SrcPort: from.addr.Port(), DstPort: to.addr.Port(),
		Seq: seq, Ack: from.want, Flags: flags, Window: 65535, HopLimit: 64, Payload: payload,
	}
	if !flags.Has(packet.ACK) {
		s.Ack = 0
	}
	r.now += millisecond
	r.id++
	original := s.Append(nil)
	b := dataplane.Batch{Now: r.now, Packets: []dataplane.Packet{{ID: r.id, Time: r.now, Data: slices.Clone(original)}}}
	r.pipeline.Inspect(&b)
	kind := b.Packets[0].Verdict
	if kind == verdict.Hold {
		r.held[r.id] = original
	}
	r.release(&b)
	switch kind {
	case verdict.None:
		r.fault = "a packet was not decided"
	case verdict.Accept:
		r.deliver(original)
	case verdict.Replace:
		r.deliver(b.Packets[0].Data)
	}
	r.inject(&b)
}

// wait lets time pass.
func (r *road) wait(nanoseconds int64) {
	r.now += nanoseconds
	b := dataplane.Batch{Now: r.now}
	r.pipeline.Inspect(&b)
	r.release(&b)
	r.inject(&b)
}

func (r *road) release(b *dataplane.Batch) {
	for _, release := range b.Released {
		pkt := r.held[release.ID]
		delete(r.held, release.ID)
		switch release.Verdict {
		case verdict.Accept:
			r.deliver(pkt)
		case verdict.Replace:
			r.deliver(release.Data)
		}
	}
}

func (r *road) inject(b *dataplane.Batch) {
	for _, pkt := range b.Injected {
		r.deliver(pkt)
	}
}

// deliver is the receiver of a packet.
func (r *road) deliver(pkt []byte) {
	var v packet.View
	if c := packet.Parse(pkt, &v); c != packet.OK || !v.ChecksumOK() {
		r.fault = fmt.Sprintf("a packet left that no receiver takes: %v", c)
		return
	}
	to := r.client
	if v.DstPort == serverAddr.Port() {
		to = r.server
	}
	switch {
	case v.Flags.Has(packet.RST):
		to.reset = to.reset || v.Seq == to.want
		r.killed = true
		return
	case to.reset || v.Flags.Has(packet.SYN):
		return
	}
	if len(v.Payload) > 0 {
		to.ahead[v.Seq] = slices.Clone(v.Payload)
	}
	var heard []byte
	for more := true; more; {
		more = false
		for seq, octets := range to.ahead {
			if old := int32(to.want - seq); old >= 0 {
				delete(to.ahead, seq)
				if fresh := octets[min(int(old), len(octets)):]; len(fresh) > 0 {
					heard = append(heard, fresh...)
					to.want += uint32(len(fresh))
					more = true
				}
			}
		}
	}
	to.got = append(to.got, heard...)
	if len(heard) > 0 {
		to.hear(heard)
	}
	if v.Flags.Has(packet.FIN) && v.Seq+uint32(len(v.Payload)) == to.want && !to.abandoned {
		to.abandoned = true
		to.want++
		to.hangUp()
	}
}

// run lets both ends speak until neither has anything more to say, and longer than any
// patience of keepword's. serverFirst has the server's segments go before the client's
// where both have some.
func (r *road) run(serverFirst bool) {
	first, second := r.client, r.server
	if serverFirst {
		first, second = second, first
	}
	for r.turn(first) || r.turn(second) || r.rest() {
	}
}

// turn sends the next segment of an end, or its FIN.
func (r *road) turn(e *end) bool {
	switch {
	case e.reset:
		return false
	case len(e.outbox) > 0:
		octets := e.outbox[0]
		e.outbox = e.outbox[1:]
		r.send(e, packet.ACK|packet.PSH, octets)
		e.sent = append(e.sent, octets...)
		e.next += uint32(len(octets))
	case e.leaves && !e.left:
		e.left = true
		r.send(e, packet.ACK|packet.FIN, nil)
		e.next++
	default:
		return false
	}
	if o := r.other(e); !o.reset {
		r.send(o, packet.ACK, nil)
	}
	return true
}

// repeat sends again what has not arrived, a few times.
func (r *road) repeat(e *end) bool {
	const most = 3
	o := r.other(e)
	missing := len(e.sent) - len(o.got)
	if e.reset || o.reset || missing <= 0 || e.repeats == most {
		return false
	}
	flags, next := packet.ACK|packet.PSH, e.next
	if e.left {
		flags |= packet.FIN
		next--
	}
	r.sendAt(e, next-uint32(missing), flags, e.sent[len(o.got):])
	r.send(o, packet.ACK, nil)
	if e.repeats++; len(e.sent)-len(o.got) < missing {
		e.repeats = 0
	}
	return true
}

// patience are waits that together outlast every timer of keepword's: of digits that are
// undecided, of octets that are held, of a server's silence.
var patience = [...]int64{300 * millisecond, 11_000 * millisecond, 61_000 * millisecond}

// rest lets time pass, and says whether anybody has something to say then.
func (r *road) rest() bool {
	for _, wait := range patience {
		if r.client.over() && r.server.over() {
			return false
		}
		r.wait(wait)
		for _, e := range [...]*end{r.client, r.server} {
			if !e.reset && (len(e.outbox) > 0 || e.leaves && !e.left) || r.repeat(e) {
				return true
			}
		}
	}
	return false
}
