package broken

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

const (
	// maxLine is the longest line taken as a command, in octets. It is what RFC 4954
	// section 4 asks for AUTH, the longest of all.
	maxLine = 12288

	// betweenAnswers parts two replies to one STARTTLS, so that they leave in two
	// segments and the first one is read by itself.
	betweenAnswers = 50 * time.Millisecond

	// lingerTime is how long a side that has closed waits for the other to close too.
	// Closing earlier with octets unread would turn the FIN into a RST, which may
	// overtake the last reply.
	lingerTime = time.Second
)

// errQuit ends a session in good order.
var errQuit = errors.New("session is over")

// session is one connection of a server.
type session struct {
	srv    *Server
	number int // of the connection
	wire   *tap
	conn   net.Conn // the wire, or TLS on it
	r      *bufio.Reader
	inTLS  bool
	verb   string // that is being answered
	said   []byte // last, in clear text

	ehlos int
	helo  string
	user  string
	mail  *Message // the mail transaction, nil outside of one
	// chunks says that the transaction has begun to send its text by BDAT.
	chunks bool
}

func serveSession(srv *Server, wire *tap, number int) {
	s := &session{srv: srv, number: number, wire: wire, conn: wire, r: bufio.NewReaderSize(wire, maxLine)}
	// Errors are the client's going, our closing, or the lifetime's end; each of them
	// is in the transcript.
	if !errors.Is(s.dialogue(), errQuit) {
		return
	}
	if conn, ok := s.conn.(*tls.Conn); ok {
		_ = conn.CloseWrite() // close_notify; where the client is gone it needs none
	}
	linger(s.wire)
}

// linger closes in our direction and waits, bounded, for the client to do so too.
func linger(c *tap) {
	if c.CloseWrite() != nil || c.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return // gone already
	}
	_, _ = io.Copy(io.Discard, c) // whatever ends it, we close next
}

func (s *session) dialogue() error {
	greeting := []byte("220 " + s.srv.config.Hostname + " " + s.srv.config.Greeting + "\r\n")
	if s.srv.config.MaskGreeting {
		mask(greeting)
	}
	if err := s.write(greeting); err != nil {
		return err
	}
	for {
		line, err := s.line()
		if errors.Is(err, bufio.ErrBufferFull) {
			err = s.reply("500 Line too long")
		} else if err == nil {
			err = s.command(line)
		}
		if err != nil {
			return err
		}
	}
}

// mask overwrites a greeting as a PIX does: the code, the characters 2, 0 and the
// blank, and the line's end stay.
func mask(greeting []byte) {
	for i, c := range greeting {
		if i > 3 && !bytes.ContainsRune([]byte("20 \r\n"), rune(c)) {
			greeting[i] = '*'
		}
	}
}

// line returns the next command line without its end. A bare LF ends a line too:
// these servers are as lenient as those that they stand for. A line that is too
// long is read to its end and reported as bufio.ErrBufferFull.
func (s *session) line() (string, error) {
	line, err := s.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = s.r.ReadSlice('\n')
		}
		if err == nil {
			err = bufio.ErrBufferFull
		}
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), nil
}

// reply sends a reply of one line.
func (s *session) reply(text string) error { return s.write([]byte(text + "\r\n")) }

// write sends octets, in clear text in the configured segments.
func (s *session) write(p []byte) error {
	if s.inTLS {
		_, err := s.conn.Write(p)
		return err
	}
	if s.srv.config.Reply != nil {
		p = []byte(s.srv.config.Reply(s.number, s.verb, string(p)))
	}
	s.said = p
	return s.srv.config.Cut.send(s.srv.ctx, s.conn, p)
}

// command obeys one line. The verb reaches to the first blank, so that a line that
// begins with one has none.
func (s *session) command(line string) error {
	verb, arg, _ := strings.Cut(line, " ")
	verb, arg = strings.ToUpper(verb), strings.TrimSpace(arg)
	s.verb = verb
	switch {
	case verb == "EHLO" && s.srv.kind.noEHLO:
		return s.reply("502 Command not implemented")
	case verb == "EHLO" || verb == "HELO":
		return s.hello(verb, arg)
	case verb == keyword, verb == anonTLS && slices.Contains(s.srv.kind.offers, anonTLS):
		return s.startTLS(arg)
	case verb == "AUTH" && s.srv.config.Auth:
		return s.auth(arg)
	case verb == "BDAT" && s.srv.config.Chunking:
		return s.bdat(arg)
	}
	switch verb {
	case "MAIL":
		return s.from(arg)
	case "RCPT":
		return s.to(arg)
	case "DATA":
		return s.data(arg)
	case "RSET":
		s.mail = nil
		return s.reply("250 Reset")
	case "NOOP":
		return s.reply("250 OK")
	case "VRFY":
		return s.reply("252 Send it and see")
	case "QUIT":
		if err := s.reply("221 Bye"); err != nil {
			return err
		}
		return errQuit
	}
	return s.write([]byte(unknown))
}

