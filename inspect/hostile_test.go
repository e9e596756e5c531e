package inspect_test

import (
	"strings"
	"testing"

	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// upToOffer opens a session as far as the offer of STARTTLS and forgets what was heard.
func upToOffer(w *wire) {
	w.s(greeting)
	w.c(ehlo)
	w.s(offers)
	w.heard(w.client)
	w.heard(w.server)
}

func TestAHiddenSTARTTLSReachesNoServerInAnySpelling(t *testing.T) {
	hide := setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Hide}}}}
	for _, command := range []string{"STARTTLS\r\n", " STARTTLS\r\n", "\tstarttls\r\n", "STARTTLS foo\r\n", "STARTTLS\n", "X-ANONYMOUSTLS\r\n", "STARTTLSX\r\n"} {
		t.Run(command, func(t *testing.T) {
			everyCut(t, hide, func(t *testing.T, w *wire) {
				upToOffer(w)
				w.c(command)
				got := w.heard(w.server)
				if tokens := strings.Fields(strings.ToUpper(got)); len(tokens) > 0 && (tokens[0] == "STARTTLS" || tokens[0] == "X-ANONYMOUSTLS" || tokens[0] == "STARTTLSX") && !w.client.reset {
					t.Errorf("the server heard %q", got)
				}
			})
		})
	}
}

func TestARefusedSTARTTLSReachesNoServer(t *testing.T) {
	for _, c := range []struct {
		finding verdict.Finding
		offer   string
		command string
	}{
		{verdict.STARTTLSNotOffered, "250 mx.example\r\n", "STARTTLS\r\n"},
		{verdict.STARTTLSWithParameter, offers, "STARTTLS foo\r\n"},
		{verdict.STARTTLSMalformed, offers, " STARTTLS\r\n"},
		{verdict.STARTTLSMalformed, offers, "STARTTLS\n"},
	} {
		t.Run(c.finding.String(), func(t *testing.T) {
			refuse := setup{policy: policy.Config{Actions: map[verdict.Finding]verdict.Action{c.finding: verdict.Refuse}}}
			everyCut(t, refuse, func(t *testing.T, w *wire) {
				w.s(greeting)
				w.c(ehlo)
				w.s(c.offer)
				w.heard(w.client)
				w.heard(w.server)
				w.c(c.command)
				heard := w.heard(w.server)
				if w.client.reset {
					return
				}
				if tokens := strings.Fields(heard); len(tokens) > 0 && tokens[0] == "STARTTLS" && strings.HasSuffix(heard, "\n") {
					t.Errorf("the server heard %q", heard)
				}
				w.s("220 go\r\n")
				if got := w.heard(w.client); !strings.HasPrefix(got, "50") {
					t.Errorf("the client heard %q", got)
				}
			})
		})
	}
}

func TestNoCommandPassesBehindOneWhoseReplyDecides(t *testing.T) {
	require := setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}}
	for _, first := range []string{"DATA\r\n", "TURN\r\n"} {
		everyCut(t, require, func(t *testing.T, w *wire) {
			upToOffer(w)
			w.c(first + message)
			w.s("503 5.5.1 no\r\n")
			if got := w.heard(w.server); strings.Contains(got, "MAIL") {
				t.Errorf("the server heard %q", got)
			}
		})
	}
}

func TestMailInClearIsRefusedInAnySpellingThatServersTake(t *testing.T) {
	require := setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}}
	for _, command := range []string{" MAIL FROM:<a@example>\r\n", "MAIL\tFROM:<a@example>\r\n", "\tauth plain AGEAYg==\r\n"} {
		everyCut(t, require, func(t *testing.T, w *wire) {
			upToOffer(w)
			w.c(command)
			if got := strings.ToUpper(w.heard(w.server)); strings.Contains(got, "FROM") || strings.Contains(got, "PLAIN") {
				t.Errorf("the server heard %q", got)
			}
			w.s("250 2.0.0 Ok\r\n")
			if got := w.heard(w.client); !strings.HasPrefix(got, "530 ") {
				t.Errorf("the client heard %q", got)
			}
		})
	}
}

func TestDigitsOfAnAnswerDoNotStallBehindAnEarlyClientHello(t *testing.T) {
	ch, _ := hellos(t)
	w := newWire(t, setup{})
	upToOffer(w)
	w.c("STARTTLS\r\n")
	w.c(ch)
	w.send(w.server, 0x18, []byte("2"))
	w.server.snd++
	w.wait(250e6)
	w.wantHeard(w.client, "2")
}

func TestAWrongFINDoesNotHideTheTrueOne(t *testing.T) {
	w := newWire(t, setup{})
	w.s(greeting)
	w.put(w.segment(w.client, w.client.snd+5000, 0x11, nil))
	w.close()
	if len(w.rec.flows) != 1 {
		t.Errorf("%d flow records after both FINs, want 1", len(w.rec.flows))
	}
}

func TestASecondAnswerToSTARTTLSEndsTheConnection(t *testing.T) {
	for _, second := range []string{"220 go\r\n", "250 OK\r\n"} {
		w := newWire(t, setup{})
		upToOffer(w)
		w.c("STARTTLS\r\n")
		w.s("454 not now\r\n")
		w.s(second)
		if !w.client.reset {
			t.Errorf("%q behind the answer to STARTTLS was let through: %q", second, w.heard(w.client))
		}
	}
}

