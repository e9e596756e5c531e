package inspect_test

import (
	"slices"
	"strings"
	"testing"

	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// Lawful sessions, or careless ones, in which something stands where an attacker would put
// it. None of them may be ended.
func TestRepliesAndOctetsThatOnlyLookOutOfTheirTurnAreLeftAlone(t *testing.T) {
	observe := policy.Config{Mode: verdict.Observe, Servers: []policy.Server{{StartTLS: policy.Require}}}
	refuse := policy.Config{Actions: map[verdict.Finding]verdict.Action{verdict.AuthInClear: verdict.Refuse}}
	for name, c := range map[string]struct {
		policy policy.Config
		play   func(w *wire)
		want   []string
	}{
		"a STARTTLS before the greeting": {policy.Config{}, func(w *wire) {
			w.c(ehlo + "STARTTLS\r\n")
			w.s(greeting)
			w.s(offers)
		}, []string{"unauthorised-pipelining log", "starttls-not-offered log"}},
		"two transactions in one group, and a part of the first one's reply": {observe, func(w *wire) {
			upToOffer(w)
			w.c(message)
			w.send(w.server, packet.ACK, []byte("25"))
			w.server.snd += 2
			w.c(message)
		}, []string{"tls-required refuse", "tls-required refuse"}},
		"a capture that has the replies behind what they allow": {policy.Config{Mode: verdict.Observe}, func(w *wire) {
			upToOffer(w)
			w.c("AUTH PLAIN AGEAYg==\r\nSTARTTLS\r\n")
			w.cut = 0
			w.s("535 no\r\n220 go\r\n")
		}, []string{"auth-in-clear log"}},
		"an XCLIENT behind a refusal": {policy.Config{}, func(w *wire) {
			refusedTLS(w)
			w.c("XCLIENT ADDR=192.0.2.9\r\n")
			w.s("220 mx.example ESMTP\r\n")
			w.c(ehlo)
			w.s(offers)
		}, []string{"offer-refused-temporarily log"}},
		"an AUTH that the client gives up": {refuse, func(w *wire) {
			upToOffer(w)
			w.c("AUTH LOGIN\r\n")
			w.s("250 ok\r\n")
			w.c("*\r\n")
			w.s("500 unknown\r\n")
			w.c("AUTH PLAIN AGEAYg==\r\n")
			w.s("250 ok\r\n")
			w.c("QUIT\r\n")
		}, []string{"auth-in-clear refuse", "auth-in-clear refuse"}},
		"a rejection in the middle of mail data": {policy.Config{}, func(w *wire) {
			intoMailData(w)
			w.c("text\r\n")
			w.s("554 5.7.1 no\r\n")
			w.c("more\r\n.\r\nQUIT\r\n")
			w.s("221 bye\r\n")
		}, []string{"surplus-reply log"}},
		"replies for each recipient, as LMTP has them": {policy.Config{}, func(w *wire) {
			w.s(greeting)
			w.c("LHLO client.example\r\n")
			w.s("250-mx.example\r\n250 PIPELINING\r\n")
			for range 2 {
				w.c(message)
				w.s("250 ok\r\n")
				w.c("DATA\r\n")
				w.s("354 go\r\n")
				w.c("text\r\n.\r\n")
				w.s("250 one\r\n250 two\r\n")
			}
		}, []string{"surplus-reply log", "surplus-reply log"}},
	} {
		t.Run(name, func(t *testing.T) {
			everyCut(t, setup{policy: c.policy}, func(t *testing.T, w *wire) {
				c.play(w)
				w.wantFindings(c.want...)
				if w.client.reset || w.server.reset {
					t.Error("it was ended")
				}
			})
		})
	}
}

func TestMoreRepliesAndOctetsOutOfTheirTurnEndTheConnection(t *testing.T) {
	letSmuggle := policy.Config{Actions: map[verdict.Finding]verdict.Action{verdict.Smuggling: verdict.Log}}
	letConfirm := policy.Config{Actions: map[verdict.Finding]verdict.Action{verdict.SmugglingConfirmed: verdict.Log}}
	for name, c := range map[string]struct {
		policy policy.Config
		play   func(w *wire)
		want   string
	}{
		"a 220 in answer to what stands before STARTTLS": {policy.Config{}, func(w *wire) {
			upToOffer(w)
			w.c("NOOP\r\nSTARTTLS\r\n")
			w.s("220 go\r\n")
		}, "surplus-reply kill"},
		"the first line of an answer before its question": {policy.Config{}, func(w *wire) {
			upToOffer(w)
			w.s("250-early\r\n")
			w.c("STARTTLS\r\n")
		}, "surplus-reply kill"},
		"the second reply to one DATA": {letSmuggle, func(w *wire) {
			intoMailData(w)
			w.c("text\n.\nMAIL FROM:<c@d>\r\n.\r\n")
			w.s("250 queued\r\n")
			w.s("250 ok\r\n")
		}, "smuggling-confirmed kill"},
		"a STARTTLS behind that": {letConfirm, func(w *wire) {
			intoMailData(w)
			w.c("text\r\n")
			w.s("250 queued\r\n")
			w.c(".\r\n")
			w.c("STARTTLS\r\n")
		}, "surplus-reply kill"},
		"a part of a command that is to be refused, behind a reply too many": {policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}, func(w *wire) {
			upToOffer(w)
			w.s("250 ok\r\n")
			w.c("MAIL FROM")
		}, "surplus-reply kill"},
		"a line without end behind a long one": {policy.Config{}, func(w *wire) {
			w.cut = 0
			upToOffer(w)
			w.c("NOOP " + strings.Repeat("x", 600) + "\r\n")
			w.s("250 ok\r\n")
			for range 70 {
				w.c(strings.Repeat("x", 1000))
			}
		}, "line-too-long kill"},
	} {
		t.Run(name, func(t *testing.T) {
			everyCut(t, setup{policy: c.policy}, func(t *testing.T, w *wire) {
				c.play(w)
				if !slices.Contains(w.rec.ids(), c.want) || !w.client.reset || !w.server.reset {
					t.Errorf("it goes on; findings %q", w.rec.ids())
				}
			})
		})
	}
}

