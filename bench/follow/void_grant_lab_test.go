//go:build lab

package follow

import (
	"bytes"
	"strings"
	"testing"

	"keepword/inspect/packet"
	"keepword/inspect/policy"
)

// TestAVoidGrantStaysVoidWhenTheCountOfPacketsHasComeRound: it may name a ring that is another's by then.
func TestAVoidGrantStaysVoidWhenTheCountOfPacketsHasComeRound(t *testing.T) {
	text := strings.Repeat("What was said first is what the server gets.\r\n", 20)
	g := newGate(t, policy.Config{})
	l := g.inMail(77)
	if !l.put(true, text+"and a part") {
		t.Fatal("mail data came up")
	}
	l.wake()
	again := func(from int, octets string) {
		if l.send(l.segment(true, from, packet.ACK|packet.PSH, octets)) {
			t.Fatal("a retransmission has passed")
		}
	}
	last := len(l.client.said) - 1
	again(last, string(l.client.said[last:]))
	l.wake() // granted, with the ring
	again(last, "X")
	l.wake() // and void: what was reported is not granted again
	l.acknowledge(false)
	l.wake()
	if n := takenRings(); n != 0 {
		t.Fatalf("%d rings are taken", n)
	}
	other := g.inMail(77)
	if !other.put(true, text+text+text) || takenRings() != 1 {
		t.Fatal("the other's mail data came up")
	}
	other.wake()
	ring := bytes.Clone(shared.program.Rings()[0].Octets)
	for i := range 1<<16 - 1 {
		again(last, "X")
		if i%256 == 0 {
			l.wake()
		}
	}
	l.wake()
	if l.put(true, strings.Repeat("EVIL", 200)+"\r\n") {
		t.Error("a packet has passed by a grant that was void 65,536 packets ago")
	}
	if !bytes.Equal(ring, shared.program.Rings()[0].Octets) {
		t.Error("and stands in a ring of another connection")
	}
	l.wake()
	g.wantNoDifference()
}

// TestALineOfTooManyOctetsComesUpWhateverItsLastIs, one of those that need a look too.
func TestALineOfTooManyOctetsComesUpWhateverItsLastIs(t *testing.T) {
	for _, last := range []string{"x", "\t", "\x01"} {
		g := newGate(t, policy.Config{})
		l := g.inMail(77)
		if l.put(true, strings.Repeat("x", 998)+last) {
			t.Errorf("999 octets of a line have passed, the last is %q", last)
		}
		g.wake()
	}
}
