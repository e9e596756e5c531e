package main

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"net/netip"
	"slices"

	"keepword/bench/follow"
	"keepword/dataplane"
	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// engine has one Pipeline do the inspection of all runs of a search, each a connection of
// its own: to make a Pipeline takes longer than a run.
type engine struct {
	pipeline *inspect.Pipeline
	in       dataplane.Inspector // the Pipeline, or a control around it
	kernel   *kernel             // nil: every packet comes up
	now      int64
	id       uint32 // of the last packet
}

// chunk is octets with their place.
type chunk struct {
	at     int
	octets []byte
}

// between is more time than any timer of the run before had left.
const between = 1000e9

// newEngine makes an engine, which close ends.
func newEngine(s *scene) *engine {
	p := newPipeline(s)
	e := &engine{pipeline: p, in: p, now: 1e18}
	if s.control != nil {
		e.in = s.control(p)
	}
	if s.share != nil {
		e.borrow(s)
	}
	return e
}

func newPipeline(s *scene) *inspect.Pipeline {
	return inspect.New(inspect.Config{
		Policy: policy.New(s.policy), Ports: []uint16{serverAddr.Port()}, Sink: deaf{}, Follows: s.share != nil,
		Limits: inspect.Limits{Flows: 1, Memory: 8 << 20, FlowMemory: 256 << 10},
	})
}

// wall is keepword in the path of one TCP connection: the real Pipeline, driven as an
// engine drives it, and what the two kernels beside it do, which acknowledge what arrives
// and send again what does not.
type wall struct {
	*engine
	ends [2]end
	acks [2]bool           // ends that have an acknowledgement to send
	held map[uint32][]byte // packets that wait for their verdict, as the kernel keeps them
	// touched says that a packet did not leave as it came, or not at once, or that one was
	// sent besides.
	touched bool

	// Of the kernel's own share:
	gateway *follow.Gateway   // nil: there is none
	granted []dataplane.Grant // of servers, by inspection
	isOpen  bool              // the connection is established
	isSlow  bool              // what came up waits
	isAwake bool              // the gateway is in the middle of what it does
}

// end is one TCP end. Its octets are those that it has sent.
type end struct {
	addr  netip.AddrPort
	first uint32 // sequence number of its first octet
	sent  []byte
	got   int     // octets of the other end's that it has received in order
	ahead []chunk // others, which wait for those before them
	fin   bool    // behind all there was a FIN
	reset bool
}

// connect has a new connection opened.
func (e *engine) connect(w *world) *wall {
	e.pipeline.Flush(e.now)
	e.now += between
	l := &wall{engine: e, held: map[uint32][]byte{}, ends: [2]end{
		west: {addr: clientAddr, first: 1<<32 - 30}, // its numbers begin again at 0 before long
		east: {addr: serverAddr, first: 5001},
	}}
	if l.kernel != nil {
		l.join(w)
	}
	l.send(w, west, packet.SYN, -1, nil)
	l.send(w, east, packet.SYN|packet.ACK, -1, nil)
	l.send(w, west, packet.ACK, 0, nil)
	l.touched, l.isOpen = false, true
	return l
}

var clientAddr, serverAddr = netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("198.51.100.25:25")

// deaf is a Sink: the truths are about what is done, not about what is said of it.
type deaf struct{}

func (deaf) Finding(*inspect.FindingRecord) {}
func (deaf) FlowEnd(*inspect.FlowRecord)    {}

func (l *wall) digest(h *maphash.Hash) {} // world.digest says why it needs none of its own

// take puts a segment on the wire.
func (l *wall) take(w *world, from side, s segment) {
	l.now += 1e6
	e := &l.ends[from]
	if e.reset {
		return // its connection is gone
	}
	at := len(e.sent)
	e.sent = append(e.sent, s.octets...)
	l.send(w, from, packet.ACK|packet.PSH, at, s.octets)
}

// wait has the timers run, and each end send again what has not arrived.
func (l *wall) wait(w *world, nanoseconds int64) {
	l.now += nanoseconds
	l.inspect(w, nil)
	for from := range l.ends {
		e, o := &l.ends[from], &l.ends[side(from).other()]
		if o.got < len(e.sent) && !e.reset && !o.reset {
			l.send(w, side(from), packet.ACK|packet.PSH, o.got, e.sent[o.got:])
		}
	}
}

