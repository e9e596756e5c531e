package packet

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

var (
	src4 = net.IP{192, 0, 2, 1}
	dst4 = net.IP{198, 51, 100, 25}
	src6 = net.ParseIP("2001:db8::1")
	dst6 = net.ParseIP("2001:db8::25")
	far6 = net.ParseIP("2001:db8:f::25")
)

// tcp returns a segment's header as the tests use it, with MSS and timestamp.
func tcp() *layers.TCP {
	return &layers.TCP{
		SrcPort: 40000, DstPort: 25, Seq: 0xfffffff0, Ack: 77, ACK: true, PSH: true, Window: 501,
		Options: []layers.TCPOption{
			{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}},
			{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: []byte{0, 0, 0, 9, 0, 0, 0, 8}},
		},
	}
}

func ipv4() *layers.IPv4 {
	return &layers.IPv4{Version: 4, IHL: 5, TTL: 63, Protocol: layers.IPProtocolTCP, SrcIP: src4, DstIP: dst4}
}

func ipv6(next layers.IPProtocol) *layers.IPv6 {
	return &layers.IPv6{Version: 6, HopLimit: 62, NextHeader: next, SrcIP: src6, DstIP: dst6}
}

// build serializes layers with right lengths and checksums.
func build(t testing.TB, ip gopacket.NetworkLayer, between []byte, seg *layers.TCP, payload string) []byte {
	t.Helper()
	if err := seg.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	list := []gopacket.SerializableLayer{ip.(gopacket.SerializableLayer)}
	if between != nil {
		list = append(list, gopacket.Payload(between))
	}
	list = append(list, seg, gopacket.Payload(payload))
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, list...); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(buf.Bytes())
}

func mustParse(t testing.TB, b []byte) *View {
	t.Helper()
	var v View
	if c := Parse(b, &v); c != OK {
		t.Fatalf("class %v", c)
	}
	return &v
}

func checkView(t *testing.T, v *View, version uint8, payload string) {
	t.Helper()
	if v.Version != version || v.SrcPort != 40000 || v.DstPort != 25 || v.Seq != 0xfffffff0 || v.Ack != 77 ||
		v.Flags != ACK|PSH || v.Window != 501 || string(v.Payload) != payload {
		t.Errorf("view is %+v", v)
	}
	if o, ok := ParseOptions(v.Options); !ok || o != (Options{MSS: 1460, HasTimestamp: true, TSVal: 9, TSEcr: 8}) {
		t.Errorf("options are %+v, %v", o, ok)
	}
	if !v.ChecksumOK() {
		t.Error("the checksum is called wrong")
	}
}

func TestAnIPv4SegmentIsReadWhole(t *testing.T) {
	v := mustParse(t, build(t, ipv4(), nil, tcp(), "EHLO a\r\n"))
	checkView(t, v, 4, "EHLO a\r\n")
	if !net.IP(v.Src[:]).Equal(src4) || !net.IP(v.Dst[:]).Equal(dst4) || v.HopLimit != 63 {
		t.Errorf("addresses %v %v, hop limit %d", net.IP(v.Src[:]), net.IP(v.Dst[:]), v.HopLimit)
	}
}

func TestAnIPv6SegmentIsReadWhole(t *testing.T) {
	v := mustParse(t, build(t, ipv6(layers.IPProtocolTCP), nil, tcp(), "EHLO a\r\n"))
	checkView(t, v, 6, "EHLO a\r\n")
	if !net.IP(v.Src[:]).Equal(src6) || !net.IP(v.Dst[:]).Equal(dst6) || v.HopLimit != 62 {
		t.Errorf("addresses %v %v, hop limit %d", net.IP(v.Src[:]), net.IP(v.Dst[:]), v.HopLimit)
	}
}

