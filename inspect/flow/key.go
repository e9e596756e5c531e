// Package flow names TCP connections by their two ends (RFC 9293 §3.3.1), and keeps what is
// known of each in a bounded table, in classes by how long they may be idle.
package flow

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"keepword/inspect/packet"
)

// Key names a connection by its two ends, whichever sent the packet at hand: the lower
// address and port come first.
type Key struct {
	low, high addr
	ports     uint32 // the lower end's, the higher end's
}

// addr is an address as a number.
type addr struct{ first, last uint64 }

func addrOf(b *[16]byte) addr {
	return addr{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (a addr) octets() (b [16]byte) {
	binary.BigEndian.PutUint64(b[:8], a.first)
	binary.BigEndian.PutUint64(b[8:], a.last)
	return b
}

func (a addr) less(b addr) bool { return a.first < b.first || a.first == b.first && a.last < b.last }

// Set makes k the key of v's connection, and says whether its lower end sent v.
func (k *Key) Set(v *packet.View) (fromLow bool) {
	src, dst := addrOf(&v.Src), addrOf(&v.Dst)
	srcPort, dstPort := uint32(v.SrcPort), uint32(v.DstPort)
	if fromLow = src.less(dst) || src == dst && srcPort <= dstPort; !fromLow {
		src, dst, srcPort, dstPort = dst, src, dstPort, srcPort
	}
	k.low, k.high, k.ports = src, dst, srcPort<<16|dstPort
	return fromLow
}

// is says that k and other are equal.
func (k *Key) is(other *Key) bool {
	return k.ports == other.ports && k.high == other.high && k.low == other.low
}

// hash spreads k over 64 bits. Without the seeds nobody can make keys that collide.
func (k *Key) hash(seed *[4]uint64) uint64 {
	x := fold(k.low.first^seed[0], k.low.last^seed[1])
	y := fold(k.high.first^seed[2], k.high.last^seed[3])
	return fold(x^uint64(k.ports)^seed[1], y^seed[0])
}

// fold multiplies, and mixes the halves of the product.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// End returns the lower or the higher end. IPv4 addresses are plain ones.
func (k *Key) End(low bool) netip.AddrPort {
	a, port := k.low, uint16(k.ports>>16)
	if !low {
		a, port = k.high, uint16(k.ports)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(a.octets()).Unmap(), port)
}
