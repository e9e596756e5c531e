package smtp

import (
	"strings"
	"testing"
)

func TestEachReplyGoesToItsCommand(t *testing.T) {
	v := newDrive()
	v.play(0, hello, "CEHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nNOOP\r\nVRFY x\r\nfoo\r\nQUIT\r\n")
	v.play(0, "S250-mx\r\n250 SIZE\r\n250 ok\r\n550-no\r\n550 no\r\nnoise\r\n250 noop\r\n252 maybe\r\n500 what\r\n221 bye\r\n421 surplus\r\n")
	var got []string
	for _, e := range v.events {
		if e[0] == 'S' {
			f := strings.Fields(e)
			got = append(got, f[1]+" "+f[3])
			if strings.Contains(e, "surplus=true") != (f[1] == "421") {
				t.Errorf("surplus: %s", e)
			}
		}
	}
	want := []string{"220 greeting", "250 EHLO", "250 EHLO", "250 MAIL", "550 RCPT", "550 RCPT", "0 NOOP", "250 NOOP", "252 VRFY", "500 ?", "221 QUIT", "421 ?"}
	wantEvents(t, "replies", got, want)
}

func TestOddRepliesAreNamed(t *testing.T) {
	for _, c := range []struct {
		line           string
		code           int
		final, differs bool
		text           string
		odd            LineFlags
	}{
		{"250 ok\r\n", 250, true, false, "ok", 0},
		{"250\r\n", 250, true, false, "", 0},
		{"250-ok\r\n", 250, false, false, "ok", 0},
		{"250 ok\n", 250, true, false, "ok", BareLF},
		{"250 o\rk\r\n", 250, true, false, "o\rk", BareCR},
		{"250 \x00\r\n", 250, true, false, "\x00", NUL},
		{"999 x\r\n", 999, true, false, "x", 0},
		{"25 x\r\n", 0, true, false, "25 x", 0},
		{"250x\r\n", 0, true, false, "250x", 0},
		{"250\tx\r\n", 0, true, false, "250\tx", 0},
		{"2500 x\r\n", 0, true, false, "2500 x", 0},
		{" 250 x\r\n", 0, true, false, " 250 x", 0},
		{"\r\n", 0, true, false, "", 0},
		{"2\r\n", 0, true, false, "2", 0},
	} {
		v := newDrive()
		v.play(0, hello, "CNOOP\r\n")
		_, ev := v.d.Server([]byte(c.line), &v.spare)
		if ev.Code != c.code || ev.Final != c.final || ev.Differs != c.differs || string(ev.Text) != c.text || ev.Odd != c.odd || ev.To.Verb != VerbNOOP || !ev.First {
			t.Errorf("%q: %+v", c.line, ev)
		}
		if waits := c.code == 0 || !c.final; (v.d.waiting.length == 1) != waits {
			t.Errorf("%q: %d commands wait", c.line, v.d.waiting.length)
		}
	}
}

func TestCodesThatDifferWithinAReplyAreNamed(t *testing.T) {
	v := newDrive()
	v.play(0, hello, "CEHLO a\r\n")
	lines := []struct {
		line           string
		differs, final bool
	}{{"250-a\r\n", false, false}, {"251-b\r\n", true, false}, {"garbage\r\n", true, false}, {"250-c\r\n", false, false}, {"500 d\r\n", true, true}}
	for i, l := range lines {
		_, ev := v.d.Server([]byte(l.line), &v.spare)
		if ev.Differs != l.differs || ev.Final != l.final || ev.First != (i == 0) || ev.To.Verb != VerbEHLO {
			t.Errorf("%q: %+v", l.line, ev)
		}
	}
	if _, waits := v.d.Next(); waits {
		t.Error("a command waits behind the last line")
	}
}
