package packet

import (
	"bytes"
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// FuzzParse asks three things of any octets: no panic, no slice outside of the
// packet, and agreement with another decoder wherever both take the packet.
func FuzzParse(f *testing.F) {
	f.Add(build(f, ipv4(), nil, tcp(), "EHLO a\r\n"))
	f.Add(build(f, ipv6(layers.IPProtocolTCP), nil, tcp(), "EHLO a\r\n"))
	f.Add(build(f, ipv6(0), []byte{60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 1}, tcp(), "x"))
	f.Add(build(f, ipv6(51), append([]byte{43, 4, 0, 0}, append(make([]byte, 20), 6, 2, 4, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8)...), tcp(), "x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		given := bytes.Clone(b)
		var v View
		if Parse(b, &v) != OK {
			return
		}
		p := v.Bytes()
		if len(p) > len(b) || &p[0] != &b[0] || cap(p) != len(p) {
			t.Fatal("the packet is not a beginning of what was given")
		}
		if len(v.Payload) > 0 && &v.Payload[len(v.Payload)-1] != &p[len(p)-1] {
			t.Fatal("the payload doesn't end where the packet does")
		}
		options, wellFormed := ParseOptions(v.Options)
		v.ChecksumOK()
		if !bytes.Equal(b, given) {
			t.Fatal("reading altered the packet")
		}
		agree(t, &v, options, wellFormed)
		v.SetChecksums()
		if !v.ChecksumOK() {
			t.Fatal("a checksum just set is wrong")
		}
		out := v.Truncate(len(v.Payload) / 2)
		var again View
		if c := Parse(out, &again); c != OK || !again.ChecksumOK() || !bytes.Equal(again.Payload, v.Payload) {
			t.Fatalf("cut in half: class %v", c)
		}
	})
}

// agree compares v with gopacket's reading of the same packet.
func agree(t *testing.T, v *View, options Options, wellFormed bool) {
	var (
		ip4       layers.IPv4
		ip6       layers.IPv6
		extension layers.IPv6ExtensionSkipper
		seg       layers.TCP
		payload   gopacket.Payload
		decoded   []gopacket.LayerType
	)
	first := layers.LayerTypeIPv4
	if v.Version == 6 {
		first = layers.LayerTypeIPv6
	}
	parser := gopacket.NewDecodingLayerParser(first, &ip4, &ip6, &extension, &seg, &payload)
	if err := parser.DecodeLayers(v.Bytes(), &decoded); err != nil {
		return
	}
	var sawTCP bool
	for _, l := range decoded {
		sawTCP = sawTCP || l == layers.LayerTypeTCP
	}
	if !sawTCP {
		return
	}
	src, dst := ip4.SrcIP.To16(), ip4.DstIP.To16()
	if v.Version == 6 {
		src, dst = ip6.SrcIP, ip6.DstIP
		if ip6.NextHeader != layers.IPProtocolTCP {
			dst = v.Dst[:] // a routing header may name another, which gopacket doesn't read
		}
	}
	if !net.IP(v.Src[:]).Equal(src) || !net.IP(v.Dst[:]).Equal(dst) ||
		uint16(seg.SrcPort) != v.SrcPort || uint16(seg.DstPort) != v.DstPort ||
		seg.Seq != v.Seq || seg.Ack != v.Ack || seg.Window != v.Window || seg.Urgent != v.Urgent ||
		seg.SYN != v.Flags.Has(SYN) || seg.FIN != v.Flags.Has(FIN) || seg.RST != v.Flags.Has(RST) ||
		seg.ACK != v.Flags.Has(ACK) || seg.PSH != v.Flags.Has(PSH) || seg.URG != v.Flags.Has(URG) ||
		!bytes.Equal(seg.LayerPayload(), v.Payload) {
		t.Fatalf("we read %+v, gopacket %+v", v, seg)
	}
	if !wellFormed {
		return
	}
	for _, o := range seg.Options {
		if o.OptionType == layers.TCPOptionKindTimestamps && !options.HasTimestamp {
			t.Fatalf("gopacket found a timestamp, we none, in % x", v.Options)
		}
	}
}
