package packet

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

var anyIPv4 = netip.IPv4Unspecified().As16()

// withOptions is a SYN with these TCP options, cut to what a header holds and padded.
func withOptions(options []byte) []byte {
	const most = 40
	options = bytes.Clone(options[:min(len(options), most)])
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	s := Segment{Version: 4, Src: anyIPv4, Dst: anyIPv4, Flags: SYN, HopLimit: 64, Payload: options}
	b := s.Append(nil)
	b[20+tcpOffset] += byte(len(options) / 4 << 4)
	return b
}

// FuzzOptions asks of any TCP options: agreement with another decoder where both take
// them, and that what is altered on a SYN is what was to be altered and nothing else.
func FuzzOptions(f *testing.F) {
	f.Add([]byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7}, uint16(1000))
	f.Add([]byte{30, 12, 1, 0x81, 1, 2, 3, 4, 5, 6, 7, 8, 2, 4, 0xff, 0xff}, uint16(536))
	f.Add([]byte{1, 1, 30, 4, 0, 1, 30, 2, 34, 2, 254, 4, 0xf9, 0x89, 19, 3, 29, 4, 0, 0}, uint16(0))
	f.Add([]byte{2, 4, 5}, uint16(7))
	f.Fuzz(func(t *testing.T, options []byte, limit uint16) {
		b := withOptions(options)
		var v View
		if c := Parse(b, &v); c != OK {
			t.Fatalf("the options made the packet %v", c)
		}
		o, ok := ParseOptions(v.Options)
		if o.WScale > maxWScale {
			t.Fatalf("a shift of %d", o.WScale)
		}
		var seg layers.TCP
		judges := bytes.IndexByte(v.Options, optMultipath) < 0 // gopacket goes no further than an odd one of those
		if err := seg.DecodeFromBytes(v.Bytes()[20:], gopacket.NilDecodeFeedback); err == nil && ok && judges {
			compareOptions(t, o, seg.Options)
		}
		header := bytes.Clone(v.Bytes())

		lowered := v.LowerMSS(limit)
		after, _ := ParseOptions(v.Options)
		if lowered != !bytes.Equal(v.Bytes(), header) {
			t.Fatalf("says %v: % x became % x", lowered, header, v.Bytes())
		}
		if lowered && v.LowerMSS(limit) {
			t.Fatal("lowered twice")
		}
		// The first of several counts for us, the last for Linux; one of them is enough to see.
		after.MSS, o.MSS = 0, 0
		if after != o {
			t.Fatalf("lowering the MSS changed %+v into %+v", o, after)
		}

		before := bytes.Clone(v.Bytes())
		cleared := v.ClearMultipath()
		if cleared != !bytes.Equal(v.Bytes(), before) {
			t.Fatalf("says %v: % x became % x", cleared, before, v.Bytes())
		}
		if v.ClearMultipath() {
			t.Fatal("cleared twice")
		}
		if again, _ := ParseOptions(v.Options); again.WScale != o.WScale || again.HasTimestamp != o.HasTimestamp || again.SACKPermitted != o.SACKPermitted {
			t.Fatalf("taking Multipath off changed %+v into %+v", o, again)
		}
	})
}

// compareOptions holds well-formed options against gopacket's reading: the last of each
// kind counts.
func compareOptions(t *testing.T, o Options, list []layers.TCPOption) {
	t.Helper()
	var want Options
	for _, p := range list {
		switch p.OptionType {
		case layers.TCPOptionKindEndList:
			if o != want {
				t.Fatalf("we read %+v, gopacket %+v: %v", o, want, list)
			}
			return
		case layers.TCPOptionKindMSS:
			want.MSS = binary.BigEndian.Uint16(p.OptionData)
		case layers.TCPOptionKindWindowScale:
			want.WScale, want.HasWScale = min(p.OptionData[0], maxWScale), true
		case layers.TCPOptionKindSACKPermitted:
			want.SACKPermitted = true
		case layers.TCPOptionKindTimestamps:
			want.TSVal, want.TSEcr = binary.BigEndian.Uint32(p.OptionData), binary.BigEndian.Uint32(p.OptionData[4:])
			want.HasTimestamp = true
		case optMD5:
			want.MD5 = true
		case optAO:
			want.AO = true
		case optFastOpen:
			want.FastOpen = true
		case optExperiment:
			want.FastOpen = want.FastOpen || len(p.OptionData) >= 2 && binary.BigEndian.Uint16(p.OptionData) == fastOpenExperiment
		}
	}
	if o != want {
		t.Fatalf("we read %+v, gopacket %+v: %v", o, want, list)
	}
}

// FuzzSegment builds packets of ours from any fields, and reads them back.
func FuzzSegment(f *testing.F) {
	f.Add(true, []byte("198.51.100.25 and others: 32 oct"), uint32(1<<32-1), uint32(7), uint8(24), uint16(65535), []byte("421 4.7.0 no\r\n"), true)
	f.Add(false, bytes.Repeat([]byte{0x20}, 32), uint32(0), uint32(0), uint8(4), uint16(0), []byte(nil), false)
	f.Fuzz(func(t *testing.T, six bool, addrs []byte, seq, ack uint32, flags uint8, window uint16, payload []byte, stamped bool) {
		addrs = append(bytes.Clone(addrs), make([]byte, 32)...)
		s := Segment{Version: 6, Src: [16]byte(addrs), Dst: [16]byte(addrs[16:]), SrcPort: uint16(seq), DstPort: uint16(ack),
			Seq: seq, Ack: ack, Flags: Flags(flags), Window: window, HopLimit: uint8(window), Payload: payload, HasTimestamp: stamped, TSVal: ack, TSEcr: seq}
		if !six {
			s.Version = 4
			copy(s.Src[:12], anyIPv4[:])
			copy(s.Dst[:12], anyIPv4[:])
		}
		front := []byte("in front")
		out := s.Append(bytes.Clone(front))
		if !bytes.HasPrefix(out, front) {
			t.Fatal("what stood in front is gone")
		}
		var v View
		if c := Parse(out[len(front):], &v); c != OK || !v.ChecksumOK() {
			t.Fatalf("class %v, checksum %v", c, v.ChecksumOK())
		}
		o, ok := ParseOptions(v.Options)
		if v.Version != s.Version || v.Src != s.Src || v.Dst != s.Dst || v.SrcPort != s.SrcPort || v.DstPort != s.DstPort ||
			v.Seq != seq || v.Ack != ack || v.Flags != s.Flags || v.Window != window || v.HopLimit != s.HopLimit ||
			!ok || o.HasTimestamp != stamped || stamped && (o.TSVal != ack || o.TSEcr != seq) {
			t.Fatalf("built %+v, read %+v, options %+v", s, v, o)
		}
		if !bytes.HasPrefix(payload, v.Payload) || len(v.Payload) < min(len(payload), 60_000) {
			t.Fatalf("of %d octets of payload %d were read", len(payload), len(v.Payload))
		}
	})
}
