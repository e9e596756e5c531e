package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"

	"keepword/dataplane"
	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/seqnum"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// referee stands between an engine and the inspection, which runs in mode enforce, and
// notes whatever is done to a packet. It takes nothing on the inspection's word: it
// compares the packets that come with those that leave.
//
// No action is this: every packet leaves as it came. Three things are none, for no octet
// of the dialogue is in them. A header may have a lower window or a lower MSS, with the
// checksums that this asks for. A packet may wait for one of the same batch or of a later
// one, if then it leaves as it came before its time is over. And it may leave as far as
// its octets may be read by then, and later whole, as it came: its receiver sees a
// segment, and then its retransmission.
type referee struct {
	pipeline   *inspect.Pipeline
	held       map[uint32][]byte // packets that wait, as they came
	shortened  [][]byte          // packets of which a part has left, as they came
	came       [][]byte          // the packets of the batch at hand, as they came
	arena      []byte            // what came is kept in
	directions map[direction]*stream

	judgement
}

// judgement is what became of some packets.
type judgement struct {
	packets, octets uint64
	// waited, lowered and halved count what is no action: packets that waited, that left
	// with a lower window or MSS, and that left in part and then whole.
	waited, lowered, halved uint64
	// actions are what was done beyond reading, a line each.
	actions  []string
	findings [verdict.Findings]uint64
	outcomes []starttls.Outcome // of the connections, in the order of their end
	// unread are octets that were not inspected, of connections that did not leave for TLS.
	unread int
}

// direction names the octets that one end of a connection sends to the other.
type direction struct{ from, to netip.AddrPort }

// stream is what is known of the octets of a direction.
type stream struct {
	first, end seqnum.Value // how far they reach
	read       int          // how many were inspected
}

// ports are those that are inspected.
var ports = []uint16{25, 587}

// newReferee makes one with an inspection of its own, which has the built-in policy.
func newReferee() *referee {
	r := &referee{held: map[uint32][]byte{}, directions: map[direction]*stream{}}
	r.pipeline = inspect.New(inspect.Config{
		Policy: policy.New(policy.Config{Mode: verdict.Enforce}), Ports: ports,
		// FlowMemory is the built-in default; the others are beyond what is played at once.
		Limits:     inspect.Limits{Flows: 64, Memory: 64 << 20, FlowMemory: 256 << 10},
		MemoryFull: inspect.WhenKill, Midstream: inspect.WhenPass,
		Sink: r, Tap: r,
	})
	return r
}

// Inspect is dataplane.Inspector's.
func (r *referee) Inspect(b *dataplane.Batch) {
	r.keep(b.Packets)
	r.pipeline.Inspect(b)
	r.settle(b)
}

// settle judges a batch that was decided.
func (r *referee) settle(b *dataplane.Batch) {
	for i := range b.Packets {
		r.decided(&b.Packets[i], r.came[i])
	}
	for i := range b.Released { // some of them may be of this batch
		r.released(&b.Released[i])
	}
	for _, pkt := range b.Injected {
		r.injected(pkt)
	}
}

// keep copies the packets of a batch before they may be edited.
func (r *referee) keep(packets []dataplane.Packet) {
	r.came, r.arena = r.came[:0], r.arena[:0]
	for i := range packets {
		start := len(r.arena)
		r.arena = append(r.arena, packets[i].Data...)
		r.came = append(r.came, r.arena[start:])
		r.measure(packets[i].Data)
	}
	r.packets += uint64(len(packets))
}

// measure notes how far a packet's octets reach.
func (r *referee) measure(pkt []byte) {
	var v packet.View
	if packet.Parse(pkt, &v) != packet.OK || len(v.Payload) == 0 && !v.Flags.Has(packet.SYN) {
		return
	}
	d := direction{address(&v, v.Src, v.SrcPort), address(&v, v.Dst, v.DstPort)}
	seq := seqnum.Value(v.Seq)
	if v.Flags.Has(packet.SYN) {
		seq = seq.Add(1)
		r.directions[d] = &stream{first: seq, end: seq}
	}
	if s := r.directions[d]; s != nil {
		s.end = s.end.Max(seq.Add(len(v.Payload)))
	}
}

func address(v *packet.View, addr [16]byte, port uint16) netip.AddrPort {
	if v.Version == 4 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(addr[12:])), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(addr), port)
}

// decided judges the verdict on a packet that came.
func (r *referee) decided(pk *dataplane.Packet, came []byte) {
	switch pk.Verdict {
	case verdict.Accept:
	case verdict.Replace:
		r.replaced(came, pk.Data)
	case verdict.Hold:
		r.waited++
		r.held[pk.ID] = bytes.Clone(came)
	default:
		r.act(came, pk.Verdict.String())
	}
}

