package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"keepword/bench/lab"
	"keepword/bench/lab/broken"
)

// view is what one end saw of an attempt: the words of its connections up to the mail or to
// TLS, for a reader, and what is judged of them.
type view struct {
	words   []string
	offered bool // STARTTLS, in clear text
	asked   bool // STARTTLS, in clear text
	mail    bool // MAIL, in clear text
	noEHLO  bool // EHLO was refused
	trips   int  // commands in clear text before the mail or TLS, in the last connection
	ports   []uint16
}

// turn is what one side said before the other spoke again.
type turn struct {
	fromClient bool
	octets     []byte
}

// turnsOf are those of a transcript.
func turnsOf(t broken.Transcript) (turns []turn) {
	for _, e := range t.Events {
		if e.What != broken.Octets {
			continue
		}
		from := e.Direction == broken.ToServer
		if n := len(turns); n == 0 || turns[n-1].fromClient != from {
			turns = append(turns, turn{fromClient: from})
		}
		last := &turns[len(turns)-1]
		last.octets = append(last.octets, e.Octets...)
	}
	return turns
}

// sees takes one connection in, which was reset or not.
func (v *view) sees(turns []turn, reset bool) {
	v.trips = 0
	verb, answered := "", true
	for _, t := range turns {
		text := string(bytes.TrimRight(t.octets, "\r\n"))
		switch isTLS := t.octets[0] == handshakeRecord; {
		case t.fromClient && isTLS:
			verb, answered = clientHello, false
		case t.fromClient:
			line, _, _ := strings.Cut(text, "\r\n")
			verb, _, _ = strings.Cut(strings.ToUpper(strings.TrimLeft(line, " ")), " ")
			if verb == "QUIT" || verb == "RSET" {
				return
			}
			v.asked = v.asked || verb == "STARTTLS"
			v.mail = v.mail || verb == "MAIL"
			if verb != "MAIL" {
				v.trips++
			}
		case verb == clientHello && isTLS:
			v.words = append(v.words, "TLS begins")
			return
		default:
			answered = true
			reset = reset && text[:min(len(text), 3)] != "421" // who hangs up first then is chance
			if words := v.reply(verb, text); words != "" {
				v.words = append(v.words, words)
			}
		}
		if verb == "MAIL" && !t.fromClient && text[0] == '2' {
			return
		}
	}
	if !answered {
		v.words = append(v.words, clientHello+": no answer")
	}
	if reset {
		v.words = append(v.words, "the connection is reset")
	}
}

const (
	clientHello     = "ClientHello"
	handshakeRecord = 22 // RFC 8446 section 5.1
)

// reply puts a reply for a reader, who knows how a session begins, and notes an offer.
func (v *view) reply(verb, text string) string {
	lines := strings.Split(text, "\r\n")
	last := lines[len(lines)-1]
	const code = len("250 ")
	switch {
	case verb == "":
		if strings.Contains(last, "***") {
			return "greeting `" + last + "`"
		}
		return ""
	case verb == "EHLO" && !strings.HasPrefix(last, "250"):
		v.noEHLO = true
	case verb == "EHLO":
		for _, line := range lines[1:] {
			switch keyword := strings.TrimSpace(line[min(len(line), code):]); {
			case keyword == "STARTTLS":
				v.offered = true
				return "EHLO: STARTTLS offered"
			case strings.HasPrefix(keyword, "XXX"):
				return "EHLO: `" + keyword + "`"
			}
		}
		return "EHLO: no STARTTLS"
	case strings.HasPrefix(last, "250") && verb != "STARTTLS":
		return verb + ": 250"
	}
	return fmt.Sprintf("%s: `%s`", verb, strings.TrimSpace(last))
}

// read fills in what both ends saw, and what keepword reported of it.
func (s *site) read() {
	for i, a := range s.attempts {
		// A connection is of the attempt that had begun last when it began.
		until := time.Now()
		if i+1 < len(s.attempts) {
			until = s.attempts[i+1].begin
		}
		within := func(t time.Time) bool { return !t.Before(a.begin) && t.Before(until) }
		for _, c := range s.conversations {
			if c.Server == s.addr && len(c.Turns) > 0 && within(c.Turns[0].Time) {
				a.client.sees(turnsIn(c), c.Resets > 0)
				a.client.ports = append(a.client.ports, c.Client.Port())
			}
		}
		for _, server := range s.servers {
			for _, t := range server.Transcripts() {
				if within(t.Began) {
					a.server.sees(turnsOf(t), t.Has(broken.Reset))
				}
			}
		}
		for _, e := range s.events {
			for _, port := range a.client.ports {
				switch {
				case e.SrcPort != int(port) || e.DestPort != int(s.addr.Port()):
				case e.EventType == "alert":
					a.events = append(a.events, e)
				case e.EventType == "flow":
					a.outcome = e.Outcome()
				}
			}
		}
	}
}

// turnsIn are those of a recorded connection.
func turnsIn(c *lab.Conversation) (turns []turn) {
	for _, t := range c.Turns {
		turns = append(turns, turn{t.FromClient, t.Octets})
	}
	return turns
}

// name is how the stories name an event.
func name(e lab.Event) string {
	if change := strings.Join(e.Alert.Metadata["breaker"], " "); change != "" {
		return change
	}
	return e.Finding() + " " + e.Action()
}