func TestExtensionHeadersAreWalked(t *testing.T) {
	hop := func(next byte) []byte { return []byte{next, 0, 1, 4, 0, 0, 0, 0} }
	ah := func(next byte) []byte { return append([]byte{next, 4, 0, 0}, make([]byte, 20)...) }
	routing := func(next, kind, left byte) []byte {
		return append([]byte{next, 2, kind, left, 0, 0, 0, 0}, far6...)
	}
	fragment := func(next byte, field uint16) []byte {
		return []byte{next, 0, byte(field >> 8), byte(field), 0, 0, 0, 1}
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

	tests := []struct {
		name  string
		first layers.IPProtocol
		chain []byte
		want  Class
	}{
		{"hop-by-hop", 0, hop(6), OK},
		{"hop-by-hop, destination, authentication, destination", 0, join(hop(60), hop(51), ah(60), hop(6)), OK},
		{"a route at its end", 43, routing(6, 0, 0), OK},
		{"an atomic fragment", 44, fragment(6, 0), OK},
		{"a first fragment", 44, fragment(6, 1), Fragment},
		{"a last fragment", 44, fragment(60, 8), Fragment},
		{"a fragment of UDP", 44, fragment(17, 1), NotTCP},
		{"hop-by-hop that is not first", 60, join(hop(0), hop(6)), BadHeader},
		{"a route of type 0 with hops to go", 43, routing(6, 0, 1), BadHeader},
		{"a route of unknown type with hops to go", 43, routing(6, 9, 1), BadHeader},
		{"a header longer than the packet", 60, []byte{6, 200, 1, 4, 0, 0, 0, 0}, BadHeader},
		{"encrypted", 50, hop(6), NotTCP},
		{"nothing behind", 59, nil, NotTCP},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			b := build(t, ipv6(c.first), c.chain, tcp(), "QUIT\r\n")
			var v View
			if got := Parse(b, &v); got != c.want {
				t.Fatalf("class %v, want %v", got, c.want)
			}
			if c.want == OK {
				checkView(t, &v, 6, "QUIT\r\n")
			}
		})
	}
}

func TestUnderARoutingHeaderTheFinalDestinationCounts(t *testing.T) {
	for _, kind := range []byte{2, 4} {
		// The checksum is that of a packet to the route's end.
		ip := ipv6(layers.IPProtocolIPv6Routing)
		ip.DstIP = far6
		b := build(t, ip, append([]byte{6, 2, kind, 1, 0, 0, 0, 0}, far6...), tcp(), "x")
		copy(b[24:], dst6)
		v := mustParse(t, b)
		if !net.IP(v.Dst[:]).Equal(far6) {
			t.Errorf("type %d: destination %v", kind, net.IP(v.Dst[:]))
		}
		checkView(t, v, 6, "x")
	}
}

func TestIPv4HeadersThatAReceiverWouldDiscardAreBad(t *testing.T) {
	whole := build(t, ipv4(), nil, tcp(), "x")
	options := func(list ...byte) []byte {
		ip := ipv4()
		ip.Options = []layers.IPv4Option{{OptionType: 1, OptionLength: 1}, {OptionType: 1, OptionLength: 1},
			{OptionType: 1, OptionLength: 1}, {OptionType: 1, OptionLength: 1},
			{OptionType: 1, OptionLength: 1}, {OptionType: 1, OptionLength: 1},
			{OptionType: 1, OptionLength: 1}, {OptionType: 1, OptionLength: 1}}
		b := build(t, ip, nil, tcp(), "x")
		copy(b[20:28], list)
		return b
	}
	edit := func(at int, value byte) []byte {
		b := bytes.Clone(whole)
		b[at] = value
		return b
	}
	short := func(total byte) []byte { b := edit(2, 0); b[3] = total; return b }
	tests := []struct {
		name string
		b    []byte
		want Class
	}{
		{"header length 4", edit(0, 0x44), BadHeader},
		{"total length within the header", short(19), BadHeader},
		{"total length 0", short(0), BadHeader},
		{"total length within the TCP header", short(39), BadHeader},
		{"total length within the TCP options", short(45), BadHeader},
		{"TCP header of 16 octets", edit(32, 0x40), BadHeader},
		{"TCP header longer than the packet", edit(32, 0xf0), BadHeader},
		{"no operations", options(1, 1, 1, 1, 1, 1, 1, 1), OK},
		{"end of options", options(1, 0, 99, 99), OK},
		{"an option longer than the header", options(7, 9, 4), BadHeader},
		{"an option of length 1", options(7, 1, 4), BadHeader},
		{"an option without a length", options(1, 1, 1, 1, 1, 1, 1, 7), BadHeader},
		{"a loose route with a hop to go", options(131, 7, 4, 192, 0, 2, 9), BadHeader},
		{"a strict route at its end", options(137, 7, 8, 192, 0, 2, 9), OK},
		{"more fragments", edit(6, 0x20), Fragment},
		{"an offset", edit(7, 1), Fragment},
		{"don't fragment", edit(6, 0x40), OK},
		{"UDP", edit(9, 17), NotTCP},
		{"version 5", edit(0, 0x55), NotIP},
		{"nothing", nil, NotIP},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			var v View
			if got := Parse(c.b, &v); got != c.want {
				t.Errorf("class %v, want %v", got, c.want)
			}
		})
	}
}

