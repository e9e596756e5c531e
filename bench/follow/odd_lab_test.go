//go:build lab

package follow

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"keepword/inspect/packet"
	"keepword/inspect/policy"
)

// An oddity is a form of a packet that netfilter and inspection take as it is, and that the
// program does not read.
type oddity struct {
	name string
	// send takes a whole packet to the gateway, and says whether any of it has gone on by itself.
	send func(g *gate, pkt []byte) bool
}

var oddities = []oddity{
	{"IP options", func(g *gate, pkt []byte) bool { return g.take(withIPOptions(pkt)) }},
	{"two fragments", func(g *gate, pkt []byte) bool { return g.takeFragments(pkt, 24) }},
	{"fragments that cut the TCP header", func(g *gate, pkt []byte) bool { return g.takeFragments(pkt, 8) }},
}

// withIPOptions puts options into an IPv4 header that mean nothing (RFC 791 section 3.1).
func withIPOptions(pkt []byte) []byte {
	b := slices.Insert(slices.Clone(pkt), 20, 1, 1, 1, 1)
	b[0]++
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return rechecked(b)
}

// takeFragments has the program see a packet in two fragments, the last first; netfilter puts
// them together.
func (g *gate) takeFragments(pkt []byte, cut int) (passed bool) {
	g.Helper()
	first, last := slices.Clone(pkt[:20+cut]), slices.Concat(pkt[:20], pkt[20+cut:])
	for _, f := range []struct {
		b     []byte
		field uint16
	}{{last, uint16(cut / 8)}, {first, 1 << 13}} {
		binary.BigEndian.PutUint16(f.b[2:], uint16(len(f.b)))
		binary.BigEndian.PutUint16(f.b[6:], f.field)
		p, out, err := g.Decide(f.b)
		if err != nil || out == nil {
			g.Fatalf("a fragment was dropped: %v", err)
		}
		passed = passed || p
	}
	g.queue = append(g.queue, slices.Clone(pkt))
	return passed
}

// What inspection was not told of would be one that it sees in its middle.
func TestAConnectionWhoseHandshakeEndsOddlyIsInspectedFromItsBeginning(t *testing.T) {
	for _, odd := range oddities {
		t.Run(odd.name, func(t *testing.T) {
			g := known(t)
			l := g.newLink()
			l.stamps = true
			if !l.take(l.syn(true, synOptions)) || !l.take(l.syn(false, synOptions)) {
				t.Fatal("a SYN came up")
			}
			const early = "NOOP\r\n"
			l.client.said = []byte(early)
			if odd.send(g, l.segment(true, 0, packet.ACK, early).Append(nil)) {
				t.Error("it has passed")
			}
			g.wake()
			l.greet()
			g.wantNoDifference()
			if lost := g.pipeline.Stats().Lost; len(lost) > 0 {
				t.Errorf("inspection has lost sight: %+v", lost)
			}
			l.wantOneTruth()
		})
	}
}

// While one of its packets is on the way to inspection, the program must let nothing through
// that may say otherwise.
func TestAnOddPacketOfAConnectionThatIsFollowedIsWaitedFor(t *testing.T) {
	for _, odd := range oddities {
		for _, granted := range []bool{false, true} {
			name := odd.name + " behind a grant"
			if !granted {
				name = odd.name + " in a dialogue that is followed"
			}
			t.Run(name, func(t *testing.T) {
				g := known(t)
				l := g.followed()
				if granted { // an odd one that inspection has seen, and a grant behind it
					odd.send(g, l.segment(true, len(l.client.said), packet.ACK, "").Append(nil))
					g.wake()
				} else if !l.say(true, "NOOP\r\n") || !l.say(false, "250 Ok\r\n") {
					t.Fatal("nothing is followed")
				}
				first, second := l.segment(true, len(l.client.said), packet.ACK|packet.PSH, "RSET\r\n"), l.segment(true, len(l.client.said), packet.ACK|packet.PSH, "DATA\r\n")
				if granted { // one that is counted, so that the count is as inspection's
					first.Flags |= packet.URG
					g.take(first.Append(nil))
				} else {
					odd.send(g, first.Append(nil))
				}
				said := len(l.client.said)
				g.Meanwhile = func() {
					if len(l.server.got[0].octets) == said { // what is on its way has not arrived
						l.send(second)
					}
					g.Meanwhile = nil
				}
				g.wake()
				g.wantNoDifference()
				l.wantOneTruth()
			})
		}
	}
}

func TestOddPacketsOfADialogueComeUpAndItGoesOn(t *testing.T) {
	for _, odd := range oddities {
		g := known(t)
		l := g.followed()
		at := len(l.client.said)
		l.client.said = append(l.client.said, "NOOP\r\n"...)
		if odd.send(g, l.segment(true, at, packet.ACK|packet.PSH, "NOOP\r\n").Append(nil)) {
			t.Errorf("%s: it has passed", odd.name)
		}
		g.wake()
		l.say(false, "250 Ok\r\n")
		l.say(true, "NOOP\r\n")
		l.say(false, "250 Ok\r\n")
		g.wantNoDifference()
		l.wantOneTruth()
		if got := string(l.server.got[0].octets[at:]); got != "NOOP\r\nNOOP\r\n" {
			t.Errorf("%s: the server got %q", odd.name, got)
		}
	}
}

// RFC 8200 section 4: extension headers, in IPv6's words.
func TestExtensionHeadersOfADialogueComeUp(t *testing.T) {
	g := newGate(t, policy.Config{})
	g.server = netip.MustParseAddrPort("[2001:db8::25]:25")
	l := g.newLinkFrom(netip.MustParseAddrPort("[2001:db8::1]:40404"))
	l.open()
	l.greet()
	if !l.say(true, "NOOP\r\n") || !l.say(false, "250 Ok\r\n") {
		t.Fatal("nothing is followed")
	}
	first, second := l.segment(true, len(l.client.said), packet.ACK, "RSET\r\n"), l.segment(true, len(l.client.said), packet.ACK, "DATA\r\n")
	b := slices.Insert(first.Append(nil), 40, 6, 0, 1, 4, 0, 0, 0, 0)
	b[6] = 60
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	if g.take(b) || l.send(second) {
		t.Error("a packet has passed")
	}
	g.wantNoDifference()
	l.wantOneTruth()
}
