package inspect_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"keepword/dataplane"
	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// silent is a Sink that takes everything and keeps nothing.
type silent struct{}

func (silent) Finding(*inspect.FindingRecord) {}
func (silent) FlowEnd(*inspect.FlowRecord)    {}

// stream is a session that sends one segment of mail data after another.
type stream struct {
	p        *inspect.Pipeline
	batch    dataplane.Batch
	data     []byte
	ack      []byte
	seq      uint32
	payload  int
	sequence int // place of the sequence number in the packet
}

// newStream brings a session to the middle of its mail data.
func newStream(tb testing.TB, payload int) *stream {
	w := newWire(tb, setup{})
	w.s(greeting)
	w.c(ehlo)
	w.s(offers)
	for _, line := range []string{message, "RCPT TO:<b@example>\r\n"} {
		w.c(line)
		w.s("250 Ok\r\n")
	}
	w.c("DATA\r\n")
	w.s("354 go\r\n")
	body := bytes.Repeat([]byte("An ordinary line of mail, seventy-six octets long or very nearly so, with CRLF\r\n"), payload/78+1)[:payload]
	s := &stream{p: w.p, seq: w.client.snd, payload: payload, sequence: 20 + 4}
	s.data = w.segment(w.client, s.seq, packet.ACK, body)
	s.ack = w.segment(w.server, w.server.snd, packet.ACK, nil)
	s.batch.Now = w.now
	s.batch.Packets = make([]dataplane.Packet, 1)
	return s
}

// put sends one packet with the checksum left to the network card.
func (s *stream) put(tb testing.TB, pkt []byte) {
	s.batch.Reset(s.batch.Now + 1000)
	s.batch.Packets = s.batch.Packets[:1]
	s.batch.Packets[0] = dataplane.Packet{ID: 1, Data: pkt, ChecksumPartial: true}
	s.p.Inspect(&s.batch)
	if s.batch.Packets[0].Verdict != verdict.Accept {
		tb.Fatalf("verdict %v", s.batch.Packets[0].Verdict)
	}
}

func (s *stream) next(tb testing.TB) {
	binary.BigEndian.PutUint32(s.data[s.sequence:], s.seq)
	s.put(tb, s.data)
	s.seq += uint32(s.payload)
	binary.BigEndian.PutUint32(s.ack[s.sequence+4:], s.seq)
	s.put(tb, s.ack)
}

func TestASegmentInOrderAllocatesNothing(t *testing.T) {
	for _, payload := range []int{100, 1448, 60000} {
		s := newStream(t, payload)
		s.next(t)
		if n := testing.AllocsPerRun(1000, func() { s.next(t) }); n != 0 {
			t.Errorf("%v allocations for a segment of %d octets and its acknowledgement", n, payload)
		}
	}
}

func TestASessionTakesWholeCacheLinesAndAtMost448Octets(t *testing.T) {
	if n := inspect.EntryOctets; n%64 != 0 || n > 448 {
		t.Errorf("%d octets", n)
	}
}

// BenchmarkSegment is a segment of mail data in order, and its acknowledgement, through
// the whole pipeline.
func BenchmarkSegment(b *testing.B) {
	for name, payload := range map[string]int{"1octet": 1, "100": 100, "1448": 1448, "60000": 60000} {
		b.Run(name, func(b *testing.B) {
			s := newStream(b, payload)
			b.SetBytes(int64(payload))
			b.ReportAllocs()
			for b.Loop() {
				s.next(b)
			}
		})
	}
}

// BenchmarkDialogue is a whole session, from SYN to ServerHello, protected data and
// FINs.
func BenchmarkDialogue(b *testing.B) {
	ch, sh := hellos(b)
	app := "\x17\x03\x03\x00\x03abc"
	p := inspect.New(inspect.Config{Policy: policy.New(policy.Config{}), Ports: []uint16{25},
		Limits: inspect.Limits{Flows: 1000, Memory: 16 << 20, FlowMemory: 256 << 10}, Sink: silent{}})
	const seq, ack = 20 + 4, 20 + 8 // places in a packet
	var packets, ofServer [][]byte  // what holds a sequence number of the server
	w := newWire(b, setup{})
	record := func(from *end, flags packet.Flags, text string) {
		pkt := w.segment(from, from.snd, flags, []byte(text))
		packets = append(packets, pkt)
		if from == w.server {
			ofServer = append(ofServer, pkt[seq:])
		} else if flags.Has(packet.ACK) {
			ofServer = append(ofServer, pkt[ack:])
		}
		from.snd += uint32(len(text))
		if flags&(packet.SYN|packet.FIN) != 0 {
			from.snd++
		}
		w.peer(from).rcv = from.snd
	}
	record(w.client, packet.SYN, "")
	record(w.server, packet.SYN|packet.ACK, "")
	record(w.client, packet.ACK, "")
	record(w.server, packet.ACK, greeting)
	record(w.client, packet.ACK, ehlo)
	record(w.server, packet.ACK, offers)
	record(w.client, packet.ACK, "STARTTLS\r\n")
	record(w.server, packet.ACK, "220 go\r\n")
	record(w.client, packet.ACK, ch)
	record(w.server, packet.ACK, sh+app)
	record(w.client, packet.ACK, app)
	record(w.client, packet.FIN|packet.ACK, "")
	record(w.server, packet.FIN|packet.ACK, "")
	record(w.client, packet.ACK, "")
	batch := dataplane.Batch{Now: w.now, Packets: make([]dataplane.Packet, len(packets))}
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset(batch.Now + 1e6) // so that timers come and go
		batch.Packets = batch.Packets[:len(packets)]
		for i, pkt := range packets {
			batch.Packets[i] = dataplane.Packet{ID: uint32(i), Data: pkt, ChecksumPartial: true}
		}
		for _, number := range ofServer { // or the next connection would be taken for this one
			binary.BigEndian.PutUint32(number, binary.BigEndian.Uint32(number)+1<<20)
		}
		p.Inspect(&batch)
	}
	if n := p.Stats().Outcomes[starttls.OutcomeUpgraded]; n != uint64(b.N) {
		b.Fatalf("%d of %d sessions upgraded", n, b.N)
	}
}
