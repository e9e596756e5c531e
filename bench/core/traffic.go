package main

import (
	"keepword/bench/traffic"
	"keepword/dataplane"
	"keepword/inspect/packet"
)

// end is an SMTP role.
type end uint8

const (
	client end = iota
	server
)

// step is one segment of a connection.
type step struct {
	from  end
	flags packet.Flags
	text  []byte
}

func say(from end, text string) step {
	return step{from, packet.ACK | packet.PSH, []byte(text)}
}

func ack(from end) step { return step{from, packet.ACK, nil} }

// The parts of a session, as Postfix and a client that does not wait for a greeting's
// acknowledgement cut them.
var (
	opening      = []step{{client, packet.SYN, nil}, {server, packet.SYN | packet.ACK, nil}, ack(client)}
	introduction = []step{
		say(server, "220 mx7.example.org ESMTP Postfix (Debian/GNU)\r\n"), ack(client),
		say(client, "EHLO out-12.mail.example.com\r\n"), ack(server),
		say(server, "250-mx7.example.org\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-VRFY\r\n250-ETRN\r\n250-STARTTLS\r\n"+
			"250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n250 CHUNKING\r\n"),
	}
	envelope = []step{
		say(client, "MAIL FROM:<bounce-4711@example.com> SIZE=10240\r\nRCPT TO:<someone@example.org>\r\nDATA\r\n"),
		say(server, "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n"),
	}
	leave = []step{
		say(server, "250 2.0.0 Ok: queued as 5BE3A41F2C\r\n"),
		say(client, "QUIT\r\n"), say(server, "221 2.0.0 Bye\r\n"),
	}
	closing = []step{{client, packet.FIN | packet.ACK, nil}, {server, packet.FIN | packet.ACK, nil}, ack(client)}
)

const (
	serverPort = 25
	mss        = traffic.MSS
	// scale and window let an end have 64,256 octets in flight, as Linux begins.
	scale, window = 7, 502
)

// connections are many. The ends of the i-th follow from i, so that what is remembered
// of each is two sequence numbers, and the generator's own memory disturbs little.
type connections struct {
	next [][2]uint32 // SND.NXT of client and server
}

func newConnections(n int) connections {
	c := connections{make([][2]uint32, n)}
	for i := range c.next {
		// Anywhere in the sequence space, so that some wrap.
		c.next[i] = [2]uint32{uint32(i) * 2654435761, uint32(i) * 2246822519}
	}
	return c
}

// ends returns the addresses and the client's port of connection i.
func ends(i int) (client, server [4]byte, port uint16) {
	return [4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}, [4]byte{192, 0, 2, byte(1 + i%250)}, uint16(32768 + i*40503%28000)
}

// segment makes the next segment of connection i, with right checksums, at the end of b.
func (c *connections) segment(b []byte, i int, s *step) []byte {
	next := &c.next[i]
	seg := packet.Segment{
		Version: 4, HopLimit: 63, Seq: next[s.from], Ack: next[1-s.from], Flags: s.flags,
		Window: window, HasTimestamp: true, TSVal: 1, TSEcr: 1, Payload: s.text,
	}
	a, z, port := ends(i)
	if s.from == client {
		copy(seg.Src[12:], a[:])
		copy(seg.Dst[12:], z[:])
		seg.SrcPort, seg.DstPort = port, serverPort
	} else {
		copy(seg.Src[12:], z[:])
		copy(seg.Dst[12:], a[:])
		seg.SrcPort, seg.DstPort = serverPort, port
	}
	next[s.from] += uint32(len(s.text))
	if s.flags&(packet.SYN|packet.FIN) != 0 {
		next[s.from]++
	}
	if s.flags.Has(packet.SYN) {
		return traffic.AppendSYN(b, &seg, scale)
	}
	return seg.Append(b)
}

// batchSize is the most packets that the netfilter queue's engine hands over at once.
const batchSize = 64

// gateway hands the packets of connections to a subject, and sums up how long that
// takes: making them is not in it, nor is the clock.
type gateway struct {
	subject
	connections
	// single hands each packet over as a batch of its own; else they come by up to 64.
	single bool
	// verified says that checksums are not vouched for by the network card.
	verified bool

	octets  uint64 // of all payloads, each once
	now     int64
	buffers [batchSize][]byte
	packets []dataplane.Packet
	batch   dataplane.Batch
	spent   int64 // nanoseconds
}

func newGateway(s subject, flows int) *gateway {
	g := &gateway{subject: s, connections: newConnections(flows), now: 1e18, packets: make([]dataplane.Packet, 0, batchSize)}
	for i := range g.buffers {
		g.buffers[i] = make([]byte, 0, 2048)
	}
	return g
}

// put adds the next segment of connection i to what waits to be read.
func (g *gateway) put(i int, s *step) {
	buffer := &g.buffers[len(g.packets)]
	*buffer = g.segment((*buffer)[:0], i, s)
	g.octets += uint64(len(s.text))
	g.add(*buffer)
}

// repeat adds a packet that was made before.
func (g *gateway) repeat(data []byte) {
	buffer := &g.buffers[len(g.packets)]
	*buffer = append((*buffer)[:0], data...)
	g.add(*buffer)
}

func (g *gateway) add(data []byte) {
	g.packets = append(g.packets, dataplane.Packet{ID: uint32(len(g.packets)), Time: g.now, Data: data, ChecksumPartial: !g.verified})
	if len(g.packets) == batchSize {
		g.flush()
	}
}

// flush has what waits read, timed.
func (g *gateway) flush() {
	g.spent += timed(g.readAll)
	g.packets = g.packets[:0]
}

// readAll has what waits read in one batch, or each packet in one.
func (g *gateway) readAll() {
	size := len(g.packets)
	if g.single {
		size = 1
	}
	for rest := g.packets; len(rest) > 0; rest = rest[size:] {
		g.batch.Reset(g.now)
		g.batch.Packets = rest[:size:size]
		g.read(&g.batch)
		g.now += int64(size) * 1000 // a million packets a second
	}
}

// took has the rest read, and returns the nanoseconds spent since it was last asked.
func (g *gateway) took() float64 {
	if len(g.packets) > 0 {
		g.flush()
	}
	spent := g.spent
	g.spent = 0
	return float64(spent)
}

// tick lets so much time pass that gauges are brought up to date.
func (g *gateway) tick() {
	g.now += dataplane.TickInterval
	g.batch.Reset(g.now)
	g.read(&g.batch)
}

// play takes connections first up to, not including, end through steps, 64 of them side
// by side.
func (g *gateway) play(first, end int, steps ...[]step) {
	for ; first < end; first += batchSize {
		for _, part := range steps {
			for k := range part {
				for i := first; i < min(first+batchSize, end); i++ {
					g.put(i, &part[k])
				}
			}
		}
	}
	g.took()
}
