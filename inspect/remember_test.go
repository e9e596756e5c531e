package inspect_test

import (
	"strings"
	"testing"

	"keepword/inspect"
	"keepword/inspect/history"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

const (
	day       = 24 * 3600e9
	offerless = "250-mx.example\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 8BITMIME\r\n"
)

func remembering(c setup) setup {
	c.history = history.New(history.Config{Servers: 100, Breaker: history.Breaker{Failures: 2, Retry: day}})
	return c
}

// everyHistory is everyCut, with a new history for each.
func everyHistory(t *testing.T, c setup, f func(t *testing.T, w *wire)) {
	t.Helper()
	for _, cut := range []int{0, 1, 2, 7} {
		for i, ends := range [][2]string{0: {"4"}, 1: {"6"}} {
			t.Run(ends[0], func(t *testing.T) {
				c := remembering(c)
				c.cut, c.ends = cut, version4
				if i == 1 {
					c.ends = version6
				}
				f(t, newWire(t, c))
			})
		}
	}
}

// greets plays a session up to its EHLO reply.
func (w *wire) greets(reply string) {
	w.s(greeting)
	w.c(ehlo)
	w.s(reply)
}

// asks plays a session up to the answer to its STARTTLS.
func (w *wire) asks(answer string) {
	w.greets(offers)
	w.c("STARTTLS\r\n")
	w.s(answer)
}

// refused plays it to its end.
func (w *wire) refused(answer string) {
	w.asks(answer)
	w.c("QUIT\r\n")
	w.s("221 bye\r\n")
	w.close()
}

// upgraded plays a session whose TLS works, to its end.
func (w *wire) upgraded() {
	w.t.Helper()
	ch, sh := hellos(w.t.(*testing.T))
	w.greets(offers)
	w.c("STARTTLS\r\n")
	w.s("220 go\r\n")
	w.c(ch)
	w.s(sh)
	w.s("\x17\x03\x03\x00\x04abcd")
	w.c("\x17\x03\x03\x00\x04abcd")
	w.close()
}

func (w *wire) breakers() (all []string) {
	for _, f := range w.rec.findings {
		if f.Breaker.Changed() {
			all = append(all, f.Breaker.From.String()+" to "+f.Breaker.To.String())
		}
	}
	return all
}

func (w *wire) wantBreaker(want ...string) {
	w.t.Helper()
	if got := strings.Join(w.breakers(), ", "); got != strings.Join(want, ", ") {
		w.t.Errorf("breaker: %q, want %q", got, want)
	}
}

func TestABreakerOpensAfterTwoRefusalsAndClosesWhenAHandshakeWorks(t *testing.T) {
	everyHistory(t, setup{}, func(t *testing.T, w *wire) {
		w.refused("554 Unable to initialize security subsystem\r\n")
		w.wantBreaker()
		w.another()
		w.refused("554 Unable to initialize security subsystem\r\n")
		w.wantBreaker("closed to open")
		if r := w.rec.findings[1].Reason; !strings.Contains(r, "2 times in a row") || !strings.Contains(r, " UTC") {
			t.Errorf("the reason is %q", r)
		}

		w.another()
		w.greets(offers)
		if got := w.heard(w.client); strings.Contains(got, "STARTTLS") || len(got) != len(greeting+offers) {
			t.Errorf("the breaker is open and the client hears %q", got)
		}
		w.heard(w.server)
		w.c("STARTTLS\r\n") // all the same
		if got := w.heard(w.server); strings.Contains(got, "STARTTLS") {
			t.Errorf("the server hears %q", got)
		}
		w.s("250 ok\r\n")
		if got := w.heard(w.client); !strings.HasPrefix(got, "502") {
			t.Errorf("the client hears %q", got)
		}
		w.close()
		w.wantBreaker()

		w.now += day
		w.another()
		w.upgraded()
		w.wantBreaker("open to half-open", "half-open to closed")
		w.another()
		w.greets(offers)
		if got := w.heard(w.client); !strings.Contains(got, "STARTTLS") {
			t.Errorf("the breaker is closed and the client hears %q", got)
		}
	})
}

func TestATrialThatFailsOpensTheBreakerAgainAndOnlyOneSessionTries(t *testing.T) {
	w := newWire(t, remembering(setup{}))
	for range 2 {
		w.refused("502 no\r\n")
		w.another()
	}
	w.now += day
	w.another()
	w.greets(offers)
	w.wantBreaker("open to half-open")
	trial := *w
	w.another()
	w.greets(offers)
	if got := w.heard(w.client); strings.Contains(got, "STARTTLS") {
		t.Errorf("a second session tries: %q", got)
	}
	w.wantBreaker()
	client, server := w.client, w.server
	w.client, w.server = trial.client, trial.server
	w.c("STARTTLS\r\n")
	w.s("502 no\r\n")
	w.wantBreaker("half-open to open")
	w.client, w.server = client, server
}

func TestATrialThatNeverAsksLeavesItsTurnToTheNext(t *testing.T) {
	w := newWire(t, remembering(setup{}))
	for range 2 {
		w.refused("502 no\r\n")
		w.another()
	}
	w.now += day
	for range 2 {
		w.another()
		w.greets(offers)
		if got := w.heard(w.client); !strings.Contains(got, "STARTTLS") {
			t.Errorf("the session whose turn it is sees %q", got)
		}
		w.c("QUIT\r\n")
		w.s("221 bye\r\n")
		w.close()
	}
}

func TestABreakerNeverOpensWhereTLSIsRequiredOrWorkedOfLate(t *testing.T) {
	for name, c := range map[string]setup{
		"required": {policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}},
		"worked":   {},
	} {
		w := newWire(t, remembering(c))
		w.upgraded()
		for range 9 {
			w.another()
			w.refused("554 no\r\n")
			w.wantBreaker()
		}
		w.another()
		w.greets(offers)
		if got := w.heard(w.client); !strings.Contains(got, "STARTTLS") {
			t.Errorf("%s: hidden: %q", name, got)
		}
	}
}

