package inspect_test

import (
	"strings"
	"testing"

	"keepword/inspect/policy"
	"keepword/inspect/starttls"
)

func TestTheOfferIsHidden(t *testing.T) {
	hide := setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Hide}}}}
	for _, c := range []struct{ sent, want string }{
		{"250-mx.example\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 8BITMIME\r\n", "250-mx.example              \r\n250-PIPELINING\r\n250 8BITMIME\r\n"},
		{"250-mx.example\r\n250-PIPELINING\r\n250 STARTTLS\r\n", "250-mx.example              \r\n250 PIPELINING\r\n"},
		{"250-mx.example\r\n250 starttls\r\n", "250 mx.example              \r\n"},
		{"250-mx.example hi\r\n250-STARTTLS\r\n250-STARTTLS\r\n250 SIZE\r\n", "250-mx.example hi                            \r\n250 SIZE\r\n"},
		{"250-mx.example hi\r\n250-STARTTLS\r\n250 STARTTLS\r\n", "250 mx.example hi                            \r\n"},
		{"250-mx.example\r\n250- STARTTLS\r\n250 8BITMIME\r\n", "250-mx.example               \r\n250 8BITMIME\r\n"},
		{"220-mx.example\r\n220-STARTTLS\r\n220 8BITMIME\r\n", "220-mx.example              \r\n220 8BITMIME\r\n"},
	} {
		t.Run(c.sent, func(t *testing.T) {
			everyCut(t, hide, func(t *testing.T, w *wire) {
				w.s(greeting)
				w.c(ehlo)
				w.heard(w.client)
				w.s(c.sent)
				got := w.heard(w.client)
				if len(got) != len(c.sent) {
					t.Errorf("heard %q, of another length than %q", got, c.sent)
				}
				if strings.Contains(strings.ToUpper(got), "STARTTLS") {
					t.Errorf("heard %q", got)
				}
				if w.cut == 0 && got != c.want {
					t.Errorf("heard\n%q, want\n%q", got, c.want)
				}
				w.heard(w.server)
				w.c("STARTTLS\r\n")
				if got := w.heard(w.server); strings.EqualFold(got, "STARTTLS\r\n") || len(got) != len("STARTTLS\r\n") {
					t.Errorf("the server heard %q", got)
				}
				w.s("250 2.0.0 Ok\r\n")
				if got := w.heard(w.client); !strings.HasPrefix(got, "502 ") {
					t.Errorf("heard %q in answer to a hidden STARTTLS", got)
				}
				w.c(message)
				w.wantHeard(w.server, message)
				w.s("250 2.1.0 Ok\r\n")
				w.wantHeard(w.client, "250 2.1.0 Ok\r\n")
				w.wantFindings("starttls-not-offered refuse")
				w.wantOutcome(starttls.OutcomeHidden, starttls.StepOffered, starttls.StepHidden, starttls.StepAsked)
			})
		})
	}
}

func TestMailInClearIsRefusedWhereTLSIsRequired(t *testing.T) {
	require := setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}}
	for _, command := range []string{message, "AUTH PLAIN AGEAYg==\r\n", "mail from:<>\r\n"} {
		t.Run(command, func(t *testing.T) {
			everyCut(t, require, func(t *testing.T, w *wire) {
				w.s(greeting)
				w.c(ehlo)
				w.s(offers)
				w.heard(w.client)
				w.heard(w.server)
				w.c(command)
				got := w.heard(w.server)
				verb := strings.ToUpper(got)
				if len(got) != len(command) || strings.HasPrefix(verb, "MAIL ") && strings.TrimSpace(got) != got[:4] || strings.HasPrefix(verb, "AUTH ") && strings.TrimSpace(got) != got[:4] {
					t.Errorf("the server heard %q", got)
				}
				w.s("250 2.0.0 Ok\r\n")
				if got := w.heard(w.client); !strings.HasPrefix(got, "530 ") || strings.Contains(got, "Ok") || len(got) != len("250 2.0.0 Ok\r\n") {
					t.Errorf("heard %q", got)
				}
				w.c("QUIT\r\n")
				w.wantHeard(w.server, "QUIT\r\n")
				w.wantFindings("tls-required refuse")
			})
		})
	}
}

func TestNoiseBeforeTheReplyToARefusedCommandIsNoReply(t *testing.T) {
	everyCut(t, setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}}, func(t *testing.T, w *wire) {
		upToOffer(w)
		w.heard(w.client)
		w.c(message)
		w.s("***?***\r\n250 ok\r\n")
		if got := w.heard(w.client); !strings.HasPrefix(got, "***?***\r\n530 ") || strings.Count(got, "\r\n") != 2 {
			t.Errorf("the client heard %q", got)
		}
	})
}
