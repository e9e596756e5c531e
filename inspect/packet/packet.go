// Package packet gives checked, zero-copy views of TCP segments in IPv4 (RFC 791) and
// IPv6 (RFC 8200) packets, RFC 9293 section 3.1.
//
// Parse checks every length once and classifies; it never fails and never allocates.
// What a View gives afterwards lies within the packet's own IP length, so that no
// accessor can panic and link padding is never mistaken for payload. Edits are made
// in place. Segment builds the few packets that keepword sends of its own.
package packet

// Class is what Parse makes of a packet. Only OK gives a whole View.
type Class uint8

const (
	// OK is a whole TCP segment.
	OK Class = iota
	// NotTCP is an IP packet, or a fragment of one, that carries something else.
	NotTCP
	// Fragment is a part of a packet (a fragment offset, or more fragments to come)
	// that may carry TCP.
	Fragment
	// BadHeader is a packet that a receiver would discard: lengths that contradict
	// each other, or a source route that has not been travelled to its end.
	//
	// It is also what a packet longer than its length field can say gets (an IPv6
	// jumbogram, RFC 2675, and the total length 0 of Linux's BIG TCP for IPv4): a
	// netfilter queue can't hand over more than 64 KiB.
	BadHeader
	// Truncated is a packet of which the capture kept only the beginning.
	Truncated
	// NotIP is neither IPv4 nor IPv6.
	NotIP

	classes
)

var classNames = [classes]string{"ok", "not-tcp", "fragment", "bad-header", "truncated", "not-ip"}

// String returns the class's name, for counters.
func (c Class) String() string {
	if c < classes {
		return classNames[c]
	}
	return "invalid"
}

// Flags are the control bits of a TCP header, RFC 9293 section 3.1.
type Flags uint8

// The control bits.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE // RFC 3168
	CWR // RFC 3168
)

// Has says whether all bits of g are set.
func (f Flags) Has(g Flags) bool { return f&g == g }

// Acceptable says whether a receiver may act on a segment with these control bits: from
// the SYN on, all but a RST carry ACK (RFC 9293 section 3.10.7), and a SYN opens a
// connection and neither ends one nor resets it.
func (f Flags) Acceptable() bool {
	if f.Has(SYN) {
		return f&(FIN|RST) == 0
	}
	return f&(ACK|RST) != 0
}

// Octets of the fixed headers, and the protocol numbers that Parse knows.
const (
	ipv4HeaderLen = 20
	ipv6HeaderLen = 40
	tcpHeaderLen  = 20

	protoHopByHop    = 0
	protoTCP         = 6
	protoRouting     = 43
	protoFragment    = 44
	protoAH          = 51
	protoDestination = 60
)

// Positions within the TCP header.
const (
	tcpSeq      = 4
	tcpAck      = 8
	tcpOffset   = 12
	tcpFlags    = 13
	tcpWindow   = 14
	tcpChecksum = 16
	tcpUrgent   = 18
)

// View is a TCP segment where it lies in a packet's octets. Its slices, and those
// that its methods return, share the memory that was given to Parse and live as long.
type View struct {
	// Version is 4 or 6.
	Version uint8
	// HopLimit is IPv6's, or IPv4's time to live.
	HopLimit uint8
	// Src and Dst are the addresses of the packet's two ends, IPv4's as IPv4-mapped
	// IPv6 addresses (RFC 4291 section 2.5.5.2). Under an IPv6 routing header Dst is
	// the final destination, which is also what the TCP checksum covers (RFC 8200
	// section 8.1).
	Src, Dst         [16]byte
	SrcPort, DstPort uint16
	Seq, Ack         uint32
	Flags            Flags
	// Window is as it stands in the header, not scaled.
	Window uint16
	Urgent uint16
	// Options and Payload are empty where the segment has none. Neither can be
	// appended to without a copy.
	Options, Payload []byte

	packet []byte // from the IP header to the end of the payload
	tcp    int    // where the TCP header begins in packet
}

// Bytes returns the packet, cut to the length that its IP header gives.
func (v *View) Bytes() []byte { return v.packet }
