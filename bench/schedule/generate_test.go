package main

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"keepword/inspect/packet"
)

func TestASeedAlwaysMakesTheSameSchedule(t *testing.T) {
	for seed := range uint64(200) {
		if a, b := Generate(seed).String(), Generate(seed).String(); a != b {
			t.Fatalf("seed %d makes\n%s and\n%s", seed, a, b)
		}
	}
}

func TestTheSegmentsOfALawfulScheduleAreTheText(t *testing.T) {
	lawful := 0
	for seed := range uint64(300) {
		s := Generate(seed)
		if !s.Lawful {
			continue
		}
		lawful++
		text := s.Text()
		sent := make([]bool, len(text))
		for _, turn := range s.Turns {
			for _, seg := range turn.Segments {
				if seg.Why != "" {
					t.Errorf("seed %d: %v", seed, &seg)
				}
				if !bytes.Equal(text[seg.Offset:seg.Offset+len(seg.Octets)], seg.Octets) {
					t.Errorf("seed %d says at %d %q", seed, seg.Offset, seg.Octets)
				}
				for i := range seg.Octets {
					sent[seg.Offset+i] = true
				}
			}
		}
		if i := bytes.IndexByte([]byte(boolString(sent)), '0'); i >= 0 {
			t.Errorf("seed %d never sends octet %d", seed, i)
		}
	}
	if lawful == 0 {
		t.Error("no lawful schedule")
	}
}

func boolString(list []bool) string {
	b := make([]byte, len(list))
	for i, x := range list {
		b[i] = '0'
		if x {
			b[i] = '1'
		}
	}
	return string(b)
}

func TestEveryKindOfHostilePacketIsMade(t *testing.T) {
	made := map[string]bool{}
	for seed := range uint64(3000) {
		for _, turn := range Generate(seed).Turns {
			for _, seg := range turn.Segments {
				made[seg.Why] = true
			}
		}
	}
	for _, why := range []string{
		"other octets", "repeated", "bad checksum", "bad data offset", "out of window", "far in the window", "urgent",
		"urgent octets to come", "urgent pointer without URG", "SYN with data", "old timestamp", "no timestamp", "odd options",
		"no ACK", "acknowledges what it should not", "no window", "RST with a wrong number", "RST with the right number",
		"FIN with a wrong number", "FIN with the right number", "FIN far ahead", "SYN, FIN, RST and all", "fragments",
		"fragments that overlap with other octets", "a fragment without the others", "other octets, expires behind the gateway",
	} {
		if !made[why] {
			t.Errorf("none is %q", why)
		}
	}
}

func TestAPacketSaysWhatItsSegmentSays(t *testing.T) {
	for _, ends := range [][2]string{{"192.0.2.10:2000", "203.0.113.25:25"}, {"[2001:db8:1::10]:2000", "[2001:db8:3::25]:25"}} {
		h := headers{
			client: netip.MustParseAddrPort(ends[0]), server: netip.MustParseAddrPort(ends[1]),
			first: 1<<32 - 2, ack: 77, window: 1000, stamps: true, stamp: 50, echo: 7,
		}
		s := Segment{Offset: 4, Octets: []byte("DATA\r\n"), Flags: packet.PSH, Stale: 20, AckOffset: -7, HopLimit: expires}
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
			before := binary.BigEndian.Uint16(pkt[len(pkt)-len(v.Payload)-12-4:])
			v.SetChecksums()
			if after := binary.BigEndian.Uint16(pkt[len(pkt)-len(v.Payload)-12-4:]); (before != after) != bad {
				t.Errorf("checksum %x, the right one is %x", before, after)
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
	}
}
