package nfqueue

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/mdlayher/netlink"

	"keepword/dataplane"
)

// attribute is one attribute with what aligns it.
func attribute(kind uint16, value ...byte) []byte {
	b := append(appendAttr(nil, kind, len(value)), value...)
	return append(b, make([]byte, align(len(b))-len(b))...)
}

// about is a message of type NFQNL_MSG_PACKET with these attributes.
func about(attrs ...[]byte) []byte {
	b := slices.Concat(attrs...)
	return append(appendHeader(nil, typePacket, 0, headerLen+genLen+len(b), 0, modelQueue), b...)
}

var packet7 = attribute(attrPacketHdr, 0, 0, 0, 7, 8, 0, 2)

func TestAMessageIsReadAsItsAttributesSay(t *testing.T) {
	in, out := attribute(attrInDev, 0, 0, 0, 2), attribute(attrOutDev, 0, 0, 0, 3)
	octets := attribute(attrPayload, 0x45, 1, 2)
	for name, c := range map[string]struct {
		message []byte
		want    reading
		packet  dataplane.Packet
	}{
		"forwarded": {
			about(packet7, in, out, attribute(attrMark, 1, 2, 3, 4), attribute(attrTimestamp, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2), attribute(attrSkbInfo, 0, 0, 0, 3), octets),
			readAll, dataplane.Packet{ID: 7, Iface: 2, Mark: 0x01020304, Time: 1_000_002_000, ChecksumPartial: true, Data: []byte{0x45, 1, 2}},
		},
		"made here, checksum not verified": {
			about(packet7, out, attribute(attrSkbInfo, 0, 0, 0, 4), octets),
			readAll, dataplane.Packet{ID: 7, Iface: 3, Data: []byte{0x45, 1, 2}},
		},
		"bare":                      {about(packet7), readAll, dataplane.Packet{ID: 7}},
		"an unknown attribute":      {about(attribute(99, 1), packet7), readAll, dataplane.Packet{ID: 7}},
		"cut":                       {about(packet7, attribute(attrCapLen, 0, 2, 0, 0)), readCut, dataplane.Packet{ID: 7}},
		"a short mark":              {about(packet7, attribute(attrMark, 1)), readID, dataplane.Packet{ID: 7}},
		"a short time":              {about(packet7, attribute(attrTimestamp, 1, 2, 3, 4)), readID, dataplane.Packet{ID: 7}},
		"an attribute of no length": {about(packet7, []byte{0, 0, attrMark, 0}), readID, dataplane.Packet{ID: 7}},
		"an attribute beyond":       {about(packet7, []byte{9, 0, attrPayload, 0}), readID, dataplane.Packet{ID: 7}},
		"octets at the end":         {about(packet7, []byte{4, 0}), readID, dataplane.Packet{ID: 7}},
		"shorter than it says":      {about(packet7, octets)[:headerLen+genLen+len(packet7)+5], readID, dataplane.Packet{ID: 7}},
		"cut between attributes":    {about(packet7, octets)[:headerLen+genLen+len(packet7)], readID, dataplane.Packet{ID: 7}},
		"no id":                     {about(in, octets), readNothing, dataplane.Packet{}},
		"a short id":                {about(attribute(attrPacketHdr, 0, 0, 0, 7)), readNothing, dataplane.Packet{}},
		"broken before the id":      {about([]byte{3, 0, 0, 0}, packet7), readNothing, dataplane.Packet{}},
		"nothing":                   {about()[:headerLen+2], readNothing, dataplane.Packet{}},
		"another queue":             {append(appendHeader(nil, typePacket, 0, headerLen+genLen+len(packet7), 0, 1), packet7...), readNothing, dataplane.Packet{}},
	} {
		m, _, ok := nextMessage(c.message)
		if !ok || m.kind != typePacket {
			t.Errorf("%s: message %+v, %v", name, m, ok)
			continue
		}
		p := dataplane.Packet{Exempt: true, Mark: 1, Data: []byte{1}} // of an earlier message
		got := m.packet(modelQueue, &p)
		if got != c.want || got == readAll && fmt.Sprintf("%+v", p) != fmt.Sprintf("%+v", c.packet) || p.ID != c.packet.ID {
			t.Errorf("%s: got %v, %+v, want %v, %+v", name, got, p, c.want, c.packet)
		}
	}
}