func TestOneServerThatSays220AndKnowsNoTLSIsEnoughForTheBreaker(t *testing.T) {
	ch, _ := hellos(t)
	w := newWire(t, remembering(setup{}))
	w.greets(offers)
	w.c("STARTTLS\r\n")
	w.s("220 go\r\n")
	w.c(ch)
	w.s("500 what?\r\n")
	w.wantBreaker("closed to open")
}

func TestASilentServerIsLearnedAtTheLimitOrAtItsEnd(t *testing.T) {
	ch, _ := hellos(t)
	for name, ends := range map[string]func(*wire){
		"limit": func(w *wire) { w.wait(51e9) },
		"end":   func(w *wire) { w.close() },
	} {
		w := newWire(t, remembering(setup{}))
		for i := range 2 {
			w.greets(offers)
			w.c("STARTTLS\r\n")
			w.s("220 go\r\n")
			w.c(ch)
			w.wait(11e9)
			ends(w)
			if opened := len(w.breakers()) > 0; opened != (i == 1) {
				t.Errorf("%s: after %d silences: %v", name, i+1, w.breakers())
			}
			w.another()
		}
	}
}

func TestASilenceThatTheClientBringsAboutIsNotTheServers(t *testing.T) {
	ch, _ := hellos(t)
	for name, hello := range map[string]func(*wire){
		"a ClientHello that does not arrive": func(w *wire) {
			w.send(w.client, packet.ACK|packet.PSH, []byte(ch))
			w.client.snd += uint32(len(ch))
		},
		"a window that is closed": func(w *wire) {
			w.c(ch)
			closed := w.segment(w.client, w.client.snd, packet.ACK, nil)
			var v packet.View
			packet.Parse(closed, &v)
			v.SetWindow(0)
			w.put(closed)
		},
	} {
		w := newWire(t, remembering(setup{}))
		for range 3 {
			w.greets(offers)
			w.c("STARTTLS\r\n")
			w.s("220 go\r\n")
			hello(w)
			w.wait(11e9)
			w.wait(51e9)
			if ids := strings.Join(w.rec.ids(), ", "); ids != "silence-after-220 log, silence-after-220 kill" {
				t.Errorf("%s: %s", name, ids)
			}
			w.another()
		}
	}
}

func TestInObserveTheBreakerIsReportedAndHidesNothing(t *testing.T) {
	w := newWire(t, remembering(setup{policy: policy.Config{Mode: verdict.Observe}}))
	w.refused("554 no\r\n")
	w.another()
	w.refused("554 no\r\n")
	w.wantBreaker("closed to open")
	if f := w.rec.findings[1]; f.Mode != verdict.Observe || f.Action != verdict.Hide {
		t.Errorf("reported as %v, %v", f.Mode, f.Action)
	} else if !strings.Contains(f.Reason, "in mode enforce its offer would be hidden") {
		t.Errorf("nothing is hidden, and the reason is %q", f.Reason)
	}
	w.another()
	w.greets(offers)
	w.wantHeard(w.client, greeting+offers)
}

