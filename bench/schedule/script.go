package main

import (
	"fmt"
	"slices"
)

// First labels of the names with which clients introduce themselves. They tell the
// server what to do about STARTTLS; with any other it is offered and refused.
const (
	tlsName    = "tls"    // it is accepted, and TLS begins
	opaqueName = "opaque" // it is accepted, and then the server only reads
	plainName  = "plain"  // it is not offered
)

// script writes what the client's application says.
func (g *generator) script() {
	s := g.s
	say := func(replies int, text []byte) {
		s.Script = append(s.Script, Exchange{Say: text, Replies: replies})
	}
	name := string(g.letters(1 + g.IntN(30)))
	switch {
	case s.TLS:
		name = tlsName
	case s.Side == ClientSide && s.Policy != Hide && g.one(12):
		name = opaqueName
	case s.Policy == Refuse && g.one(2) || g.one(10):
		name = plainName
	}
	s.TLS = s.TLS && s.Policy != Hide // there it is refused
	hello, ask := line("EHLO %s.%s.example", name, g.letters(1+g.IntN(20))), line("STARTTLS")
	if !s.Lawful && !s.TLS && name != opaqueName && g.one(10) {
		copy(hello, "HELO") // what a server offers to EHLO it may do all the same
	}
	switch asks := s.TLS || name == opaqueName || g.one(3); {
	case !asks:
		say(1, hello)
	case !s.Lawful && g.one(6): // it does not wait for the offer
		say(2, append(hello, ask...))
	default:
		say(1, hello)
		say(1, ask)
	}
	switch {
	case name == opaqueName:
		g.opaque()
		return
	case s.TLS:
		s.Script = append(s.Script, Exchange{TLS: true, Say: line("EHLO %s.example", g.letters(5)), Replies: 1})
	}
	if g.one(6) {
		say(1, line("AUTH PLAIN %s", g.letters(4*(1+g.IntN(10)))))
	}
	if s.Side == ServerSide && (s.Large || g.one(6)) {
		n := 1 + g.IntN(5000)
		if s.Large {
			n = 20_000 + g.IntN(largestPayload-21_000)
		}
		say(1, line("HELP %d", n))
	}
	for range 1 + g.IntN(2) {
		g.mail(say)
	}
	say(1, line("QUIT"))
}

// mail writes a mail transaction.
func (g *generator) mail(say func(replies int, text []byte)) {
	commands := [][]byte{
		line("MAIL FROM:<%s@%s.example>", g.letters(1+g.IntN(20)), g.letters(3)),
		line("RCPT TO:<%s@example.test>", g.letters(1+g.IntN(20))),
	}
	// Where TLS is required, a lawful client sends no chunk in clear text: its MAIL was refused.
	kept := g.s.Lawful && g.s.Policy == Require && !g.s.TLS
	if g.one(4) && !kept { // RFC 3030
		chunk := g.letters(1 + g.IntN(3000))
		if g.s.Large {
			chunk = g.letters(20_000 + g.IntN(30_000))
		}
		say(1, commands[0])
		say(1, commands[1])
		say(1, append(line("BDAT %d LAST", len(chunk)), chunk...))
		return
	}
	commands = append(commands, line("DATA"))
	if g.one(2) { // RFC 2920
		say(len(commands), slices.Concat(commands...))
	} else {
		for _, c := range commands {
			say(1, c)
		}
	}
	if g.s.Large && g.s.Side == ClientSide {
		// A receiver's first window is less than 64 KiB (RFC 7323 section 2.2).
		for _, n := range []int{20_000 + g.IntN(40_000), 50_000 + g.IntN(largestPayload-50_000)} {
			say(0, g.mailText(n))
		}
	}
	say(1, append(g.mailText(1+g.IntN(2000)), ".\r\n"...))
}

// mailText returns lines of mail data, n octets or a few less.
func (g *generator) mailText(n int) (text []byte) {
	for {
		l := line("%s", g.letters(1+g.IntN(200)))
		if len(text)+len(l) > n {
			return text
		}
		text = append(text, l...)
	}
}

// opaque writes what follows a 220 of a server that only reads.
func (g *generator) opaque() {
	s := g.s
	s.Script = append(s.Script, Exchange{Say: g.clientHello()})
	last := []byte{21, 3, 1, 0, 2, 2, 40} // an alert: handshake_failure (RFC 8446 section 6)
	if !s.Lawful && g.one(2) {
		last = line("NOOP %s", g.letters(20))
	}
	s.Script = append(s.Script, Exchange{Say: last})
}

func line(format string, words ...any) []byte { return fmt.Appendf(nil, format+"\r\n", words...) }

// clientHello is one with a session id and a server name of chance, in one record
// (RFC 8446 section 4.1.2).
func (g *generator) clientHello() []byte {
	vector := func(width int, body []byte) []byte {
		b := make([]byte, width, width+len(body))
		for i, n := width-1, len(body); i >= 0; i, n = i-1, n>>8 {
			b[i] = byte(n)
		}
		return append(b, body...)
	}
	name := vector(2, append([]byte{0}, vector(2, append(g.letters(1+g.IntN(60)), ".example"...))...))
	body := append([]byte{3, 3}, g.letters(32)...)
	body = append(body, vector(1, g.letters(g.IntN(33)))...)
	body = append(body, vector(2, []byte{0xc0, 0x2f, 0x00, 0x9c})...)
	body = append(body, 1, 0)
	body = append(body, vector(2, append([]byte{0, 0}, vector(2, name)...))...)
	return append([]byte{22, 3, 1}, vector(2, append([]byte{1}, vector(3, body)...))...)
}