func TestAPacketOfAMalformedMessageIsDroppedWhereItsIDIsKnown(t *testing.T) {
	e, q, k := newModel(t, Config{})
	k.waiting = []uint32{7, 8}
	k.write(about(packet7, []byte{0, 0, 0, 0}))
	seen := 0
	count := script(func(b *dataplane.Batch) { seen += len(b.Packets) })
	step(t, e, count)
	if got := k.carriedOut(); !slices.Equal(got, []fate{expected(7, 0, nil)}) || seen != 0 {
		t.Errorf("carried out %v, inspected %d", got, seen)
	}
	if c := e.Counters(); c.Malformed != 1 || c.Received != 1 || q.waiting.unsure {
		t.Errorf("counted %+v", c)
	}
	k.write(about(attribute(attrPayload, 1)))
	step(t, e, count)
	if got := k.carriedOut(); len(got) != 0 || seen != 0 {
		t.Errorf("carried out %v, inspected %d", got, seen)
	}
	if c := e.Counters(); c.Malformed != 2 || c.Received != 1 || !q.waiting.unsure {
		t.Errorf("counted %+v; a packet waits of which nobody knows", c)
	}
}

func TestSeveralMessagesMayComeAsOne(t *testing.T) {
	e, _, k := newModel(t, Config{})
	k.waiting = []uint32{1, 2, 3}
	odd := packetMessage(1, []byte("odd"))
	odd = append(odd, 0) // what aligns the next
	k.write(slices.Concat(odd, packetMessage(2, []byte("even")), errorMessage(0, 0), packetMessage(3, nil)))
	var got []string
	step(t, e, script(func(b *dataplane.Batch) {
		for _, p := range b.Packets {
			got = append(got, fmt.Sprintf("%d %s", p.ID, p.Data))
		}
	}))
	if want := []string{"1 odd", "2 even", "3 "}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Nothing that a socket may bring makes the engine fall; what it brings up lies within
// what came, is what another reader of netlink finds there too, and is decided.
func FuzzAnythingReceivedIsReadOrDropped(f *testing.F) {
	f.Add(packetMessage(1, someData))
	f.Add(slices.Concat(packetMessage(1, []byte("four")), packetMessage(2, nil), errorMessage(2, 1)))
	f.Add(about(packet7, []byte{0, 0, 0, 0}))
	f.Add(about(packet7, attribute(attrPayload, 1, 2))[:headerLen+genLen+len(packet7)+5])
	f.Add(errorMessage(1, 1)[:headerLen+2])
	e, q, _ := newModel(f, Config{})
	f.Fuzz(func(t *testing.T, datagram []byte) {
		b := &e.batch
		b.Reset(0)
		before := e.Counters()
		_ = q.read(datagram, b) // an error is the kernel's own
		after := e.Counters()
		dropped := uint64(len(q.out.ids))
		q.out.reset()
		q.waiting.unsure = false
		if n := after.Received - before.Received; n != uint64(len(b.Packets))+dropped {
			t.Fatalf("%d received, %d inspected, %d dropped", n, len(b.Packets), dropped)
		}
		if dropped > after.Malformed-before.Malformed {
			t.Fatalf("%d dropped, %d malformed", dropped, after.Malformed-before.Malformed)
		}
		for rest := datagram; ; {
			m, next, ok := nextMessage(rest)
			if !ok {
				return
			}
			rest = next
			var p dataplane.Packet
			if m.kind != typePacket || m.packet(modelQueue, &p) > readCut {
				continue
			}
			attrs, err := netlink.UnmarshalAttributes(m.body[genLen:])
			if err != nil {
				t.Fatalf("read %+v; another reader finds %v", p, err)
			}
			var id, data []byte
			for _, a := range attrs {
				switch a.Type & attrTypeMask {
				case attrPacketHdr:
					id = a.Data
				case attrPayload:
					data = a.Data
				}
			}
			if network.Uint32(id) != p.ID || !bytes.Equal(data, p.Data) {
				t.Fatalf("read %+v; another reader finds %x, %x", p, id, data)
			}
		}
	})
}

// BenchmarkReadABatch reads the messages of 64 packets of 100 octets.
func BenchmarkReadABatch(b *testing.B) {
	e, q, _ := newModel(b, Config{})
	messages := make([][]byte, batchLimit)
	for i := range messages {
		messages[i] = packetMessage(0, make([]byte, 100))
	}
	id := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		e.batch.Reset(0)
		for _, m := range messages {
			id++
			network.PutUint32(m[headerLen+genLen+attrLen:], id)
			if err := q.read(m, &e.batch); err != nil {
				b.Fatal(err)
			}
		}
		if len(e.batch.Packets) != batchLimit {
			b.Fatal("not all were read")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batchLimit), "ns/packet")
}
