package main

import (
	"bytes"
	"net"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// fileHeader is the size in octets of a pcap file's header.
const fileHeader = 24

// captureOf1999 returns a capture of the failure that keepword is for: the server
// offers STARTTLS, the client asks, and a box between them says 250 in its place.
func captureOf1999() []byte {
	c := newConversation()
	c.say(server, "220 mx.example ESMTP\r\n")
	c.say(client, "EHLO out.example\r\n")
	c.say(server, "250-mx.example\r\n250 STARTTLS\r\n")
	c.say(client, "STARTTLS\r\n")
	c.say(server, "250 OK\r\n")
	c.say(client, "QUIT\r\n")
	c.say(server, "221 bye\r\n")
	return c.end()
}

type role int

const (
	client role = iota
	server
)

// conversation writes a TCP connection to a capture, a segment for each saying.
type conversation struct {
	file bytes.Buffer
	out  *pcapgo.Writer
	time time.Time
	next [2]uint32 // sequence number of what each says next
}

func newConversation() *conversation {
	c := &conversation{time: time.Unix(930000000, 0), next: [2]uint32{1000, 5000}}
	c.out = pcapgo.NewWriter(&c.file)
	if err := c.out.WriteFileHeader(1<<16, layers.LinkTypeRaw); err != nil {
		panic(err) // a bytes.Buffer takes everything
	}
	c.segment(client, "", func(t *layers.TCP) { t.SYN, t.ACK = true, false })
	c.segment(server, "", func(t *layers.TCP) { t.SYN = true })
	c.segment(client, "", nil)
	return c
}

func (c *conversation) say(r role, line string) { c.segment(r, line, nil) }

func (c *conversation) end() []byte {
	c.segment(server, "", func(t *layers.TCP) { t.FIN = true })
	c.segment(client, "", func(t *layers.TCP) { t.FIN = true })
	c.segment(server, "", nil)
	return c.file.Bytes()
}

func (c *conversation) segment(from role, payload string, flags func(*layers.TCP)) {
	to := 1 - from
	addr := [2]net.IP{net.IPv4(192, 0, 2, 1), net.IPv4(198, 51, 100, 25)}
	port := [2]layers.TCPPort{40000, 25}
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: addr[from], DstIP: addr[to]}
	tcp := &layers.TCP{SrcPort: port[from], DstPort: port[to], Seq: c.next[from], Ack: c.next[to], ACK: true, Window: 65000}
	if flags != nil {
		flags(tcp)
	}
	if tcp.SYN && !tcp.ACK {
		tcp.Ack = 0
	}
	c.next[from] += uint32(len(payload))
	if tcp.SYN || tcp.FIN {
		c.next[from]++ // they take a sequence number, RFC 9293 section 3.4
	}
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	err := tcp.SetNetworkLayerForChecksum(ip)
	if err == nil {
		err = gopacket.SerializeLayers(buf, opts, ip, tcp, gopacket.Payload(payload))
	}
	if err == nil {
		c.time = c.time.Add(10 * time.Millisecond)
		err = c.out.WritePacket(gopacket.CaptureInfo{Timestamp: c.time, CaptureLength: len(buf.Bytes()), Length: len(buf.Bytes())}, buf.Bytes())
	}
	if err != nil {
		panic(err) // the test's own fault
	}
}
