package packet

import "encoding/binary"

// timestampLen are the octets of the timestamp option behind two of padding, the
// layout of RFC 7323 appendix A.
const timestampLen = 12

// MaxPayload is the longest payload that fits a Segment of either IP version with
// its options: IPv4's total length counts all headers.
const MaxPayload = 1<<16 - 1 - ipv4HeaderLen - tcpHeaderLen - timestampLen

// Segment is a TCP segment to be built: the 421 and the RSTs that end a connection.
type Segment struct {
	// Version is 4 or 6. With 4, only the last four octets of the addresses are used.
	Version          uint8
	Src, Dst         [16]byte
	SrcPort, DstPort uint16
	Seq, Ack         uint32
	Flags            Flags
	Window           uint16
	// HopLimit is IPv6's, or IPv4's time to live.
	HopLimit uint8
	// HasTimestamp adds the timestamp option: where a connection uses it, a receiver
	// discards segments without (RFC 7323 section 3.2), RST excepted.
	HasTimestamp bool
	TSVal, TSEcr uint32
	// Payload is cut to MaxPayload octets.
	Payload []byte
}

// Append appends the segment to dst as a whole IP packet with right checksums, and
// returns the longer slice. It allocates only where dst has no room.
func (s *Segment) Append(dst []byte) []byte {
	payload := s.Payload[:min(len(s.Payload), MaxPayload)]
	header := tcpHeaderLen
	if s.HasTimestamp {
		header += timestampLen
	}
	length := header + len(payload)
	dst = s.appendIP(dst, length)
	start := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, s.SrcPort)
	dst = binary.BigEndian.AppendUint16(dst, s.DstPort)
	dst = binary.BigEndian.AppendUint32(dst, s.Seq)
	dst = binary.BigEndian.AppendUint32(dst, s.Ack)
	dst = append(dst, byte(header/4)<<4, byte(s.Flags))
	dst = binary.BigEndian.AppendUint16(dst, s.Window)
	dst = append(dst, 0, 0, 0, 0) // the checksum, set below, and no urgent pointer
	if s.HasTimestamp {
		dst = append(dst, optNop, optNop, optTimestamp, 10)
		dst = binary.BigEndian.AppendUint32(dst, s.TSVal)
		dst = binary.BigEndian.AppendUint32(dst, s.TSEcr)
	}
	dst = append(dst, payload...)
	setTCPChecksum(s.Version, &s.Src, &s.Dst, dst[start:])
	return dst
}

// appendIP appends the IP header for a TCP segment of length octets.
func (s *Segment) appendIP(dst []byte, length int) []byte {
	if s.Version == 6 {
		dst = append(dst, 6<<4, 0, 0, 0) // no traffic class, no flow label
		dst = binary.BigEndian.AppendUint16(dst, uint16(length))
		dst = append(dst, protoTCP, s.HopLimit)
		dst = append(dst, s.Src[:]...)
		return append(dst, s.Dst[:]...)
	}
	start := len(dst)
	const dontFragment = 0x40 // and so the identification may be 0 (RFC 6864 section 4.1)
	dst = append(dst, 4<<4|ipv4HeaderLen/4, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(ipv4HeaderLen+length))
	dst = append(dst, 0, 0, dontFragment, 0, s.HopLimit, protoTCP, 0, 0)
	dst = append(dst, s.Src[12:]...)
	dst = append(dst, s.Dst[12:]...)
	setIPv4Checksum(dst[start:])
	return dst
}
