package inspect_test

import (
	"bytes"
	"strings"
	"testing"

	"keepword/inspect/starttls"
)

func TestInjectionEndsTheConnection(t *testing.T) {
	ch, _ := hellos(t)
	for _, c := range []struct {
		name    string
		finding string
		play    func(w *wire)
	}{
		{"a command in the same segment", "command-injection kill", func(w *wire) { w.c("STARTTLS\r\nRSET\r\n") }},
		{"a command in the next segment", "command-injection kill", func(w *wire) { w.c("STARTTLS\r\n"); w.c("NOOP\r\n") }},
		{"part of a command", "command-injection kill", func(w *wire) { w.c("STARTTLS\r\nM") }},
		{"a reply behind the 220", "response-injection kill", func(w *wire) { w.c("STARTTLS\r\n"); w.s("220 go\r\n250 evil\r\n") }},
		{"a reply after the 220", "response-injection kill", func(w *wire) { w.c("STARTTLS\r\n"); w.s("220 go\r\n"); w.s("250 evil\r\n") }},
		{"clear text from the client", "plaintext-from-client-after-220 kill", func(w *wire) { w.c("STARTTLS\r\n"); w.s("220 go\r\n"); w.c(message) }},
		{"clear text from the server", "plaintext-from-server-after-220 kill", func(w *wire) {
			w.c("STARTTLS\r\n")
			w.s("220 go\r\n")
			w.c(ch)
			w.s("500 what?\r\n")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			everyCut(t, setup{}, func(t *testing.T, w *wire) {
				w.s(greeting)
				w.c(ehlo)
				w.s(offers)
				w.heard(w.client)
				w.heard(w.server)
				c.play(w)
				if !w.client.reset || !w.server.reset {
					t.Errorf("reset: client %v, server %v", w.client.reset, w.server.reset)
				}
				for _, evil := range []string{"evil", "RSET", "NOOP", "MAIL", "500"} {
					if bytes.Contains(w.client.got, []byte(evil)) || bytes.Contains(w.server.got, []byte(evil)) {
						t.Errorf("%s came through: %q %q", evil, w.client.got, w.server.got)
					}
				}
				if strings.HasPrefix(c.finding, "command-injection") && !bytes.HasPrefix(w.client.got, []byte("421 4.7.0 ")) {
					t.Errorf("the client heard %q", w.client.got)
				}
				w.wantFindings(c.finding)
				w.p.Flush(w.now)
				if len(w.rec.flows) != 1 || w.rec.flows[0].Outcome != starttls.OutcomeKilled {
					t.Errorf("flows %+v", w.rec.flows)
				}
			})
		})
	}
}

func TestAConnectionThatEndsWhileItIsReadIsReadNoFurther(t *testing.T) {
	everyCut(t, setup{}, func(t *testing.T, w *wire) {
		w.s(greeting)
		w.c(ehlo)
		w.s(offers)
		w.c("DATA\r\nSTARTTLS\r\nRSET\r\n")
		w.s("503 5.5.1 no\r\n220 go\r\n")
		if !w.client.reset {
			t.Error("not ended")
		}
		// Where the 220 is there before STARTTLS has left, that comes first.
		if got := w.rec.ids(); len(got) != 1 || got[0] != "command-injection kill" && got[0] != "surplus-reply kill" {
			t.Errorf("findings %q", got)
		}
	})
}

func TestAReplyBehindABareCRInThe220IsAnInjection(t *testing.T) {
	for text, found := range map[string]bool{"go\r250 evil": true, "go\x00250 evil": true, "go\r": false} {
		everyCut(t, setup{}, func(t *testing.T, w *wire) {
			upToOffer(w)
			w.c("STARTTLS\r\n")
			w.s("220 " + text + "\r\n")
			if w.client.reset != found || w.server.reset != found {
				t.Errorf("%q: %q", text, w.rec.ids())
			}
		})
	}
}
