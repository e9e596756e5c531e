package main

import (
	"bytes"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// server is the application whose reading is compared: it answers SMTP as far as
// schedules speak it, and keeps every octet that its kernel gives it.
type server struct {
	l       net.Listener
	serving sync.WaitGroup

	mu    sync.Mutex
	conns map[uint16][]*served // by the client's port
}

// served is one connection.
type served struct {
	conn net.Conn
	read []byte // complete when done is closed
	done chan struct{}
}

// idle bounds a connection whose client went away without a word.
const idle = 20 * time.Second

// startServer answers the connections to l until stop.
func startServer(l net.Listener) *server {
	s := &server{l: l, conns: map[uint16][]*served{}}
	s.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c := &served{conn: conn, done: make(chan struct{})}
			port := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Port()
			s.mu.Lock()
			s.conns[port] = append(s.conns[port], c)
			s.mu.Unlock()
			s.serving.Go(c.serve)
		}
	})
	return s
}

func (s *server) stop() {
	s.l.Close()
	s.mu.Lock()
	for _, list := range s.conns {
		for _, c := range list {
			c.conn.Close()
		}
	}
	s.mu.Unlock()
	s.serving.Wait()
}

// finish ends the connections from a port, when what has arrived is read, and returns
// what each has read.
func (s *server) finish(client netip.AddrPort) (read [][]byte) {
	s.mu.Lock()
	list := s.conns[client.Port()]
	delete(s.conns, client.Port())
	s.mu.Unlock()
	for _, c := range list {
		// An error says that it has ended already.
		_ = c.conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		<-c.done
		read = append(read, c.read)
	}
	return read
}

// serve reads until the connection ends, and answers what it understands.
func (c *served) serve() {
	defer close(c.done)
	defer c.conn.Close()
	// No TIME-WAIT of ours may outlive the schedule.
	_ = c.conn.(*net.TCPConn).SetLinger(0)
	_ = c.conn.SetDeadline(time.Now().Add(idle))
	var d dialogue
	if _, err := c.conn.Write([]byte("220 server.example.test ESMTP\r\n")); err != nil {
		return
	}
	buf := make([]byte, 1<<16)
	for {
		n, err := c.conn.Read(buf)
		c.read = append(c.read, buf[:n]...)
		if replies := d.take(buf[:n]); len(replies) > 0 {
			if _, err := c.conn.Write(replies); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// dialogue answers SMTP (RFC 5321) as a server that takes every mail.
type dialogue struct {
	unread []byte
	mode   mode
	tls    bool // STARTTLS will be accepted
	chunk  int  // octets to come, in mode chunk
}

// mode is how the client's octets are read.
type mode uint8

const (
	commands mode = iota
	mailData      // after 354, before the end of mail data
	chunk         // after BDAT (RFC 3030)
	opaque        // after 220 to STARTTLS: it never answers
)

// take reads octets of the client and returns the replies that are due.
func (d *dialogue) take(octets []byte) (replies []byte) {
	d.unread = append(d.unread, octets...)
	for {
		switch d.mode {
		case opaque:
			return replies
		case chunk:
			if len(d.unread) < d.chunk {
				return replies
			}
			d.unread, d.mode = d.unread[d.chunk:], commands
			replies = append(replies, "250 2.0.0 Ok\r\n"...)
		default:
			line, rest, ok := bytes.Cut(d.unread, []byte("\r\n"))
			if !ok {
				return replies
			}
			d.unread = rest
			replies = append(replies, d.answer(string(line))...)
		}
	}
}

// answer returns the reply to one line.
func (d *dialogue) answer(line string) string {
	if d.mode == mailData {
		if line != "." {
			return ""
		}
		d.mode = commands
		return "250 2.0.0 Ok\r\n"
	}
	words := strings.Fields(strings.ToUpper(line))
	if len(words) == 0 {
		words = []string{""}
	}
	switch words[0] {
	case "EHLO":
		d.tls = strings.HasPrefix(line, "EHLO "+tlsName+".")
		return "250-server.example.test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 STARTTLS\r\n"
	case "STARTTLS":
		if d.tls {
			d.mode = opaque
			return "220 2.0.0 Ready to start TLS\r\n"
		}
		return "454 4.7.0 TLS not available\r\n"
	case "DATA":
		d.mode = mailData
		return "354 Go ahead\r\n"
	case "BDAT":
		if len(words) > 1 {
			if n, err := strconv.Atoi(words[1]); err == nil && n >= 0 {
				d.mode, d.chunk = chunk, n
				return ""
			}
		}
	case "MAIL", "RCPT", "QUIT", "NOOP":
		return "250 2.0.0 Ok\r\n"
	}
	return "500 5.5.1 Command unrecognized\r\n"
}
