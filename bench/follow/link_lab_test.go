//go:build lab

package follow

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"keepword/dataplane/offload"
	"keepword/inspect"
	"keepword/inspect/history"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// shared is the program that all tests use, one after the other: loading it takes long.
var shared *Kernel

func TestMain(m *testing.M) {
	var err error
	if shared, err = NewKernel(window, 25, 587); err != nil {
		fmt.Fprintln(os.Stderr, "load the program:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := shared.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "close the program:", err)
		code = 1
	}
	os.Exit(code)
}

// window is what a Pipeline of the limits of keep says that it keeps.
const window = 1 << 16

// failer is what a test and a property have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// gate is a gateway with its inspection, and what it says.
type gate struct {
	failer
	*Gateway
	pipeline *inspect.Pipeline
	history  *history.History
	now      int64
	streams  map[streamName]*stream
	ended    []inspect.FlowRecord
	found    []verdict.Finding
	links    map[netip.AddrPort]*link // by client
	inspects int                      // octets
	server   netip.AddrPort
	taken    func(pkt []byte, passed bool) // nil: nobody listens
}

type streamName struct {
	id       uint64
	toServer bool
}

// stream is what was inspected of a direction, with the edits laid over it.
type stream struct {
	octets []byte
	edits  []edit
}

type edit struct {
	at     int
	octets []byte
}

func (s *stream) overlaid() []byte {
	b := bytes.Clone(s.octets)
	for _, e := range s.edits {
		if e.at < len(b) {
			copy(b[e.at:], e.octets)
		}
	}
	return b
}

func (g *gate) stream(flow inspect.Endpoints, toServer bool) *stream {
	name := streamName{flow.ID, toServer}
	if g.streams[name] == nil {
		g.streams[name] = &stream{}
	}
	return g.streams[name]
}

func (g *gate) Inspected(flow inspect.Endpoints, toServer bool, octets []byte) {
	s := g.stream(flow, toServer)
	s.octets = append(s.octets, octets...)
	g.inspects += len(octets)
}

func (g *gate) Edited(flow inspect.Endpoints, toServer bool, at uint32, octets []byte) {
	s := g.stream(flow, toServer)
	s.edits = append(s.edits, edit{int(at), bytes.Clone(octets)})
}

func (g *gate) Finding(f *inspect.FindingRecord) { g.found = append(g.found, f.Finding) }
func (g *gate) FlowEnd(r *inspect.FlowRecord)    { g.ended = append(g.ended, *r) }

var servers atomic.Uint32

// newGate makes a gateway for a server that nobody has seen before.
func newGate(t failer, c policy.Config) *gate {
	n := servers.Add(1)
	g := &gate{
		failer: t, now: time.Now().UnixNano(), streams: map[streamName]*stream{}, links: map[netip.AddrPort]*link{},
		server: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 25),
	}
	g.history = history.New(history.Config{Servers: 100, Breaker: history.Breaker{Failures: 2, Retry: 24 * 3600e9}})
	c.Mode = verdict.Enforce
	g.pipeline = inspect.New(inspect.Config{
		Policy: policy.New(c), Ports: []uint16{25, 587}, Follows: true, Rings: shared.Rings(), History: g.history,
		Limits: inspect.Limits{Flows: 1000, Memory: 16 << 20, FlowMemory: 1 << 17},
		Sink:   g, Tap: g, Seed: uint64(n) << 32,
	})
	if g.pipeline.Window() != window {
		t.Fatalf("inspection keeps %d octets", g.pipeline.Window())
	}
	g.Gateway = NewGateway(shared, g.pipeline, g.deliver)
	g.wake()
	return g
}

func (g *gate) deliver(pkt []byte) {
	var v packet.View
	if packet.Parse(pkt, &v) != packet.OK {
		return
	}
	for _, toServer := range []bool{true, false} {
		client := netip.AddrPortFrom(netip.AddrFrom16(v.Src).Unmap(), v.SrcPort)
		if !toServer {
			client = netip.AddrPortFrom(netip.AddrFrom16(v.Dst).Unmap(), v.DstPort)
		}
		if l := g.links[client]; l != nil {
			l.arrive(&v, toServer)
		}
	}
}

// take takes a packet, and says whether it has gone on by itself.
func (g *gate) take(pkt []byte) bool {
	g.Helper()
	passed, err := g.Take(pkt)
	if err != nil {
		g.Fatalf("%v", err)
	}
	if g.taken != nil {
		g.taken(pkt, passed)
	}
	return passed
}

