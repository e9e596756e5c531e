package load

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"sync"
	"time"
)

// hostName is the server's.
const hostName = "server.example.test"

// sessionLimit bounds a session of either side.
const sessionLimit = 30 * time.Second

// Server answers SMTP. It takes each message and keeps none.
type Server struct {
	// Took, if not nil, is called for each message before it is acknowledged, by the
	// goroutine of its session: with its first line, CRLF left out, and the hash of the
	// octets behind it, as they came.
	Took func(head string, sum [sha256.Size]byte)

	config *tls.Config
	wires  sync.Pool
}

// NewServer makes a server with a key of its own.
func NewServer() (*Server, error) {
	config, err := serverTLS()
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return &Server{config: config, wires: sync.Pool{New: func() any { return newWire() }}}, nil
}

// Serve answers the connections of l until ctx ends, and closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		go func() {
			w := s.wires.Get().(*wire)
			// What goes wrong in a session its client sees.
			_ = s.session(w, conn)
			w.reset(nil)
			s.wires.Put(w)
		}()
	}
}

// stage is how far a session has come.
type stage uint8

const (
	// stageGreeted: no EHLO yet, or none since TLS began.
	stageGreeted stage = iota
	// stageReady: EHLO was answered, no mail transaction is open.
	stageReady
	// stageMail: MAIL was answered.
	stageMail
	// stageRcpt: a RCPT was answered.
	stageRcpt
)

// The server's lines (RFC 5321 section 4.2). The offer stands in the middle of the reply.
const (
	greeting    = "220 " + hostName + " ESMTP\r\n"
	ehloClear   = "250-" + hostName + "\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-STARTTLS\r\n250 8BITMIME\r\n"
	ehloTLS     = "250-" + hostName + "\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250 8BITMIME\r\n"
	okReply     = "250 2.0.0 Ok\r\n"
	goAhead     = "354 End data with <CR><LF>.<CR><LF>\r\n"
	readyForTLS = "220 2.0.0 Ready to start TLS\r\n"
	bye         = "221 2.0.0 Bye\r\n"
	badSequence = "503 5.5.1 Bad sequence of commands\r\n"
	badCommand  = "500 5.5.2 Command unrecognized\r\n"
)

var errInjected = errors.New("octets behind STARTTLS")

// session answers one connection and closes it.
func (s *Server) session(w *wire, conn net.Conn) (err error) {
	end := io.Closer(conn)
	defer func() { err = errors.Join(err, w.flush(), end.Close()) }()
	if err := conn.SetDeadline(time.Now().Add(sessionLimit)); err != nil {
		return err
	}
	w.reset(conn)
	w.say(greeting)
	secure, at := false, stageGreeted
	for {
		line, err := w.line()
		if err != nil {
			return err
		}
		verb, arg, _ := bytes.Cut(line, []byte(" "))
		switch string(verb) {
		case "EHLO":
			at = stageReady
			if secure {
				w.say(ehloTLS)
			} else {
				w.say(ehloClear)
			}
		case "STARTTLS":
			if secure || at != stageReady || len(arg) > 0 {
				w.say(badSequence)
				break
			}
			if !w.idle() { // RFC 3207 section 6: nothing said in clear text counts
				return errInjected
			}
			w.say(readyForTLS)
			if err := w.flush(); err != nil {
				return err
			}
			protected := tls.Server(&cork{Conn: conn}, s.config)
			end = protected
			if err := protected.Handshake(); err != nil {
				return err
			}
			w.reset(protected)
			secure, at = true, stageGreeted
		case "MAIL":
			at = w.step(at == stageReady && bracketed(arg, "FROM:"), at, stageMail)
		case "RCPT":
			at = w.step((at == stageMail || at == stageRcpt) && bracketed(arg, "TO:"), at, stageRcpt)
		case "NOOP":
			w.say(okReply)
		case "RSET":
			at = w.step(at != stageGreeted, at, stageReady)
		case "DATA":
			if at != stageRcpt {
				w.say(badSequence)
				break
			}
			w.say(goAhead)
			if err := s.take(w); err != nil {
				return err
			}
			at = stageReady
		case "QUIT":
			w.say(bye)
			return nil
		default:
			w.say(badCommand)
		}
	}
}

// step answers a command that is in its place, or not, and returns the new stage.
func (w *wire) step(ok bool, old, next stage) stage {
	if !ok {
		w.say(badSequence)
		return old
	}
	w.say(okReply)
	return next
}

// bracketed says whether arg is the word and a path in brackets, with or without
// parameters behind it.
func bracketed(arg []byte, word string) bool {
	path, ok := bytes.CutPrefix(arg, []byte(word))
	return ok && len(path) > 0 && path[0] == '<' && bytes.IndexByte(path, '>') > 0
}

// take reads a message and acknowledges it with the number of its octets.
func (s *Server) take(w *wire) error {
	var message reading
	var see func([]byte)
	if s.Took != nil {
		message.sum = sha256.New()
		see = message.see
	}
	octets, err := w.data(see)
	if err != nil {
		return err
	}
	if s.Took != nil {
		s.Took(message.end())
	}
	w.out = fmt.Appendf(w.out, "250 2.0.0 Ok %d\r\n", octets)
	return nil
}

// reading is what Took is told of a message that is shown to it in parts.
type reading struct {
	head []byte
	done bool // head is whole
	sum  hash.Hash
}

func (r *reading) see(p []byte) {
	if !r.done {
		head, rest, found := bytes.Cut(p, []byte("\n"))
		r.head = append(r.head, head...)
		if !found {
			return
		}
		p, r.done = rest, true
	}
	r.sum.Write(p)
}

func (r *reading) end() (head string, sum [sha256.Size]byte) {
	return string(bytes.TrimSuffix(r.head, []byte("\r"))), [sha256.Size]byte(r.sum.Sum(nil))
}
