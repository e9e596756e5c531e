package pcap

import (
	"encoding/binary"
	"fmt"
)

// Link types, draft-ietf-opsawg-pcaplinktype. The numbers of raw IP differed between
// systems before they were assigned.
const (
	linkNull      = 0
	linkEthernet  = 1
	linkRawBSD    = 12
	linkRawOther  = 14
	linkRaw       = 101
	linkLoop      = 108
	linkLinuxSLL  = 113
	linkIPv4      = 228
	linkIPv6      = 229
	linkLinuxSLL2 = 276
)

// otherLinks names link types that people meet and we don't read.
var otherLinks = map[uint16]string{
	9:   "PPP",
	10:  "FDDI",
	105: "IEEE 802.11",
	119: "IEEE 802.11 with Prism header",
	127: "IEEE 802.11 with radiotap header",
	143: "DOCSIS",
	187: "Bluetooth HCI",
	189: "USB",
	195: "IEEE 802.15.4",
	220: "USB with Linux header",
	239: "NFLOG",
	249: "USBPcap",
}

// EtherTypes, IANA's IEEE 802 numbers.
const (
	etherIPv4         = 0x0800
	etherIPv6         = 0x86dd
	etherVLAN         = 0x8100
	etherQinQ         = 0x88a8
	etherQinQOld      = 0x9100
	etherMPLS         = 0x8847
	etherMPLSUpstream = 0x8848
	etherPPPoE        = 0x8864 // session stage, RFC 2516 section 4

	maxLLCLength = 1500 // smaller values are IEEE 802.3 lengths
)

// ipPacket returns the IP packet in a frame, or nil where there is none.
func ipPacket(link uint16, b []byte) ([]byte, error) {
	switch link {
	case linkEthernet:
		return skip(b, 14, 12), nil
	case linkRaw, linkRawBSD, linkRawOther, linkIPv4, linkIPv6:
		return b, nil
	case linkNull, linkLoop:
		// The address family differs between systems; the packet says as much itself.
		if len(b) < 4 {
			return nil, nil
		}
		return b[4:], nil
	case linkLinuxSLL:
		return skip(b, 16, 14), nil
	case linkLinuxSLL2:
		return skip(b, 20, 0), nil
	}
	name := otherLinks[link]
	if name != "" {
		name = " (" + name + ")"
	}
	return nil, fmt.Errorf("%w: %d%s; capture on an Ethernet or IP interface, or on \"any\"", ErrLinkType, link, name)
}

// skip passes over a header of n octets that has an EtherType at that position.
func skip(b []byte, n, etherType int) []byte {
	if len(b) < n {
		return nil
	}
	return network(binary.BigEndian.Uint16(b[etherType:]), b[n:])
}

// network passes over what may stand between an EtherType and IP.
func network(etherType uint16, b []byte) []byte {
	for {
		switch etherType {
		case etherIPv4, etherIPv6:
			return b
		case etherVLAN, etherQinQ, etherQinQOld:
			if len(b) < 4 {
				return nil
			}
			etherType, b = binary.BigEndian.Uint16(b[2:]), b[4:]
		case etherMPLS, etherMPLSUpstream:
			return unlabel(b)
		case etherPPPoE:
			return pppoe(b)
		default:
			// IEEE 802.3 with LLC and SNAP headers, RFC 1042.
			if etherType > maxLLCLength || len(b) < 8 || string(b[:6]) != "\xaa\xaa\x03\x00\x00\x00" {
				return nil
			}
			if etherType = binary.BigEndian.Uint16(b[6:]); etherType <= maxLLCLength {
				return nil
			}
			b = b[8:]
		}
	}
}

// unlabel takes off MPLS labels down to the bottom of the stack, RFC 3032 section 2.1.
// What lies under them doesn't say what it is; package packet looks.
func unlabel(b []byte) []byte {
	const bottom = 0x01
	for len(b) >= 4 {
		last := b[2]&bottom != 0
		if b = b[4:]; last {
			return b
		}
	}
	return nil
}

// pppoe takes off the PPPoE header and the PPP protocol, RFC 2516 section 4.
func pppoe(b []byte) []byte {
	const (
		pppIPv4 = 0x0021 // RFC 1332
		pppIPv6 = 0x0057 // RFC 5072
	)
	if len(b) < 8 {
		return nil
	}
	if p := binary.BigEndian.Uint16(b[6:]); p != pppIPv4 && p != pppIPv6 {
		return nil
	}
	return b[8:]
}
