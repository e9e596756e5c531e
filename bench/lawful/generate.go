package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"

	"keepword/inspect/starttls"
)

// generator makes one dialogue.
type generator struct {
	*rand.Rand
	d *dialogue
	// What the server offers, and has just been told.
	extended, pipelining, chunking, starttls, utf8 bool
	number                                         int // of the message at hand
}

// Generate makes the dialogue of a seed, always the same. Seeds one after the other carry
// one message after the other of the list of bodies.
func Generate(seed uint64) *dialogue {
	g := &generator{
		Rand: rand.New(rand.NewPCG(seed, 0)), number: int(seed),
		d: &dialogue{name: fmt.Sprintf("seed %d", seed), outcome: starttls.OutcomeNotOffered},
	}
	switch g.d.goodbye = pick(g, separately, separately, together, abruptly); g.d.goodbye {
	case together:
		g.d.has("a FIN with the last octets")
	case abruptly:
		g.d.has("a client that resets the connection in the end")
	}
	switch {
	case g.one(25):
		g.d.kind = "short sessions"
		g.short()
	case g.one(60):
		g.d.kind = "sessions that leave for TLS"
		g.d.has("TLS from the first octet")
		g.secure()
	case g.one(8):
		g.d.kind = "sessions that leave for TLS"
		g.greet()
		g.introduce(true)
		g.upgrade()
	default:
		g.d.kind = "sessions in clear text"
		g.greet()
		g.introduce(g.one(3))
		g.converse()
	}
	return g.d
}

// one says yes once in n times.
func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

// pick returns one of a list.
func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

// letters returns n lower-case letters.
func (g *generator) letters(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + g.IntN(26))
	}
	return string(b)
}

// random returns n octets of any value.
func (g *generator) random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

func line(s string) []byte { return []byte(s + "\r\n") }

// lines returns a reply of the given code and texts (RFC 5321 section 4.2.1).
func lines(code int, texts ...string) []byte {
	var b bytes.Buffer
	for i, t := range texts {
		separator := "-"
		if i == len(texts)-1 {
			separator = " "
		}
		fmt.Fprintf(&b, "%d%s%s\r\n", code, separator, t)
	}
	return b.Bytes()
}

// reply returns a reply in one of the forms that servers give it. enhanced is the
// enhanced status code (RFC 2034).
func (g *generator) reply(code int, enhanced, text string) []byte {
	switch g.IntN(8) {
	case 0:
		g.d.has("a reply without text")
		return fmt.Appendf(nil, "%d\r\n", code)
	case 1:
		return fmt.Appendf(nil, "%d \r\n", code)
	case 2:
		g.d.has("a reply of several lines")
		return lines(code, enhanced+" "+text, enhanced+" 220 is a number too", enhanced+" STARTTLS is a word")
	case 3:
		g.d.has("a long reply line")
		const longest = 512 // RFC 5321 section 4.5.3.1.5
		return lines(code, text+strings.Repeat(".", longest-len("250 \r\n")-len(text)))
	case 4:
		return lines(code, text)
	}
	g.d.has("an enhanced status code")
	return lines(code, enhanced+" "+text)
}

func (g *generator) ok() []byte { return g.reply(250, "2.0.0", "Ok") }

// greet is the server's greeting.
func (g *generator) greet() {
	if g.one(30) {
		g.d.has("a proxy's line before the greeting")
		g.d.client(line("PROXY TCP4 192.0.2.1 198.51.100.25 40000 25"))
	}
	switch g.IntN(4) {
	case 0:
		g.d.has("a greeting of several lines")
		g.d.server(lines(220, "mx.example ESMTP", "No mail that nobody asked for", "250-STARTTLS stands here and is no offer", "Go ahead"))
	case 1:
		g.d.server(line("220 mx.example ESMTP " + g.letters(20) + "; Mon, 2 Jun 2025 10:11:12 +0200"))
	default:
		g.d.server(line("220 mx.example ESMTP"))
	}
}

// introduce is EHLO or HELO. offer says that STARTTLS is offered.
func (g *generator) introduce(offer bool) {
	name := pick(g, "client.example", "[192.0.2.1]", "[IPv6:2001:db8::1]", g.letters(30)+".example")
	if !offer && g.one(8) {
		g.d.has("HELO")
		if g.one(3) {
			g.d.has("EHLO refused, then HELO")
			g.play(exchange{line("EHLO " + name), g.reply(502, "5.5.2", "Command not recognized"), true})
		}
		g.play(exchange{line(pick(g, "HELO ", "helo ") + name), line("250 mx.example"), true})
		return
	}
	g.d.has("EHLO")
	g.extended, g.pipelining, g.chunking, g.utf8 = true, !g.one(4), !g.one(3), !g.one(3)
	offers := []string{"SIZE 52428800", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", "VRFY", "ETRN", "AUTH PLAIN LOGIN CRAM-MD5", "AUTH=PLAIN LOGIN", "BINARYMIME", "HELP",
		"LIMITS RCPTMAX=100", "X-" + strings.ToUpper(g.letters(9)), "DELIVERBY"}
	g.Shuffle(len(offers), func(i, j int) { offers[i], offers[j] = offers[j], offers[i] })
	offers = offers[:g.IntN(len(offers))]
	for _, o := range []struct {
		keyword string
		made    bool
	}{{"PIPELINING", g.pipelining}, {"CHUNKING", g.chunking}, {"SMTPUTF8", g.utf8}, {"STARTTLS", offer}} {
		if o.made {
			at := g.IntN(len(offers) + 1)
			offers = append(offers[:at:at], append([]string{o.keyword}, offers[at:]...)...)
		}
	}
	if offer {
		g.d.has("STARTTLS offered")
		g.d.outcome, g.starttls = starttls.OutcomeNotAsked, true
	}
	hello := pick(g, "mx.example", "mx.example Hello client.example [192.0.2.1]", "mx.example, pleased to meet you")
	answer := lines(250, append([]string{hello}, offers...)...)
	g.play(exchange{line(pick(g, "EHLO ", "ehlo ", "Ehlo ") + name), answer, true})
	if g.one(12) {
		g.d.has("EHLO twice")
		g.play(exchange{line("EHLO " + name), answer, true})
	}
}

