package maildata

import (
	"strings"
	"testing"
)

func TestProseBehindALineOfOneDotIsNoCommand(t *testing.T) {
	for _, line := range []string{
		"Mail from: Bob Miller", "Mail from: my mother, received today", "  Mail from: Bob (by hand)", "mail from:",
		"RCPT TO: be sent by Friday", "Quit", "quit", "Data", "Noop", "Auth failed again", "AUTH failed", "Helo world",
		"Ehlo everyone", "Expn all", "Vrfy it", "MAIL FROM: <a@b> and others", "MAIL FROM: a@b SIZE of it=3",
	} {
		for _, end := range []string{"\n.\n", "\r\n.\n", "\r.\r"} {
			text := "one" + end + line + "\ntwo\r\n"
			for _, cut := range []int{1, 3, 1000} {
				var s Scanner
				s.Init()
				if at := smugglings(&s, []byte(text), cut); len(at) > 0 {
					t.Errorf("%q is taken for a command", line)
				}
			}
		}
	}
}

func TestACommandIsOneHoweverItIsSpelled(t *testing.T) {
	for _, line := range []string{
		"mail from:<a@b>", "Mail From: <a b@c> size=5 body=8BITMIME", "MAIL FROM:<>", "MAIL FROM:<a@b>SIZE=1", "MAIL FROM:<a",
		"MAIL FROM: a@b smtputf8 RequireTLS", "mail from:carol", "rcpt to:<a@b> notify=never", "starttls", "bdat 5 last",
		"QUIT", "RSET ", "AUTH PLAIN AGEAYg==", "EHLO [192.0.2.1]", "MAIL FROM: <\"a b\"@c> AUTH=<>",
		`MAIL FROM:<"a>b"@c>`, `MAIL FROM:<a\>b@c>`, `MAIL FROM:"evil x"@c`, `MAIL FROM:evil\ x@c SIZE=1`, `MAIL FROM:"a`, `MAIL FROM:<"a\">b c"@d>`,
	} {
		text := "one\n.\r\n" + line + "\r\ntwo\r\n"
		for _, cut := range []int{1, 3, 1000} {
			var s Scanner
			s.Init()
			if at := smugglings(&s, []byte(text), cut); len(at) != 1 {
				t.Errorf("%q is no command: %v", line, at)
			}
		}
	}
}

func TestCommandsThatCostAServerNothingDoNotHideTheOneThatMatters(t *testing.T) {
	for _, line := range []string{"NOOP -", "noop", "Help me", "rset", "VRFY a b c", "MAIL", "RCPT x", " EHLO a", "quit now"} {
		for _, end := range []string{"\n", "\r\n", "\r"} {
			text := "one\n.\r\ntwo" + end
			for range 200 {
				text += line + end
			}
			text += "MAIL FROM:<a@b>" + end
			var s Scanner
			s.Init()
			if at := smugglings(&s, []byte(text), 1000); len(at) != 1 {
				t.Errorf("behind %q: %v", line, at)
			}
		}
	}
}

func TestALineCountsForWhoCutsItThere(t *testing.T) {
	// Who ends lines at LF alone reads 30 NOOPs; for others it is 30 lines of text.
	text := "one\n.\nx\n"
	for range 30 {
		text += "NOOP a\rb\n"
	}
	var s Scanner
	s.Init()
	if at := smugglings(&s, []byte(text+"MAIL FROM:<a@b>\n"), 7); len(at) != 1 {
		t.Errorf("smuggling at %v", at)
	}
}

func TestAChunkIsFoundOnAnyLine(t *testing.T) {
	// Its octets are skipped by a server that refuses it, and would use up our lines.
	text := "one\n.\nXYZZY\r\nBDAT 400 LAST\r\n" + strings.Repeat("\r\n", 200) + "MAIL FROM:<a@b>\r\n"
	var s Scanner
	s.Init()
	if at := smugglings(&s, []byte(text), 1000); len(at) == 0 {
		t.Error("not found")
	}
}
