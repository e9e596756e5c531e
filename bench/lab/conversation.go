package lab

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Conversation is one TCP connection of a capture, as an application sees it:
// octets in order, each once, whatever was sent again.
type Conversation struct {
	Client, Server netip.AddrPort
	Turns          []Turn
	// Resets counts the RSTs from both sides.
	Resets int

	halves [2]half // from the client, from the server
}

// Turn is what one side sent before the other spoke again.
type Turn struct {
	FromClient bool
	Time       time.Time // of its first octet
	Octets     []byte
}

// half is one direction of a connection.
type half struct {
	known   bool
	next    uint32            // RCV.NXT of the receiver
	waiting map[uint32][]byte // segments that came early, by sequence number
}

// Sent returns all octets of one direction.
func (c *Conversation) Sent(fromClient bool) []byte {
	var octets []byte
	for _, turn := range c.Turns {
		if turn.FromClient == fromClient {
			octets = append(octets, turn.Octets...)
		}
	}
	return octets
}

// ReadConversations reads the TCP connections of a pcap file that was recorded from
// their SYN on, in the order in which they began.
func ReadConversations(path string) ([]*Conversation, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	packets, err := pcapgo.NewReader(file)
	if err != nil {
		return nil, err
	}
	type ends struct{ from, to netip.AddrPort }
	live := map[ends]*Conversation{} // by both directions
	var all []*Conversation
	for {
		data, info, err := packets.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		packet := gopacket.NewPacket(data, packets.LinkType(), gopacket.NoCopy)
		tcp, ok := packet.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if !ok || packet.NetworkLayer() == nil {
			continue
		}
		flow := packet.NetworkLayer().NetworkFlow()
		from, _ := netip.AddrFromSlice(flow.Src().Raw())
		to, _ := netip.AddrFromSlice(flow.Dst().Raw())
		e := ends{netip.AddrPortFrom(from, uint16(tcp.SrcPort)), netip.AddrPortFrom(to, uint16(tcp.DstPort))}
		c := live[e]
		if tcp.SYN && !tcp.ACK && (c == nil || c.halves[0].next != tcp.Seq+1) {
			c = &Conversation{Client: e.from, Server: e.to}
			live[e], live[ends{e.to, e.from}] = c, c
			all = append(all, c)
		}
		if c != nil {
			c.add(e.from == c.Client, tcp, info.Timestamp)
		}
	}
}

// add takes one segment of the conversation.
func (c *Conversation) add(fromClient bool, tcp *layers.TCP, at time.Time) {
	h := &c.halves[1]
	if fromClient {
		h = &c.halves[0]
	}
	if tcp.RST {
		c.Resets++
		return
	}
	if tcp.SYN {
		*h = half{known: true, next: tcp.Seq + 1, waiting: map[uint32][]byte{}}
		return
	}
	if !h.known || len(tcp.Payload) == 0 {
		return
	}
	h.waiting[tcp.Seq] = tcp.Payload
	for progress := true; progress; {
		progress = false
		for seq, payload := range h.waiting {
			old := int32(h.next - seq) // octets of it that came before, RFC 9293 section 3.4
			if old < 0 {
				continue
			}
			delete(h.waiting, seq)
			if int(old) < len(payload) {
				c.say(fromClient, at, payload[old:])
				h.next += uint32(len(payload)) - uint32(old)
			}
			progress = true
		}
	}
}

// say appends octets to the turn of whoever sent them.
func (c *Conversation) say(fromClient bool, at time.Time, octets []byte) {
	if n := len(c.Turns); n == 0 || c.Turns[n-1].FromClient != fromClient {
		c.Turns = append(c.Turns, Turn{FromClient: fromClient, Time: at})
	}
	turn := &c.Turns[len(c.Turns)-1]
	turn.Octets = append(turn.Octets, octets...)
}