func TestAnOfferThatVanishedIsReportedAndWithRequireTheMailWaits(t *testing.T) {
	for _, require := range []bool{false, true} {
		c := setup{}
		if require {
			c.policy.Servers = []policy.Server{{StartTLS: policy.Require}}
		}
		everyHistory(t, c, func(t *testing.T, w *wire) {
			w.upgraded()
			w.another()
			w.greets(offerless)
			if require {
				w.wantFindings("offer-vanished kill")
				// In the middle of a line there is no place for a 421: the reset alone has
				// the client try again later.
				got := w.heard(w.client)
				if w.cut == 0 && !strings.Contains(got, "421 4.7.0") || strings.Contains(got, "8BITMIME\r\n") || !w.server.reset || !w.client.reset {
					t.Errorf("the client hears %q", got)
				}
				return
			}
			w.wantFindings("offer-vanished log")
			if r := w.rec.findings[0].Reason; !strings.Contains(r, "unchanged") {
				t.Errorf("the reason is %q", r)
			}
			w.wantHeard(w.client, greeting+offerless)
			w.another()
			w.greets("250-mx.example\r\n250 SIZE 1\r\n")
			if r := w.rec.findings[0].Reason; !strings.Contains(r, "on purpose") {
				t.Errorf("the reason is %q", r)
			}
			w.now += 31 * day
			w.another()
			w.greets(offerless)
			w.wantFindings()
		})
	}
}

func TestARefusedEHLOIsReportedWhereItWasTakenBefore(t *testing.T) {
	helo := func(w *wire) {
		w.s(greeting)
		w.c(ehlo)
		w.s("502 what?\r\n")
		w.c("HELO client.example\r\n")
		w.s("250 mx.example\r\n")
	}
	everyHistory(t, setup{}, func(t *testing.T, w *wire) {
		helo(w)
		w.wantFindings()
		w.another()
		w.upgraded()
		w.another()
		helo(w)
		w.wantFindings("ehlo-refused log")
	})
}

func TestStrippedMailIsHeldBackAndNotRefusedForGood(t *testing.T) {
	c := setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}}
	for name, stripped := range map[string]func(*wire){
		"offer masked":                func(w *wire) { w.greets("250-mx.example\r\n250 XXXXXXXA\r\n") },
		"greeting masked":             func(w *wire) { w.s("220 ****2**0*\r\n"); w.c("HELO a\r\n"); w.s("250 mx\r\n") },
		"454 after success":           func(w *wire) { w.upgraded(); w.another(); w.asks("454 not now\r\n") },
		"554 after success":           func(w *wire) { w.upgraded(); w.another(); w.asks("554 no\r\n") },
		"answered by somebody else":   func(w *wire) { w.asks("250 OK\r\n") },
		"answered by what is no word": func(w *wire) { w.asks("354 go\r\n") },
	} {
		everyHistory(t, c, func(t *testing.T, w *wire) {
			stripped(w)
			w.heard(w.client)
			w.heard(w.server)
			w.c(message)
			if got := w.heard(w.client); !strings.HasPrefix(got, "421 ") {
				t.Errorf("%s: the client hears %q", name, got)
			}
			if got := w.heard(w.server); strings.Contains(got, "MAIL F") {
				t.Errorf("%s: the server hears %q", name, got)
			}
		})
	}
}

func TestMailInClearTextSoonAfterAFailedHandshakeIsADowngrade(t *testing.T) {
	ch, _ := hellos(t)
	w := newWire(t, remembering(setup{}))
	w.greets(offers)
	w.c("STARTTLS\r\n")
	w.s("220 go\r\n")
	w.c(ch)
	w.s("\x15\x03\x03\x00\x02\x02\x28")
	w.close()
	w.wantFindings("handshake-failed log")
	w.another()
	w.greets(offers)
	w.c(message)
	w.wantFindings("downgraded-after-failure log")
	w.now += 2 * 3600e9
	w.another()
	w.greets(offers)
	w.c(message)
	w.wantFindings()
}

func TestASessionsAccountTellsWhatWasSaidInOrder(t *testing.T) {
	everyCut(t, setup{}, func(t *testing.T, w *wire) {
		w.refused("250 ok\r\n")
		w.wantOutcome(starttls.OutcomeCorrected, starttls.StepOffered, starttls.StepAsked, starttls.StepAnswered, starttls.StepCorrected)
		var got []string
		for _, s := range w.rec.flows[0].Said {
			switch s.Kind {
			case inspect.SaidCommand:
				got = append(got, s.Verb.String())
			case inspect.SaidReply:
				got = append(got, string(rune('0'+s.Code/100)))
			case inspect.SaidFinding:
				got = append(got, s.Finding.String())
			}
		}
		if all := strings.Join(got, " "); all != "2 EHLO 2 STARTTLS 2 answered-for-server QUIT 2" {
			t.Errorf("said: %s", all)
		}
	})
}