func TestASurplusReplyIsNotTakenForTheAnswerToSTARTTLS(t *testing.T) {
	w := newWire(t, setup{})
	upToOffer(w)
	w.s("220 surplus\r\n")
	w.c("STARTTLS\r\n")
	if got := w.heard(w.client); !w.client.reset && strings.HasPrefix(got, "220") {
		t.Errorf("the client heard %q and then asked for STARTTLS: it believes that TLS has begun", got)
	}
}

func TestAFINOutOfPlaceLetsNoClearTextPassBehindThe220(t *testing.T) {
	w := newWire(t, setup{})
	upToOffer(w)
	w.put(w.segment(w.server, w.server.snd+3, 0x11, nil)) // nobody's FIN
	w.c("STARTTLS\r\n")
	w.s("220 go\r\n")
	w.heard(w.server)
	w.c(message)
	if got := w.heard(w.server); got != "" || !w.server.reset {
		t.Errorf("the server heard %q, reset %v", got, w.server.reset)
	}
}

func TestALate220IsNotTakenForTheReplyToARefusedCommand(t *testing.T) {
	everyCut(t, setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}}, func(t *testing.T, w *wire) {
		upToOffer(w)
		w.c("STARTTLS\r\n")
		w.s("250 a box says\r\n") // made 454
		w.c(message)              // made NOOP
		w.s("220 go\r\n")         // the server's own answer to STARTTLS
		if !w.client.reset || !w.server.reset {
			t.Errorf("the server is in TLS, the client is not; findings %q", w.rec.ids())
		}
	})
}

// What an explorer of all orders has found: each of these once had one end in TLS and the
// other not, or a reply taken for another's.
func TestRepliesAndOctetsOutOfTheirTurnEndTheConnection(t *testing.T) {
	ch, _ := hellos(t)
	required := setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}}
	for name, c := range map[string]struct {
		setup
		play func(w *wire)
	}{
		"a ClientHello behind a refusal": {setup{}, func(w *wire) {
			w.c("STARTTLS\r\n")
			w.s("454 no\r\n")
			w.c(ch)
		}},
		"a ClientHello behind a STARTTLS that was hidden": {setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Hide}}}}, func(w *wire) {
			w.c("STARTTLS\r\n")
			w.c(ch)
		}},
		"a late 220 to a verb that nobody knows": {setup{}, func(w *wire) {
			w.c("STARTTLS\r\n")
			w.s("250 a box says\r\n")
			w.c("RSMAIL FROM:<a@b>\r\n")
			w.s("220 go\r\n")
		}},
		"a refused command behind a surplus reply": {required, func(w *wire) {
			w.c("NOOP\r\n")
			w.s("250 ok\r\n250 ok\r\n")
			w.c(message)
		}},
		"a command behind what only looks like STARTTLS": {setup{}, func(w *wire) {
			w.c("STARTTLSX\r\nNOOP\r\n")
			w.s("220 go\r\n")
		}},
		"part of a command behind that": {setup{}, func(w *wire) {
			w.c("STARTTLSX\r\nNO")
			w.s("220 go\r\n")
		}},
		"a 220 that was there while STARTTLS was kept back": {setup{}, func(w *wire) {
			w.c("AUTH PLAIN AGEAYg==\r\nSTARTTLS\r\n")
			w.cut = 0
			w.s("235 ok\r\n220 go\r\n")
		}},
		"noise that begins as the reply to a refused command": {required, func(w *wire) {
			w.c(message)
			w.s("2")
			w.s("??\r\n")
		}},
		"a reply to mail data that go on": {setup{}, func(w *wire) {
			w.c(message)
			w.s("250 ok\r\n")
			w.c("DATA\r\n")
			w.s("354 go\r\n")
			w.c("text\r\n")
			w.s("250 queued\r\n")
		}},
		"a late 220 of two lines, with a command between": {setup{}, func(w *wire) {
			w.c("STARTTLS\r\n")
			w.s("250 a box says\r\n")
			w.s("220-ready\r\n")
			w.c(message)
			w.s("220 go\r\n")
		}},
		"a late 220 to a verb that nobody knows, behind a box's refusal": {setup{}, func(w *wire) {
			w.c("STARTTLS\r\n")
			w.s("454 a box says\r\n")
			w.c("RSMAIL FROM:<a@b>\r\n")
			w.s("220 go\r\n")
		}},
		"an answer that begins before the question": {setup{}, func(w *wire) {
			w.s("2")
			w.c("STARTTLS\r\n")
		}},
		"a late 220 that nothing waits for": {setup{}, func(w *wire) {
			w.c("STARTTLS\r\n")
			w.s("250 a box says\r\n")
			w.c(message)
			w.s("250 ok\r\n")
			w.s("220 go\r\n")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			everyCut(t, c.setup, func(t *testing.T, w *wire) {
				upToOffer(w)
				c.play(w)
				if !w.client.reset || !w.server.reset {
					t.Errorf("it goes on; findings %q", w.rec.ids())
				}
			})
		})
	}
}