func (g *gate) wake() {
	g.now += 1e6
	g.Skew = g.now - time.Now().UnixNano()
	g.WakeUp(g.now)
}

// rest lets time pass.
func (g *gate) rest(d time.Duration) {
	g.now += int64(d)
	g.wake()
}

// wantNoDifference fails where inspection would have done otherwise than the kernel.
func (g *gate) wantNoDifference() {
	g.Helper()
	g.wake()
	for _, d := range g.Witness.Differences {
		g.Fatalf("%s", d)
	}
	for _, l := range g.pipeline.Stats().Lost {
		if l.Cause == "follower" {
			g.Fatalf("inspection has lost sight: %+v", l)
		}
	}
}

// counts returns the kernel's counters, what has been diverted by name.
func counts(t failer) (offload.Counts, map[string]uint64) {
	t.Helper()
	c, err := shared.Counts()
	if err != nil {
		t.Fatalf("%v", err)
	}
	m := map[string]uint64{}
	for _, d := range c.Diverted {
		m[d.Name] = d.Count
	}
	return c, m
}

// end is one end of a link.
type end struct {
	addr    netip.AddrPort
	first   uint32 // sequence number of its first octet
	said    []byte
	got     [2]heard // two receivers, of which one believes the later copy of what is not next
	hasRST  bool
	gotFIN  bool
	packets int // that have come for it, and their octets
	octets  int
	acks    uint32
	clamped uint16 // the last window that it was told
}

type heard struct {
	octets []byte
	ahead  map[int]byte
}

func (h *heard) hear(at int, b []byte, lastWins bool) {
	for i, o := range b {
		if _, known := h.ahead[at+i]; at+i >= len(h.octets) && at+i < len(h.octets)+window && (!known || lastWins) {
			h.ahead[at+i] = o
		}
	}
	for o, ok := h.ahead[len(h.octets)]; ok; o, ok = h.ahead[len(h.octets)] {
		delete(h.ahead, len(h.octets))
		h.octets = append(h.octets, o)
	}
}

// link is a connection through a gate.
type link struct {
	*gate
	client, server *end
	window         uint16
	stamps         bool
}

var clients atomic.Uint32

// newLink makes a connection that is not open.
func (g *gate) newLink() *link {
	n := clients.Add(1)
	return g.newLinkFrom(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, byte(n >> 8), byte(n)}), uint16(1024+n%60000)))
}

func (g *gate) newLinkFrom(client netip.AddrPort) *link {
	l := &link{gate: g, window: 65535}
	l.client, l.server = &end{addr: client, first: 1000}, &end{addr: g.server, first: 0xfffffff0}
	for _, e := range []*end{l.client, l.server} {
		for i := range e.got {
			e.got[i].ahead = map[int]byte{}
		}
	}
	g.links[client] = l
	return l
}

func (l *link) ends(toServer bool) (from, to *end) {
	if toServer {
		return l.client, l.server
	}
	return l.server, l.client
}

// arrive is the receiver of a packet.
func (l *link) arrive(v *packet.View, toServer bool) {
	from, to := l.ends(toServer)
	to.packets++
	to.octets += len(v.Bytes())
	to.clamped = v.Window
	switch {
	case v.Flags.Has(packet.RST):
		to.hasRST = true
		return
	case v.Flags.Has(packet.SYN):
		return
	}
	at := int(int32(v.Seq - from.first))
	b := v.Payload
	if bytes.HasPrefix(b, []byte("421 4.7.0 ")) {
		b = nil // inspection's own word, before it resets
	}
	if at < 0 {
		b, at = b[min(-at, len(b)):], 0
	}
	for i := range to.got {
		to.got[i].hear(at, b, i == 1)
	}
	to.gotFIN = to.gotFIN || v.Flags.Has(packet.FIN)
	to.acks = max(to.acks, v.Ack)
}

// next is the acknowledgement number of an end.
func (l *link) ack(e *end) uint32 {
	o := l.client
	if e == l.client {
		o = l.server
	}
	n := o.first + uint32(len(e.got[0].octets))
	if e.gotFIN && len(e.got[0].octets) == len(o.said) {
		n++
	}
	return n
}

