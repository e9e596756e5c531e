package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/textproto"
	"strings"
	"time"

	"keepword/bench/lab"
)

// talker is a small SMTP client that sends in groups what it may.
type talker struct {
	conn       net.Conn
	replies    *textproto.Reader
	pipelining bool
	chunking   bool
}

// talkTime bounds a session.
const talkTime = 30 * time.Second

// dial connects from the client's host, and says EHLO.
func (s *stage) dial(ctx context.Context, addr netip.AddrPort) (*talker, error) {
	conn, err := s.Client.Dial(ctx, "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(talkTime)); err != nil {
		conn.Close()
		return nil, err
	}
	t := &talker{conn: conn, replies: textproto.NewReader(bufio.NewReader(conn))}
	if _, _, err = t.replies.ReadResponse(220); err == nil {
		err = t.hello(s.Client.FQDN())
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return t, nil
}

func (t *talker) hello(name string) error {
	if _, err := fmt.Fprintf(t.conn, "EHLO %s\r\n", name); err != nil {
		return err
	}
	_, offers, err := t.replies.ReadResponse(250)
	for offer := range strings.SplitSeq(offers, "\n") {
		t.pipelining = t.pipelining || offer == "PIPELINING"
		t.chunking = t.chunking || offer == "CHUNKING"
	}
	return err
}

// group sends commands, together where it may, each by a write of its own, and returns the
// code of the last reply.
func (t *talker) group(commands ...[]byte) (code int, err error) {
	waiting := 0
	for i, c := range commands {
		if _, err := t.conn.Write(c); err != nil {
			return 0, err
		}
		waiting++
		for ; waiting > 0 && (!t.pipelining || i+1 == len(commands)); waiting-- {
			if code, _, err = t.replies.ReadResponse(0); err != nil {
				return 0, err
			}
		}
	}
	return code, nil
}

// leave says goodbye.
func (t *talker) leave() error {
	defer t.conn.Close()
	_, err := t.group(line("QUIT"))
	return err
}

// submitOnce gives one message to a server of the client's own host.
func (s *stage) submitOnce(ctx context.Context, server netip.AddrPort, m *lab.Message) error {
	t, err := s.dial(ctx, server)
	if err != nil {
		return err
	}
	defer t.conn.Close()
	return t.deliver(m.Text)
}

func envelopeOf(recipients ...string) (list [][]byte) {
	list = append(list, line("MAIL FROM:<"+sender+">"))
	for _, r := range recipients {
		list = append(list, line("RCPT TO:<"+r+">"))
	}
	return list
}

// deliver sends a message by DATA.
func (t *talker) deliver(text []byte) error {
	code, err := t.group(append(envelopeOf(recipient, "carol@"+lab.Domain), line("DATA"))...)
	if err != nil || code != 354 {
		return fmt.Errorf("DATA was answered with %d: %w", code, err)
	}
	code, err = t.group(stuff(text))
	if err == nil && code != 250 {
		err = fmt.Errorf("the message was answered with %d", code)
	}
	return err
}

// byGroups sends every body by DATA, in one session over IPv4 and one over IPv6.
func byGroups(ctx context.Context, s *stage) error {
	for _, ipv6 := range []bool{false, true} {
		t, err := s.dial(ctx, s.address(ipv6))
		if err != nil {
			return err
		}
		defer t.conn.Close()
		for i, b := range texts {
			if (i%2 == 1) != ipv6 {
				continue
			}
			if err := t.deliver(messageOf(b).Text); err != nil {
				return fmt.Errorf("%s: %w", b.name, err)
			}
			if i%7 == 0 {
				if _, err := t.group(line("RSET"), line("NOOP")); err != nil {
					return err
				}
			}
		}
		if err := t.leave(); err != nil {
			return err
		}
	}
	return nil
}

// emptyChunk is one that Postfix refuses, and all behind it with it, up to RSET. It is
// sent once, and not to Exim 4.96, which closes the connection then.
const emptyChunk = "BDAT 0\r\n"

// byChunks sends bodies by BDAT, where a server knows it: the octets as they are, in
// chunks of many sizes. Text has lines that end in CRLF, for Exim 4.96 waits for more
// behind a chunk that ends in a bare CR.
func byChunks(ctx context.Context, s *stage) error {
	for _, ipv6 := range []bool{false, true} {
		t, err := s.dial(ctx, s.address(ipv6))
		if err != nil {
			return err
		}
		defer t.conn.Close()
		g := &generator{Rand: rand.New(rand.NewPCG(0, 0)), d: &dialogue{}}
		for i, b := range share(s, bodies) {
			if !t.chunking || (i%2 == 1) != ipv6 || b.make != nil && !b.binary {
				continue
			}
			text := messageOf(b).Text
			if b.binary {
				text = g.compose(b)
			}
			commands := envelopeOf(recipient, "carol@"+lab.Domain)
			for _, e := range g.chunks(text) {
				if !bytes.EqualFold(e.say, []byte(emptyChunk)) {
					commands = append(commands, e.say)
				}
			}
			if i%3 == 0 { // one by one
				for _, c := range commands {
					if _, err := t.group(c); err != nil {
						return fmt.Errorf("%s: %w", b.name, err)
					}
				}
			} else if _, err := t.group(commands...); err != nil {
				return fmt.Errorf("%s: %w", b.name, err)
			}
		}
		if t.chunking && s.server.Kind == "postfix" {
			if _, err := t.group(append(envelopeOf(recipient), []byte(emptyChunk), line("RSET"))...); err != nil {
				return err
			}
		}
		if err := t.leave(); err != nil {
			return err
		}
	}
	return nil
}
