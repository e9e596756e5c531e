package main

import (
	"math/rand/v2"
	"strings"

	"keepword/inspect/starttls"
)

// boundaryKind is no part of the lawful corpus.
const boundaryKind = "the boundary (not lawful)"

// boundary are messages of careless programs, in which a line that reads as a command
// stands behind what a careless server takes for the end. The standard forbids their line
// ends (RFC 5321 section 2.3.8), a person may have meant no harm, and a careless server
// takes what follows for commands all the same: octet by octet they are attacks. What is
// done to them is told, and is no fault.
func boundary() (list []*dialogue) {
	add := func(name, text string) {
		g := &generator{Rand: rand.New(rand.NewPCG(0, 0)), d: &dialogue{name: name, kind: boundaryKind, outcome: starttls.OutcomeNotOffered}}
		g.session("\r\n" + text)
		list = append(list, g.d)
	}
	for _, b := range bodies {
		if b.spells {
			for _, end := range lineEnds[1:] {
				add(b.name+", "+end.name, strings.ReplaceAll(b.text, "\n", end.end))
			}
		}
	}
	for _, l := range []string{
		"Mail from: Carol", "Rcpt to: follow", "DATA", "QUIT", "RSET", "Bdat 5", "Starttls",
	} {
		add("the line "+l+" behind a line of one dot", "text\n.\n"+l+"\nmore\n")
	}
	return list
}

// session is a session with one message, whose mail data is the text with their end.
func (g *generator) session(text string) {
	g.d.server(line("220 mx.example ESMTP"))
	for _, e := range []exchange{
		{say: line("EHLO client.example"), reply: lines(250, "mx.example", "CHUNKING")}, {say: line("MAIL FROM:<a@example.net>"), reply: line("250 Ok")},
		{say: line("RCPT TO:<b@example.org>"), reply: line("250 Ok")}, {say: line("DATA"), reply: line("354 Go ahead")},
		{say: []byte(text + "\r\n.\r\n"), reply: line("250 Ok")}, {say: line("QUIT"), reply: line("221 Bye")},
	} {
		g.d.client(e.say)
		g.d.server(e.reply)
	}
}
