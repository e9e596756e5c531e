package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"keepword/bench/lab"
)

// session is a conversation of turns that begins with the server.
func session(turns ...string) *lab.Conversation {
	c := &lab.Conversation{}
	for i, text := range turns {
		c.Turns = append(c.Turns, lab.Turn{FromClient: i%2 == 1, Octets: []byte(text)})
	}
	return c
}

// printed returns what a page prints.
func printed(f func(*page)) string {
	var out strings.Builder
	f(&page{out: &out})
	return out.String()
}

func TestARewrittenReplyIsShownWithWhatItWas(t *testing.T) {
	near := session("220 mail\r\n", "STARTTLS\r\n", "454 No\r\n", "QUIT\r\n")
	far := session("220 mail\r\n", "STARTTLS\r\n", "250 OK\r\n", "QUIT\r\n")
	got := printed(func(p *page) { p.dialogue(near, far) })
	want := `    S: 220 mail
    C: STARTTLS
    S: 454 No
       ^ came to the gateway as: 250 OK
    C: QUIT

`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestWhatIsNoTextIsNamedAndAMessageIsCounted(t *testing.T) {
	c := session("354 go\r\n", "Subject: x\r\n\r\ntext\r\n.\r\nQUIT\r\n", "250 OK\r\n", "\x16\x03\x01\x00\x05hello", "\x80\x01")
	got := printed(func(p *page) { p.dialogue(c, c) })
	want := `    S: 354 go
    C: (the message, 23 octets)
    C: QUIT
    S: 250 OK
    C: (TLS begins: a ClientHello, 10 octets)
    S: (2 octets that are no text)

`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestNoLineIsWiderThanThePage(t *testing.T) {
	long := strings.Repeat("words of many lengths ", 20)
	out := printed(func(p *page) {
		p.text("%s", long)
		p.log("Nov 23 12:00:00 client postfix/smtp[1]: " + long)
		p.dialogue(session("220 "+long+"\r\n"), session("220 "+long+"\r\n"))
	})
	for line := range strings.Lines(out) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
