package inspect_test

import (
	"strings"
	"testing"

	"keepword/inspect/policy"
)

func TestNoMailInClearPassesBehindABDATThatWasNotOffered(t *testing.T) {
	for name, say := range map[string]func(w *wire){
		"behind HELO": func(w *wire) {
			w.c("HELO client.example\r\n")
			w.s("250 mx.example\r\n")
		},
		"behind a command that is none": func(w *wire) {
			w.c("XYZ\r\n")
			w.s("500 No\r\n")
		},
		"before the answer to EHLO": func(w *wire) { w.c("EHLO client.example\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			everyCut(t, setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}}, func(t *testing.T, w *wire) {
				w.s("220 mx.example ESMTP\r\n")
				say(w)
				w.heard(w.server)
				w.c("BDAT 3 LAST\r\nabcMAIL FROM:<a@b.example>\r\n")
				heard := w.heard(w.server)
				if !strings.HasPrefix("BDAT 3 LAST\r", heard) { // what of the line came before its end
					t.Errorf("the server heard %q", heard)
				}
				found := []string{"bdat-malformed kill"}
				if name == "before the answer to EHLO" {
					found = []string{"unauthorised-pipelining log", "bdat-malformed kill"}
				}
				w.wantFindings(found...)
				if !w.client.reset || !w.server.reset {
					t.Error("the connection goes on")
				}
			})
		})
	}
}

// How many octets follow a BDAT whose size can't be read, nobody can tell.
func TestABDATWithoutAReadableSizeEndsTheConnection(t *testing.T) {
	for _, line := range []string{"BDAT\r\n", "BDAT x\r\n", "BDAT 9223372036854775808\r\n", " BDAT 3\r\n", "BDAT\t3\r\n"} {
		everyCut(t, setup{}, func(t *testing.T, w *wire) {
			upToOffer(w)
			w.c(line)
			w.wantFindings("bdat-malformed kill")
			if got := w.heard(w.server); strings.Contains(got, "\n") {
				t.Errorf("%q: the server heard %q", line, got)
			}
			if !w.server.reset || !w.client.reset {
				t.Errorf("%q: the connection goes on", line)
			}
		})
	}
}

// A client that guesses is left alone where nothing has to be kept from the server.
func TestABDATThatWasNotOfferedIsTheServersAffairWhereNothingIsRefused(t *testing.T) {
	everyCut(t, setup{}, func(t *testing.T, w *wire) {
		w.s("220 mx.example ESMTP\r\n")
		w.c("HELO client.example\r\n")
		w.s("250 mx.example\r\n")
		w.heard(w.server)
		w.c("BDAT 3 LAST\r\n")
		w.wantHeard(w.server, "BDAT 3 LAST\r\n")
		w.s("503 5.5.1 Bad sequence\r\n")
		w.wantFindings()
	})
}
