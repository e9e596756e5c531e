package packet

import (
	"bytes"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// bothVersions builds the same segment in IPv4 and, behind an extension header, in
// IPv6.
func bothVersions(t *testing.T, seg func() *layers.TCP, payload string) [][]byte {
	return [][]byte{
		build(t, ipv4(), nil, seg(), payload),
		build(t, ipv6(layers.IPProtocolIPv6Destination), []byte{6, 0, 1, 4, 0, 0, 0, 0}, seg(), payload),
	}
}

func TestACutSegmentIsAWholePacket(t *testing.T) {
	const payload = "220 a\r\n250 b\r\n"
	last := func() *layers.TCP { s := tcp(); s.FIN = true; return s }
	for n := range len(payload) + 3 {
		for _, b := range bothVersions(t, last, payload) {
			v := mustParse(t, b)
			out := v.Truncate(n)
			again := mustParse(t, out)
			want := payload[:min(n, len(payload))]
			if string(again.Payload) != want || string(v.Payload) != want {
				t.Errorf("cut to %d: %q, the view says %q", n, again.Payload, v.Payload)
			}
			if !again.ChecksumOK() || !v.ChecksumOK() {
				t.Errorf("cut to %d: wrong checksum", n)
			}
			if wantFIN := n >= len(payload); again.Flags.Has(FIN) != wantFIN || again.Flags != v.Flags || !again.Flags.Has(PSH|ACK) {
				t.Errorf("cut to %d: flags %08b, the view says %08b", n, again.Flags, v.Flags)
			}
			if len(again.Bytes()) != len(out) {
				t.Errorf("cut to %d: the packet's length says %d, it has %d", n, len(again.Bytes()), len(out))
			}
		}
	}
}

func TestEditsInPlaceGetRightChecksums(t *testing.T) {
	for _, b := range bothVersions(t, tcp, "250 OK\r\n") {
		v := mustParse(t, b)
		copy(v.Payload, "454 No")
		v.SetWindow(0x1234)
		if v.ChecksumOK() {
			t.Error("the old checksum is right for new octets")
		}
		v.SetChecksums()
		again := mustParse(t, b)
		if !again.ChecksumOK() || string(again.Payload) != "454 No\r\n" || again.Window != 0x1234 || v.Window != 0x1234 {
			t.Errorf("%+v", again)
		}
	}
}

func TestClearUrgentClearsTheFlagAndThePointer(t *testing.T) {
	urgent := func() *layers.TCP { s := tcp(); s.URG, s.Urgent = true, 3; return s }
	for _, b := range bothVersions(t, urgent, "RCPT") {
		v := mustParse(t, b)
		if !v.Flags.Has(URG) || v.Urgent != 3 {
			t.Fatal("not urgent to begin with")
		}
		v.ClearUrgent()
		v.SetChecksums()
		again := mustParse(t, b)
		if again.Flags != ACK|PSH || again.Urgent != 0 || v.Flags != again.Flags || v.Urgent != 0 || !again.ChecksumOK() {
			t.Errorf("%+v", again)
		}
	}
}

func TestTheFastSumIsTheRFCsSum(t *testing.T) {
	b := make([]byte, 300)
	for _, fill := range []func(int) byte{
		func(i int) byte { return byte(i * 37) },
		func(int) byte { return 0xff },
		func(i int) byte { return byte(i%8/7) * 0xff },
	} {
		for i := range b {
			b[i] = fill(i)
		}
		for n := range b {
			if got, want := fold(sum(0, b[:n])), slowSum(b[:n]); got != want {
				t.Errorf("%d octets: %04x, want %04x", n, got, want)
			}
		}
	}
}

func TestAnAppendedSegmentReadsBackEqual(t *testing.T) {
	base := Segment{SrcPort: 25, DstPort: 40000, Seq: 1 << 31, Ack: 5, Flags: ACK | PSH, Window: 7, HopLimit: 61}
	for _, version := range []uint8{4, 6} {
		for _, stamped := range []bool{false, true} {
			for _, payload := range []string{"", "421 4.7.0 no\r\n"} {
				s := base
				s.Version, s.HasTimestamp, s.Payload = version, stamped, []byte(payload)
				s.TSVal, s.TSEcr = 3, 4
				if !stamped {
					s.TSVal, s.TSEcr = 0, 0
				}
				if version == 4 {
					copy(s.Src[:], src4.To16())
					copy(s.Dst[:], dst4.To16())
				} else {
					copy(s.Src[:], src6)
					copy(s.Dst[:], dst6)
				}
				out := s.Append([]byte("before"))
				if string(out[:6]) != "before" {
					t.Fatal("what stood before is lost")
				}
				v := mustParse(t, out[6:])
				o, ok := ParseOptions(v.Options)
				got := Segment{v.Version, v.Src, v.Dst, v.SrcPort, v.DstPort, v.Seq, v.Ack, v.Flags, v.Window, v.HopLimit,
					o.HasTimestamp, o.TSVal, o.TSEcr, v.Payload}
				if !ok || !v.ChecksumOK() || !bytes.Equal(got.Payload, s.Payload) {
					t.Errorf("IPv%d: %+v", version, v)
				}
				got.Payload, s.Payload = nil, nil
				if !sameSegment(got, s) {
					t.Errorf("IPv%d: %+v, want %+v", version, got, s)
				}
				first := layers.LayerTypeIPv4
				if version == 6 {
					first = layers.LayerTypeIPv6
				}
				if err := gopacket.NewPacket(out[6:], first, gopacket.Default).ErrorLayer(); err != nil {
					t.Errorf("IPv%d: another decoder says %v", version, err.Error())
				}
			}
		}
	}
}

// sameSegment compares all but the payloads.
func sameSegment(a, b Segment) bool {
	a.Payload, b.Payload = nil, nil
	return a.Version == b.Version && a.Src == b.Src && a.Dst == b.Dst && a.SrcPort == b.SrcPort && a.DstPort == b.DstPort &&
		a.Seq == b.Seq && a.Ack == b.Ack && a.Flags == b.Flags && a.Window == b.Window && a.HopLimit == b.HopLimit &&
		a.HasTimestamp == b.HasTimestamp && a.TSVal == b.TSVal && a.TSEcr == b.TSEcr
}

func TestAPayloadTooLongForAPacketIsCut(t *testing.T) {
	s := Segment{Version: 4, HasTimestamp: true, Payload: make([]byte, MaxPayload+1)}
	if v := mustParse(t, s.Append(nil)); len(v.Payload) != MaxPayload || !v.ChecksumOK() {
		t.Errorf("%d octets", len(v.Payload))
	}
}

func TestOptionsAreReadAsTheirRFCsSay(t *testing.T) {
	tests := []struct {
		name string
		b    string
		want Options
		ok   bool
	}{
		{"none", "", Options{}, true},
		{"of a SYN", "\x02\x04\x05\xb4\x04\x02\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x02\x01\x03\x03\x07",
			Options{MSS: 1460, SACKPermitted: true, HasTimestamp: true, TSVal: 1, TSEcr: 2, HasWScale: true, WScale: 7}, true},
		{"a shift over 14", "\x03\x03\x0f", Options{HasWScale: true, WScale: 14}, true},
		{"the end hides the rest", "\x01\x00\x03\x03\x07", Options{}, true},
		{"signed", "\x13\x120123456789abcdef", Options{MD5: true}, true},
		{"authenticated", "\x1d\x04ab", Options{AO: true}, true},
		{"Fast Open", "\x22\x02", Options{FastOpen: true}, true},
		{"Fast Open, experimental", "\xfe\x04\xf9\x89", Options{FastOpen: true}, true},
		{"another experiment", "\xfe\x04\xf9\x88", Options{}, true},
		{"an unknown kind", "\x63\x03x\x04\x02", Options{SACKPermitted: true}, true},
		{"length 0", "\x04\x02\x63\x00\x03\x03\x07", Options{SACKPermitted: true}, false},
		{"length 1", "\x63\x01", Options{}, false},
		{"no length", "\x01\x63", Options{}, false},
		{"beyond the header", "\x08\x0a\x00", Options{}, false},
		{"a known kind of wrong length is passed over", "\x02\x03\x05\x04\x02", Options{SACKPermitted: true}, false},
		{"timestamp of wrong length", "\x08\x03\x05", Options{}, false},
		{"shift of wrong length", "\x03\x02", Options{}, false},
		{"SACK permitted of wrong length", "\x04\x03\x00", Options{}, false},
		{"signature of wrong length", "\x13\x02", Options{}, false},
		{"authentication of wrong length", "\x1d\x03\x00", Options{}, false},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			if got, ok := ParseOptions([]byte(c.b)); got != c.want || ok != c.ok {
				t.Errorf("%+v, %v", got, ok)
			}
		})
	}
}
