package pcap

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"

	"keepword/dataplane"
	"keepword/inspect/packet"
	"keepword/inspect/verdict"
)

// call is what the Inspector was given at once.
type call struct {
	now     int64
	packets []dataplane.Packet
}

// recorder is an Inspector that keeps copies of what it is given.
type recorder struct {
	calls  []call
	decide func(*dataplane.Batch)
}

func (r *recorder) Inspect(b *dataplane.Batch) {
	c := call{now: b.Now}
	for i := range b.Packets {
		p := b.Packets[i]
		p.Data = bytes.Clone(p.Data)
		c.packets = append(c.packets, p)
		b.Packets[i].Verdict = verdict.Accept
	}
	r.calls = append(r.calls, c)
	if r.decide != nil {
		r.decide(b)
	}
	for i := range b.Packets {
		clear(b.Packets[i].Data) // lent for this call: nobody may need it any more
	}
}

// packets returns all packets in order.
func (r *recorder) packets() (list []dataplane.Packet) {
	for _, c := range r.calls {
		list = append(list, c.packets...)
	}
	return list
}

// start is when the tests' captures begin.
const start = int64(1_700_000_000_000_000_000)

// timed is a packet of a test's capture.
type timed struct {
	at   int64 // nanoseconds after start
	data []byte
}

// tcp returns a TCP packet with that payload.
func tcp(version uint8, payload string) []byte {
	s := packet.Segment{Version: version, SrcPort: 40000, DstPort: 25, Seq: 1, Flags: packet.ACK, HopLimit: 64, Payload: []byte(payload)}
	s.Src[15], s.Dst[15] = 1, 2
	return s.Append(nil)
}

// file returns a pcap file of that link type with times in nanoseconds.
func file(order binary.AppendByteOrder, link uint32, list ...timed) []byte {
	b := order.AppendUint32(nil, magicNanoseconds)
	b = order.AppendUint16(order.AppendUint16(b, 2), 4)
	b = append(b, make([]byte, 8)...)
	b = order.AppendUint32(order.AppendUint32(b, 65535), link)
	for _, p := range list {
		t := start + p.at
		b = order.AppendUint32(order.AppendUint32(b, uint32(t/1e9)), uint32(t%1e9))
		b = order.AppendUint32(order.AppendUint32(b, uint32(len(p.data))), uint32(len(p.data)))
		b = append(b, p.data...)
	}
	return b
}

// raw is a little-endian file of IP packets.
func raw(list ...timed) []byte { return file(binary.LittleEndian, linkRaw, list...) }

