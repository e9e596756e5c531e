package main

import (
	"hash/maphash"
	"strings"
)

// talk is what a speaker in TLS or out of it is about to do.
type talk uint8

const (
	inClear  talk = iota // lines
	awaiting             // after the ClientHello, before the ServerHello
	inTLS                // after the ServerHello
	silent               // it says nothing more and waits for nothing
)

// client is a small mail client. Its first choice each time is what a current program
// does.
type client struct {
	inbox
	reply    reply    // under way
	waits    []string // verbs whose replies are due, the oldest first
	talk     talk
	said     int  // commands
	offered  bool // by the latest reply to EHLO
	asked    bool // for TLS
	mailed   bool
	early    bool // its ClientHello has left before the answer
	believes bool // that TLS begins
	surplus  bool // it got a reply that nothing was due for
	ended    bool
}

// maxCommands bounds a dialogue.
const maxCommands = 6

// The lines that are said in more than one place.
const (
	ehlo     = "EHLO client.example\r\n"
	helo     = "HELO client.example\r\n"
	mail     = "MAIL FROM:<a@client.example>\r\n"
	auth     = "AUTH PLAIN AGEAYg==\r\n"
	startTLS = "STARTTLS\r\n"
)

// introductions are how a session may begin.
var introductions = []string{ehlo, helo, ehlo + startTLS, mail}

// question is a way to ask for TLS.
type question struct {
	line   string
	behind string // what does not wait for the answer
	apart  bool   // in a segment of its own
}

var questions = []question{
	{line: startTLS},
	{line: "starttls\r\n"},
	{line: " STARTTLS\r\n"},
	{line: "STARTTLS \r\n"},
	{line: "STARTTLS x\r\n"},
	{line: "STARTTLSX\r\n"},
	{line: "STARTTLS\n"},
	{line: "X-ANONYMOUSTLS\r\n"},
	{line: startTLS, behind: "NOOP\r\n"},
	{line: startTLS, behind: "NOOP\r\n", apart: true},
	{line: startTLS, behind: "RS"},
	{line: startTLS, behind: "RS", apart: true},
	{line: startTLS, behind: clientHello},
	{line: startTLS, behind: clientHello, apart: true},
	{line: "STARTTLSX\r\n", behind: "NOOP\r\n"},
	{line: "STARTTLS x\r\n", behind: "NOOP\r\n"},
	{line: "NOOP\r\nSTARTTLS\r\n"},
	{line: "AUTH PLAIN AGEAYg==\r\nSTARTTLS\r\n"},
}

// others are commands besides.
var others = []string{mail, "NOOP\r\n", "RSET\r\n", auth, ehlo, helo, "QUIT\r\n"}

func (c *client) digest(h *maphash.Hash) {
	writeOctets(h, c.inbox)
	for _, l := range c.reply.lines {
		writeOctets(h, l.octets)
	}
	writeOctets(h, []byte(strings.Join(c.waits, " ")))
	writeInts(h, int64(c.talk), int64(c.said), int64(btoi(c.offered)), int64(btoi(c.asked)), int64(btoi(c.mailed)), int64(btoi(c.early)),
		int64(btoi(c.believes)), int64(btoi(c.surplus)), int64(btoi(c.ended)))
}

func (c *client) take(w *world, _ side, s segment) {
	if s.reset {
		c.ended, c.talk, c.waits = true, silent, nil
		return
	}
	c.inbox = append(c.inbox, s.octets...)
	for {
		i, ok := c.next()
		if !ok || c.talk == silent {
			return
		}
		switch {
		case c.talk != inClear:
			c.takeRecord(w, i)
		case i.record:
			c.talk = silent // no reply; it gives the connection up
		case c.reply.add(i):
			r := c.reply
			c.reply = reply{}
			c.takeReply(w, r)
		}
	}
}

