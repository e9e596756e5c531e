package main

import (
	"bytes"
	"net/netip"

	"keepword/inspect/packet"
)

// side is an end of a connection, by its role in SMTP.
type side int

const (
	client side = iota
	server
)

func (s side) other() side { return 1 - s }

func (s side) String() string { return [...]string{"client", "server"}[s] }

// end is a TCP outside of any kernel, as plain as may be: it sends what a fixture says,
// and takes what arrives as a receiver does, octets in order and the first copy of each.
type end struct {
	addr     netip.AddrPort
	snd, rcv uint32 // SND.NXT, RCV.NXT
	acked    uint32 // the RCV.NXT that the other end was told last
	heard    []byte
	ahead    map[uint32][]byte
	opened   bool // the other end's SYN has come
	closed   bool // its FIN
	reset    bool // its RST, at exactly RCV.NXT
	deaf     bool // what arrives is lost on its last hop
}

func newEnd(addr netip.AddrPort, first uint32) *end {
	return &end{addr: addr, snd: first, ahead: map[uint32][]byte{}}
}

// take is the receiving half (RFC 9293 §3.10.7.4, RFC 5961 §3.2). A segment that no
// receiver would take it does not.
func (e *end) take(pkt []byte) {
	var v packet.View
	if packet.Parse(pkt, &v) != packet.OK || !v.ChecksumOK() || !v.Flags.Acceptable() || e.deaf || e.reset {
		return
	}
	switch {
	case v.Flags.Has(packet.RST):
		e.reset = v.Seq == e.rcv
		return
	case v.Flags.Has(packet.SYN): // octets on it are left for their sender to repeat (RFC 7413 §4.2)
		if !e.opened {
			e.opened, e.rcv = true, v.Seq+1
		}
		return
	}
	if len(v.Payload) > 0 && int32(v.Seq-e.rcv) < 1<<16 {
		e.ahead[v.Seq] = bytes.Clone(v.Payload)
	}
	for e.advance() {
	}
	if v.Flags.Has(packet.FIN) && v.Seq+uint32(len(v.Payload)) == e.rcv && !e.closed {
		e.closed, e.rcv = true, e.rcv+1
	}
}

// advance takes octets that are next, and says whether there were any.
func (e *end) advance() bool {
	for seq, b := range e.ahead {
		known := int(int32(e.rcv - seq))
		if known < 0 {
			continue
		}
		delete(e.ahead, seq)
		if known < len(b) {
			e.heard = append(e.heard, b[known:]...)
			e.rcv += uint32(len(b) - known)
			return true
		}
	}
	return false
}

// segment is one of e's, with right checksums.
func (e *end) segment(to netip.AddrPort, seq uint32, flags packet.Flags, payload []byte) []byte {
	s := packet.Segment{
		Version: 6, Src: e.addr.Addr().As16(), Dst: to.Addr().As16(), SrcPort: e.addr.Port(), DstPort: to.Port(),
		Seq: seq, Flags: flags, Window: 1<<16 - 1, HopLimit: 64, Payload: payload,
	}
	if e.addr.Addr().Is4() {
		s.Version = 4
	}
	if flags.Has(packet.ACK) {
		s.Ack = e.rcv
	}
	return s.Append(nil)
}

// transport is a packet from its TCP header on: what no router changes.
func transport(pkt []byte) string {
	const header4, header6 = 20, 40 // no fixture has options there
	if pkt[0]>>4 == 4 {
		return string(pkt[header4:])
	}
	return string(pkt[header6:])
}

// payload is what a transport carries.
func payload(transport string) string {
	return transport[min(int(transport[12]>>4)*4, len(transport)):]
}
