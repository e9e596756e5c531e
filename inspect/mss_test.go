package inspect_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"keepword/dataplane"
	"keepword/inspect/packet"
	"keepword/inspect/verdict"
)

// Linux puts two segments in one packet however long they are.
func TestTwoOfLoopbacksLongestSegmentsFitAQueueMessage(t *testing.T) {
	const (
		attribute = 65535 // octets of a netlink attribute with its header of 4
		headers   = 60 + 60
		loopback  = 65495 // MSS of an MTU of 65,535
	)
	for _, ends := range [...]setup{{}, {ends: version6}} {
		w := newWire(t, ends)
		w.close()
		w.client.addr = netip.AddrPortFrom(w.client.addr.Addr(), 41000)
		syn := w.segment(w.client, 7000, packet.SYN, nil)
		syn = append(syn, 2, 4, loopback>>8, loopback&0xff) // the MSS option
		tcp := len(syn) - 24
		syn[tcp+12] = 6 << 4
		if syn[0]>>4 == 4 {
			binary.BigEndian.PutUint16(syn[2:], uint16(len(syn)))
		} else {
			binary.BigEndian.PutUint16(syn[4:], uint16(len(syn)-40))
		}
		var v packet.View
		if c := packet.Parse(syn, &v); c != packet.OK {
			t.Fatal(c)
		}
		v.SetChecksums()
		b := dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: 1, Time: w.now, Data: syn}}}
		w.p.Inspect(&b)
		if k := b.Packets[0].Verdict; k != verdict.Replace {
			t.Fatalf("verdict %v, want replace", k)
		}
		if packet.Parse(b.Packets[0].Data, &v) != packet.OK || !v.ChecksumOK() {
			t.Fatal("the SYN was broken")
		}
		mss := int(binary.BigEndian.Uint16(v.Options[2:]))
		if 4+headers+2*mss > attribute {
			t.Errorf("MSS %d: two segments do not fit", mss)
		}
		if mss < 32000 {
			t.Errorf("MSS %d: lower than it need be", mss)
		}
	}
}