// takeRecord goes on with the handshake.
func (c *client) takeRecord(w *world, i item) {
	switch {
	case !i.record || i.octets[0] == alert:
		c.talk = silent
	case i.octets[0] == handshake && c.talk == awaiting:
		c.talk = inTLS
		w.say(c, east, protected)
	case c.talk == inTLS:
		c.talk = silent // what is said from here on, nobody else can read
	}
}

// takeReply takes a reply for the answer to the oldest command that waits for one.
func (c *client) takeReply(w *world, r reply) {
	if len(c.waits) == 0 {
		c.surplus = true
		return
	}
	verb := c.waits[0]
	if r.code == 0 && !asksTLS(verb) {
		return // noise, which clients skip
	}
	c.waits = c.waits[1:]
	good := r.code/100 == 2
	switch {
	case r.code == 421 || verb == "QUIT":
		c.talk, c.waits = silent, nil
	case verb == "":
		c.introduce(w, r)
	case verb == "EHLO":
		c.offered = r.offers()
		if good {
			c.goOn(w)
		} else if len(c.waits) == 0 {
			c.ask(w, helo, "QUIT\r\n", startTLS)
		}
	case asksTLS(verb):
		c.answered(w, r)
	default:
		c.goOn(w)
	}
}

// introduce answers the greeting. Behind a masked one ESMTP is not to be seen.
func (c *client) introduce(w *world, r reply) {
	switch {
	case r.code != 220:
		c.talk = silent
	case strings.Contains(r.lines[0].text(), "*"):
		c.ask(w, helo, ehlo)
	default:
		c.ask(w, introductions...)
	}
}

// answered takes the answer to STARTTLS. Postfix begins TLS on any 2yz, others on 220.
func (c *client) answered(w *world, r reply) {
	switch {
	case r.code == 220, r.code/100 == 2 && w.choose(2, true) == 0:
		c.believes, c.talk, c.waits = true, awaiting, nil
		if c.early {
			return
		}
		if w.choose(2, false) == 1 {
			w.say(c, east, ehlo) // in clear text all the same
			return
		}
		w.say(c, east, clientHello)
	case c.early:
		c.talk, c.waits = silent, nil // what it has said can't be taken back
	case len(c.waits) > 0: // the next reply is on its way
	default:
		c.ask(w, mail, "QUIT\r\n", startTLS, ehlo)
	}
}

// goOn says what comes next, when no reply is due.
func (c *client) goOn(w *world) {
	switch {
	case len(c.waits) > 0:
	case c.said >= maxCommands:
		c.ask(w, "QUIT\r\n")
	case c.offered && !c.asked:
		n := w.choose(len(questions)+len(others), false)
		if n >= len(questions) {
			c.command(w, others[n-len(questions)])
			return
		}
		c.question(w, questions[n])
	case c.mailed:
		c.ask(w, "QUIT\r\n", startTLS)
	default:
		c.ask(w, append(others[:len(others):len(others)], startTLS)...)
	}
}

// ask says one of some lines, the first unless it departs.
func (c *client) ask(w *world, lines ...string) {
	c.command(w, lines[w.choose(len(lines), false)])
}

// command says whole lines.
func (c *client) command(w *world, lines string) {
	c.expect(lines)
	w.say(c, east, lines)
}

// expect notes that each line is due a reply.
func (c *client) expect(lines string) {
	for line := range strings.Lines(lines) {
		verb := verbOf(line)
		c.waits = append(c.waits, verb)
		c.said++
		c.asked = c.asked || asksTLS(verb)
		c.mailed = c.mailed || verb == "MAIL"
	}
}

// question asks for TLS.
func (c *client) question(w *world, q question) {
	c.expect(q.line)
	c.early = q.behind == clientHello
	if strings.HasSuffix(q.behind, "\r\n") {
		c.expect(q.behind)
	}
	if q.apart {
		w.say(c, east, q.line)
		w.say(c, east, q.behind)
		return
	}
	w.say(c, east, q.line+q.behind)
}