func TestACutPacketIsTruncatedWhereverItIsCut(t *testing.T) {
	chain := []byte{60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0}
	for _, whole := range [][]byte{
		build(t, ipv4(), nil, tcp(), "EHLO a\r\n"),
		build(t, ipv6(layers.IPProtocolTCP), nil, tcp(), "EHLO a\r\n"),
		build(t, ipv6(0), chain, tcp(), "EHLO a\r\n"),
	} {
		for n := 1; n < len(whole); n++ {
			var v View
			if c := Parse(whole[:n], &v); c != Truncated {
				t.Errorf("IPv%d cut to %d of %d octets: %v", whole[0]>>4, n, len(whole), c)
			}
		}
	}
}

func TestLinkPaddingIsNoPayload(t *testing.T) {
	for _, whole := range [][]byte{
		build(t, ipv4(), nil, tcp(), "x"),
		build(t, ipv6(layers.IPProtocolTCP), nil, tcp(), "x"),
	} {
		v := mustParse(t, append(bytes.Clone(whole), "PADDING"...))
		checkView(t, v, whole[0]>>4, "x")
		if !bytes.Equal(v.Bytes(), whole) {
			t.Error("the packet reaches into the padding")
		}
		if got := append(v.Payload, "YYYY"...); string(got) != "xYYYY" || !v.ChecksumOK() {
			t.Error("appending to the payload failed")
		}
		if len(v.Bytes()) != cap(v.Bytes()) || len(v.Options) != cap(v.Options) || len(v.Payload) != cap(v.Payload) {
			t.Error("a slice can be appended to in place")
		}
	}
}

func TestAGSOPacketOfTheLargestSizeIsRead(t *testing.T) {
	for _, c := range []struct {
		ip gopacket.NetworkLayer
		n  int
	}{{ipv4(), 65535 - 20 - 36}, {ipv6(layers.IPProtocolTCP), 65535 - 36}} {
		payload := string(bytes.Repeat([]byte{0xff, 'a', 0}, c.n/3+1)[:c.n])
		b := build(t, c.ip, nil, tcp(), payload)
		checkView(t, mustParse(t, b), b[0]>>4, payload)
	}
}

func TestEveryFlippedBitBreaksTheChecksum(t *testing.T) {
	b := build(t, ipv4(), nil, tcp(), "MAIL FROM:<a@example.org>\r\n")
	for i := range len(b) * 8 {
		b[i/8] ^= 1 << (i % 8)
		var v View
		if Parse(b, &v) == OK && v.ChecksumOK() {
			t.Errorf("bit %d of octet %d flipped, and the checksum is right", i%8, i/8)
		}
		b[i/8] ^= 1 << (i % 8)
	}
}