// isHolding says that octets have entered and not left, of a connection that goes on.
func (l *wall) isHolding() bool {
	return l.ends[east].got < len(l.ends[west].sent) || l.ends[west].got < len(l.ends[east].sent)
}

// send has an end send a segment, at a place among its octets.
func (l *wall) send(w *world, from side, flags packet.Flags, at int, payload []byte) {
	e, o := &l.ends[from], &l.ends[from.other()]
	s := packet.Segment{
		Version: 4, Src: e.addr.Addr().As16(), Dst: o.addr.Addr().As16(), SrcPort: e.addr.Port(), DstPort: o.addr.Port(),
		Seq: e.first + uint32(at), Flags: flags, Window: 65535, HopLimit: 64, Payload: payload,
	}
	if flags.Has(packet.ACK) {
		s.Ack = o.first + uint32(e.got)
	}
	l.inspect(w, s.Append(nil))
}

// inspect has a packet decided, or with none lets the timers run, and delivers what leaves.
func (l *wall) inspect(w *world, pkt []byte) {
	if l.gateway != nil {
		l.steer(w, pkt)
	} else {
		l.decide(w, pkt)
	}
	for to, due := range l.acks {
		if l.acks[to] = false; due {
			l.send(w, side(to), packet.ACK, len(l.ends[to].sent), nil)
		}
	}
}

// decide does what an engine does that all packets come up to.
func (l *wall) decide(w *world, pkt []byte) {
	b := dataplane.Batch{Now: l.now}
	if pkt != nil {
		l.id++
		b.Packets = []dataplane.Packet{{ID: l.id, Time: l.now, Data: bytes.Clone(pkt)}}
	}
	l.in.Inspect(&b)
	if pkt != nil && b.Packets[0].Verdict == verdict.Hold {
		l.held[l.id] = pkt
	}
	for _, r := range b.Released {
		waited, ok := l.held[r.ID]
		if !ok {
			panic(fmt.Sprintf("packet %d was released and is not held", r.ID))
		}
		delete(l.held, r.ID)
		l.leave(w, r.Verdict, waited, r.Data)
	}
	for _, p := range b.Packets {
		l.leave(w, p.Verdict, pkt, p.Data)
	}
	for _, injected := range b.Injected {
		l.leave(w, verdict.Replace, nil, injected)
	}
}

// leave carries one verdict out.
func (l *wall) leave(w *world, kind verdict.Kind, came, made []byte) {
	l.touched = l.touched || kind != verdict.Accept
	switch kind {
	case verdict.Accept:
		l.deliver(w, came)
	case verdict.Replace:
		l.deliver(w, bytes.Clone(made))
	case verdict.Drop, verdict.Hold:
	default:
		panic("a packet has no verdict")
	}
}

// deliver is the receiver (RFC 9293 section 3.10.7.4): it takes the octets that are next,
// acknowledges them, and believes a reset that stands exactly behind them.
func (l *wall) deliver(w *world, pkt []byte) {
	var v packet.View
	if c := packet.Parse(pkt, &v); c != packet.OK || !v.ChecksumOK() {
		panic("a packet left that any receiver would discard")
	}
	to := east
	if v.DstPort == clientAddr.Port() {
		to = west
	}
	e := &l.ends[to]
	at := int(int32(v.Seq - l.ends[to.other()].first))
	switch {
	case e.reset || v.Flags.Has(packet.SYN):
	case v.Flags.Has(packet.RST):
		if at == e.got+btoi(e.fin) {
			e.reset = true
			w.hangUp(l, to)
		}
	case len(v.Payload) > 0:
		e.ahead = append(e.ahead, chunk{at, v.Payload})
		e.fin = e.fin || v.Flags.Has(packet.FIN)
		l.read(w, to)
		l.acks[to] = true
	}
}

// read gives an end what has come in order, in the segments that it came in.
func (l *wall) read(w *world, to side) {
	e := &l.ends[to]
	for {
		i := slices.IndexFunc(e.ahead, func(c chunk) bool { return c.at <= e.got && e.got < c.at+len(c.octets) })
		if i < 0 {
			return
		}
		c := e.ahead[i]
		octets := c.octets[e.got-c.at:]
		e.ahead = slices.Delete(e.ahead, i, i+1)
		e.got += len(octets)
		w.say(l, to, string(octets))
	}
}
