package inspect_test

import (
	"strings"
	"testing"

	"keepword/inspect/policy"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

func TestAFalseAcceptanceBecomesARefusal(t *testing.T) {
	for _, answer := range []struct{ sent, whole, finding string }{
		{"250 OK\r\n", "454 No\r\n", "answered-for-server correct"},
		{"200\r\n", "454\r\n", "answered-for-server correct"},
		{"250 2.0.0 Whatever this box has to say about it\r\n", "454 4.7.0 TLS not available                    \r\n", "answered-for-server correct"},
		{"334 go on\r\n", "454 No   \r\n", "unfit-answer correct"},
		{"hello there\r\n", "454 No     \r\n", "unfit-answer correct"},
		{"250-one\r\n250 two\r\n", "454-No \r\n454 No \r\n", "answered-for-server correct"},
	} {
		t.Run(answer.sent, func(t *testing.T) {
			everyCut(t, setup{}, func(t *testing.T, w *wire) {
				w.s(greeting)
				w.c(ehlo)
				w.s(offers)
				w.c("STARTTLS\r\n")
				w.heard(w.client)
				w.s(answer.sent)
				got := w.heard(w.client)
				if len(got) != len(answer.sent) {
					t.Fatalf("heard %q, of another length", got)
				}
				if w.cut == 0 && got != answer.whole {
					t.Errorf("heard %q, want %q", got, answer.whole)
				}
				for _, line := range strings.SplitAfter(strings.TrimSuffix(got, "\r\n"), "\r\n") {
					if !strings.HasPrefix(line, "454") {
						t.Errorf("line %q", line)
					}
				}
				w.c(message)
				w.s("250 2.1.0 Ok\r\n")
				w.wantHeard(w.client, "250 2.1.0 Ok\r\n")
				w.wantFindings(answer.finding)
				w.wantOutcome(starttls.OutcomeCorrected, starttls.StepOffered, starttls.StepAsked, starttls.StepAnswered, starttls.StepCorrected)
			})
		})
	}
}

func TestARetransmissionIsEditedAlike(t *testing.T) {
	w := newWire(t, setup{})
	w.s(greeting)
	w.c(ehlo)
	w.s(offers)
	w.c("STARTTLS\r\n")
	w.heard(w.client)
	seq := w.server.snd
	w.send(w.server, 0x18, []byte("250 OK\r\n"))
	w.wantHeard(w.client, "454 No\r\n")
	w.client.rcv -= 8 // it was lost behind us
	w.put(w.segment(w.server, seq, 0x18, []byte("250 OK\r\n")))
	w.wantHeard(w.client, "454 No\r\n")
	w.client.rcv -= 5
	w.put(w.segment(w.server, seq+3, 0x18, []byte(" OK\r\n")))
	w.wantHeard(w.client, " No\r\n")
	w.wantFindings("answered-for-server correct")
}

func TestHoldingNeverOutlastsItsTime(t *testing.T) {
	w := newWire(t, setup{})
	w.s(greeting)
	w.c(ehlo)
	w.s(offers)
	w.c("STARTTLS\r\n")
	w.heard(w.client)
	w.send(w.server, 0x18, []byte("2"))
	w.server.snd++
	w.wantHeard(w.client, "")
	w.wait(250e6)
	w.wantHeard(w.client, "2")
	w.s("50 OK\r\n")
	w.wantHeard(w.client, "")
	if !w.client.reset || !w.server.reset {
		t.Error("an acceptance that can't be corrected any more was let through")
	}
	w.wantFindings("answered-for-server kill")
}

func TestOneAnswerIsOneFinding(t *testing.T) {
	for _, mode := range []verdict.Mode{verdict.Enforce, verdict.Observe} {
		for answer, finding := range map[string]string{
			"250-one\r\n250 two\r\n":  "answered-for-server correct",
			"220-one\r\n250 two\r\n":  "unfit-answer kill",
			"250-one\r\n220 two\r\n":  "unfit-answer kill",
			"454-one\r\n220 two\r\n":  "unfit-answer kill",
			"220-one\r\n220 two\r\n":  "",
			"354-one\r\n354 more\r\n": "unfit-answer correct",
		} {
			t.Run(mode.String()+" "+answer, func(t *testing.T) {
				everyCut(t, setup{policy: policy.Config{Mode: mode}}, func(t *testing.T, w *wire) {
					w.s(greeting)
					w.c(ehlo)
					w.s(offers)
					w.c("STARTTLS\r\n")
					w.s(answer)
					if finding == "" {
						w.wantFindings()
					} else {
						w.wantFindings(finding)
					}
				})
			})
		}
	}
}
