package pcap

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/klauspost/compress/zstd"
)

// written returns the packets in a file that another library wrote.
func written(t testing.TB, format string, list ...timed) []byte {
	t.Helper()
	var b bytes.Buffer
	var w interface {
		WritePacket(gopacket.CaptureInfo, []byte) error
	}
	var err error
	switch format {
	case "ng":
		w, err = pcapgo.NewNgWriter(&b, layers.LinkTypeRaw)
	case "ns":
		nanos := pcapgo.NewWriterNanos(&b)
		w, err = nanos, nanos.WriteFileHeader(65535, layers.LinkTypeRaw)
	default:
		micros := pcapgo.NewWriter(&b)
		w, err = micros, micros.WriteFileHeader(65535, layers.LinkTypeRaw)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		ci := gopacket.CaptureInfo{Timestamp: time.Unix(0, start+p.at), CaptureLength: len(p.data), Length: len(p.data)}
		if err := w.WritePacket(ci, p.data); err != nil {
			t.Fatal(err)
		}
	}
	if f, ok := w.(interface{ Flush() error }); ok {
		if err := f.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstandard(t testing.TB, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(b, nil)
}

// block returns a pcapng block.
func block(order binary.AppendByteOrder, kind uint32, body []byte) []byte {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	b := order.AppendUint32(order.AppendUint32(nil, kind), uint32(len(body)+12))
	return order.AppendUint32(append(b, body...), uint32(len(body)+12))
}

func sectionBlock(order binary.AppendByteOrder) []byte {
	body := order.AppendUint32(nil, byteOrderMagic)
	body = order.AppendUint16(order.AppendUint16(body, 1), 0)
	return block(order, blockSection, order.AppendUint64(body, math.MaxUint64))
}

// interfaceBlock describes an interface of raw IP; options are appended as they are.
func interfaceBlock(order binary.AppendByteOrder, snapLen uint32, options ...byte) []byte {
	body := order.AppendUint16(order.AppendUint16(nil, linkRaw), 0)
	return block(order, blockInterface, append(order.AppendUint32(body, snapLen), options...))
}

// packetBlock is an enhanced packet block of interface 0.
func packetBlock(order binary.AppendByteOrder, units uint64, data []byte) []byte {
	body := order.AppendUint32(order.AppendUint32(order.AppendUint32(nil, 0), uint32(units>>32)), uint32(units))
	body = order.AppendUint32(order.AppendUint32(body, uint32(len(data))), uint32(len(data)))
	return block(order, blockEnhanced, append(body, data...))
}

func TestEveryFormatGivesTheSamePackets(t *testing.T) {
	list := []timed{{0, tcp(4, "a")}, {1e6, tcp(6, "bb")}, {3e6, tcp(4, "ccc")}}
	be := binary.AppendByteOrder(binary.BigEndian)
	simple := append(sectionBlock(be), interfaceBlock(be, 0)...)
	for _, p := range list {
		simple = append(simple, packetBlock(be, uint64(start+p.at)/1e3, p.data)...)
	}
	plain := map[string][]byte{
		"pcap, µs":             written(t, "µs", list...),
		"pcap, ns":             written(t, "ns", list...),
		"pcap, big-endian":     file(be, linkRaw, list...),
		"pcapng":               written(t, "ng", list...),
		"pcapng, big-endian":   simple,
		"pcapng, two sections": append(written(t, "ng", list[:1]...), written(t, "ng", list[1:]...)...),
	}
	for name, b := range plain {
		for packing, b := range map[string][]byte{"plain": b, "gzip": gzipped(t, b), "zstd": zstandard(t, b)} {
			t.Run(name+", "+packing, func(t *testing.T) {
				var r recorder
				s, err := Replay(context.Background(), iotest.OneByteReader(bytes.NewReader(b)), "-", &r, Options{})
				if err != nil {
					t.Fatal(err)
				}
				got := r.packets()
				if len(got) != len(list) || s.Records != 3 {
					t.Fatalf("%d packets, %+v", len(got), s)
				}
				for i, p := range got {
					if !bytes.Equal(p.Data, list[i].data) || p.Time != start+list[i].at {
						t.Errorf("packet %d is %+v", i, p)
					}
				}
			})
		}
	}
}

func TestPcapngTimesFollowTheInterface(t *testing.T) {
	le := binary.AppendByteOrder(binary.LittleEndian)
	tests := []struct {
		name    string
		options []byte
		units   uint64
		want    int64
	}{
		{"microseconds unless said otherwise", nil, 1_700_000_000_000_001, 1_700_000_000_000_001_000},
		{"nanoseconds", []byte{9, 0, 1, 0, 9, 0, 0, 0}, uint64(start) + 1, start + 1},
		{"picoseconds", []byte{9, 0, 1, 0, 12, 0, 0, 0}, 1_500_000_000_000_999, 1_500_000_000_000},
		{"2^-20 s", []byte{9, 0, 1, 0, 0x80 | 20, 0, 0, 0}, 5<<20 | 1<<19, 5_500_000_000},
		{"seconds with an offset", []byte{9, 0, 1, 0, 0, 0, 0, 0, 14, 0, 8, 0, 100, 0, 0, 0, 0, 0, 0, 0}, 7, 107_000_000_000},
		{"an offset before the epoch", []byte{9, 0, 1, 0, 0, 0, 0, 0, 14, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0x80}, 7, 0},
		{"the end of options", []byte{0, 0, 0, 0, 9, 0, 1, 0, 0, 0, 0, 0}, 7, 7000},
		{"beyond what we can hold", []byte{9, 0, 1, 0, 0, 0, 0, 0}, math.MaxUint64, math.MaxInt64},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			b := append(sectionBlock(le), interfaceBlock(le, 0, c.options...)...)
			b = append(b, packetBlock(le, c.units, tcp(4, "x"))...)
			var r recorder
			mustReplay(t, b, &r, Options{})
			if got := r.packets()[0].Time; got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

func TestOldAndSimplePacketBlocksAreRead(t *testing.T) {
	le := binary.AppendByteOrder(binary.LittleEndian)
	p := tcp(4, "x")
	enhanced := packetBlock(le, uint64(start)/1e3, p)
	old := bytes.Clone(enhanced)
	old[0] = blockPacket
	simple := block(le, blockSimple, append(le.AppendUint32(nil, 100), p...))
	unknown := block(le, 0xbad, []byte("whatever"))
	b := bytes.Join([][]byte{sectionBlock(le), unknown, interfaceBlock(le, uint32(len(p))), enhanced, old, unknown, simple}, nil)
	var r recorder
	mustReplay(t, b, &r, Options{})
	got := r.packets()
	if len(got) != 3 {
		t.Fatalf("%d packets", len(got))
	}
	for i, q := range got {
		if !bytes.Equal(q.Data, p) || q.Time != start {
			t.Errorf("packet %d is %+v", i, q)
		}
	}
}

func TestACutFileIsInspectedUpToTheCut(t *testing.T) {
	list := []timed{{0, tcp(4, "a")}, {1e6, tcp(6, "bb")}}
	for _, format := range []string{"µs", "ng"} {
		b := written(t, format, list...)
		whole := map[int]uint64{len(b): 2} // the proper ends, and the packets before each
		whole[len(written(t, format))], whole[len(written(t, format, list[0]))] = 0, 1
		for n := 4; n <= len(b); n++ {
			var r recorder
			s, err := Replay(context.Background(), bytes.NewReader(b[:n]), "x", &r, Options{})
			if want, ok := whole[n]; ok {
				if err != nil || s.Inspected != want {
					t.Errorf("%s, whole at %d: %v, %+v", format, n, err, s)
				}
				continue
			}
			// A pcapng file may also end behind its section header.
			if err == nil && format == "ng" && s.Records == 0 {
				continue
			}
			if !errors.Is(err, ErrCutShort) || s.Inspected != s.Records {
				t.Errorf("%s, cut at %d: %v, %+v", format, n, err, s)
			}
		}
	}
}

func TestEachFaultHasItsOneLine(t *testing.T) {
	le := binary.AppendByteOrder(binary.LittleEndian)
	p := tcp(4, "x")
	good := raw(timed{0, p}, timed{0, p})
	edit := func(b []byte, at int, value ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], value)
		return b
	}
	section, iface := sectionBlock(le), interfaceBlock(le, 0)
	ng := func(blocks ...[]byte) []byte { return append(bytes.Clone(section), bytes.Join(blocks, nil)...) }
	second := 24 + 16 + len(p)
	zipped := gzipped(t, good)
	tests := []struct {
		name string
		b    []byte
		is   error
		want string
	}{
		{"empty", nil, ErrNotCapture, "f: empty, not a capture file: expected pcap or pcapng, plain or compressed with gzip or zstd"},
		{"two octets", good[:2], ErrNotCapture, "f: not a capture file: expected"},
		{"text", []byte("EHLO a\r\n"), ErrNotCapture, "f: not a capture file: expected"},
		{"compressed text", gzipped(t, []byte("EHLO a\r\n")), ErrNotCapture, "f: not a capture file: expected"},
		{"cut header", good[:20], ErrCutShort, "f: cut short before its first packet"},
		{"cut packet", good[:len(good)-1], ErrCutShort, "f: cut short after packet 1"},
		{"cut record header", good[:second+3], ErrCutShort, "f: cut short after packet 1"},
		{"cut gzip", zipped[:len(zipped)-9], ErrCutShort, "f: cut short"},
		{"cut gzip header", zipped[:7], ErrCutShort, "f: cut short before its first packet"},
		{"cut zstd", zstandard(t, good)[:30], ErrCutShort, "f: cut short before its first packet"},
		{"damaged gzip", edit(zipped, len(zipped)-6, 1, 2), ErrDamaged, "f: damaged after packet 2: the compressed data can't be read: "},
		{"damaged gzip header", edit(zipped, 2, 99), ErrDamaged, "f: damaged before its first packet: the compressed data can't be read: "},
		{"damaged zstd", edit(zstandard(t, good), 4, 0xff), ErrDamaged, "f: damaged before its first packet: the compressed data can't be read: "},
		{"pcap version 3", edit(good, 4, 3), ErrDamaged, "f: damaged before its first packet: pcap version 3 is unknown"},
		{"a huge packet", edit(good, second+8, 0, 0, 0, 0xff), ErrDamaged, "f: damaged after packet 1: the next packet claims to have 4278190080 octets"},
		{"802.11", file(le, 105, timed{0, p}), ErrLinkType, "f: link type not supported: 105 (IEEE 802.11); capture on"},
		{"an unknown link type", file(le, 147, timed{0, p}), ErrLinkType, "f: link type not supported: 147; capture on"},
		{"pcapng version 2", edit(section, 12, 2), ErrDamaged, "f: damaged before its first packet: pcapng version 2 is unknown"},
		{"no byte-order magic", edit(section, 8, 9), ErrDamaged, "f: damaged before its first packet: a section header without its byte-order magic"},
		{"a short section", block(le, blockSection, le.AppendUint32(nil, byteOrderMagic)), ErrDamaged, "f: damaged before its first packet: a section header is too short"},
		{"a block of length 5", ng([]byte{9, 0, 0, 0, 5, 0, 0, 0}), ErrDamaged, "f: damaged before its first packet: a block claims to have 5 octets"},
		{"a huge block", ng([]byte{6, 0, 0, 0, 0, 0, 0, 0x40}), ErrDamaged, "f: damaged before its first packet: a block of type 6 claims to have 1073741812 octets"},
		{"a huge unknown block", ng([]byte{9, 0, 0, 0, 0, 0, 0, 0x40, 1}), ErrCutShort, "f: cut short before its first packet"},
		{"lengths that differ", ng(edit(iface, len(iface)-4, 99)), ErrDamaged, "f: damaged before its first packet: a block of 20 octets ends as one of 99"},
		{"a short interface", ng(block(le, blockInterface, make([]byte, 4))), ErrDamaged, "f: damaged before its first packet: an interface description is too short"},
		{"a long option", ng(interfaceBlock(le, 0, 9, 0, 99, 0)), ErrDamaged, "f: damaged before its first packet: an option is longer than its block"},
		{"resolution 10^-20", ng(interfaceBlock(le, 0, 9, 0, 1, 0, 20, 0, 0, 0)), ErrDamaged, "f: damaged before its first packet: an interface's time resolution 0x14 is out of range"},
		{"resolution 2^-64", ng(interfaceBlock(le, 0, 9, 0, 1, 0, 0xc0, 0, 0, 0)), ErrDamaged, "f: damaged before its first packet: an interface's time resolution 0xc0 is out of range"},
		{"too many interfaces", ng(bytes.Repeat(iface, maxInterfaces+1)), ErrDamaged, "f: damaged before its first packet: a section with more than 4096 interfaces"},
		{"no interface", ng(packetBlock(le, 0, p)), ErrDamaged, "f: damaged before its first packet: a packet came in by interface 0 of 0"},
		{"no interface for a simple packet", ng(block(le, blockSimple, make([]byte, 8))), ErrDamaged, "f: damaged before its first packet: a packet came in by interface 0 of 0"},
		{"a packet longer than its block", ng(iface, edit(packetBlock(le, 0, p), 20, 200)), ErrDamaged, "f: damaged before its first packet: the next packet claims to have 200 octets"},
		{"a short packet block", ng(iface, block(le, blockEnhanced, make([]byte, 16))), ErrDamaged, "f: damaged before its first packet: a packet block is too short"},
		{"a short simple packet block", ng(iface, block(le, blockSimple, nil)), ErrDamaged, "f: damaged before its first packet: a packet block is too short"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			_, err := Replay(context.Background(), bytes.NewReader(c.b), "f", &recorder{}, Options{})
			if !errors.Is(err, c.is) {
				t.Fatalf("error is %v", err)
			}
			if !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q,\nwant %q", err, c.want)
			}
		})
	}
}

