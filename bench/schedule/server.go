package main

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"
)

// server is the server's application above its kernel. It keeps every octet that the
// kernel gives it.
type server struct {
	secure    *tls.Config
	listeners []net.Listener
	serving   sync.WaitGroup

	mu    sync.Mutex
	conns map[uint16][]*served // by the client's port
}

// served is one connection of a server.
type served struct {
	recorder
	dialogue
	done chan struct{} // closed when it is over; then the other fields may be read
}

// idle bounds a connection whose client went away without a word.
const idle = 20 * time.Second

// newServed makes the server's end of a connection.
func newServed(conn net.Conn) *served {
	return &served{recorder: recorder{Conn: conn}, done: make(chan struct{})}
}

// startServer answers the connections to listeners until stop.
func startServer(secure *tls.Config, listeners []net.Listener) *server {
	s := &server{secure: secure, listeners: listeners, conns: map[uint16][]*served{}}
	for _, l := range listeners {
		s.serving.Go(func() { s.accept(l) })
	}
	return s
}

func (s *server) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		// No TIME-WAIT of ours may outlive the schedule. An error says that the
		// connection has ended already.
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.SetDeadline(time.Now().Add(idle))
		c := newServed(conn)
		port := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Port()
		s.mu.Lock()
		s.conns[port] = append(s.conns[port], c)
		s.mu.Unlock()
		s.serving.Go(func() { c.serve(s.secure) })
	}
}

func (s *server) stop() {
	for _, l := range s.listeners {
		l.Close()
	}
	s.mu.Lock()
	for _, list := range s.conns {
		for _, c := range list {
			c.Close()
		}
	}
	s.mu.Unlock()
	s.serving.Wait()
}

// afterwards is how long an application reads on after the schedule.
const afterwards = 20 * time.Millisecond

// finish ends the connections from a port, when what has arrived is read.
func (s *server) finish(client netip.AddrPort) []*served {
	s.mu.Lock()
	list := s.conns[client.Port()]
	delete(s.conns, client.Port())
	s.mu.Unlock()
	for _, c := range list {
		// An error says that it has ended already.
		_ = c.SetReadDeadline(time.Now().Add(afterwards))
		<-c.done
	}
	return list
}

// serve reads until the connection ends, and answers what it understands.
func (c *served) serve(secure *tls.Config) {
	defer close(c.done)
	defer c.Close()
	conn := net.Conn(&c.recorder)
	if _, err := conn.Write([]byte("220 server.example.test ESMTP\r\n")); err != nil {
		return
	}
	buf := make([]byte, 1<<16)
	for {
		n, err := conn.Read(buf)
		if replies := c.take(buf[:n]); len(replies) > 0 {
			if _, err := conn.Write(replies); err != nil {
				return
			}
		}
		switch {
		case err != nil && c.secured:
			// TLS has failed or ended; what still comes is read all the same.
			conn, c.secured, c.mode = &c.recorder, false, opaque
		case err != nil:
			return
		case c.mode == begins && len(c.unread) > 0:
			c.mode = opaque // somebody spoke before TLS (RFC 3207 section 4.2)
		case c.mode == begins:
			conn, c.secured, c.mode = tls.Server(&c.recorder, secure), true, commands
		}
	}
}
