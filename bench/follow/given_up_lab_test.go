//go:build lab

package follow

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// newGateOf is newGate with a memory of so many octets, and what to do when it is used up.
func newGateOf(t failer, memory int64, full inspect.When) *gate {
	g := newGate(t, policy.Config{})
	g.pipeline = inspect.New(inspect.Config{
		Policy: policy.New(policy.Config{Mode: verdict.Enforce}), Ports: []uint16{25, 587}, Follows: true, Rings: shared.Rings(), History: g.history, MemoryFull: full,
		Limits: inspect.Limits{Flows: 1000, Memory: memory, FlowMemory: 1 << 17},
		Sink:   g, Tap: g, Seed: 1 << 56,
	})
	g.Gateway = NewGateway(shared, g.pipeline, g.deliver)
	g.wake()
	return g
}

// TestTheProgramDoesNotFollowASessionThatWasGivenUp: nobody keeps its ring for it any more.
func TestTheProgramDoesNotFollowASessionThatWasGivenUp(t *testing.T) {
	const buffers = 8
	text := strings.Repeat("What was said first is what the server gets.\r\n", 20)
	for _, fromGreeting := range []bool{false, true} {
		g := newGateOf(t, buffers<<11, inspect.WhenPass)
		if fromGreeting {
			g.inMail(77)
			g.wake()
		}
		victim := g.inMail(77)
		var others [buffers]*link
		for i := range others {
			others[i] = g.inMail(77)
		}
		for _, o := range others { // use up the memory
			o.put(true, "not acknowledged\r\n")
			o.wake()
		}
		if !victim.put(true, "a short line\r\n") {
			t.Fatal("the short line came up")
		}
		victim.wake() // there is no memory for it
		victim.acknowledge(false)
		victim.put(true, text)
		victim.acknowledge(false)
		for range 3 {
			g.rest(2 * time.Second)
		}
		for _, o := range others {
			o.acknowledge(false)
			o.flush()
			o.send(o.segment(true, len(o.client.said)-1, packet.ACK, "\n")) // has the rest read
			o.wake()
		}
		other := g.inMail(77 + uint32(len("a short line\r\n")+len(text)))
		if !other.put(true, text) {
			t.Fatal("the other's mail data came up")
		}
		other.wake()
		kept := len(other.client.said) - 900
		victim.put(true, strings.Repeat("another's private mail\r\n", 60)[:len(text)-2]+"\r\n")
		var copies [][]byte
		g.Deliver = func(pkt []byte) { copies = append(copies, bytes.Clone(mustParse(t, pkt).Payload)) }
		other.send(other.segment(true, kept, packet.ACK|packet.PSH, string(other.client.said[kept:])))
		other.wake()
		if len(copies) != 1 || !bytes.Equal(copies[0], other.client.said[kept:]) {
			t.Errorf("from its greeting on %v: a retransmission of %q leaves as %q", fromGreeting, other.client.said[kept:kept+40], copies)
		}
	}
}

// TestTheProgramDoesNotFollowASessionThatInspectionHasKilledInArrears, though it was never told of it.
func TestTheProgramDoesNotFollowASessionThatInspectionHasKilledInArrears(t *testing.T) {
	const buffers = 8
	g := newGateOf(t, buffers<<11, inspect.WhenKill)
	g.inMail(77)
	g.wake()
	victim := g.inMail(77) // from its greeting on
	var others [buffers]*link
	for i := range others {
		others[i] = g.inMail(77)
	}
	for _, o := range others { // use up the memory
		o.put(true, "not acknowledged\r\n")
		o.wake()
	}
	if !victim.put(true, "a short line\r\n") {
		t.Fatal("the short line came up")
	}
	victim.wake()
	if !victim.client.hasRST || !victim.server.hasRST {
		t.Fatal("it was not killed")
	}
	victim.client.gotFIN = false // it takes no notice of it
	victim.acknowledge(false)
	if victim.put(true, strings.Repeat("What was said first is what the server gets.\r\n", 20)) {
		t.Error("mail data of a killed connection have passed")
	}
	g.wake()
}