// released judges the late verdict on a packet that waited.
func (r *referee) released(late *dataplane.Release) {
	came := r.held[late.ID]
	delete(r.held, late.ID)
	switch late.Verdict {
	case verdict.Accept:
	case verdict.Replace:
		r.replaced(came, late.Data)
	default:
		r.act(came, "waited, and then: "+late.Verdict.String())
	}
}

// replaced judges the packet that left in another's place.
func (r *referee) replaced(came, left []byte) {
	switch {
	case isLowered(came, left):
		r.lowered++
	case isPart(came, left):
		r.shortened = append(r.shortened, bytes.Clone(came))
	default:
		r.act(came, "replaced by "+describe(left))
	}
}

// isLowered says that a packet left as it came, but for a lower window or MSS and the
// checksums.
func isLowered(came, left []byte) bool {
	var want, got packet.View
	expected := bytes.Clone(came)
	if packet.Parse(expected, &want) != packet.OK || packet.Parse(left, &got) != packet.OK || got.Window > want.Window {
		return false
	}
	want.SetWindow(got.Window)
	if o, ok := packet.ParseOptions(got.Options); ok && got.Flags.Has(packet.SYN) && o.MSS > 0 {
		want.LowerMSS(o.MSS)
	}
	want.SetChecksums()
	return bytes.Equal(expected, left)
}

// isPart says that the head of a packet left.
func isPart(came, left []byte) bool {
	var want, got packet.View
	expected := bytes.Clone(came)
	if packet.Parse(expected, &want) != packet.OK || packet.Parse(left, &got) != packet.OK || len(got.Payload) >= len(want.Payload) {
		return false
	}
	return bytes.Equal(want.Truncate(len(got.Payload)), left)
}

// injected judges a packet that inspection sends itself: only one of which the head has
// left may come once more.
func (r *referee) injected(pkt []byte) {
	at := slices.IndexFunc(r.shortened, func(came []byte) bool { return bytes.Equal(came, pkt) || isLowered(came, pkt) })
	if at < 0 {
		r.act(pkt, "injected")
		return
	}
	r.shortened = slices.Delete(r.shortened, at, at+1)
	r.halved++
}

// act notes an action.
func (r *referee) act(pkt []byte, what string) {
	r.actions = append(r.actions, describe(pkt)+": "+what)
}

// describe tells what a packet is.
func describe(pkt []byte) string {
	var v packet.View
	if packet.Parse(pkt, &v) != packet.OK {
		return fmt.Sprintf("a packet of %d octets", len(pkt))
	}
	const shown = 60
	return fmt.Sprintf("a packet to port %d with %d octets %q", v.DstPort, len(v.Payload), v.Payload[:min(len(v.Payload), shown)])
}

// Finding is inspect.Sink's.
func (r *referee) Finding(f *inspect.FindingRecord) {
	r.findings[f.Finding]++
	if f.Action > verdict.Log {
		r.actions = append(r.actions, fmt.Sprintf("%v, action %v: %.200s", f.Finding, f.Action, f.Reason))
	}
}

// FlowEnd is inspect.Sink's.
func (r *referee) FlowEnd(f *inspect.FlowRecord) {
	r.outcomes = append(r.outcomes, f.Outcome)
	for _, d := range []direction{{f.Flow.Client, f.Flow.Server}, {f.Flow.Server, f.Flow.Client}} {
		s := r.directions[d]
		if s == nil {
			continue // it was seen from its middle on
		}
		said := int(s.end.Sub(s.first))
		r.octets += uint64(said)
		if f.Outcome != starttls.OutcomeUpgraded {
			r.unread += said - s.read
		}
	}
}

// Inspected is inspect.Tap's.
func (r *referee) Inspected(flow inspect.Endpoints, toServer bool, octets []byte) {
	d := direction{flow.Client, flow.Server}
	if !toServer {
		d.from, d.to = d.to, d.from
	}
	if s := r.directions[d]; s != nil {
		s.read += len(octets)
	}
}

// Edited is inspect.Tap's.
func (r *referee) Edited(_ inspect.Endpoints, _ bool, at uint32, octets []byte) {
	r.actions = append(r.actions, fmt.Sprintf("octets from %d on overwritten with %.60q", at, octets))
}

// longestHold is longer than inspection lets any packet wait, in nanoseconds.
const longestHold = 60_000_000_000

// finish returns the judgement when the last packet has come, at time now: what waits
// has until the end of its time.
func (r *referee) finish(now int64) *judgement {
	for end := now + longestHold; now < end; now += 10 * dataplane.TickInterval {
		r.Inspect(&dataplane.Batch{Now: now})
	}
	for _, pkt := range r.held {
		r.act(pkt, "waited, and was never let go")
	}
	for _, pkt := range r.shortened {
		r.act(pkt, "shortened, and its end was never let go")
	}
	r.pipeline.Flush(now)
	return &r.judgement
}
