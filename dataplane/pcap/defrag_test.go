package pcap

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"keepword/inspect/packet"
)

// pieces cuts an IP packet into fragments of n octets of payload, n a multiple of 8.
func pieces(whole []byte, n int) (list [][]byte) {
	header, body := whole[:20], whole[20:]
	if whole[0]>>4 == 6 {
		header, body = whole[:40], whole[40:]
	}
	for at := 0; at < len(body); at += n {
		part := body[at:min(at+n, len(body))]
		more := at+n < len(body)
		b := bytes.Clone(header)
		if whole[0]>>4 == 4 {
			field := uint16(at / 8)
			if more {
				field |= 0x2000
			}
			binary.BigEndian.PutUint16(b[6:], field)
			binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(part)))
		} else {
			field := uint16(at)
			if more {
				field |= 1
			}
			fragment := []byte{b[6], 0, byte(field >> 8), byte(field), 0, 0, 0, 9}
			b[6] = 44
			binary.BigEndian.PutUint16(b[4:], uint16(8+len(part)))
			b = append(b, fragment...)
		}
		list = append(list, append(b, part...))
	}
	return list
}

// whole is a packet whose fragments the tests use. It doesn't forbid fragments.
func whole(version uint8) []byte {
	b := tcp(version, strings.Repeat("MAIL FROM:<a@example.org>\r\n", 10))
	if version == 4 {
		b[6] = 0
		var v packet.View
		packet.Parse(b, &v)
		v.SetChecksums()
	}
	return b
}

func TestFragmentsInAnyOrderBecomeTheWholePacket(t *testing.T) {
	for _, version := range []uint8{4, 6} {
		for seed := range uint64(50) {
			list := pieces(whole(version), 8*(1+int(seed%7)))
			rand.New(rand.NewPCG(seed, 0)).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			var d defragmenter
			for i, f := range list {
				got := d.add(f, 0)
				if last := i == len(list)-1; last != (got != nil) {
					t.Fatalf("IPv%d, seed %d: piece %d of %d gives %d octets", version, seed, i, len(list), len(got))
				} else if last && !bytes.Equal(got, whole(version)) {
					t.Fatalf("IPv%d, seed %d: another packet", version, seed)
				}
			}
			if d.lost != 0 || len(d.datagrams) != 0 {
				t.Errorf("IPv%d: %d lost, %d waiting", version, d.lost, d.waiting())
			}
		}
	}
}

func TestReplayInspectsTheWholePacket(t *testing.T) {
	var list []timed
	for _, version := range []uint8{4, 6} {
		for _, f := range pieces(whole(version), 64) {
			list = append(list, timed{0, f})
		}
	}
	lonely := pieces(whole(6), 64)[1]
	lonely[23] = 99 // another source
	list = append(list, timed{0, lonely})
	var r recorder
	s := mustReplay(t, raw(list...), &r, Options{})
	got := r.packets()
	if len(got) != 2 || !bytes.Equal(got[0].Data, whole(4)) || !bytes.Equal(got[1].Data, whole(6)) {
		t.Fatalf("%d packets", len(got))
	}
	if s.Fragments != uint64(len(list)) || s.FragmentsLost != 1 {
		t.Errorf("%+v", s)
	}
}

func TestExtensionHeadersBeforeTheFragmentAreKept(t *testing.T) {
	// The unfragmentable part has a hop-by-hop header.
	plain := whole(6)
	want := slices.Concat(plain[:40], []byte{6, 0, 1, 4, 0, 0, 0, 0}, plain[40:])
	want[6] = 0
	binary.BigEndian.PutUint16(want[4:], uint16(len(want)-40))
	var d defragmenter
	var got []byte
	for _, f := range pieces(plain, 64) {
		f = slices.Concat(f[:40], []byte{44, 0, 1, 4, 0, 0, 0, 0}, f[40:])
		f[6] = 0
		binary.BigEndian.PutUint16(f[4:], uint16(len(f)-40))
		got = d.add(f, 0)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("% x,\nwant % x", got, want)
	}
}

