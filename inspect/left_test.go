package inspect_test

import (
	"strings"
	"testing"

	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// record is a record of protected data, of which the header is the proof of TLS.
const record = "\x17\x03\x03\x00\x05hello"

// upToProof brings a session to where one end has protected its data, and the first record
// of last is still to come.
func upToProof(w *wire, last *end) {
	w.t.Helper()
	ch, sh := hellos(w.t.(testing.TB))
	upToOffer(w)
	w.c("STARTTLS\r\n")
	w.s("220 go\r\n")
	w.c(ch)
	w.s(sh)
	w.say(w.peer(last), record)
	w.heard(w.client)
	w.heard(w.server)
}

// An end's acknowledgement is no proof that the other has its own.
func TestASessionIsReadUntilBothEndsHaveAcknowledgedTheProof(t *testing.T) {
	for _, c := range []struct {
		name string
		last func(w *wire) *end
	}{{"the client's dies", func(w *wire) *end { return w.client }}, {"the server's dies", func(w *wire) *end { return w.server }}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWire(t, setup{})
			last := c.last(w)
			first := w.peer(last)
			upToProof(w, last)
			w.dies(w.segment(last, last.snd, packet.ACK, []byte(record)))
			w.say(first, record) // which its receiver acknowledges
			w.heard(last)
			w.say(last, strings.Repeat("!", len(record)))
			w.wantHeard(first, record)
			if w.p.Lent() != 0 {
				t.Error("both have acknowledged all, and the session is still read")
			}
		})
	}
}

// An end may have octets that went by unseen behind those that were: it has those too.
func TestASessionLeavesWhereMoreThanTheProofIsAcknowledged(t *testing.T) {
	w := newWire(t, setup{})
	upToProof(w, w.client)
	w.send(w.client, packet.ACK, []byte(record))
	w.server.rcv += 100 // unseen
	w.client.snd += uint32(len(record)) + 100
	w.send(w.server, packet.ACK, nil)
	if w.p.Lent() != 0 {
		t.Error("the session is still read")
	}
	w.wantFindings()
	if n := lost(w, "gap", "pass"); n != 0 {
		t.Errorf("%d gaps in what is not to be read", n)
	}
}

// Where nothing is enforced no octet comes in the place of another: the proof is enough.
func TestWhereNothingIsEnforcedASessionLeavesWithItsProof(t *testing.T) {
	for name, c := range map[string]setup{"observe": {policy: policy.Config{Mode: verdict.Observe}}, "replay": {passive: true}} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, c)
			upToProof(w, w.client)
			w.dies(w.segment(w.client, w.client.snd, packet.ACK, []byte(record)))
			w.p.Flush(w.now)
			if state := w.rec.flows[0].State; state != inspect.FlowBypassed {
				t.Errorf("at its end it is %s", state)
			}
		})
	}
}

// What follows the proof is the affair of those who have the keys: it is neither read, nor
// held behind a hole, nor a gap where it was not seen.
func TestNothingBehindTheProofIsReadHeldOrMissed(t *testing.T) {
	ch, sh := hellos(t)
	for name, begin := range map[string]func(w *wire){
		"STARTTLS": func(w *wire) { upToProof(w, w.client) },
		"TLS from the first octet": func(w *wire) {
			w.c(ch)
			w.s(sh + record)
			w.heard(w.server)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, setup{policy: requireTLS})
			begin(w)
			w.rec.findings = nil
			say := func(at int, text string) {
				t.Helper()
				if k := w.put(w.segment(w.client, w.client.snd+uint32(at), packet.ACK, []byte(text))); k != verdict.Accept {
					t.Errorf("%q: %v, want accept", text, k)
				}
			}
			say(0, record) // the server has acknowledged nothing of it yet
			const more = "MAIL FROM:<>\r\nSTARTTLS\r\nRSET\r\n"
			say(len(record), more)
			const behind = len(record+more) + 10 // a hole
			say(behind, "RCPT TO:<a@example>\r\n")
			w.wantHeard(w.server, record+more)
			if w.p.Lent() == 0 {
				t.Fatal("the session has left before its proof was acknowledged")
			}
			w.server.rcv = w.client.snd + uint32(behind) + 1 // it has what was in the hole
			w.send(w.server, packet.ACK, nil)
			w.wantFindings()
			if w.server.reset || w.client.reset || w.p.Lent() != 0 {
				t.Errorf("reset: client %v, server %v; %d octets kept", w.client.reset, w.server.reset, w.p.Lent())
			}
		})
	}
}

// An end may have much to say before the other's proof has arrived: what was acknowledged
// is kept no longer.
func TestAnEndGoesOnWhileTheOthersProofIsOnItsWay(t *testing.T) {
	w := newWire(t, setup{})
	upToProof(w, w.server)
	w.dies(w.segment(w.server, w.server.snd, packet.ACK, []byte(record)))
	const kept = 128 << 10
	text := strings.Repeat("protected", kept/90)
	for range 12 {
		w.c(text)
		w.wantHeard(w.server, text)
	}
	w.wantFindings()
}
