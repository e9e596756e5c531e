package packet

import "encoding/binary"

// mapAddress makes a the IPv4-mapped IPv6 address of the four octets of b. It is written
// in halves, as others read it: a load of what several stores wrote would wait for them.
func mapAddress(a *[16]byte, b []byte) {
	clear(a[:8])
	binary.BigEndian.PutUint64(a[8:], 0xffff<<32|uint64(binary.BigEndian.Uint32(b)))
}

// Parse reads the packet that b begins with; what b has beyond the packet's IP length
// is padding of the link. It sets v afresh. Where the class is not OK, only Version,
// HopLimit, Src and Dst mean anything, and they are zero where the packet was too
// short to tell.
//
// Checksums are not verified: see View.ChecksumOK.
func Parse(b []byte, v *View) Class {
	*v = View{}
	if len(b) == 0 {
		return NotIP
	}
	var (
		class Class
		proto uint8
		at    int
	)
	switch b[0] >> 4 {
	case 4:
		class, proto, at = v.parseIPv4(b)
	case 6:
		class, proto, at = v.parseIPv6(b)
	default:
		return NotIP
	}
	switch {
	case class != OK:
		return class
	case proto != protoTCP:
		return NotTCP
	}
	return v.parseTCP(at)
}

// parseIPv4 sets v's IP fields and packet. It returns the protocol and where its
// header begins.
func (v *View) parseIPv4(b []byte) (c Class, proto uint8, at int) {
	if len(b) < ipv4HeaderLen {
		return Truncated, 0, 0
	}
	v.Version = 4
	v.HopLimit = b[8]
	mapAddress(&v.Src, b[12:16])
	mapAddress(&v.Dst, b[16:20])

	header := int(b[0]&0x0f) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	if header < ipv4HeaderLen || total < header {
		return BadHeader, 0, 0
	}
	proto = b[9]
	if proto != protoTCP {
		return NotTCP, 0, 0
	}
	const offsetOrMoreFragments = 0x3fff
	if binary.BigEndian.Uint16(b[6:])&offsetOrMoreFragments != 0 {
		return Fragment, 0, 0
	}
	if total > len(b) {
		return Truncated, 0, 0
	}
	if header > ipv4HeaderLen && !soundIPv4Options(b[ipv4HeaderLen:header]) {
		return BadHeader, 0, 0
	}
	v.packet = b[:total:total]
	return OK, proto, header
}

// soundIPv4Options says whether a receiver would take a packet with these options,
// RFC 791 section 3.1: well formed, and no source route with hops to go. The
// destination of a packet on such a route is not the receiver, and hosts refuse
// it (RFC 7126 section 4.3 and 4.4).
func soundIPv4Options(b []byte) bool {
	const (
		end         = 0
		noOperation = 1
		looseRoute  = 131
		strictRoute = 137
	)
	for len(b) > 0 {
		switch b[0] {
		case end:
			return true
		case noOperation:
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return false
		}
		if b[0] == looseRoute || b[0] == strictRoute {
			// The third octet points at the next hop, past the option's end where
			// there is none.
			if b[1] < 3 || b[2] <= b[1] {
				return false
			}
		}
		b = b[b[1]:]
	}
	return true
}

// parseIPv6 sets v's IP fields and packet, and walks the extension headers. It
// returns the upper layer's protocol and where its header begins.
func (v *View) parseIPv6(b []byte) (c Class, proto uint8, at int) {
	if len(b) < ipv6HeaderLen {
		return Truncated, 0, 0
	}
	v.Version = 6
	v.HopLimit = b[7]
	copy(v.Src[:], b[8:24])
	copy(v.Dst[:], b[24:40])

	total := ipv6HeaderLen + int(binary.BigEndian.Uint16(b[4:]))
	truncated := total > len(b)
	if !truncated {
		b = b[:total:total]
	}
	proto, at = b[6], ipv6HeaderLen
	for {
		var length int
		switch proto {
		case protoHopByHop:
			// RFC 8200 section 4.1: only right behind the IPv6 header.
			if at != ipv6HeaderLen {
				return BadHeader, 0, 0
			}
			fallthrough
		case protoRouting, protoDestination, protoAH, protoFragment:
			// No extension header is shorter than 8 octets.
			if len(b)-at < 8 {
				return cut(truncated), 0, 0
			}
		case protoTCP:
			if truncated {
				return Truncated, 0, 0
			}
			v.packet = b
			return OK, proto, at
		default:
			return NotTCP, 0, 0
		}
		switch proto {
		case protoFragment:
			const offsetOrMoreFragments = 0xfff9
			if binary.BigEndian.Uint16(b[at+2:])&offsetOrMoreFragments != 0 {
				return fragmentOf(b[at]), 0, 0
			}
			length = 8 // an atomic fragment is a whole packet (RFC 6946)
		case protoAH:
			length = (int(b[at+1]) + 2) * 4 // RFC 4302 section 2.2
		default:
			length = (int(b[at+1]) + 1) * 8
		}
		if length > len(b)-at {
			return cut(truncated), 0, 0
		}
		if proto == protoRouting && !v.route(b[at:at+length]) {
			return BadHeader, 0, 0
		}
		proto, at = b[at], at+length
	}
}

// cut is the class of an IPv6 packet whose headers don't fit into its octets.
func cut(truncated bool) Class {
	if truncated {
		return Truncated
	}
	return BadHeader
}

// fragmentOf is the class of an IPv6 fragment whose fragmentable part begins with a
// header of that kind.
func fragmentOf(proto uint8) Class {
	switch proto {
	case protoTCP, protoDestination, protoAH, protoRouting, protoHopByHop, protoFragment:
		return Fragment
	}
	return NotTCP
}

// route takes the final destination from a routing header h of which there are
// segments left. It returns false where nobody would get the packet to its end:
// type 0 is to be refused (RFC 5095), and so is a type unknown to the node that the
// packet is addressed to (RFC 8200 section 4.4).
func (v *View) route(h []byte) bool {
	const (
		mobility        = 2 // RFC 6275 section 6.4: the home address
		segmentRouting  = 4 // RFC 8754 section 2: the last segment comes first
		firstAddressEnd = 24
	)
	kind, left := h[2], h[3]
	switch {
	case left == 0:
		return true
	case kind != mobility && kind != segmentRouting, len(h) < firstAddressEnd:
		return false
	}
	copy(v.Dst[:], h[8:firstAddressEnd])
	return true
}

// parseTCP sets v's TCP fields from the header that begins at v.packet[at].
func (v *View) parseTCP(at int) Class {
	b := v.packet[at:]
	if len(b) < tcpHeaderLen {
		return BadHeader
	}
	header := int(b[tcpOffset]>>4) * 4
	if header < tcpHeaderLen || header > len(b) {
		return BadHeader
	}
	v.tcp = at
	v.SrcPort = binary.BigEndian.Uint16(b)
	v.DstPort = binary.BigEndian.Uint16(b[2:])
	v.Seq = binary.BigEndian.Uint32(b[tcpSeq:])
	v.Ack = binary.BigEndian.Uint32(b[tcpAck:])
	v.Flags = Flags(b[tcpFlags])
	v.Window = binary.BigEndian.Uint16(b[tcpWindow:])
	v.Urgent = binary.BigEndian.Uint16(b[tcpUrgent:])
	v.Options = b[tcpHeaderLen:header:header]
	v.Payload = b[header:]
	return OK
}
