package inspect_test

import (
	"testing"

	"keepword/inspect/policy"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

func TestObservingAltersNothing(t *testing.T) {
	observe := setup{policy: policy.Config{Mode: verdict.Observe, Servers: []policy.Server{{StartTLS: policy.Hide}}}}
	everyCut(t, observe, func(t *testing.T, w *wire) {
		for _, step := range []struct {
			from *end
			text string
		}{
			{w.server, greeting}, {w.client, ehlo}, {w.server, offers}, {w.client, "STARTTLS\r\nRSET\r\n"},
			{w.server, "250 OK\r\n250 OK\r\n"}, {w.client, message},
		} {
			w.say(step.from, step.text)
			w.wantHeard(w.peer(step.from), step.text)
		}
		if w.client.reset || w.server.reset {
			t.Error("reset in mode observe")
		}
		w.wantFindings("command-injection kill", "answered-for-server correct")
		for _, f := range w.rec.findings {
			if f.Mode != verdict.Observe || f.Packet != verdict.Accept {
				t.Errorf("%v: mode %v, packet %v", f.Finding, f.Mode, f.Packet)
			}
		}
	})
}

func TestFindingsThatOnlyReport(t *testing.T) {
	_, sh := hellos(t)
	ch, _ := hellos(t)
	hear := func(w *wire) { w.c(ehlo); w.s(offers) }
	ask := func(w *wire) { hear(w); w.c("STARTTLS\r\n") }
	for _, c := range []struct {
		name    string
		finding []string
		outcome starttls.Outcome
		play    func(w *wire)
	}{
		{"refused for good", []string{"offer-refused log"}, starttls.OutcomeRefused, func(w *wire) {
			ask(w)
			w.s("554 Unable to initialize security subsystem\r\n")
		}},
		{"refused for now", []string{"offer-refused-temporarily log"}, starttls.OutcomeRefused, func(w *wire) {
			ask(w)
			w.s("454 TLS not available due to temporary reason\r\n")
		}},
		{"too many", []string{"tls-rate-limited log"}, starttls.OutcomeRefused, func(w *wire) {
			ask(w)
			w.s("454 4.7.0 Error: too many new TLS sessions from 192.0.2.1\r\n")
		}},
		{"not offered", []string{"starttls-not-offered log"}, starttls.OutcomeRefused, func(w *wire) {
			w.c(ehlo)
			w.s("250 mx.example\r\n")
			w.c("STARTTLS\r\n")
			w.s("502 5.5.1 no\r\n")
		}},
		{"with a parameter", []string{"starttls-with-parameter log"}, starttls.OutcomeRefused, func(w *wire) {
			hear(w)
			w.c("STARTTLS now\r\n")
			w.s("501 5.5.4 no\r\n")
		}},
		{"letters behind it", []string{"starttls-malformed log"}, starttls.OutcomeRefused, func(w *wire) {
			hear(w)
			w.c("STARTTLSX\r\n")
			w.s("501 5.5.4 no\r\n")
		}},
		{"a bare LF", []string{"bare-newline log", "starttls-malformed log"}, starttls.OutcomeBroken, func(w *wire) {
			hear(w)
			w.c("STARTTLS\n")
			w.s("220 go\r\n")
		}},
		{"in a transaction", []string{"starttls-in-transaction log"}, starttls.OutcomeBroken, func(w *wire) {
			hear(w)
			w.c(message)
			w.s("250 ok\r\n")
			w.c("STARTTLS\r\n")
			w.s("220 go\r\n")
		}},
		{"masked", []string{"offer-masked log"}, starttls.OutcomeNotOffered, func(w *wire) {
			w.c(ehlo)
			w.s("250-mx.example\r\n250-XXXXXXXA\r\n250 SIZE\r\n")
		}},
		{"inconsistent", []string{"offer-inconsistent log"}, starttls.OutcomeNotAsked, func(w *wire) {
			hear(w)
			w.c(ehlo)
			w.s("250-mx.example\r\n250 SIZE\r\n")
		}},
		{"after authentication", []string{"auth-in-clear log", "auth-before-tls log"}, starttls.OutcomeBroken, func(w *wire) {
			hear(w)
			w.c("AUTH LOGIN\r\n")
			w.s("334 VXNlcm5hbWU6\r\n")
			w.c("U1RBUlRUTFM=\r\n")
			w.s("334 UGFzc3dvcmQ6\r\n")
			w.c("STARTTLS\r\n") // a line of the exchange
			w.s("235 2.7.0 ok\r\n")
			w.c("STARTTLS\r\n")
			w.s("220 go\r\n")
		}},
		{"an alert", []string{"handshake-failed log"}, starttls.OutcomeBroken, func(w *wire) {
			ask(w)
			w.s("220 go\r\n")
			w.c(ch)
			w.s("\x15\x03\x03\x00\x02\x02\x28")
		}},
		{"Exchange's verb", nil, starttls.OutcomeUpgraded, func(w *wire) {
			w.c(ehlo)
			w.s("250-mx.example\r\n250 X-ANONYMOUSTLS\r\n")
			w.c("X-ANONYMOUSTLS\r\n")
			w.s("220 go\r\n")
			w.c(ch)
			w.s(sh)
			w.c("\x17\x03\x03\x00\x03abc")
			w.s("\x17\x03\x03\x00\x03abc")
		}},
		{"a surplus reply", []string{"surplus-reply log"}, starttls.OutcomeNotOffered, func(w *wire) { w.s("250 what\r\n") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			everyCut(t, setup{}, func(t *testing.T, w *wire) {
				w.s(greeting)
				c.play(w)
				if c.outcome == starttls.OutcomeBroken && len(c.finding) > 0 && c.finding[len(c.finding)-1] != "handshake-failed log" {
					c.finding = append(c.finding[:len(c.finding):len(c.finding)], "handshake-failed log")
				}
				w.close()
				w.wantFindings(c.finding...)
				w.p.Flush(w.now)
				if got := w.rec.flows[0].Outcome; got != c.outcome {
					t.Errorf("outcome %v, want %v", got, c.outcome)
				}
			})
		})
	}
}
