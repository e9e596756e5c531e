package main

import (
	"net/netip"

	"keepword/dataplane"
	"keepword/inspect/packet"
)

// cut is how the octets of a dialogue lie in segments.
type cut struct {
	name string
	// size is the longest segment's payload in octets; 0: as long as a packet may be.
	size int
	// coalesced: what a program writes several times, before the other speaks, is cut as
	// one. Else each write begins a segment.
	coalesced bool
	// swapped: of two segments the second comes first.
	swapped bool
	// repeated: each segment comes twice, before it is acknowledged.
	repeated bool
	// probed: the client asks whether the server is still there (RFC 9293 section 3.8.4).
	probed bool
}

// cuts are those in which every dialogue is played.
var cuts = []cut{
	{name: "each write whole"},
	{name: "1 octet", size: 1},
	{name: "7 octets", size: 7, coalesced: true},
	{name: "536 octets", size: 536, coalesced: true}, // RFC 9293 section 3.7.1
	{name: "1448 octets", size: 1448},                // Ethernet, with a timestamp option
	{name: "coalesced", coalesced: true},
	{name: "out of order", size: 41, coalesced: true, swapped: true},
	{name: "repeated, and kept alive", size: 300, coalesced: true, repeated: true, probed: true},
}

const (
	// ackEvery is how many segments go before the receiver acknowledges them.
	ackEvery = 8
	// batchPackets are as many as a wake-up of the queue brings at a usual load.
	batchPackets = 32
	// gap is the time between two packets, in nanoseconds.
	gap = 100_000
	// began is when a trace begins, in nanoseconds of the Unix epoch: any time will do.
	began = 1e18
)

// side is one end of a connection.
type side struct {
	addr netip.AddrPort
	next uint32 // sequence number
	over bool   // its FIN was sent
}

// tracer makes the packets of connections, and gives them to an inspector in batches.
type tracer struct {
	insp       dataplane.Inspector
	batch      dataplane.Batch
	arena      []byte
	now        int64
	id         uint32
	ends       [2]side // the server, the client
	unanswered int     // segments since the last acknowledgement
	finish     bool    // the octets that are being sent are their side's last
}

// segment is one that is to be sent.
type segment struct {
	seq    uint32
	octets []byte
}

// play gives all packets of a dialogue, from its SYN to its last ACK, to the inspector, as
// they pass a gateway that lets all of them through. No two connections of a tracer have
// the same ports.
func (t *tracer) play(d *dialogue, c cut, number uint16, ipv6 bool, first uint32) {
	client, server := "192.0.2.1", "198.51.100.25"
	if ipv6 {
		client, server = "2001:db8::1", "2001:db8:1::25"
	}
	t.ends[0] = side{netip.AddrPortFrom(netip.MustParseAddr(server), ports[int(number)%len(ports)]), first - 7, false}
	t.ends[1] = side{netip.AddrPortFrom(netip.MustParseAddr(client), 40_000+number), first, false}
	t.put(true, packet.SYN, nil)
	t.ends[1].next++
	t.put(false, packet.SYN|packet.ACK, nil)
	t.ends[0].next++
	t.put(true, packet.ACK, nil)
	last := map[bool]int{} // what each side says last
	for i, s := range d.says {
		last[s.fromClient] = i
	}
	for i := 0; i < len(d.says); i++ {
		from, octets := d.says[i].fromClient, d.says[i].octets
		for c.coalesced && i+1 < len(d.says) && d.says[i+1].fromClient == from {
			i++
			octets = append(octets[:len(octets):len(octets)], d.says[i].octets...)
		}
		// A FIN that comes before octets that it follows is taken off its segment until
		// they are there, and its sender repeats it. No octet is concerned, but it is one
		// thing done to a packet that the corpus leaves out.
		t.finish = d.goodbye == together && i == last[from] && !c.swapped
		t.send(from, octets, c)
		t.acknowledge(!from)
		if c.probed {
			t.putAt(true, packet.ACK, t.ends[index(true)].next-1, nil)
			t.acknowledge(false)
		}
	}
	t.part(d.goodbye)
	t.flush()
}

// part ends the connection, as far as it has not ended.
func (t *tracer) part(how goodbye) {
	if how == abruptly {
		t.put(true, packet.RST|packet.ACK, nil)
		return
	}
	for _, fromClient := range []bool{true, false} {
		if e := &t.ends[index(fromClient)]; !e.over {
			t.put(fromClient, packet.FIN|packet.ACK, nil)
			e.next++
		}
	}
	t.put(true, packet.ACK, nil)
}

func index(fromClient bool) int {
	if fromClient {
		return 1
	}
	return 0
}

// send sends what a program writes.
func (t *tracer) send(fromClient bool, octets []byte, c cut) {
	size := packet.MaxPayload
	if c.size > 0 {
		size = c.size
	}
	from := &t.ends[index(fromClient)]
	for len(octets) > 0 {
		list := []segment{{seq: from.next, octets: octets[:min(size, len(octets))]}}
		rest := octets[len(list[0].octets):]
		if c.swapped && len(rest) > 0 {
			second := segment{seq: from.next + uint32(len(list[0].octets)), octets: rest[:min(size, len(rest))]}
			list, rest = []segment{second, list[0]}, rest[len(second.octets):]
		}
		from.next += uint32(len(octets) - len(rest))
		octets = rest
		for _, s := range list {
			flags := packet.ACK | packet.PSH
			if t.finish && len(octets) == 0 && s.seq+uint32(len(s.octets)) == from.next {
				flags |= packet.FIN
				from.over = true
			}
			t.putAt(fromClient, flags, s.seq, s.octets)
			if c.repeated {
				t.putAt(fromClient, flags, s.seq, s.octets)
			}
		}
		if from.over {
			from.next++
			return
		}
		if t.unanswered++; t.unanswered >= ackEvery || size == packet.MaxPayload {
			t.acknowledge(!fromClient)
		}
	}
}

func (t *tracer) acknowledge(fromClient bool) {
	t.unanswered = 0
	t.put(fromClient, packet.ACK, nil)
}

// put sends a segment at the place where its sender is.
func (t *tracer) put(fromClient bool, flags packet.Flags, octets []byte) {
	t.putAt(fromClient, flags, t.ends[index(fromClient)].next, octets)
}

func (t *tracer) putAt(fromClient bool, flags packet.Flags, seq uint32, octets []byte) {
	from, to := &t.ends[index(fromClient)], &t.ends[index(!fromClient)]
	s := packet.Segment{
		Version: 6, Src: from.addr.Addr().As16(), Dst: to.addr.Addr().As16(), SrcPort: from.addr.Port(), DstPort: to.addr.Port(),
		Seq: seq, Flags: flags, Window: 65535, HopLimit: 64, Payload: octets,
	}
	if from.addr.Addr().Is4() {
		s.Version = 4
	}
	if flags.Has(packet.ACK) {
		s.Ack = to.next
	}
	t.now += gap
	t.id++
	start := len(t.arena)
	t.arena = s.Append(t.arena)
	// Where the arena grows, the packets before stay in the old one.
	t.batch.Packets = append(t.batch.Packets, dataplane.Packet{ID: t.id, Time: t.now, Data: t.arena[start:len(t.arena):len(t.arena)]})
	if len(t.batch.Packets) == batchPackets {
		t.flush()
	}
}

// flush gives the inspector what has gathered.
func (t *tracer) flush() {
	t.batch.Now = t.now
	t.insp.Inspect(&t.batch)
	t.batch.Reset(t.now)
	t.arena = t.arena[:0]
}