func mustReplay(t *testing.T, b []byte, r *recorder, opt Options) Stats {
	t.Helper()
	s, err := Replay(context.Background(), bytes.NewReader(b), "a.pcap", r, opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryTCPPacketIsInspectedOnceInOrder(t *testing.T) {
	var list []timed
	for i := range 3*batchPackets + 5 {
		list = append(list, timed{int64(i), tcp(4+uint8(i%2)*2, fmt.Sprintf("%04d", i))})
	}
	var r recorder
	s := mustReplay(t, raw(list...), &r, Options{})
	got := r.packets()
	if len(got) != len(list) || s.Records != uint64(len(list)) || s.Inspected != s.Records || s.Verdicts[verdict.Accept] != s.Records {
		t.Fatalf("%d packets, %+v", len(got), s)
	}
	for i, p := range got {
		if !bytes.Equal(p.Data, list[i].data) || p.ID != uint32(i) || p.Time != start+int64(i) || p.ChecksumPartial || p.Verdict != verdict.None {
			t.Fatalf("packet %d is %+v", i, p)
		}
	}
}

func TestTheClockTicksThroughPausesAndNeverRunsBackwards(t *testing.T) {
	const second = int64(1e9)
	var r recorder
	s := mustReplay(t, raw(timed{0, tcp(4, "a")}, timed{second, tcp(4, "b")}, timed{second / 2, tcp(4, "c")},
		timed{second + dataplane.TickInterval, tcp(4, "d")}), &r, Options{})
	last := start
	for i, c := range r.calls {
		if c.now < last || c.now-last > dataplane.TickInterval {
			t.Errorf("call %d: the clock goes from %d to %d", i, last-start, c.now-start)
		}
		for _, p := range c.packets {
			if p.Time > c.now {
				t.Errorf("a packet of %d is inspected at %d", p.Time-start, c.now-start)
			}
		}
		last = c.now
	}
	if s.First != start || s.Last != start+second+dataplane.TickInterval {
		t.Errorf("from %d to %d", s.First-start, s.Last-start)
	}
	// b and c share a batch, d is a tick later.
	if n := len(r.packets()); n != 4 {
		t.Errorf("%d packets", n)
	}
	if c := r.calls[len(r.calls)-2]; len(c.packets) != 2 || c.now != start+second {
		t.Errorf("the second batch has %d packets at %d", len(c.packets), c.now-start)
	}
}

func TestTimersRunAsLongAsAnyPacketShowsTimePassing(t *testing.T) {
	udp := tcp(4, "x")
	udp[9] = 17
	var r recorder
	s := mustReplay(t, raw(timed{-5e9, udp}, timed{0, tcp(4, "a")}, timed{10e9, udp}), &r, Options{})
	if s.NotTCP != 2 || s.Inspected != 1 || s.First != start || s.Last < start+10e9-dataplane.TickInterval || s.Last > start+10e9 {
		t.Errorf("%+v", s)
	}
}

func TestAClockThatJumpsByDecadesCostsFewTicks(t *testing.T) {
	b := raw(timed{0, tcp(4, "a")}, timed{0, tcp(4, "b")})
	binary.LittleEndian.PutUint32(b[len(b)-16-len(tcp(4, "b")):], 1<<32-1)
	var r recorder
	s := mustReplay(t, b, &r, Options{})
	if len(r.calls) > evenTicks+100 || s.Inspected != 2 {
		t.Errorf("%d calls, %+v", len(r.calls), s)
	}
	if last := r.calls[len(r.calls)-1]; last.now/1e9 != 1<<32-1 {
		t.Errorf("the last packet is inspected at %d", last.now)
	}
}

func TestVerdictsAreCounted(t *testing.T) {
	turn := 0
	r := recorder{decide: func(b *dataplane.Batch) {
		switch turn++; turn {
		case 1:
			b.Packets[0].Verdict = verdict.Drop
			b.Packets[1].Verdict = verdict.Hold
			b.Packets[2].Verdict = verdict.Replace
		case 2:
			b.Released = append(b.Released, dataplane.Release{ID: 1, Verdict: verdict.Replace})
			b.Injected = append(b.Injected, []byte{1}, []byte{2})
		}
	}}
	p := tcp(4, "x")
	s := mustReplay(t, raw(timed{0, p}, timed{0, p}, timed{0, p}, timed{0, p}, timed{1e9, p}), &r, Options{})
	if s.Verdicts != [...]uint64{0, 2, 1, 1, 1} || s.Released != [...]uint64{0, 0, 1, 0, 0} || s.Injected != 2 {
		t.Errorf("%+v", s)
	}
}

// deaf is an Inspector that looks at nothing.
type deaf struct{}

func (deaf) Inspect(*dataplane.Batch) {}

func TestAPacketCostsNoAllocation(t *testing.T) {
	const packets = 5000
	list := make([]timed, packets)
	for i := range list {
		list[i] = timed{int64(i) * 1000, tcp(4, "250 OK\r\n")}
	}
	for format, b := range map[string][]byte{"pcap": raw(list...), "pcapng": written(t, "ng", list...)} {
		all := testing.AllocsPerRun(5, func() {
			if s, err := Replay(t.Context(), bytes.NewReader(b), "-", deaf{}, Options{}); err != nil || s.Inspected != packets {
				t.Fatal(s, err)
			}
		})
		if all > packets/100 {
			t.Errorf("%s: %v allocations for %d packets", format, all, packets)
		}
	}
}

func TestChecksumsCanBeIgnored(t *testing.T) {
	var r recorder
	mustReplay(t, raw(timed{0, tcp(4, "x")}), &r, Options{IgnoreChecksums: true})
	if p := r.packets(); len(p) != 1 || !p[0].ChecksumPartial {
		t.Errorf("%+v", p)
	}
}

func TestAPacketCutByTheCaptureIsInspectedAsSuch(t *testing.T) {
	var r recorder
	s := mustReplay(t, raw(timed{0, tcp(4, "EHLO a\r\n")[:44]}), &r, Options{})
	if s.Truncated != 1 || s.Inspected != 1 || len(r.packets()[0].Data) != 44 {
		t.Errorf("%+v", s)
	}
}

func TestTheLargestPacketsFitABatch(t *testing.T) {
	big := tcp(6, string(make([]byte, packet.MaxPayload)))
	var list []timed
	for range 20 {
		list = append(list, timed{0, big})
	}
	var r recorder
	if s := mustReplay(t, raw(list...), &r, Options{}); s.Inspected != 20 {
		t.Errorf("%+v", s)
	}
	for i, p := range r.packets() {
		if !bytes.Equal(p.Data, big) {
			t.Errorf("packet %d is altered", i)
		}
	}
}

func TestReplayStopsWhenItsContextIsDone(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r := recorder{decide: func(*dataplane.Batch) { cancel() }}
	var list []timed
	for i := range 20000 {
		list = append(list, timed{int64(i), tcp(4, "x")})
	}
	s, err := Replay(ctx, bytes.NewReader(raw(list...)), "a.pcap", &r, Options{})
	if !errors.Is(err, context.Canceled) || s.Records == 20000 {
		t.Errorf("%v after %d packets", err, s.Records)
	}
}

func TestWhatHasComeIsInspectedBeforeMoreIsWaitedFor(t *testing.T) {
	header := raw()
	record := raw(timed{0, tcp(4, "x")})[len(header):]
	capture, feed := io.Pipe()
	given, ended := make(chan int), make(chan error, 1)
	var r recorder
	go func() {
		_, err := Replay(t.Context(), capture, "live", &r, Options{Waiting: func() { given <- len(r.packets()) }})
		close(given)
		ended <- err
	}()
	<-given // nothing has come
	for i, piece := range [][]byte{header, record, record[:9], record[9:], bytes.Repeat(record, 3)} {
		if _, err := feed.Write(piece); err != nil {
			t.Fatal(err)
		}
		if n, want := <-given, []int{0, 1, 1, 2, 5}[i]; n != want {
			t.Errorf("after piece %d the Inspector had been given %d packets, want %d", i, n, want)
		}
	}
	feed.Close()
	for range given { // more may be waited for until the end is found
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestReadingEndsWithItsContextWhileNothingComes(t *testing.T) {
	capture, feed := io.Pipe()
	defer feed.Close() // the read that is under way returns
	ctx, cancel := context.WithCancel(t.Context())
	var r recorder
	ended := make(chan error)
	go func() {
		_, err := Replay(ctx, capture, "live", &r, Options{Waiting: func() {}})
		ended <- err
	}()
	if _, err := feed.Write(raw(timed{0, tcp(4, "x")})); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
