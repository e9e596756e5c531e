package inspect_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
)

// Whatever a network and an attacker do to the segments of a dialogue, the octets that a
// receiver reads are those that were inspected, edits included; and those of which the
// receiver may take another copy are no others.
func TestReceiversReadWhatWasInspectedOverAHostileNetwork(t *testing.T) {
	ch, sh := hellos(t)
	read := 0
	rapid.Check(t, func(rt *rapid.T) {
		c := policy.Config{}
		if k := rapid.IntRange(0, 2).Draw(rt, "starttls"); k > 0 {
			c.Servers = []policy.Server{{StartTLS: []policy.StartTLS{policy.Require, policy.Hide}[k-1]}}
		}
		n := newNetwork(rt, setup{policy: c})
		tap := &listener{places: [2]map[uint32]byte{{}, {}}}
		n.p = inspect.New(inspect.Config{ // the same connection again, where somebody listens
			Policy: policy.New(c), Ports: []uint16{25}, Sink: n.rec, Tap: tap,
			Limits: inspect.Limits{Flows: 10, Memory: 16 << 20, FlowMemory: 256 << 10},
		})
		n.pass(n.segment(n.a.end, n.a.first-1, packet.SYN, nil), false)
		n.pass(n.segment(n.b.end, n.b.first-1, packet.SYN|packet.ACK, nil), false)
		n.pass(n.of(n.a, 0, 0), false)
		turns, _ := lawful(rt, ch, sh)
		for _, turn := range turns {
			if turn.text[0] == 0x17 {
				break // protected data passes unread
			}
			n.speakAttacked(turn)
			for _, f := range n.rec.ids() {
				if strings.HasPrefix(f, "gap") {
					return // sight was lost, and policy lets pass: named, and counted
				}
			}
			// A farewell of keepword's own stands behind the server's last octets.
			for i, p := range []*peer{n.a, n.b} {
				inspected := tap.wants(i == 1)
				for _, ear := range p.ears {
					got := string(ear.got)
					if at := strings.LastIndex(got, "421 4.7.0 Connection ended by firewall"); i == 0 && at >= 0 {
						got = got[:at] // the resets behind it may have been lost
					}
					if !strings.HasPrefix(inspected, got) {
						rt.Fatalf("to the server: %v; read was %q, inspected %q", i == 1, got, inspected)
					}
					read += len(got)
				}
			}
			if n.a.reset || n.b.reset {
				return
			}
		}
	})
	if read == 0 {
		t.Error("nothing was ever read: the test shows nothing")
	}
}
