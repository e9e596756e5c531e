package maildata

import (
	"strings"
	"testing"
)

func TestATransactionIsFoundHoweverLooselyItIsSpelled(t *testing.T) {
	for _, lines := range []string{
		"MAIL <a@b>\nRCPT <c@d>\nDATA\n",                  // qmail looks for a bracket
		"MAIL\rFROM:<a@b>\nRCPT TO:<c@d>\nDATA\n",         // CR is a blank: Postfix, sendmail
		"MAIL FROM\r:<a@b>\r\nRCPT\rTO:<c@d>\r\nDATA\r\n", // the same
		"MAIL <a@b>\nRCPT TO\r:<c@d>\n",
		"MAIL FROM: Bob (by hand) <a@b>\nRCPT TO:<c@d>\nDATA\n", // RFC 5322 syntax: Exim
		"MAIL FROM:x<a b@c>\r\nRCPT TO:x<c@d e>\r\nDATA\r\n",    // Postfix
		"MAIL <a@b>\n.\nRCPT <c@d>\nDATA\n",                     // another ending between them
		"nonsense\n mail <a@b>\n\trcpt <c@d>\n",                 // further down
		"MAIL\x00 <a@b>\nR\x00CPT <c@d>\n",                      // NULs are left out
	} {
		for _, end := range []string{"\n.\n", "\r\n.\n", "\r.\r"} {
			text := []byte("one" + end + lines)
			for _, cut := range []int{1, 3, 1000, 1 << 20} {
				var s Scanner
				s.Init()
				if len(smugglings(&s, text, cut)) == 0 {
					t.Errorf("behind %q cut in %d: %.60q is not found", end, cut, lines)
				}
			}
		}
	}
}

func TestACommandIsFoundBehindWhatAServersBufferHolds(t *testing.T) {
	for _, junk := range []string{strings.Repeat("x", 16385), strings.Repeat("M", 2047), strings.Repeat("x", 600) + "\r.\r" + strings.Repeat("x", 300)} {
		for _, end := range []string{"\n.\n", "\r\n.\n", "\n.\r\n"} {
			text := []byte("one" + end + junk + "MAIL FROM:<a@b>\nRCPT TO:<c@d>\n")
			for _, cut := range []int{1, 3, 1000, 1 << 20} {
				var s Scanner
				s.Init()
				if len(smugglings(&s, text, cut)) == 0 {
					t.Errorf("behind %q cut in %d: behind %d octets MAIL is not found", end, cut, len(junk))
				}
			}
		}
	}
}

func TestRCPTIsFoundInALineThatIsCutToo(t *testing.T) {
	text := []byte("one\n.\nMAIL <a@b>\n" + strings.Repeat("x", 600) + "RCPT <c@d>\n")
	var s Scanner
	s.Init()
	if at := smugglings(&s, text, 1000); len(at) != 1 {
		t.Errorf("found at %v", at)
	}
}

func TestALongTextWhoseLinesEndInCRHasNoLongLine(t *testing.T) {
	text := strings.Repeat("x\r", 600) + "one\r.\rhe wrote mail from:<a@b>\r" + strings.Repeat("x\r", 600) + "\r\n.\r\n"
	var s Scanner
	s.Init()
	if at := smugglings(&s, []byte(text), 1000); len(at) > 0 {
		t.Error("the middle of a line is taken for a command")
	}
}

func TestProseWithTheWordsOfATransactionIsNone(t *testing.T) {
	for _, lines := range []string{
		"Mail <a@b> if in doubt\nand wait\n",         // nobody is its recipient
		"RCPT <c@d> is what the log says\nMail me\n", // in the wrong order
		"two\n" + strings.Repeat("x ", 1000) + "mail from: Bob Miller\n",
		"Mail me\nRcpt attached\nRCPT TO: be sent by Friday\n", // without an address
		"mail from:\nBob, rcpt to: Carol\n",
	} {
		text := []byte("one\n.\n" + "first\n" + lines + "\r\n")
		var s Scanner
		s.Init()
		if at := smugglings(&s, text, 1000); len(at) > 0 {
			t.Errorf("%.60q is taken for a command", lines)
		}
	}
}
