package inspect_test

import (
	"testing"

	"keepword/dataplane"
	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// TestTheEndOfTLSThatBeganBeforeThisProcessIsNoSessionInItsMiddle: the kernel logs it, and has let
// all of it through.
func TestTheEndOfTLSThatBeganBeforeThisProcessIsNoSessionInItsMiddle(t *testing.T) {
	for _, exempt := range []bool{true, false} {
		p := inspect.New(inspect.Config{
			Policy: policy.New(policy.Config{Mode: verdict.Enforce}), Ports: []uint16{25}, Midstream: inspect.WhenKill,
			Limits: inspect.Limits{Flows: 10, Memory: 1 << 20, FlowMemory: 1 << 17}, Sink: silent{}, Follows: true,
		})
		s := packet.Segment{
			Version: 4, Src: version4[0].Addr().As16(), Dst: version4[1].Addr().As16(), SrcPort: 40000, DstPort: 25, HopLimit: 64,
			Seq: 1, Ack: 1, Flags: packet.ACK | packet.FIN, Window: 100, Payload: []byte("a record of TLS"),
		}
		b := dataplane.Batch{Now: 1, Packets: []dataplane.Packet{{
			Time: 1, Data: s.Append(nil), ChecksumPartial: true, Passed: &dataplane.Passage{Exempt: exempt},
		}}}
		p.Inspect(&b)
		if killed := len(b.Injected) > 0; killed == exempt {
			t.Errorf("in TLS: %v, killed: %v", exempt, killed)
		}
	}
}