func TestAClientIsToldWhyItsChunkEndsTheConnection(t *testing.T) {
	w := newWire(t, setup{})
	upToOffer(w)
	w.c("BDAT 100 LAST\r\n")
	w.s("503 no\r\n") // and so no reply is due any more
	w.heard(w.client)
	w.c("text\n.\nMAIL FROM:<c@d>\r\n")
	if got := w.heard(w.client); !strings.HasPrefix(got, "421 4.7.0 ") {
		t.Errorf("the client heard %q", got)
	}
}

func TestWhatOneCanRepeatBehindARefusalIsReportedOnce(t *testing.T) {
	w := newWire(t, setup{policy: policy.Config{Mode: verdict.Observe}})
	upToOffer(w)
	w.c("STARTTLS\r\n")
	w.s("454 4.7.0 not now\r\n")
	w.c(strings.Repeat("\x16\x03\x01\x00\x50\x01\n", 20))
	if n := len(slices.DeleteFunc(w.rec.ids(), func(id string) bool { return !strings.HasPrefix(id, "early-client-hello") })); n != 1 {
		t.Errorf("reported %d times", n)
	}
}

func TestWhatIsBeyondAllWindowsPassesWhereNothingIsEnforced(t *testing.T) {
	w := newWire(t, setup{policy: policy.Config{Mode: verdict.Observe}})
	upToOffer(w)
	if k := w.put(w.segment(w.client, w.client.snd+10<<20, packet.ACK, []byte("NOOP\r\n"))); k != verdict.Accept {
		t.Errorf("%v, want accept", k)
	}
}

// An open breaker takes the offer away as policy does, and so nothing may pass unread
// either, in which a STARTTLS could be.
func TestAnOpenBreakerLetsNothingPassUnread(t *testing.T) {
	open := func(t *testing.T) *wire {
		w := newWire(t, remembering(setup{}))
		for range 2 {
			w.refused("554 no\r\n")
			w.another()
		}
		w.greets(offers)
		w.rec.findings = nil
		return w
	}
	for name, c := range map[string]struct {
		play func(w *wire)
		want string
	}{
		"octets that nobody counts": {func(w *wire) {
			w.c("BDAT x\r\n")
		}, "bdat-malformed kill"},
		"octets that only some server counts": {func(w *wire) {
			w.c("EHLO again\r\n")
			w.s("250 mx.example\r\n")
			w.c("BDAT 10\r\n")
		}, "bdat-malformed kill"},
		"octets that went by": {func(w *wire) {
			w.put(w.segment(w.client, w.client.snd+6, packet.ACK, []byte("NOOP\r\n")))
			w.server.rcv += 6
			w.send(w.server, packet.ACK, nil)
		}, "gap kill"},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			c.play(w)
			if !slices.Contains(w.rec.ids(), c.want) || !w.client.reset {
				t.Errorf("findings %q", w.rec.ids())
			}
		})
	}
	t.Run("octets ahead of a hole", func(t *testing.T) {
		w := open(t)
		w.c(message + "DATA\r\n")
		w.s("250 ok\r\n354 go\r\n")
		w.heard(w.server)
		if k := w.put(w.segment(w.client, w.client.snd+5, packet.ACK, []byte(".\r\nSTARTTLS\r\n"))); k != verdict.Hold {
			t.Errorf("%v, want hold", k)
		}
	})
}
