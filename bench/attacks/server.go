package main

import (
	"bytes"
	"strings"
)

// server is a model of a mail server, with the box before it where the fixture has one.
type server struct {
	talker
	inText bool
	chunk  int    // octets of a BDAT still to come
	text   []byte // mail data so far, behind the CRLF of DATA's line
	obeyed []command
	mails  int // accepted
}

// command is a line that the server obeyed as a command.
type command struct {
	line string
	tls  security
}

// answers are what an honest server says.
var answers = map[step]string{
	atGreeting: "220 mx.example ESMTP\r\n",
	atEHLO:     "250-mx.example\r\n250-PIPELINING\r\n250-STARTTLS\r\n250-CHUNKING\r\n250 8BITMIME\r\n",
	atHELO:     "250 mx.example\r\n", atRSET: "250 reset\r\n", atSTARTTLS: "220 go ahead\r\n",
	atMAIL: "250 sender\r\n", atRCPT: "250 recipient\r\n", atDATA: "354 send it\r\n",
	atText: "250 queued\r\n", atQUIT: "221 bye\r\n",
}

const unknown = "500 what?\r\n"

// greet begins the session.
func (s *server) greet() { s.answer(atGreeting, answers[atGreeting], func() {}) }

// answer says what the server's side says at a step, and obeys unless a box keeps the
// server from it.
func (s *server) answer(at step, reply string, obey func()) {
	forged, attacks := s.fixture.server[at]
	if s.tls == inTLS {
		attacks = false // nobody else can write there
	}
	switch {
	case !attacks:
		if s.fixture.tamper != nil && s.tls == inTheClear {
			reply = s.fixture.tamper(at, reply)
		}
		s.speak(reply)
		obey()
	case s.fixture.hostile == boxInPlace:
		s.speak(forged)
	case s.fixture.hostile == boxBesides:
		s.speak(forged)
		s.speak(reply)
		obey()
	default:
		s.speak(forged)
		if at != atSTARTTLS || strings.HasPrefix(forged, "220") {
			obey()
		}
	}
}

// hear takes what the client's side sent.
func (s *server) hear(octets []byte) {
	if s.talker.hear(octets, func([]byte) {
		s.say(serverHello)
		s.tls = inTLS
	}) {
		s.read()
	}
}

// read reads lines and mail data until TLS begins.
func (s *server) read() {
	for !s.gone && s.tls != handshaking {
		switch {
		case s.chunk > 0:
			if !s.readChunk() {
				return
			}
		case s.inText:
			if !s.readText() {
				return
			}
		default:
			line, ok := s.line()
			if !ok {
				return
			}
			s.command(line)
		}
	}
}

// command obeys a line.
func (s *server) command(line string) {
	s.obeyed = append(s.obeyed, command{line, s.tls})
	verb, arg, _ := strings.Cut(strings.ReplaceAll(strings.TrimSpace(line), "\t", " "), " ")
	at := step(strings.ToUpper(verb))
	switch at {
	case "BDAT":
		s.bdat(arg)
	case atSTARTTLS:
		s.answer(at, answers[at], s.begin)
	case atDATA:
		s.answer(at, answers[at], func() { s.inText, s.text = true, []byte("\r\n") })
	case atQUIT:
		s.answer(at, answers[at], s.close)
	case atEHLO, atHELO, atRSET, atMAIL, atRCPT:
		s.answer(at, answers[at], func() {})
	case "NOOP", "HELP", "VRFY":
		s.speak("250 ok\r\n")
	default:
		s.speak(unknown)
	}
}

// endOfData is RFC 5321 section 4.1.1.4.
const endOfData = "\r\n.\r\n"

// readText reads mail data up to its end, and says whether it came to it.
func (s *server) readText() bool {
	s.text = append(s.text, s.lines...)
	s.lines = nil
	at, length := bytes.Index(s.text, []byte(endOfData)), len(endOfData)
	if s.ending != "" {
		if i := bytes.Index(s.text, []byte(s.ending)); i >= 0 && (at < 0 || i < at) {
			at, length = i, len(s.ending)
		}
	}
	if at < 0 {
		return false
	}
	s.lines = s.text[at+length:]
	s.text = s.text[:at]
	s.inText = false
	s.accept()
	return true
}

func (s *server) accept() {
	s.mails++
	s.answer(atText, answers[atText], func() {})
}

// bdat begins a chunk, which is always the last (RFC 3030 section 2).
func (s *server) bdat(arg string) {
	size, _, _ := strings.Cut(arg, " ")
	for _, digit := range size {
		s.chunk = s.chunk*10 + int(digit-'0')
	}
	s.text = []byte("\r\n")
}

// readChunk reads octets of a chunk. One who is careless looks for an end of mail data in
// them.
func (s *server) readChunk() bool {
	n := min(s.chunk, len(s.lines))
	s.text = append(s.text, s.lines[:n]...)
	s.lines = s.lines[n:]
	s.chunk -= n
	if s.ending != "" {
		if i := bytes.Index(s.text, []byte(s.ending)); i >= 0 {
			s.lines = append(bytes.Clone(s.text[i+len(s.ending):]), s.lines...)
			s.text = s.text[:i]
			s.chunk = 0
		}
	}
	if s.chunk > 0 {
		return false
	}
	s.accept()
	return true
}
