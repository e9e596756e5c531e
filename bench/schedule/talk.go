package main

import (
	"bytes"
	"crypto/tls"
	"net"
	"time"
)

// talker is the client's application: it says its script and counts the replies.
type talker struct {
	conn   net.Conn
	finals int    // last lines of replies (RFC 5321 section 4.2.1) that were received
	line   []byte // the line at hand
	over   bool
}

const (
	// replyWait bounds the wait for a reply, handshakeWait that for TLS, and writeWait
	// that for room in a kernel's buffer, in a dialogue that forged octets may have
	// disturbed.
	replyWait     = 60 * time.Millisecond
	handshakeWait = 2 * time.Second
	writeWait     = 2 * time.Second
	// lawfulWait bounds each in one that they have not.
	lawfulWait = 2 * lastLawfulWait
)

// talk says the script. It says whether all of it was said, and whether every reply was
// received.
func (s *Schedule) talk(conn net.Conn, secure *tls.Config) (complete, answered bool) {
	reply, handshake, write := replyWait, handshakeWait, writeWait
	if s.Lawful {
		reply, handshake, write = lawfulWait, lawfulWait, lawfulWait
	}
	t := talker{conn: conn}
	due := 1 // the greeting
	t.await(due, reply)
	for i := range s.Script {
		e := &s.Script[i]
		if t.over {
			return false, false
		}
		if e.TLS {
			inner := tls.Client(conn, secure)
			if conn.SetReadDeadline(time.Now().Add(handshake)) != nil || inner.Handshake() != nil {
				return false, false
			}
			t.conn = inner
		}
		if t.conn.SetWriteDeadline(time.Now().Add(write)) != nil {
			return false, false
		}
		if _, err := t.conn.Write(e.Say); err != nil {
			return false, false
		}
		due += e.Replies
		t.await(due, reply)
	}
	return !t.over, t.finals >= due
}

// await reads until that many replies have been received in all.
func (t *talker) await(due int, limit time.Duration) {
	if t.conn.SetReadDeadline(time.Now().Add(limit)) != nil {
		t.over = true
	}
	buf := make([]byte, 1<<14)
	for t.finals < due && !t.over {
		n, err := t.conn.Read(buf)
		t.hear(buf[:n])
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			return
		}
		t.over = err != nil
	}
}

// hear counts the replies in octets of the server.
func (t *talker) hear(octets []byte) {
	t.line = append(t.line, octets...)
	for {
		line, rest, ok := bytes.Cut(t.line, []byte("\r\n"))
		if !ok {
			return
		}
		if len(line) > 3 && line[3] == ' ' {
			t.finals++
		}
		t.line = rest
	}
}

// recorder keeps what an application has read from its kernel, and what it said.
type recorder struct {
	net.Conn
	read, said []byte
}

// Read is net.Conn's.
func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.read = append(r.read, b[:n]...)
	return n, err
}

// Write is net.Conn's.
func (r *recorder) Write(b []byte) (int, error) {
	r.said = append(r.said, b...)
	return r.Conn.Write(b)
}