// make makes a segment of an end's, from a place of its octets on.
func (l *link) segment(toServer bool, at int, flags packet.Flags, octets string) *packet.Segment {
	from, to := l.ends(toServer)
	s := &packet.Segment{
		Version: 4, Src: from.addr.Addr().As16(), Dst: to.addr.Addr().As16(), SrcPort: from.addr.Port(), DstPort: to.addr.Port(),
		Seq: from.first + uint32(at), Ack: l.ack(from), Flags: flags, Window: l.window, HopLimit: 64, Payload: []byte(octets),
		HasTimestamp: l.stamps, TSVal: 1, TSEcr: 1,
	}
	if from.addr.Addr().Is6() {
		s.Version = 6
	}
	return s
}

// send sends a segment, and says whether it has gone on by itself.
func (l *link) send(s *packet.Segment) bool {
	l.Helper()
	return l.take(s.Append(nil))
}

// put has an end say octets, which have not been said before.
func (l *link) put(toServer bool, octets string) bool {
	l.Helper()
	from, _ := l.ends(toServer)
	at := len(from.said)
	from.said = append(from.said, octets...)
	return l.send(l.segment(toServer, at, packet.ACK|packet.PSH, octets))
}

// acknowledge sends a bare acknowledgement.
func (l *link) acknowledge(toServer bool) bool {
	l.Helper()
	from, _ := l.ends(toServer)
	return l.send(l.segment(toServer, len(from.said), packet.ACK, ""))
}

// say is put and the other's acknowledgement, and what is queued is inspected at once.
func (l *link) say(toServer bool, octets string) (passed bool) {
	l.Helper()
	passed = l.put(toServer, octets)
	if !passed {
		l.wake()
	}
	_, to := l.ends(toServer)
	if !bytes.HasSuffix(to.got[0].octets, []byte(octets)) {
		l.Logf("%q did not arrive", octets)
	}
	l.acknowledge(!toServer)
	l.flush()
	return passed
}

// flush has inspected what is queued, if anything is.
func (l *link) flush() {
	if l.Queued() > 0 {
		l.wake()
	}
}

// synOptions are those of Linux: a maximum segment size, timestamps, a window scale.
var synOptions = []byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7}

// syn is a SYN with options.
func (l *link) syn(toServer bool, options []byte) []byte {
	flags := packet.SYN
	if !toServer {
		flags |= packet.ACK
	}
	s := l.segment(toServer, -1, flags, string(options))
	s.HasTimestamp = false
	if toServer {
		s.Ack = 0
	}
	b := s.Append(nil)
	at := 20
	if s.Version == 6 {
		at = 40
	}
	b[at+12] = byte((20 + len(options)) / 4 << 4)
	return rechecked(b)
}

// rechecked makes checksums right.
func rechecked(b []byte) []byte {
	var v packet.View
	if packet.Parse(b, &v) == packet.OK {
		v.SetChecksums()
	}
	return b
}

// open opens the connection, and returns which of the three packets have gone on by
// themselves.
func (l *link) open() (passed [3]bool) {
	l.Helper()
	l.stamps = true
	for i, toServer := range []bool{true, false} {
		passed[i] = l.take(l.syn(toServer, synOptions))
		l.flush()
	}
	passed[2] = l.acknowledge(true)
	l.flush()
	return passed
}

// greet takes the dialogue up to the reply to EHLO.
func (l *link) greet() {
	l.Helper()
	l.say(false, "220 mail.example.test ESMTP\r\n")
	l.say(true, "EHLO client.example.test\r\n")
	l.say(false, "250-mail.example.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
}

// followed returns a connection that the kernel has from here on.
func (g *gate) followed() *link {
	g.Helper()
	l := g.newLink()
	l.open()
	l.greet()
	return l
}

// wantOneTruth fails where an end has got what was not inspected, or not all that was said.
func (l *link) wantOneTruth() {
	l.Helper()
	for _, e := range []*end{l.client, l.server} {
		if !bytes.Equal(e.got[0].octets, e.got[1].octets) {
			l.Fatalf("receivers differ:\n %q\n %q", e.got[0].octets, e.got[1].octets)
		}
		explained := len(e.got[0].octets) == 0
		for name, s := range l.streams {
			explained = explained || name.toServer == (e == l.server) && bytes.HasPrefix(s.overlaid(), e.got[0].octets)
		}
		if !explained {
			l.Fatalf("nobody has inspected %q", e.got[0].octets)
		}
	}
}
