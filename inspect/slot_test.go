package inspect_test

import (
	"testing"

	"keepword/dataplane"
	"keepword/inspect"
	"keepword/inspect/flow"
	"keepword/inspect/packet"
	"keepword/inspect/verdict"
)

// upToSilence brings a session to where its server has said 220, and then nothing.
func upToSilence(w *wire) {
	w.t.Helper()
	ch, _ := hellos(w.t.(testing.TB))
	upToOffer(w)
	w.c("STARTTLS\r\n")
	w.s("220 go\r\n")
	w.c(ch)
}

// A session may have the place in the table of one whose time has not come yet.
func TestTheTimeOfAForgottenSessionIsNotThatOfTheNextInItsPlace(t *testing.T) {
	w := newWire(t, setup{limits: inspect.Limits{Flows: 1, Memory: 16 << 20, FlowMemory: 256 << 10}})
	upToSilence(w)
	w.wait(5e9)
	w.again(41000)
	w.open()
	upToSilence(w)
	w.rec.findings = nil // of the one that had to leave
	w.wait(6e9)
	w.wantFindings()
	w.wait(5e9)
	w.wantFindings("silence-after-220 log")
}

// A session may lose its place to another while later packets of its own wait in the same
// batch.
func TestAPacketIsNotTakenForOneOfTheSessionThatGotItsPlaceInTheSameBatch(t *testing.T) {
	w := newWire(t, setup{limits: inspect.Limits{Flows: 1, Memory: 16 << 20, FlowMemory: 256 << 10}})
	upToOffer(w)
	before := w.segment(w.client, w.client.snd, packet.ACK, []byte("NOOP\r\n"))
	behind := w.segment(w.client, w.client.snd+6, packet.ACK, []byte("NOOP\r\n"))
	w.again(41000)
	opens := w.segment(w.client, w.client.snd, packet.SYN, nil)
	b := dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: 1, Data: before}, {ID: 2, Data: opens}, {ID: 3, Data: behind}}}
	w.p.Inspect(&b)
	for i := range b.Packets {
		if k := b.Packets[i].Verdict; k != verdict.Accept {
			t.Errorf("packet %d: %v, want accept", i+1, k)
		}
	}
	if forced, middle := lost(w, "flows_full", "pass"), lost(w, "midstream", "pass"); forced != 1 || middle != 1 {
		t.Errorf("%d sessions had to leave and %d were first seen in their middle, want 1 and 1", forced, middle)
	}
}

// What is over, or is not read any more, is silent for another reason.
func TestNobodyIsToldOfTheSilenceOfASessionThatIsNotRead(t *testing.T) {
	for name, c := range map[string]struct {
		finish func(w *wire)
		found  []string
	}{
		"over": {func(w *wire) { w.send(w.client, packet.RST, nil) }, []string{"handshake-failed log"}},
		"not read": {func(w *wire) {
			w.server.rcv += 5 // it has what we have not
			w.client.snd += 5
			w.send(w.server, packet.ACK, nil)
			w.c("unread")
		}, []string{"gap log"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, setup{})
			upToSilence(w)
			c.finish(w)
			w.wait(11e9)
			w.wait(61e9)
			w.wantFindings(c.found...)
		})
	}
}

// In a full table room is made by what is over, then by what never began, then by what only
// a reset has ended; one that is read leaves last.
func TestAFullTableForgetsWhatIsOverFirstAndWhatIsReadLast(t *testing.T) {
	w := newWire(t, setup{limits: inspect.Limits{Flows: 4, Memory: 16 << 20, FlowMemory: 256 << 10}})
	port := w.client.addr.Port()
	next := func() {
		port++
		w.again(port)
		w.open()
	}
	upToOffer(w) // the one that is read
	next()
	w.c("STARTTLS\r\nRSET\r\n") // ended by our reset
	w.send(w.client, packet.ACK, nil)
	next()
	w.close()
	port++
	w.again(port)
	w.send(w.client, packet.SYN, nil)

	classes := [...]flow.Class{flow.Ended, flow.Embryonic, flow.Reset, flow.Open}
	for i, want := range [][4]int{{1, 1, 1, 1}, {0, 1, 1, 2}, {0, 0, 1, 3}, {0, 0, 0, 4}, {0, 0, 0, 4}} {
		if i > 0 {
			next()
		}
		for j, c := range classes {
			if got := w.p.Flows(c); got != want[j] {
				t.Errorf("after %d more: %d flows of class %d, want %d", i, got, c, want[j])
			}
		}
		if n := lost(w, "flows_full", "pass"); (n > 0) != (i == 4) {
			t.Errorf("after %d more %d had to leave that were read", i, n)
		}
	}
}
