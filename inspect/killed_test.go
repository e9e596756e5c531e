package inspect_test

import (
	"slices"
	"testing"

	"keepword/dataplane"
	"keepword/inspect/packet"
	"keepword/inspect/verdict"
)

// Where a gateway translates both addresses, packets of our own reach nobody.
func TestAKillReachesBothEndsWhereOurOwnPacketsDoNot(t *testing.T) {
	for _, ends := range [...]setup{{}, {ends: version6}} {
		w := newWire(t, ends)
		upToOffer(w)
		injection := w.segment(w.client, w.client.snd, packet.ACK|packet.PSH, []byte("STARTTLS\r\nMAIL FROM:<a@b.example>\r\n"))
		// pass gives the client's packet to the pipeline, loses what that injects, and
		// returns what goes on.
		pass := func() (v packet.View, goesOn bool) {
			w.now += 1e8
			b := dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: 1, Time: w.now, Data: slices.Clone(injection)}}}
			w.p.Inspect(&b)
			if k := b.Packets[0].Verdict; k != verdict.Replace {
				return v, false
			}
			if packet.Parse(b.Packets[0].Data, &v) != packet.OK || len(v.Payload) > 0 {
				t.Fatal("octets of a killed connection go on")
			}
			w.deliver(b.Packets[0].Data)
			return v, true
		}
		if _, goesOn := pass(); goesOn {
			t.Fatal("the injection goes on")
		}
		w.wantFindings("command-injection kill")
		if v, goesOn := pass(); !goesOn || !v.Flags.Has(packet.RST) || !w.server.reset {
			t.Error("the client's first retransmission does not reset the server")
		}
		if v, goesOn := pass(); !goesOn || v.Flags.Has(packet.RST) || !v.Flags.Has(packet.ACK) {
			t.Error("the second gives the server's kernel nothing to answer with a reset")
		}
	}
}
