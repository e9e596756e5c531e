package main

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"keepword/inspect/packet"
)

// Header lengths in octets.
const (
	ipv4Header   = 20
	ipv6Header   = 40
	ipv6Fragment = 8 // RFC 8200 section 4.5
	tcpHeader    = 20
)

// tcpChecksum is where in a TCP header the checksum is.
const tcpChecksum = 16

// enough is a hop limit that reaches every host of the lab.
const enough = 64

// headers are what a packet takes from its connection.
type headers struct {
	from, to    netip.AddrPort
	first, ack  uint32 // sequence numbers: of the stream's first octet, and the one expected
	window      uint16
	stamps      bool
	stamp, echo uint32
	syn         []byte // the options of a SYN
	id          uint32 // of a packet that is sent in fragments
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
	tcp := binary.BigEndian.AppendUint16(nil, h.from.Port())
	tcp = binary.BigEndian.AppendUint16(tcp, h.to.Port())
	tcp = binary.BigEndian.AppendUint32(tcp, h.first+uint32(s.Offset))
	tcp = binary.BigEndian.AppendUint32(tcp, ack)
	tcp = append(tcp, byte(offset<<4), byte(flags))
	tcp = binary.BigEndian.AppendUint16(tcp, window)
	tcp = append(tcp, 0, 0)
	tcp = binary.BigEndian.AppendUint16(tcp, s.Urgent)
	tcp = append(append(tcp, options...), s.Octets...)
	pseudo := pseudoHeader(h.from.Addr(), h.to.Addr(), len(tcp))
	sum := ^fold(pseudo)
	if len(s.Octets) <= segmentLimit { // else the kernel that divides the packet adds the rest
		sum = fold(pseudo + sumOf(tcp))
	}
	if s.BadChecksum {
		sum++
	}
	binary.BigEndian.PutUint16(tcp[tcpChecksum:], sum)
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
	src, dst := h.from.Addr(), h.to.Addr()
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
		b = append(b, hops, unix.IPPROTO_TCP, 0, 0)
		b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
		binary.BigEndian.PutUint16(b[10:], fold(sumOf(b)))
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

// The TCP checksum (RFC 9293 section 3.1, RFC 8200 section 8.1), written apart from
// inspection's own, which is on trial here.

// pseudoHeader returns the sum of the header that is put before a segment of n octets.
func pseudoHeader(src, dst netip.Addr, n int) uint32 {
	return sumOf(src.AsSlice()) + sumOf(dst.AsSlice()) + uint32(n) + unix.IPPROTO_TCP
}

// sumOf adds up words of 16 bits, of no more than 64 KiB.
func sumOf(b []byte) (sum uint32) {
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) > 0 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

// fold makes a sum a checksum.
func fold(sum uint32) uint16 {
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// isIntact says that the TCP checksum of a whole IP packet without options or extension
// headers is right.
func isIntact(pkt []byte) bool {
	header, src, dst := ipv4Header, pkt[12:16], pkt[16:20]
	if pkt[0]>>4 == 6 {
		header, src, dst = ipv6Header, pkt[8:24], pkt[24:40]
	}
	tcp := pkt[header:]
	return fold(sumOf(src)+sumOf(dst)+uint32(len(tcp))+unix.IPPROTO_TCP+sumOf(tcp)) == 0
}
