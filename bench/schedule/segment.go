package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"keepword/inspect/packet"
)

// Segment is one packet that a schedule has the client send. Its zero value but for
// Octets is what a lawful sender sends at the beginning of the stream.
type Segment struct {
	// Why says what is wrong with it; empty: nothing.
	Why string
	// Offset is where its octets begin in the client's stream; the SYN is at -1.
	Offset int
	Octets []byte
	// Flags are set besides ACK, Without is cleared.
	Flags, Without packet.Flags
	// AckOffset is added to the sequence number that is expected of the server.
	AckOffset int
	Urgent    uint16
	// Stale is subtracted from the timestamp; Bare leaves the option out.
	Stale uint32
	Bare  bool
	// Options are added behind the timestamp, padded to a multiple of four octets.
	Options []byte
	// DataOffset is the header's length in words of 32 bits; 0: the right one.
	DataOffset int
	// BadChecksum spoils the TCP checksum.
	BadChecksum bool
	// HopLimit of IPv6, time to live of IPv4; 0: enough.
	HopLimit uint8
	// NoWindow announces a window of no octets.
	NoWindow bool
	// Pieces are the fragments that are sent in place of the packet, in their order.
	Pieces []Piece
}

// Piece is a fragment: a part of the IP packet's payload, both ends multiples of eight
// octets but for the packet's end, which a To beyond it stands for.
type Piece struct {
	From, To int
	// Forged are put in the place of its last octets: its neighbour says otherwise.
	Forged []byte
}

// String describes the segment in one line.
func (s *Segment) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%6d..%-6d", s.Offset, s.Offset+len(s.Octets))
	flags := packet.ACK&^s.Without | s.Flags
	for _, f := range []struct {
		bit  packet.Flags
		name string
	}{{packet.SYN, "SYN"}, {packet.FIN, "FIN"}, {packet.RST, "RST"}, {packet.PSH, "PSH"}, {packet.URG, "URG"}, {packet.ACK, "ACK"}} {
		if flags.Has(f.bit) {
			b.WriteString(" " + f.name)
		}
	}
	for _, f := range []struct {
		set  bool
		text string
	}{
		{s.AckOffset != 0, fmt.Sprintf("ack%+d", s.AckOffset)},
		{s.Urgent != 0, fmt.Sprintf("urgent %d", s.Urgent)},
		{s.Stale != 0, fmt.Sprintf("timestamp -%d", s.Stale)},
		{s.Bare, "no timestamp"},
		{len(s.Options) > 0, fmt.Sprintf("options %x", s.Options)},
		{s.DataOffset != 0, fmt.Sprintf("data offset %d", s.DataOffset)},
		{s.BadChecksum, "bad checksum"},
		{s.HopLimit != 0, fmt.Sprintf("hop limit %d", s.HopLimit)},
		{s.NoWindow, "window 0"},
	} {
		if f.set {
			b.WriteString(", " + f.text)
		}
	}
	for _, p := range s.Pieces {
		fmt.Fprintf(&b, ", fragment %d..%d", p.From, p.To)
		if len(p.Forged) > 0 {
			fmt.Fprintf(&b, " forged to end in %q", p.Forged)
		}
	}
	if s.Why != "" {
		b.WriteString(": " + s.Why)
	}
	if len(s.Octets) > 0 {
		const quoted = 60
		fmt.Fprintf(&b, "  %q", s.Octets[:min(len(s.Octets), quoted)])
		if len(s.Octets) > quoted {
			b.WriteString("…")
		}
	}
	return b.String()
}

// Header lengths in octets.
const (
	ipv4Header   = 20
	ipv6Header   = 40
	ipv6Fragment = 8 // RFC 8200 section 4.5
	tcpHeader    = 20
)

// enough is a hop limit that reaches every host of the lab.
const enough = 64

// headers are what a packet takes from its connection.
type headers struct {
	client, server netip.AddrPort
	first, ack     uint32 // sequence numbers: of the stream's first octet, and the one expected
	window         uint16
	stamps         bool
	stamp, echo    uint32
	syn            []byte // the options of a SYN
	id             uint32 // of a packet that is sent in fragments
}

