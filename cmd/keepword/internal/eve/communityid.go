package eve

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
)

// protocolTCP is TCP's number in the IANA registry of protocol numbers.
const protocolTCP = 6

// CommunityID returns the Community ID, version 1, seed 0, of the TCP flow between a
// and b. Both orders give the same id, so that the events of other sensors can be
// joined with ours. SHA-1 is what the specification asks for; nothing here depends
// on its strength.
func CommunityID(a, b netip.AddrPort) string {
	a, b = unmap(a), unmap(b)
	if b.Compare(a) < 0 { // the smaller address first, then the smaller port
		a, b = b, a
	}
	const longest = 2 + 16 + 16 + 2 + 2 + 2
	msg := make([]byte, 2, longest) // the seed, in network order: 0
	msg = append(msg, a.Addr().AsSlice()...)
	msg = append(msg, b.Addr().AsSlice()...)
	msg = append(msg, protocolTCP, 0)
	msg = binary.BigEndian.AppendUint16(msg, a.Port())
	msg = binary.BigEndian.AppendUint16(msg, b.Port())
	sum := sha1.Sum(msg)
	return "1:" + base64.StdEncoding.EncodeToString(sum[:])
}

// unmap turns an IPv4 address in IPv6 clothes into the IPv4 address that it is.
func unmap(p netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
