// Package flow names TCP connections, follows their state (RFC 9293 §3.3.2), and keeps
// what is known of each in a bounded table.
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

// addr is an address as a number, its first half first.
type addr [2]uint64

func addrOf(b *[16]byte) addr {
	return addr{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (a addr) octets() (b [16]byte) {
	binary.BigEndian.PutUint64(b[:8], a[0])
	binary.BigEndian.PutUint64(b[8:], a[1])
	return b
}

func (a addr) less(b addr) bool { return a[0] < b[0] || a[0] == b[0] && a[1] < b[1] }

// KeyOf returns the key of v's connection, and whether its lower end sent v.
func KeyOf(v *packet.View) (k Key, fromLow bool) {
	src, dst := addrOf(&v.Src), addrOf(&v.Dst)
	if src.less(dst) || src == dst && v.SrcPort <= v.DstPort {
		return Key{src, dst, uint32(v.SrcPort)<<16 | uint32(v.DstPort)}, true
	}
	return Key{dst, src, uint32(v.DstPort)<<16 | uint32(v.SrcPort)}, false
}

// hash spreads k over 64 bits. Without the seeds nobody can make keys that collide.
func (k *Key) hash(seed *[4]uint64) uint64 {
	x := fold(k.low[0]^seed[0], k.low[1]^seed[1])
	y := fold(k.high[0]^seed[2], k.high[1]^seed[3])
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
