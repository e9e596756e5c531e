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
	return string(appendCommunityID(nil, a, b))
}

// appendCommunityID appends the id of CommunityID to dst.
func appendCommunityID(dst []byte, a, b netip.AddrPort) []byte {
	a, b = unmap(a), unmap(b)
	if b.Compare(a) < 0 { // the smaller address first, then the smaller port
		a, b = b, a
	}
	const longest = 2 + 16 + 16 + 2 + 2 + 2
	msg := make([]byte, 2, longest) // the seed, in network order: 0
	msg = appendOctets(msg, a.Addr())
	msg = appendOctets(msg, b.Addr())
	msg = append(msg, protocolTCP, 0)
	msg = binary.BigEndian.AppendUint16(msg, a.Port())
	msg = binary.BigEndian.AppendUint16(msg, b.Port())
	sum := sha1.Sum(msg)
	return base64.StdEncoding.AppendEncode(append(dst, "1:"...), sum[:])
}

// appendOctets appends a as it stands in an IP header, and nothing for no address.
func appendOctets(b []byte, a netip.Addr) []byte {
	switch {
	case a.Is4():
		v4 := a.As4()
		return append(b, v4[:]...)
	case a.Is6():
		v6 := a.As16()
		return append(b, v6[:]...)
	}
	return b
}

// unmap turns an IPv4 address in IPv6 clothes into the IPv4 address that it is.
func unmap(p netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
