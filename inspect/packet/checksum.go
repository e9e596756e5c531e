package packet

import (
	"encoding/binary"
	"math/bits"
)

// sum adds b to the one's complement sum acc, as little-endian 16-bit words. An odd
// last octet is followed by a zero one. The sum doesn't depend on the order of octets
// but for being swapped itself (RFC 1071 section 2 (B)), so that 64 bits can be
// added at a time, the carries folded back in.
func sum(acc uint64, b []byte) uint64 {
	var carry uint64
	for len(b) >= 64 {
		w := b[:64]
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(w[0:]), 0)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(w[8:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(w[16:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(w[24:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(w[32:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(w[40:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(w[48:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(w[56:]), carry)
		acc += carry // no overflow: a sum that carried is at most 2^64-2, by induction
		b = b[64:]
	}
	for len(b) >= 8 {
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b), 0)
		acc += carry
		b = b[8:]
	}
	if len(b) > 0 {
		var rest [8]byte
		copy(rest[:], b)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(rest[:]), 0)
		acc += carry
	}
	return acc
}

// fold brings a sum to 16 bits in network order.
func fold(acc uint64) uint16 {
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return bits.ReverseBytes16(uint16(acc))
}

// pseudo is the sum of the pseudo-header of a TCP segment of length octets (RFC 9293
// section 3.1, RFC 8200 section 8.1).
func pseudo(version uint8, src, dst *[16]byte, length int) uint64 {
	acc := uint64(bits.ReverseBytes32(uint32(length))) + uint64(protoTCP)<<8
	if version == 4 {
		return sum(sum(acc, src[12:]), dst[12:])
	}
	return sum(sum(acc, src[:]), dst[:])
}

// ipv4Header returns the IPv4 header with its options.
func (v *View) ipv4Header() []byte { return v.packet[:int(v.packet[0]&0x0f)*4] }

// ChecksumOK says whether the TCP checksum is right, and IPv4's header checksum too.
func (v *View) ChecksumOK() bool {
	// What was sent adds up to all ones, its checksum included.
	if v.Version == 4 && fold(sum(0, v.ipv4Header())) != 0xffff {
		return false
	}
	segment := v.packet[v.tcp:]
	return fold(sum(pseudo(v.Version, &v.Src, &v.Dst, len(segment)), segment)) == 0xffff
}

// SetChecksums makes the TCP checksum right, and IPv4's header checksum too, after
// edits in place.
func (v *View) SetChecksums() {
	if v.Version == 4 {
		setIPv4Checksum(v.ipv4Header())
	}
	setTCPChecksum(v.Version, &v.Src, &v.Dst, v.packet[v.tcp:])
}

func setIPv4Checksum(header []byte) {
	field := header[10:12]
	field[0], field[1] = 0, 0
	binary.BigEndian.PutUint16(field, ^fold(sum(0, header)))
}

func setTCPChecksum(version uint8, src, dst *[16]byte, segment []byte) {
	field := segment[tcpChecksum : tcpChecksum+2]
	field[0], field[1] = 0, 0
	binary.BigEndian.PutUint16(field, ^fold(sum(pseudo(version, src, dst, len(segment)), segment)))
}