// packets returns the IP packets of the segment.
func (s *Segment) packets(h *headers) [][]byte {
	flags := packet.ACK&^s.Without | s.Flags
	options := s.Options
	switch {
	case flags.Has(packet.SYN):
		options = append(h.syn[:len(h.syn):len(h.syn)], options...)
	case h.stamps && !s.Bare:
		stamp := []byte{1, 1, 8, 10} // two of padding, then RFC 7323 section 3.2
		stamp = binary.BigEndian.AppendUint32(stamp, h.stamp-s.Stale)
		stamp = binary.BigEndian.AppendUint32(stamp, h.echo)
		options = append(stamp, options...)
	}
	for len(options)%4 != 0 {
		options = append(options[:len(options):len(options)], 0)
	}
	window, ack := h.window, h.ack+uint32(s.AckOffset)
	if s.NoWindow {
		window = 0
	}
	if !flags.Has(packet.ACK) {
		ack = 0
	}
	offset := s.DataOffset
	if offset == 0 {
		offset = (tcpHeader + len(options)) / 4
	}
	tcp := binary.BigEndian.AppendUint16(nil, h.client.Port())
	tcp = binary.BigEndian.AppendUint16(tcp, h.server.Port())
	tcp = binary.BigEndian.AppendUint32(tcp, h.first+uint32(s.Offset))
	tcp = binary.BigEndian.AppendUint32(tcp, ack)
	tcp = append(tcp, byte(offset<<4), byte(flags))
	tcp = binary.BigEndian.AppendUint16(tcp, window)
	tcp = append(tcp, 0, 0)
	tcp = binary.BigEndian.AppendUint16(tcp, s.Urgent)
	tcp = append(append(tcp, options...), s.Octets...)
	sum := checksum(h.client.Addr().AsSlice(), h.server.Addr().AsSlice(), tcp)
	if s.BadChecksum {
		sum++
	}
	binary.BigEndian.PutUint16(tcp[16:], sum)
	if len(s.Pieces) == 0 {
		return [][]byte{s.ip(h, tcp, nil)}
	}
	var all [][]byte
	for _, p := range s.Pieces {
		from, to := min(p.From, len(tcp)), min(p.To, len(tcp))
		b := append([]byte(nil), tcp[from:to]...)
		copy(b[max(len(b)-len(p.Forged), 0):], p.Forged)
		if len(b) > 0 {
			all = append(all, s.ip(h, b, &fragment{from, to < len(tcp)}))
		}
	}
	return all
}

// fragment is what a fragment's header says.
type fragment struct {
	offset int // octets
	more   bool
}

// ip puts an IP header before payload.
func (s *Segment) ip(h *headers, payload []byte, f *fragment) []byte {
	hops := s.HopLimit
	if hops == 0 {
		hops = enough
	}
	src, dst := h.client.Addr(), h.server.Addr()
	if src.Is4() {
		field := uint16(0)
		if f != nil {
			field = uint16(f.offset / 8)
			if f.more {
				field |= 1 << 13 // RFC 791 section 3.1
			}
		}
		b := []byte{4<<4 | ipv4Header/4, 0}
		b = binary.BigEndian.AppendUint16(b, uint16(ipv4Header+len(payload)))
		b = binary.BigEndian.AppendUint16(b, uint16(h.id))
		b = binary.BigEndian.AppendUint16(b, field)
		b = append(b, hops, unix.IPPROTO_TCP, 0, 0) // the kernel fills the checksum in (raw(7))
		b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
		return append(b, payload...)
	}
	next := byte(unix.IPPROTO_TCP)
	length := len(payload)
	if f != nil {
		next, length = unix.IPPROTO_FRAGMENT, length+ipv6Fragment
	}
	b := []byte{6 << 4, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, next, hops)
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	if f != nil {
		field := uint16(f.offset)
		if f.more {
			field |= 1
		}
		b = binary.BigEndian.AppendUint16(append(b, unix.IPPROTO_TCP, 0), field)
		b = binary.BigEndian.AppendUint32(b, h.id)
	}
	return append(b, payload...)
}

// checksum is TCP's over the pseudo-header and a segment whose checksum is 0 (RFC 9293
// section 3.1, RFC 8200 section 8.1). It is written apart from inspection's own, which
// is on trial here.
func checksum(src, dst, tcp []byte) uint16 {
	pseudo := append(append([]byte(nil), src...), dst...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(tcp)))
	pseudo = append(pseudo, 0, 0, 0, unix.IPPROTO_TCP)
	sum := uint32(0)
	for _, part := range [][]byte{pseudo, tcp} {
		for i, c := range part {
			sum += uint32(c) << (8 * (1 - i%2))
			sum = sum&0xffff + sum>>16
		}
	}
	return ^uint16(sum)
}
