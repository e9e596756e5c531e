package main

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"keepword/inspect/packet"
)

// eachIP calls f with headers over IPv4 and IPv6.
func eachIP(f func(h headers)) {
	for _, ends := range [][2]string{{"192.0.2.10:2000", "203.0.113.25:25"}, {"[2001:db8:1::10]:2000", "[2001:db8:3::25]:25"}} {
		f(headers{
			from: netip.MustParseAddrPort(ends[0]), to: netip.MustParseAddrPort(ends[1]),
			first: 1<<32 - 2, ack: 77, window: 1000, stamps: true, stamp: 50, echo: 7,
		})
	}
}

func TestAPacketSaysWhatItsSegmentSays(t *testing.T) {
	eachIP(func(h headers) {
		s := Segment{Offset: 4, Octets: []byte("DATA\r\n"), Flags: packet.PSH, Stale: 20, AckOffset: -7}
		for _, bad := range []bool{false, true} {
			s.BadChecksum = bad
			pkt := s.packets(&h)[0]
			var v packet.View
			if c := packet.Parse(pkt, &v); c != packet.OK {
				t.Fatalf("%v", c)
			}
			o, _ := packet.ParseOptions(v.Options)
			if v.Seq != 2 || v.Ack != 70 || v.Flags != packet.ACK|packet.PSH || string(v.Payload) != "DATA\r\n" || v.Window != 1000 ||
				o.TSVal != 30 || o.TSEcr != 7 {
				t.Errorf("%+v, %+v", v, o)
			}
			if v.ChecksumOK() == bad || isIntact(pkt) == bad {
				t.Errorf("spoilt %v: inspection says %v, we %v", bad, v.ChecksumOK(), isIntact(pkt))
			}
		}
		s.BadChecksum = false
		whole := s.packets(&h)[0]
		header := len(whole) - 32 - len(s.Octets)
		s.Pieces = []Piece{{From: 24, To: 1 << 16}, {From: 0, To: 24}}
		pieces := s.packets(&h)
		tail, head := pieces[0], pieces[1]
		if got := append(bytes.Clone(head[len(head)-24:]), tail[len(tail)-14:]...); !bytes.Equal(got, whole[header:]) {
			t.Errorf("the fragments are %x, the packet %x", got, whole[header:])
		}
	})
}

func TestALargePacketHasTheChecksumThatADividingKernelWants(t *testing.T) {
	eachIP(func(h headers) {
		s := Segment{Octets: make([]byte, largestPayload)}
		pkt := s.packets(&h)[0]
		if len(pkt) > 1<<16-1 {
			t.Fatalf("%d octets", len(pkt))
		}
		var v packet.View
		packet.Parse(pkt, &v)
		at := len(pkt) - len(s.Octets) - 32 + tcpChecksum
		if v.ChecksumOK() {
			t.Error("it is complete already")
		}
		// What the card or the kernel does: the sum of the segment, with the
		// pseudo-header's in the checksum's place.
		binary.BigEndian.PutUint16(pkt[at:], fold(sumOf(pkt[at-tcpChecksum:])))
		if !v.ChecksumOK() {
			t.Error("it is wrong when completed")
		}
	})
}
