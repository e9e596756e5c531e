package main

import (
	"fmt"
	"strings"

	"keepword/inspect/packet"
)

// Segment is one packet that a schedule has its side send. Its zero value but for
// Octets is what a lawful sender sends at the beginning of the stream.
type Segment struct {
	// Why says what is wrong with it; empty: nothing.
	Why string
	// Offset is where its octets begin in the side's stream; the SYN is at -1.
	Offset int
	Octets []byte
	// Flags are set besides ACK, Without is cleared.
	Flags, Without packet.Flags
	// AckOffset is added to the sequence number that is expected of the other side.
	AckOffset int
	Urgent    uint16
	// Stale is subtracted from the timestamp; Bare leaves the option out.
	Stale uint32
	Bare  bool
	// Options are added behind the timestamp, padded to a multiple of four octets.
	Options []byte
	// DataOffset is the header's length in words of 32 bits; 0: the right one.
	DataOffset int
	// BadChecksum spoils the TCP checksum.
	BadChecksum bool
	// HopLimit of IPv6, time to live of IPv4; 0: enough.
	HopLimit uint8
	// NoWindow announces a window of no octets.
	NoWindow bool
	// Pieces are the fragments that are sent in place of the packet, in their order.
	Pieces []Piece
}

// Piece is a fragment: a part of the IP packet's payload, both ends multiples of eight
// octets but for the packet's end, which a To beyond it stands for.
type Piece struct {
	From, To int
	// Forged are put in the place of its last octets: its neighbour says otherwise.
	Forged []byte
}

// String describes the segment in one line.
func (s *Segment) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%6d..%-6d", s.Offset, s.Offset+len(s.Octets))
	flags := packet.ACK&^s.Without | s.Flags
	for _, f := range []struct {
		bit  packet.Flags
		name string
	}{{packet.SYN, "SYN"}, {packet.FIN, "FIN"}, {packet.RST, "RST"}, {packet.PSH, "PSH"}, {packet.URG, "URG"}, {packet.ACK, "ACK"}} {
		if flags.Has(f.bit) {
			b.WriteString(" " + f.name)
		}
	}
	for _, f := range []struct {
		set  bool
		text string
	}{
		{s.AckOffset != 0, fmt.Sprintf("ack%+d", s.AckOffset)},
		{s.Urgent != 0, fmt.Sprintf("urgent %d", s.Urgent)},
		{s.Stale != 0, fmt.Sprintf("timestamp -%d", s.Stale)},
		{s.Bare, "no timestamp"},
		{len(s.Options) > 0, fmt.Sprintf("options %x", s.Options)},
		{s.DataOffset != 0, fmt.Sprintf("data offset %d", s.DataOffset)},
		{s.BadChecksum, "bad checksum"},
		{s.HopLimit != 0, fmt.Sprintf("hop limit %d", s.HopLimit)},
		{s.NoWindow, "window 0"},
	} {
		if f.set {
			b.WriteString(", " + f.text)
		}
	}
	for _, p := range s.Pieces {
		fmt.Fprintf(&b, ", fragment %d..%d", p.From, p.To)
		if len(p.Forged) > 0 {
			fmt.Fprintf(&b, " forged to end in %q", p.Forged)
		}
	}
	if s.Why != "" {
		b.WriteString(": " + s.Why)
	}
	if len(s.Octets) > 0 {
		const quoted = 60
		fmt.Fprintf(&b, "  %q", s.Octets[:min(len(s.Octets), quoted)])
		if len(s.Octets) > quoted {
			b.WriteString("…")
		}
	}
	return b.String()
}

const (
	// segmentLimit is the longest payload of one segment: the links carry packets of
	// 1500 octets. A longer payload is sent as one packet that stands for many segments.
	segmentLimit = 1400
	// largestPayload is the longest of those: an IP packet of 65,535 octets, less the
	// longest headers that it is sent with.
	largestPayload = 1<<16 - 1 - ipv6Header - tcpHeader - 12
)

// divisible says that the segment may be a packet that stands for many segments: the
// kernel that divides it makes new checksums and headers.
func (s *Segment) divisible() bool {
	return (s.Flags|s.Without)&^packet.PSH == 0 && s.Urgent == 0 && s.DataOffset == 0 && !s.BadChecksum && len(s.Options) == 0 && len(s.Pieces) == 0
}
