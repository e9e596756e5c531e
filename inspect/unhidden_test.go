package inspect_test

import (
	"strings"
	"testing"

	"keepword/inspect/policy"
)

func TestASTARTTLSThatComesBeforeItsOfferWasHiddenReachesNoServer(t *testing.T) {
	everyCut(t, setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Hide}}}}, func(t *testing.T, w *wire) {
		w.s("220 mx.example ESMTP\r\n")
		w.c(ehlo + "STARTTLS\r\n") // not waiting for the offer
		w.s("250-mx.example\r\n250 STARTTLS\r\n220 2.0.0 Ready to start TLS\r\n")
		got := w.heard(w.server)
		if !strings.HasPrefix(got, ehlo) || len(got) != len(ehlo+"STARTTLS\r\n") || strings.Contains(got, "STARTTLS") {
			t.Errorf("the server heard %q", got)
		}
		if got := w.heard(w.client); strings.Contains(got, "\r\n220 ") || strings.Count(got, "\r\n502 ") != 1 {
			t.Errorf("the client heard %q", got)
		}
		w.wantFindings("unauthorised-pipelining log", "starttls-not-offered refuse")
	})
}