// RFC 2675: the IPv6 header's own length is 0, and the octets would be more than any
// packet here can have.
func TestAJumbogramIsBad(t *testing.T) {
	const jumboPayload = 194
	for _, length := range []byte{0, 50, 200} { // of the option's four octets the first but one
		b := build(t, ipv6(0), []byte{6, 0, jumboPayload, 4, 0, length, 0, 0}, tcp(), "x")
		b[4], b[5] = 0, 0
		var v View
		if c := Parse(b, &v); c != BadHeader {
			t.Errorf("a length of %d << 16: %v, want %v", length, c, BadHeader)
		}
	}
}

func TestClassesHaveNames(t *testing.T) {
	if OK.String() != "ok" || NotIP.String() != "not-ip" || Class(200).String() != "invalid" {
		t.Error(OK, NotIP, Class(200))
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	b := build(t, ipv6(layers.IPProtocolTCP), nil, tcp(), "EHLO a\r\n")
	dst := make([]byte, 0, 2000)
	var v View
	if n := testing.AllocsPerRun(100, func() {
		if Parse(b, &v) != OK || !v.ChecksumOK() {
			t.Fatal("not parsed")
		}
		if _, ok := ParseOptions(v.Options); !ok {
			t.Fatal("options not parsed")
		}
		s := Segment{Version: 6, Src: v.Dst, Dst: v.Src, Seq: v.Ack, Flags: RST, HasTimestamp: true, Payload: b[:8]}
		if out := s.Append(dst); len(out) != 40+32+8 {
			t.Fatal("not built")
		}
		v.SetWindow(100)
		v.Truncate(len(v.Payload))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParse(b *testing.B) {
	for name, p := range map[string][]byte{
		"IPv4": build(b, ipv4(), nil, tcp(), "EHLO a\r\n"),
		"IPv6": build(b, ipv6(layers.IPProtocolTCP), nil, tcp(), "EHLO a\r\n"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var v View
			for b.Loop() {
				if Parse(p, &v) != OK {
					b.Fatal("not parsed")
				}
			}
		})
	}
}

func BenchmarkChecksum(b *testing.B) {
	for name, n := range map[string]int{"64": 64, "1460": 1460, "64000": 64000} {
		b.Run(name, func(b *testing.B) {
			p := build(b, ipv4(), nil, tcp(), string(make([]byte, n)))
			v := mustParse(b, p)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				if !v.ChecksumOK() {
					b.Fatal("wrong checksum")
				}
			}
		})
	}
}

// slowSum is the algorithm as RFC 1071 section 4.1 gives it.
func slowSum(b []byte) uint16 {
	var acc uint32
	for len(b) >= 2 {
		acc += uint32(binary.BigEndian.Uint16(b))
		b = b[2:]
		acc = acc>>16 + acc&0xffff
	}
	if len(b) == 1 {
		acc += uint32(b[0]) << 8
	}
	for acc>>16 != 0 {
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}

func TestTheMSSOfASYNIsLowered(t *testing.T) {
	for _, c := range []struct {
		options, want []byte
		changed       bool
	}{
		{[]byte{1, 1, 4, 2, 2, 4, 0xff, 0xd7}, []byte{1, 1, 4, 2, 2, 4, 0x05, 0xb4}, true},
		{[]byte{2, 4, 0x05, 0xb4}, []byte{2, 4, 0x05, 0xb4}, false},
		{[]byte{0, 0, 0, 0, 2, 4, 0xff, 0xff}, []byte{0, 0, 0, 0, 2, 4, 0xff, 0xff}, false},
		{[]byte{3, 1, 0, 0}, []byte{3, 1, 0, 0}, false},
		{[]byte{1, 2, 9, 9}, []byte{1, 2, 9, 9}, false},
		{nil, nil, false},
	} {
		v := View{Options: c.options}
		if changed := v.LowerMSS(1460); changed != c.changed || !bytes.Equal(v.Options, c.want) {
			t.Errorf("%v: changed %v, want %v", v.Options, changed, c.want)
		}
	}
}
