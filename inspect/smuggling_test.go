package inspect_test

import (
	"strings"
	"testing"

	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// intoMailData brings a session to where the client's octets are mail data.
func intoMailData(w *wire) {
	offered(w)
	w.c(message)
	w.s("250 ok\r\n")
	w.c("RCPT TO:<b@example>\r\n")
	w.s("250 ok\r\n")
	w.c("DATA\r\n")
	w.s("354 go\r\n")
	w.heard(w.server)
	w.heard(w.client)
}

func TestASmuggledCommandNeverReachesTheServerWhole(t *testing.T) {
	for _, ending := range []string{"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r\n\x00.\r\n"} {
		everyCut(t, setup{}, func(t *testing.T, w *wire) {
			intoMailData(w)
			w.c("Subject: a\r\n\r\ntext" + ending + "MAIL FROM:<ceo@example>\r\nRCPT TO:<c@example>\r\nDATA\r\n")
			w.wantFindings("smuggling kill")
			if got := w.heard(w.server); strings.Contains(got, "<ceo@example>\r") || strings.Contains(got, "RCPT") {
				t.Errorf("behind %q the server heard %q", ending, got)
			}
			if got := w.heard(w.client); !strings.HasPrefix(got, "421 4.7.0 ") {
				t.Errorf("behind %q the client heard %q", ending, got)
			}
			if !w.server.reset || !w.client.reset {
				t.Errorf("behind %q the connection goes on", ending)
			}
		})
	}
}

func TestMailThatSpellsADialogueIsLeftAlone(t *testing.T) {
	for name, text := range map[string]string{
		"a dialogue":              "EHLO a\r\nMAIL FROM:<a@b>\r\nDATA\r\n..\r\nMAIL FROM:<a@b>\r\n",
		"bare newlines":           "one\ntwo\nMAIL FROM:<a@b>\n",
		"a dot between newlines":  "one\n.\ntwo\n",
		"dots at the line starts": "..a\r\n...\r\n.. .\r\n",
	} {
		everyCut(t, setup{}, func(t *testing.T, w *wire) {
			intoMailData(w)
			w.c(text + "\r\n.\r\n")
			w.wantHeard(w.server, text+"\r\n.\r\n")
			w.s("250 queued\r\n")
			w.c("QUIT\r\n")
			w.wantHeard(w.server, "QUIT\r\n")
			if ids := w.rec.ids(); len(ids) > 0 {
				t.Errorf("%s: findings %q", name, ids)
			}
		})
	}
}

func TestALineOfTextThatIsTooLongIsReportedOnceASession(t *testing.T) {
	w := newWire(t, setup{})
	intoMailData(w)
	w.c(strings.Repeat("x", 70_000) + "\r\n" + strings.Repeat("y", 1200) + "\r\n.\r\n")
	w.wantFindings("line-too-long log")
}

func TestSmugglingThatPolicyLetsBeGoesOn(t *testing.T) {
	w := newWire(t, setup{policy: policy.Config{Actions: map[verdict.Finding]verdict.Action{verdict.Smuggling: verdict.Log}}})
	intoMailData(w)
	const text = "a\n.\nMAIL FROM:<ceo@example>\r\n.\r\n"
	w.c(text)
	w.wantFindings("smuggling log")
	w.wantHeard(w.server, text)
}
