//go:build lab

package lab

import (
	"context"
	"fmt"
	"net"
	"net/textproto"
	"testing"
	"time"
)

// slowSession is a session in clear text, one command at a time, so that something can
// happen in its middle.
type slowSession struct {
	*textproto.Conn
	conn net.Conn
}

// dialSlowly opens a session and says EHLO.
func dialSlowly(ctx context.Context, t *testing.T, l *Lab) *slowSession {
	t.Helper()
	conn, err := l.Client.Dial(ctx, "tcp", smtpAt(l.Server.IPv4).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &slowSession{textproto.NewConn(conn), conn}
	s.hear(t, 220)
	s.say(t, "EHLO client.example.net", 250)
	return s
}

// say sends a command and wants a reply of that code.
func (s *slowSession) say(t *testing.T, command string, code int) {
	t.Helper()
	if err := s.PrintfLine("%s", command); err != nil {
		t.Fatal(err)
	}
	s.hear(t, code)
}

// hear wants a reply of that code within startTime: a restart takes less.
func (s *slowSession) hear(t *testing.T, code int) {
	t.Helper()
	s.conn.SetReadDeadline(time.Now().Add(startTime))
	if _, text, err := s.ReadResponse(code); err != nil {
		t.Fatalf("reply %q, want %d: %v", text, code, err)
	}
}

// hearsNothing wants no octet for a time that is longer than an answer takes.
func (s *slowSession) hearsNothing(t *testing.T) {
	t.Helper()
	s.conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	if octet, err := s.R.Peek(1); err == nil {
		t.Fatalf("there came %q", octet)
	}
}

// begin sends the first half of a message.
func (s *slowSession) begin(t *testing.T, m *Message) {
	t.Helper()
	s.say(t, "MAIL FROM:<"+m.From+">", 250)
	s.say(t, "RCPT TO:<"+m.To+">", 250)
	s.say(t, "DATA", 354)
	text := m.stuffed()
	if _, err := s.conn.Write(text[:len(text)/2]); err != nil {
		t.Fatal(err)
	}
}

// end sends the other half, and wants it accepted.
func (s *slowSession) end(t *testing.T, m *Message) {
	t.Helper()
	text := m.stuffed()
	if _, err := s.conn.Write(append(text[len(text)/2:], ".\r\n"...)); err != nil {
		t.Fatal(err)
	}
	s.hear(t, 250)
	s.say(t, "QUIT", 221)
}

// deliver wants a message to go from Postfix to the server, in TLS.
func deliver(ctx context.Context, t *testing.T, l *Lab, server *Server) {
	t.Helper()
	m := NewMessage(1000)
	got, err := Clients[0].Send(ctx, l.Client, smtpAt(l.Server.IPv4), m, IfOffered)
	if err != nil {
		t.Fatal(err)
	}
	if got.Outcome != Delivered || !got.TLS {
		t.Fatalf("%s, TLS %v:\n%s", got.Outcome, got.TLS, got.Transcript)
	}
	if err := server.AwaitMessage(ctx, m); err != nil {
		t.Fatal(err)
	}
}

// upgrades counts the sessions that keepword has seen begin TLS.
func upgrades(t *testing.T, k *Keepword) (n int) {
	t.Helper()
	events, err := k.Events()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.EventType == "flow" && e.Outcome() == "upgraded" {
			n++
		}
	}
	return n
}

// kill sends SIGKILL: keepword has no time to take its rules away.
func kill(t *testing.T, k *Keepword) {
	t.Helper()
	if err := k.Kill(); err != nil {
		t.Fatal(err)
	}
}

// awaitUpgrades waits until keepword has seen so many sessions begin TLS.
func awaitUpgrades(ctx context.Context, t *testing.T, k *Keepword, n int) {
	t.Helper()
	err := await(ctx, startTime, fmt.Sprintf("%d upgraded sessions", n), func() (bool, error) { return upgrades(t, k) == n, nil })
	if err != nil {
		t.Fatalf("%v; there are %d\n%s", err, upgrades(t, k), k.Log())
	}
}

const large = 1 << 20

// With when.daemon_down: pass, a kill -9 costs no mail: not between sessions, not in the
// middle of one, and not in the middle of one that outlives the restart.
func TestWithPassAKilledKeepwordCostsNoMail(t *testing.T) {
	ctx, l := newLab(t, Options{})
	server := start(ctx, t, l, "postfix", true)
	const config = "when: {daemon_down: pass}\n"
	first, err := l.Keepword(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	deliver(ctx, t, l, server)
	awaitUpgrades(ctx, t, first, 1)

	during, across := dialSlowly(ctx, t, l), dialSlowly(ctx, t, l)
	one, other := NewMessage(large), NewMessage(large)
	during.begin(t, one)
	across.begin(t, other)
	kill(t, first)
	during.end(t, one)
	if err := server.AwaitMessage(ctx, one); err != nil {
		t.Error(err)
	}
	deliver(ctx, t, l, server) // unseen

	second := keepwordIn(ctx, t, l, config)
	across.end(t, other)
	if err := server.AwaitMessage(ctx, other); err != nil {
		t.Error(err)
	}
	deliver(ctx, t, l, server)
	awaitUpgrades(ctx, t, second, 2)
}

// With when.daemon_down: drop, nothing goes past a killed keepword, and the restart
// picks up what waited.
func TestWithDropNothingGoesPastAKilledKeepword(t *testing.T) {
	ctx, l := newLab(t, Options{})
	server := start(ctx, t, l, "postfix", true)
	const config = "when: {daemon_down: drop}\n"
	first, err := l.Keepword(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	deliver(ctx, t, l, server)
	awaitUpgrades(ctx, t, first, 1)

	session := dialSlowly(ctx, t, l)
	kill(t, first)
	m := NewMessage(large)
	if err := session.PrintfLine("MAIL FROM:<%s>", m.From); err != nil {
		t.Fatal(err)
	}
	session.hearsNothing(t)
	bounded, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if conn, err := l.Client.Dial(bounded, "tcp", smtpAt(l.Server.IPv6).String()); err == nil {
		conn.Close()
		t.Error("a connection came about")
	}

	second := keepwordIn(ctx, t, l, config)
	session.hear(t, 250) // to what was sent again meanwhile
	session.say(t, "RSET", 250)
	session.begin(t, m)
	session.end(t, m)
	if err := server.AwaitMessage(ctx, m); err != nil {
		t.Error(err)
	}
	deliver(ctx, t, l, server)
	awaitUpgrades(ctx, t, second, 2)
}