func TestAReadersOwnErrorIsKept(t *testing.T) {
	broken := errors.New("the disk is gone")
	b := raw(timed{0, tcp(4, "x")}, timed{0, tcp(4, "x")})
	r := io.MultiReader(bytes.NewReader(b[:len(b)-3]), iotest.ErrReader(broken))
	s, err := Replay(context.Background(), r, "f", &recorder{}, Options{})
	if !errors.Is(err, broken) || s.Inspected != 1 || err.Error() != "f: reading after packet 1: the disk is gone" {
		t.Errorf("%v, %+v", err, s)
	}
}

func FuzzReplay(f *testing.F) {
	list := []timed{{0, tcp(4, "a")}, {1e6, tcp(6, "bb")}, {3e6, tcp(4, "ccc")}}
	f.Add(written(f, "µs", list...))
	f.Add(written(f, "ng", list...))
	f.Add(gzipped(f, raw(list...)))
	f.Add(zstandard(f, raw(list...)))
	for _, link := range []uint32{linkNull, linkEthernet, linkLinuxSLL, linkLinuxSLL2} {
		f.Add(file(binary.BigEndian, link, list...))
	}
	for _, p := range pieces(tcp(4, strings.Repeat("d", 64)), 24) {
		f.Add(raw(timed{0, p}, timed{0, tcp(6, "e")}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r recorder
		s, err := Replay(context.Background(), bytes.NewReader(b), "f", &r, Options{})
		if err != nil && !errors.Is(err, ErrCutShort) && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNotCapture) && !errors.Is(err, ErrLinkType) {
			t.Fatalf("an error without a name: %v", err)
		}
		if s.Records < s.Inspected || s.Inspected != s.Verdicts[1] || s.Inspected != uint64(len(r.packets())) {
			t.Fatalf("%+v", s)
		}
		for i := 1; i < len(r.calls); i++ {
			if r.calls[i].now < r.calls[i-1].now {
				t.Fatal("the clock ran backwards")
			}
		}
	})
}