func (s *session) hello(verb, name string) error {
	if name == "" {
		return s.reply("501 Say your name")
	}
	s.helo, s.mail = name, nil
	first := s.srv.config.Hostname + " greets you"
	if verb == "HELO" {
		return s.reply("250 " + first)
	}
	s.ehlos++
	return s.write(ehloReply(append([]string{first}, s.extensions()...)))
}

// ehloReply joins lines to a 250 reply.
func ehloReply(lines []string) []byte {
	var out []byte
	for i, line := range lines {
		separator := '-'
		if i == len(lines)-1 {
			separator = ' '
		}
		out = fmt.Appendf(out, "250%c%s\r\n", separator, line)
	}
	return out
}

// extensions returns the EHLO reply's lines after the first.
func (s *session) extensions() []string {
	config := s.srv.config
	var lines []string
	for _, e := range []struct {
		offered bool
		line    string
	}{
		{config.Pipelining, "PIPELINING"},
		{config.Size, fmt.Sprintf("SIZE %d", config.Limits.Message)},
		{config.EightBitMIME, "8BITMIME"},
		{config.Chunking, "CHUNKING"},
		{config.Auth, "AUTH PLAIN LOGIN"},
	} {
		if e.offered {
			lines = append(lines, e.line)
		}
	}
	// RFC 3207 section 4.2: not offered again within TLS.
	if s.inTLS || s.srv.kind.forgets && s.ehlos > 1 {
		return lines
	}
	at := map[Place]int{First: 0, Middle: len(lines) / 2, Last: len(lines)}[config.Offer]
	return slices.Insert(lines, at, s.srv.kind.offers...)
}

// startTLS answers the request for TLS as the kind does, and does what the kind does
// then.
func (s *session) startTLS(arg string) error {
	if s.inTLS {
		return s.reply("503 TLS has begun already")
	}
	if arg != "" {
		return s.reply("501 No parameter allowed") // RFC 3207 section 4
	}
	if !rest(s.srv.ctx, s.srv.config.AnswerDelay) {
		return net.ErrClosed
	}
	for i, answer := range s.srv.kind.answer {
		if i > 0 && !rest(s.srv.ctx, betweenAnswers) {
			return net.ErrClosed
		}
		if err := s.write([]byte(answer)); err != nil {
			return err
		}
	}
	then := s.srv.kind.then
	if s.srv.config.Reply != nil && !bytes.HasPrefix(s.said, []byte("220")) {
		then = stayInClear
	}
	switch then {
	case stayInClear:
		return nil
	case beginTLS:
		return s.handshake(nil)
	case trustEarly:
		early, _ := s.r.Peek(s.r.Buffered()) // what is buffered is there: no error
		return s.handshake(bytes.Clone(early))
	case fallSilent:
		_, err := io.Copy(io.Discard, s.wire)
		return err
	case hangUpOnHello:
		if _, err := s.r.ReadByte(); err != nil {
			return err
		}
	case sendAlert:
		if _, err := s.r.ReadByte(); err != nil {
			return err
		}
		// RFC 8446 section 6: record type alert, legacy version, length 2, fatal,
		// handshake_failure.
		if _, err := s.wire.Write([]byte{21, 3, 3, 0, 2, 2, 40}); err != nil {
			return err
		}
	}
	return errQuit
}

// handshake begins TLS. What the client sent before the 220 is discarded with the
// old reader (RFC 3207 section 4.2), but for the octets that are given: they are
// obeyed as if they had come through TLS.
func (s *session) handshake(early []byte) error {
	conn := tls.Server(s.wire, s.srv.config.TLS)
	if err := conn.Handshake(); err != nil {
		return errQuit // an alert is on its way: let it arrive
	}
	s.wire.tlsBegan()
	s.conn, s.inTLS = conn, true
	s.r = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(early), conn), maxLine)
	s.helo, s.user, s.mail = "", "", nil
	return nil
}