func TestNoClientProvokesAFailureOfTheServers(t *testing.T) {
	refusals := []string{"500 what?\r\n", "502 what?\r\n", "504 no parameter\r\n", "554 no\r\n", "454 not now\r\n"}
	for _, ask := range []string{
		"STARTTLSX\r\n", "STARTTLS now\r\n", " STARTTLS\r\n", "STARTTLS\t\r\n", "STARTTLS\x00\r\n", "STARTTLS\r\r\n", "STARTTLS\n",
		"X-ANONYMOUSTLS\r\n", "STARTTLS" + strings.Repeat(" ", 600) + "\r\n",
	} {
		everyHistory(t, setup{}, func(t *testing.T, w *wire) {
			for i := range 6 {
				w.greets(offers)
				w.c(ask)
				w.s(refusals[i%len(refusals)])
				for _, f := range w.rec.findings {
					if f.Finding == verdict.OfferRefused || f.Finding == verdict.OfferRefusedTemporarily || f.Breaker.Changed() {
						t.Errorf("%.20q, %q: %v, %v", ask, refusals[i%len(refusals)], f.Finding, f.Breaker)
					}
				}
				w.close()
				w.another()
			}
		})
	}
	w := newWire(t, remembering(setup{}))
	for range 3 {
		w.greets(offers)
		w.c(message)
		w.s("250 ok\r\n")
		w.c("STARTTLS\r\n")
		w.s("554 not within a transaction\r\n")
		w.wantBreaker()
		w.close()
		w.another()
	}
}

func TestARefusalCountsOnceASession(t *testing.T) {
	for _, answer := range []string{"454 not now\r\n", "554 no\r\n", "250 ok\r\n"} {
		c := remembering(setup{})
		w := newWire(t, c)
		w.greets(offers)
		for range 9 {
			w.c("STARTTLS\r\n")
			w.s(answer)
		}
		w.wantBreaker()
		w.close()
		if r, _ := c.history.Lookup(w.server.addr); r.Promise.Failures != 1 {
			t.Errorf("%q: %d failures in one session", answer, r.Promise.Failures)
		}
	}
}

func TestClearTextBehindAnAlertIsNoSignThatTheServerKnowsNoTLS(t *testing.T) {
	ch, _ := hellos(t)
	const alert = "\x15\x03\x03\x00\x02\x02\x28"
	for name, fails := range map[string]func(*wire){
		"of the server": func(w *wire) { w.c(ch); w.s(alert) },
		"of the client": func(w *wire) { w.c(alert); w.c(ch) },
	} {
		w := newWire(t, remembering(setup{}))
		w.greets(offers)
		w.c("STARTTLS\r\n")
		w.s("220 go\r\n")
		fails(w)
		w.c("\x15\x03\x03\x00\x07\nNOOP\r\n") // a record, and to a server that left TLS a command
		w.s("554 Security failure\r\n")
		w.wantBreaker()
		if ids := strings.Join(w.rec.ids(), ", "); ids != "handshake-failed log, plaintext-from-server-after-220 kill" {
			t.Errorf("alert %s: %s", name, ids)
		}
	}
}

func TestAClientHelloThatBelievesAFalseAcceptanceIsTold(t *testing.T) {
	ch, _ := hellos(t)
	w := newWire(t, setup{policy: policy.Config{Mode: verdict.Observe}})
	w.greets(offers)
	w.c("STARTTLS\r\n")
	w.s("250 ok\r\n")
	w.c(ch)
	w.wantOutcome(starttls.OutcomeBroken, starttls.StepOffered, starttls.StepAsked, starttls.StepAnswered, starttls.StepClientHello)
	if said := w.rec.flows[0].Said; said[len(said)-1].Kind != inspect.SaidClientHello {
		t.Errorf("said last: %+v", said[len(said)-1])
	}
}

func TestNoMessageGoesInClearTextInAGroupWithAMAILThatIsRefused(t *testing.T) {
	c := setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}}
	everyHistory(t, c, func(t *testing.T, w *wire) {
		w.greets(offers)
		w.heard(w.server)
		w.c("MAIL FROM:<a@example>\r\nRCPT TO:<b@example>\r\nBDAT 8 LAST\r\nsecret\r\n")
		if got := w.heard(w.server); strings.Contains(got, "secret") || strings.Contains(got, "MAIL FROM") {
			t.Errorf("the server hears %q", got)
		}
		if !w.client.reset {
			t.Error("the client is not told")
		}
	})
}

func TestMarksOfStrippingNeedNoHistory(t *testing.T) {
	w := newWire(t, setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}})
	w.greets("250-mx.example\r\n250 XXXXXXXA\r\n")
	w.heard(w.client)
	w.c(message)
	if got := w.heard(w.client); !strings.HasPrefix(got, "421 ") {
		t.Errorf("the client hears %q", got)
	}
}
