package inspect_test

import (
	"strings"
	"testing"

	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// What is let through behind the 220 is a line more; whether TLS began is read behind it.
func TestObservingReadsOnBehindInjectedReplies(t *testing.T) {
	ch, sh := hellos(t)
	for _, c := range []struct {
		name    string
		finding string
		play    func(w *wire)
		outcome starttls.Outcome
	}{
		{"in the 220's segment", "response-injection kill", func(w *wire) {
			w.s("220 go\r\n250 evil\r\n")
			w.c(ch)
			w.s(sh)
		}, starttls.OutcomeUpgraded},
		{"two lines of it", "response-injection kill", func(w *wire) {
			w.s("220 go\r\n")
			w.s("250-evil\r\n")
			w.s("250 evil\r\n")
			w.c(ch)
			w.s(sh)
		}, starttls.OutcomeUpgraded},
		{"behind the ClientHello", "plaintext-from-server-after-220 kill", func(w *wire) {
			w.s("220 go\r\n")
			w.c(ch)
			w.s("250 evil\r\n" + sh)
		}, starttls.OutcomeUpgraded},
		{"by a server that stays in clear text", "plaintext-from-server-after-220 kill", func(w *wire) {
			w.s("220 go\r\n")
			w.c(ch)
			w.s("500 what?\r\n")
			w.s("500 what?\r\n")
		}, starttls.OutcomeBroken},
	} {
		t.Run(c.name, func(t *testing.T) {
			everyCut(t, setup{policy: policy.Config{Mode: verdict.Observe}}, func(t *testing.T, w *wire) {
				w.s(greeting)
				w.c(ehlo)
				w.s(offers)
				w.c("STARTTLS\r\n")
				c.play(w)
				w.wantFindings(c.finding)
				if c.outcome == starttls.OutcomeUpgraded {
					const data = "\x17\x03\x03\x00\x01x"
					w.c(data)
					w.s(data)
				}
				w.close()
				if got := w.rec.flows[0].Outcome; got != c.outcome {
					t.Errorf("outcome %v, want %v", got, c.outcome)
				}
				w.wantFindings(c.finding)
			})
		})
	}
}

// A second answer to STARTTLS may come after the client's next command, in the place of
// the answer to that. By then the server has begun TLS, and the client has not.
func TestALateAcceptanceEndsTheConnection(t *testing.T) {
	for _, c := range []struct{ answer, finding string }{
		{"454 not now\r\n", "offer-refused-temporarily log"},
		{"250 OK\r\n", "answered-for-server correct"},
	} {
		everyCut(t, setup{}, func(t *testing.T, w *wire) {
			w.s(greeting)
			w.c(ehlo)
			w.s(offers)
			w.c("STARTTLS\r\n")
			w.s(c.answer)
			w.c("RSET\r\n")
			w.heard(w.client)
			w.s("220 go\r\n")
			if got := w.heard(w.client); strings.Contains(got, "220") && strings.Contains(got, "\n") {
				t.Errorf("the client heard %q", got)
			}
			if !w.client.reset || !w.server.reset {
				t.Errorf("reset: client %v, server %v", w.client.reset, w.server.reset)
			}
			w.wantFindings(c.finding, "surplus-reply kill")
		})
	}
}

// Behind STARTTLS arrives a 220 that was said before it: its segment does not acknowledge it. Who
// said it has not begun TLS.
func TestAnAcceptanceFromBeforeTheQuestionIsNone(t *testing.T) {
	const answer = "220 go\r\n"
	for cut := range len(answer) {
		w := newWire(t, setup{})
		w.s(greeting)
		w.c(ehlo)
		w.s(offers)
		w.heard(w.client)
		first := w.segment(w.server, w.server.snd, packet.ACK, []byte(answer[:cut]))
		rest := w.segment(w.server, w.server.snd+uint32(cut), packet.ACK, []byte(answer[cut:]))
		w.c("STARTTLS\r\n")
		w.inspect(first, w.deliver, w.deliver)
		w.inspect(rest, w.deliver, w.deliver)
		if got := w.heard(w.client); strings.Contains(got, "220") && strings.Contains(got, "\n") {
			t.Errorf("cut behind %d: the client heard %q", cut, got)
		}
		if !w.client.reset || !w.server.reset {
			t.Errorf("cut behind %d: reset: client %v, server %v", cut, w.client.reset, w.server.reset)
		}
		w.wantFindings("surplus-reply kill")
	}
}
