package main

import (
	"hash/maphash"
	"strings"
)

// server is a small mail server. Its first choice each time is what an honest one does
// that knows TLS.
type server struct {
	inbox
	talk    talk
	isTLS   bool // it believes that TLS has begun
	offered bool // it has answered an EHLO with an offer
	quiet   bool // it has left something unanswered
	ended   bool
}

// greetings are a server's first words.
var greetings = []string{
	"220 mx.example ESMTP\r\n",
	"220 ****************\r\n",
	"421 mx.example busy\r\n",
	"554 mx.example no\r\n",
}

// offers are answers to EHLO.
var offers = []string{
	"250-mx.example\r\n250-STARTTLS\r\n250 HELP\r\n",
	"250-mx.example\r\n250-HELP\r\n250 STARTTLS\r\n",
	"250-mx.example\r\n250 STARTTLS\r\n",
	"250-mx.example\r\n250-starttls\r\n250-PIPELINING\r\n250 HELP\r\n",
	"250-mx.example\r\n250-XXXXXXXA\r\n250 HELP\r\n",
	"250-mx.example\r\n250 HELP\r\n",
	"250 mx.example\r\n",
	"502 5.5.1 Unrecognized command\r\n",
	"421 mx.example closing\r\n",
}

// answer is an answer to STARTTLS.
type answer struct {
	text   string
	behind string // said at once, unasked
	apart  bool   // in a segment of its own
	begins bool   // it means it: TLS has begun
}

// answers are those of a server that is asked for TLS. The code 220 is what begins it
// (RFC 3207 section 4): a server that says another and begins is none that keepword or
// any client could follow.
var answers = []answer{
	{text: "220 2.0.0 Ready to start TLS\r\n", begins: true},
	{text: "220-2.0.0 Ready\r\n220 go\r\n", begins: true},
	{text: "220 2.0.0 Ready to start TLS\r\n"},
	{text: "220 2.0.0 Ready to start TLS\r\n", behind: "250 2.0.0 Ok\r\n", begins: true},
	{text: "220 2.0.0 Ready to start TLS\r\n", behind: "250 2.0.0 Ok\r\n", apart: true, begins: true},
	{text: "220 2.0.0 Ready to start TLS\r\n", behind: "2", apart: true, begins: true},
	{text: "250 OK\r\n"},
	{text: "250-first\r\n250 OK\r\n"},
	{text: "200 Ok\r\n"},
	{text: "221 2.0.0 Bye\r\n"},
	{text: "334 \r\n"},
	{text: "354 Go ahead\r\n"},
	{text: "421 4.3.2 mx.example closing\r\n"},
	{text: "454 4.7.0 TLS not available\r\n"},
	{text: "454 4.7.0 too many new TLS sessions\r\n"},
	{text: "501 5.5.4 Syntax error\r\n"},
	{text: "502 5.5.1 Not implemented\r\n"},
	{text: "503 5.5.1 Bad sequence\r\n"},
	{text: "554 5.3.0 Unable to initialize security subsystem\r\n"},
	{text: "***?***\r\n"},
	{text: ""},
}

// surpluses are what may follow another reply, unasked.
var surpluses = []string{"", "250 2.0.0 Ok\r\n", "220 2.0.0 Ready to start TLS\r\n", "500 5.5.2 Error\r\n"}

const unknown = "500 5.5.2 Command unrecognized\r\n"

func (s *server) digest(h *maphash.Hash) {
	writeOctets(h, s.inbox)
	writeInts(h, int64(s.talk), int64(btoi(s.isTLS)), int64(btoi(s.offered)), int64(btoi(s.quiet)), int64(btoi(s.ended)))
}

// greet opens the dialogue.
func (s *server) greet(w *world) {
	s.say(w, greetings[w.choose(len(greetings), false)])
}

// say says a reply. With 421 the server leaves (RFC 5321 section 3.8).
func (s *server) say(w *world, reply string) {
	if strings.HasPrefix(reply, "421") {
		s.talk = silent
	}
	w.say(s, west, reply)
}

func (s *server) take(w *world, _ side, seg segment) {
	if seg.reset {
		s.ended, s.talk = true, silent
		return
	}
	s.inbox = append(s.inbox, seg.octets...)
	for {
		i, ok := s.next()
		switch {
		case !ok || s.talk == silent:
			return
		case s.talk != inClear:
			s.takeRecord(w, i)
		case i.record:
			w.say(s, west, unknown)
		default:
			s.takeLine(w, i.text(), i)
		}
	}
}

// takeRecord goes on with the handshake.
func (s *server) takeRecord(w *world, i item) {
	switch {
	case !i.record:
		w.say(s, west, fatalAlert)
		s.talk = silent
	case i.octets[0] == handshake && s.talk == awaiting:
		s.talk = inTLS
		switch w.choose(4, false) {
		case 0:
			w.say(s, west, serverHello+protected)
		case 1:
			w.say(s, west, fatalAlert)
			s.talk = silent
		case 2: // it never answers
			s.talk = silent
		case 3:
			w.say(s, west, "454 4.3.0 TLS failed\r\n")
			s.talk = silent
		}
	case i.octets[0] == applicationData && s.talk == inTLS:
		w.say(s, west, protected)
	}
}

// takeLine answers a command.
func (s *server) takeLine(w *world, line string, i item) {
	verb := verbOf(line)
	switch {
	case asksTLS(line):
		s.takeQuestion(w, line)
		return
	case verb == "EHLO":
		reply := offers[w.choose(len(offers), false)]
		s.offered = strings.Contains(strings.ToUpper(reply), "STARTTLS")
		s.say(w, reply)
		if s.talk == silent {
			return
		}
	case verb == "QUIT":
		w.say(s, west, "221 2.0.0 Bye\r\n")
		s.talk = silent
		return
	case verb == "AUTH":
		w.say(s, west, "235 2.7.0 Authenticated\r\n")
	case verb == "HELO", verb == "MAIL", verb == "NOOP", verb == "RSET":
		w.say(s, west, "250 2.0.0 Ok\r\n")
	default:
		w.say(s, west, unknown)
	}
	if extra := surpluses[w.choose(len(surpluses), false)]; extra != "" {
		w.honest = false
		w.say(s, west, extra)
	}
}

// takeQuestion answers what asks for TLS, or looks so.
func (s *server) takeQuestion(w *world, line string) {
	list := answers
	switch verb := strings.ToUpper(line); {
	case verb == "STARTTLS" && s.offered, strings.TrimRight(verb, " ") == "STARTTLS" && s.offered:
	case verbOf(verb) == "STARTTLS" && verb[0] != ' ' && s.offered:
		list = append([]answer{{text: "501 5.5.4 Syntax error (no parameters allowed)\r\n"}}, answers...)
	default:
		list = append([]answer{{text: unknown}}, answers...)
	}
	a := list[w.choose(len(list), false)]
	if a.text == "" {
		s.quiet = true
		return
	}
	s.isTLS = a.begins
	if s.isTLS {
		s.talk = awaiting
		s.inbox = nil
	}
	w.honest = w.honest && a.behind == ""
	if a.apart {
		w.say(s, west, a.text)
		w.say(s, west, a.behind)
	} else {
		s.say(w, a.text+a.behind)
	}
}