func TestCopiesAreTakenAndOverlapsAreNot(t *testing.T) {
	for _, version := range []uint8{4, 6} {
		list := pieces(whole(version), 64)
		wide := pieces(whole(version), 128)
		var d defragmenter
		d.add(bytes.Clone(list[0]), 0)
		d.add(bytes.Clone(list[1]), 0)
		d.add(bytes.Clone(list[1]), 0) // a copy
		d.add(bytes.Clone(wide[0]), 0) // both at once
		var got []byte
		for _, f := range list[2:] {
			got = d.add(bytes.Clone(f), 0)
		}
		if !bytes.Equal(got, whole(version)) || d.lost != 0 {
			t.Errorf("IPv%d with copies: %d octets, %d lost", version, len(got), d.lost)
		}

		d = defragmenter{}
		d.add(bytes.Clone(list[1]), 0)
		if d.add(bytes.Clone(wide[0]), 0) != nil || d.lost != 2 || len(d.datagrams) != 0 {
			t.Errorf("IPv%d with an overlap: %d lost, %d waiting", version, d.lost, d.waiting())
		}
	}
}

func TestPiecesThatContradictEachOtherAreLost(t *testing.T) {
	list := pieces(whole(4), 64)
	last := list[len(list)-1]
	early := bytes.Clone(last) // the same end, nearer
	binary.BigEndian.PutUint16(early[6:], 8)
	beyond := bytes.Clone(list[1]) // behind the end
	binary.BigEndian.PutUint16(beyond[6:], 0x2000|100)
	for name, second := range map[string][]byte{"two ends": early, "octets behind the end": beyond} {
		var d defragmenter
		d.add(bytes.Clone(last), 0)
		if d.add(second, 0) != nil || d.lost != 2 || len(d.datagrams) != 0 {
			t.Errorf("%s: %d lost, %d waiting", name, d.lost, d.waiting())
		}
	}
	odd := bytes.Clone(list[0][:len(list[0])-3])
	binary.BigEndian.PutUint16(odd[2:], uint16(len(odd)))
	far := bytes.Clone(list[0])
	binary.BigEndian.PutUint16(far[6:], 0x1fff)
	for name, f := range map[string][]byte{"a length that is no multiple of 8": odd, "beyond 64 KiB": far, "cut": list[0][:50]} {
		var d defragmenter
		if d.add(bytes.Clone(f), 0) != nil || d.lost != 1 || len(d.datagrams) != 0 {
			t.Errorf("%s: %d lost, %d waiting", name, d.lost, d.waiting())
		}
	}
}

func TestAPacketInPiecesIsForgottenAfterItsTime(t *testing.T) {
	list := pieces(whole(4), 160)
	var d defragmenter
	d.add(bytes.Clone(list[0]), 0)
	if d.add(bytes.Clone(list[1]), fragmentTimeout+1) != nil || d.lost != 1 || d.waiting() != 1 {
		t.Errorf("%d lost, %d waiting", d.lost, d.waiting())
	}
}

func TestTheOldestPacketInPiecesMakesRoom(t *testing.T) {
	var d defragmenter
	f := pieces(whole(4), 160)
	for i := range maxDatagrams + 1 {
		first := bytes.Clone(f[0])
		binary.BigEndian.PutUint16(first[4:], uint16(i))
		d.add(first, int64(i))
	}
	if len(d.datagrams) != maxDatagrams || d.lost != 1 {
		t.Errorf("%d waiting, %d lost", len(d.datagrams), d.lost)
	}
	second := bytes.Clone(f[1])
	binary.BigEndian.PutUint16(second[4:], maxDatagrams)
	if d.add(second, 0) == nil {
		t.Error("the newest was forgotten")
	}
}

func TestAPieceOverTwoOthersIsACopyOnlyWhereThoseCameInOrder(t *testing.T) {
	for _, version := range []uint8{4, 6} {
		list, wide := pieces(whole(version), 64), pieces(whole(version), 128)
		var d defragmenter
		for _, f := range [][]byte{list[1], list[0], wide[0]} {
			d.add(bytes.Clone(f), 0)
		}
		if d.lost != 3 || len(d.datagrams) != 0 {
			t.Errorf("IPv%d, out of order: %d lost, %d waiting: Linux discards all three", version, d.lost, d.waiting())
		}
		d = defragmenter{}
		for _, f := range [][]byte{list[0], list[1], wide[0]} {
			d.add(bytes.Clone(f), 0)
		}
		if d.lost != 0 || len(d.datagrams) != 1 {
			t.Errorf("IPv%d, in order: %d lost, %d waiting: Linux takes the third for a copy", version, d.lost, d.waiting())
		}
	}
}
