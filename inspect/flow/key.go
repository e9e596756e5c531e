// Package flow names TCP connections, follows their state (RFC 9293 §3.3.2), and keeps
// what is known of each in a bounded table.
package flow

import (
	"bytes"
	"net/netip"

	"keepword/inspect/packet"
)

// Key names a connection by its two ends, whichever sent the packet at hand: the lower
// address and port come first.
type Key struct {
	low, high         [16]byte
	lowPort, highPort uint16
}

// KeyOf returns the key of v's connection, and whether its lower end sent v.
func KeyOf(v *packet.View) (k Key, fromLow bool) {
	c := bytes.Compare(v.Src[:], v.Dst[:])
	if c < 0 || c == 0 && v.SrcPort <= v.DstPort {
		return Key{v.Src, v.Dst, v.SrcPort, v.DstPort}, true
	}
	return Key{v.Dst, v.Src, v.DstPort, v.SrcPort}, false
}

// End returns the lower or the higher end. IPv4 addresses are plain ones.
func (k *Key) End(low bool) netip.AddrPort {
	if low {
		return netip.AddrPortFrom(netip.AddrFrom16(k.low).Unmap(), k.lowPort)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(k.high).Unmap(), k.highPort)
}

// Octets returns the address of the lower or the higher end as packet.View has it.
func (k *Key) Octets(low bool) ([16]byte, uint16) {
	if low {
		return k.low, k.lowPort
	}
	return k.high, k.highPort
}
