package inspect_test

import (
	"fmt"
	"slices"
	"testing"

	"keepword/dataplane"
	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// lines are what fuzzed connections are made of.
var lines = []string{
	greeting, ehlo, offers, "STARTTLS\r\n", "220 go\r\n", "250 OK\r\n", "454 no\r\n", message, "DATA\r\n", "354 go\r\n", "text\r\n.\r\n",
	"BDAT 9\r\n", "AUTH LOGIN\r\n", "334 \r\n", "235 ok\r\n", "503 no\r\n", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", "\x17\x03\x03\x00\x02ab",
	"\x15\x03\x03\x00\x02\x02\x28", "2", "STAR", "250-STARTTLS\r\n", "250-", "TURN\r\n",
}

const fuzzedFlows = 3

// fuzzer drives a Pipeline as an engine would, and holds it to its contract.
type fuzzer struct {
	t       *testing.T
	p       *inspect.Pipeline
	passive bool
	held    map[uint32]bool
	batch   dataplane.Batch
	sizes   []int // of the packets of the batch, as they came
	id      uint32
	now     int64
	next    [4][2]uint32 // sequence numbers of four connections' ends
	last    []byte
	all     []dataplane.Packet // every packet as it came
}

// wish is how a fuzzed Pipeline is set up, by the bits of one octet.
func wish(bits uint8) inspect.Config {
	c := policy.Config{Servers: []policy.Server{{StartTLS: policy.StartTLS(bits & 3)}}}
	if bits&4 != 0 {
		c.Mode = verdict.Observe
	}
	if bits&8 != 0 {
		c.Actions = map[verdict.Finding]verdict.Action{
			verdict.AnsweredForServer: verdict.Log, verdict.CommandInjection: verdict.Log, verdict.ResponseInjection: verdict.Pass,
			verdict.PlaintextFromClientAfter220: verdict.Log, verdict.AuthInClear: verdict.Refuse, verdict.OverlapConflict: verdict.Kill,
		}
	}
	return inspect.Config{
		Policy: policy.New(c), Ports: []uint16{25}, Passive: bits&16 != 0, Sink: &recorder{},
		Limits:     inspect.Limits{Flows: fuzzedFlows, Memory: 16 << 10, FlowMemory: 128 << 10},
		MemoryFull: inspect.When(bits >> 5 & 3 % 3), Midstream: inspect.When(bits >> 5 & 3 % 3),
	}
}

// add puts a packet into the batch.
func (f *fuzzer) add(pkt []byte, partial bool) {
	f.id++
	f.last = slices.Clone(pkt)
	f.sizes = append(f.sizes, len(pkt))
	f.batch.Packets = append(f.batch.Packets, dataplane.Packet{ID: f.id, Time: f.now, Data: pkt, ChecksumPartial: partial})
	f.all = append(f.all, dataplane.Packet{ID: f.id, Time: f.now, Data: f.last, ChecksumPartial: partial})
}

// inspect has the batch inspected and checks every verdict.
func (f *fuzzer) inspect() {
	f.batch.Now = f.now
	f.p.Inspect(&f.batch)
	if len(f.batch.Released)+len(f.batch.Injected) > 0 && f.passive {
		f.t.Fatal("a passive pipeline released or sent something")
	}
	for i := range f.batch.Packets {
		pk := &f.batch.Packets[i]
		switch {
		case pk.Verdict == verdict.None || pk.Verdict > verdict.Hold:
			f.t.Fatalf("verdict %v", pk.Verdict)
		case pk.Verdict != verdict.Accept && f.passive:
			f.t.Fatalf("verdict %v of a passive pipeline", pk.Verdict)
		case pk.Verdict == verdict.Hold:
			f.held[pk.ID] = true
		case pk.Verdict == verdict.Replace:
			f.whole(pk.Data)
			if len(pk.Data) > f.sizes[i] {
				f.t.Fatalf("a packet of %d octets became %d", f.sizes[i], len(pk.Data))
			}
		}
	}
	for _, r := range f.batch.Released {
		if !f.held[r.ID] {
			f.t.Fatalf("packet %d was released but not held", r.ID)
		}
		delete(f.held, r.ID)
		if r.Verdict == verdict.Replace {
			f.whole(r.Data)
		} else if r.Verdict != verdict.Accept && r.Verdict != verdict.Drop {
			f.t.Fatalf("released with %v", r.Verdict)
		}
	}
	for _, pkt := range f.batch.Injected {
		f.whole(pkt)
	}
	if what := f.p.Broken(); what != "" {
		f.t.Fatal(what)
	}
	if s := f.p.Stats(); s.Opening+s.Open+s.Ended > fuzzedFlows || s.Memory > s.MemoryLimit {
		f.t.Fatalf("over its limits: %+v", s)
	}
	f.sizes = f.sizes[:0]
	f.batch.Reset(f.now)
}

// whole fails where a receiver would discard pkt.
func (f *fuzzer) whole(pkt []byte) {
	var v packet.View
	if c := packet.Parse(pkt, &v); c != packet.OK || !v.ChecksumOK() {
		f.t.Fatalf("a packet left that a receiver would discard: %v", c)
	}
}

// step does what the first octets of b say, and returns the others.
func (f *fuzzer) step(b []byte) []byte {
	op, conn, dir := b[0]&7, b[0]>>3&3, int(b[0]>>5&1)
	arg, b := b[1], b[2:]
	seg := packet.Segment{Version: 6, Src: version6[0].Addr().As16(), Dst: version6[1].Addr().As16(), SrcPort: 40000 + uint16(conn&^1), DstPort: 25, HopLimit: 64}
	if conn&1 != 0 {
		seg.Version, seg.Src, seg.Dst = 4, version4[0].Addr().As16(), version4[1].Addr().As16()
	}
	if dir == 1 {
		seg.Src, seg.Dst, seg.SrcPort, seg.DstPort = seg.Dst, seg.Src, seg.DstPort, seg.SrcPort
	}
	mine, other := &f.next[conn][dir], &f.next[conn][1-dir]
	seg.Seq, seg.Ack, seg.Window, seg.Flags = *mine, *other, 65535, packet.ACK
	switch op {
	case 0: // a connection is opened
		*mine, *other = uint32(arg)<<24-9, uint32(arg)-9
		seg.Seq, seg.Flags = *mine, packet.SYN
		f.add(seg.Append(nil), false)
		back := seg
		back.Src, back.Dst, back.SrcPort, back.DstPort = seg.Dst, seg.Src, seg.DstPort, seg.SrcPort
		back.Seq, back.Ack, back.Flags = *other, *mine+1, packet.SYN|packet.ACK
		f.add(back.Append(nil), false)
		*mine, *other = *mine+1, *other+1
	case 1, 2: // a line in order
		seg.Payload = []byte(lines[int(arg)%len(lines)])
		f.add(seg.Append(nil), false)
		*mine += uint32(len(seg.Payload))
	case 3: // an odd segment with octets of the input
		n := min(int(arg&31), len(b))
		if arg&32 != 0 {
			seg.Seq += uint32(arg>>6) * 20000
		} else {
			seg.Seq -= uint32(arg >> 6)
		}
		seg.Payload, b = b[:n], b[n:]
		f.add(seg.Append(nil), false)
	case 4: // any flags
		seg.Flags = packet.Flags(arg)
		f.add(seg.Append(nil), false)
		if seg.Flags.Has(packet.FIN) {
			*mine++
		}
	case 5: // the last packet again, with one octet changed
		if len(f.last) > 0 && len(b) > 0 {
			again := slices.Clone(f.last)
			again[int(b[0])%len(again)] ^= arg
			f.add(again, true)
			b = b[1:]
		}
	case 6: // octets of the input
		n := min(int(arg), len(b))
		f.add(slices.Clone(b[:n]), true)
		b = b[n:]
	case 7: // time passes
		f.inspect()
		f.now += int64(arg) * int64(arg) * 1e7
		f.inspect()
	}
	return b
}

// FuzzPipeline drives a Pipeline with arbitrary packets among those of dialogues.
func FuzzPipeline(f *testing.F) {
	line := func(dir byte, i byte) []byte { return []byte{1 | dir<<5, i} }
	session := slices.Concat([]byte{0, 1}, line(1, 0), line(0, 1), line(1, 2), line(0, 3))
	for bits := range uint8(128) {
		f.Add(slices.Concat(session, line(1, 4), line(0, 16), line(1, 17)), bits)
		f.Add(slices.Concat(session, line(0, 16), line(1, 19), []byte{7, 200}, line(1, 5)), bits)
		f.Add(slices.Concat(session, line(1, 5), line(0, 7), line(1, 5), []byte{5, 1, 60}, []byte{4, 1}, []byte{4 | 1<<5, 17}), bits)
		f.Add(slices.Concat(session[:8], line(0, 7), line(1, 5), []byte{3, 0xe5}, []byte("BDAT 3\r\n"), line(0, 11)), bits)
		f.Add(slices.Concat(session, []byte{8, 3, 16, 4, 24, 5, 6, 3, 0x45, 0, 0}), bits)
	}
	f.Fuzz(func(t *testing.T, data []byte, bits uint8) {
		c := wish(bits)
		z := &fuzzer{t: t, p: inspect.New(c), passive: c.Passive, held: map[uint32]bool{}, now: 1e18}
		for len(data) >= 2 {
			data = z.step(data)
			if len(z.batch.Packets) > int(bits&3) {
				z.inspect()
			}
		}
		z.inspect()
		z.now += 11e9 // longer than anything is held
		z.inspect()
		if len(z.held) > 0 {
			t.Fatalf("%d packets are still held", len(z.held))
		}
		z.p.Flush(z.now)
		z.batch.Reset(z.now)
		z.inspect()
		if z.p.Lent() != 0 {
			t.Fatalf("%d octets lent at the end", z.p.Lent())
		}
		alone, together := inBatches(z.all, bits, 1), inBatches(z.all, bits, 64)
		if !slices.Equal(alone, together) {
			t.Fatalf("packets decided one by one: %q,\nand together: %q", alone, together)
		}
	})
}

// inBatches tells all that comes of packets that are decided so many at a time.
func inBatches(packets []dataplane.Packet, bits uint8, size int) (told []string) {
	c := wish(bits)
	seen := &recorder{}
	c.Sink = seen
	p := inspect.New(c)
	var b dataplane.Batch
	for len(packets) > 0 {
		n := 1
		for n < min(size, len(packets)) && packets[n].Time == packets[0].Time {
			n++
		}
		b.Reset(packets[0].Time)
		for _, pk := range packets[:n] {
			pk.Data = slices.Clone(pk.Data)
			b.Packets = append(b.Packets, pk)
		}
		p.Inspect(&b)
		for _, pk := range b.Packets {
			told = append(told, fmt.Sprintf("%d %v", pk.ID, pk.Verdict))
			if pk.Verdict == verdict.Replace {
				told = append(told, string(pk.Data))
			}
		}
		packets = packets[n:]
	}
	p.Flush(b.Now)
	slices.Sort(told) // by their numbers: late verdicts come with another's batch
	for _, f := range seen.findings {
		told = append(told, fmt.Sprint(f))
	}
	for _, f := range seen.flows {
		told = append(told, fmt.Sprint(f))
	}
	return told
}