// converse is what follows EHLO in clear text, to the end.
func (g *generator) converse() {
	if g.starttls && g.one(3) {
		g.d.has("STARTTLS asked and refused")
		g.d.outcome = starttls.OutcomeRefused
		refusal := pick(g, line("454 4.7.0 TLS not available due to local problem"), line("554 5.7.3 Unable to initialize security subsystem"),
			lines(454, "4.7.0 Not", "4.7.0 now"), line("502 5.5.1 Not implemented"))
		list := []exchange{{line(pick(g, "STARTTLS", "starttls", "StartTLS")), refusal, true}}
		if g.pipelining && g.one(2) {
			g.d.has("STARTTLS at the end of a group")
			list = append([]exchange{{line("RSET"), g.ok(), false}}, list...)
		}
		g.play(list...)
	}
	if g.extended && g.one(4) {
		g.authenticate()
	}
	var list []exchange
	transactions := pick(g, 1, 1, 1, 2, 3)
	for range transactions {
		list = append(list, g.aside()...)
		list = append(list, g.transact()...)
	}
	if transactions > 1 {
		g.d.has("several messages")
	}
	if g.one(3) {
		g.d.has("QUIT at the end of a group")
		g.play(append(list, g.quit())...)
		return
	}
	if g.one(10) {
		g.interrupt(list)
		return
	}
	g.play(list...)
	g.leave()
}

// interrupt ends the session within a message, or within a command.
func (g *generator) interrupt(list []exchange) {
	g.d.has("a connection that is lost within a message")
	last := list[len(list)-1]
	g.play(list[:len(list)-1]...)
	g.d.client(last.say[:1+g.IntN(len(last.say)-1)])
	if g.one(2) {
		g.d.has("a server that gives up within a message")
		g.d.server(line("421 4.3.0 mx.example closing connection"))
	}
}

// aside is a command beside the transactions, sometimes.
func (g *generator) aside() []exchange {
	if !g.one(4) {
		return nil
	}
	g.d.has("a command beside the transactions")
	return []exchange{pick(g,
		exchange{line("NOOP"), g.ok(), true},
		exchange{line("NOOP STARTTLS"), g.ok(), true},
		exchange{line("VRFY <bob@example.org>"), g.reply(252, "2.0.0", "Cannot say"), true},
		exchange{line("EXPN staff"), lines(250, "Bob <bob@example.org>", "Carol <carol@example.org>"), true},
		exchange{line("HELP"), lines(214, strings.Split(strings.Repeat("STARTTLS begins TLS\nDATA begins a message\n", 1+g.IntN(40))+"That is all", "\n")...), true},
		exchange{line("RSET"), g.ok(), false},
		exchange{line("ETRN example.org"), g.reply(250, "2.0.0", "Queuing started"), true},
		exchange{line(""), g.reply(500, "5.5.2", "Bad syntax"), true},
		exchange{[]byte("NOOP\n"), g.ok(), true},
		exchange{line("X" + strings.ToUpper(g.letters(5)) + " a=b"), g.reply(500, "5.5.2", "Command not recognized"), true},
	)}
}

// short is a session without mail.
func (g *generator) short() {
	g.d.has("a session without mail")
	switch g.IntN(4) {
	case 0:
		g.d.has("a server that refuses the connection")
		g.d.server(lines(554, "5.7.1 No service for you", "5.7.1 Go away"))
		if g.one(2) {
			g.play(exchange{line("QUIT"), line("221 Bye"), true})
		}
	case 1:
		g.greet()
		g.leave()
	case 2:
		g.d.has("a connection that says nothing")
	case 3:
		g.greet()
		g.introduce(g.one(2))
		g.leave()
	}
}

// leave is the end of a session.
func (g *generator) leave() {
	switch g.IntN(8) {
	case 0:
		g.d.has("a client that leaves without QUIT")
	case 1:
		g.d.has("a server that ends the session")
		g.d.server(line("421 4.4.2 mx.example Error: timeout exceeded"))
	default:
		g.play(g.quit())
	}
}

func (g *generator) quit() exchange {
	return exchange{line(pick(g, "QUIT", "quit")), g.reply(221, "2.0.0", "Bye"), true}
}
