package load

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// Client holds sessions with a server, one after the other. Each goroutine has its own.
type Client struct {
	server     netip.AddrPort
	pipelining bool
	dialer     net.Dialer
	config     *tls.Config
	wire       *wire
	// trips are how long MAIL, RCPT and NOOP waited for their replies, since Trips.
	trips []time.Duration
}

// NewClient makes a client of that server. With pipelining it says MAIL, RCPT and DATA in
// one go (RFC 2920), as most mail servers do; without, each command waits for the reply to
// the one before.
func NewClient(server netip.AddrPort, pipelining bool) *Client {
	return &Client{
		server:     server,
		pipelining: pipelining,
		dialer:     net.Dialer{Timeout: sessionLimit},
		config:     clientTLS(),
		wire:       newWire(),
	}
}

// Trips returns how long each MAIL, RCPT and NOOP waited for its reply since the last
// call. Commands that were said in one go with others are left out.
func (c *Client) Trips() []time.Duration {
	t := c.trips
	c.trips = nil
	return t
}

// Session holds one session of a workload and delivers m in it, which may be nil if the
// workload has turns. It returns nil only if all was answered as it should be.
func (c *Client) Session(w Workload, m *Message) (err error) {
	conn, err := c.dialer.Dial("tcp", c.server.String())
	if err != nil {
		return err
	}
	end := io.Closer(conn)
	defer func() { err = errors.Join(err, end.Close()) }()
	if err := conn.SetDeadline(time.Now().Add(sessionLimit)); err != nil {
		return err
	}
	c.wire.reset(conn)
	if err := c.hello(w.TLS); err != nil {
		return err
	}
	if w.TLS {
		protected := tls.Client(&cork{Conn: conn}, c.config)
		end = protected
		if err := protected.Handshake(); err != nil {
			return err
		}
		c.wire.reset(protected)
		if err := c.ehlo(false); err != nil {
			return err
		}
	}
	return c.rest(w, m)
}

// hello goes from the greeting to the last command before TLS, or before the mail.
func (c *Client) hello(startTLS bool) error {
	if _, err := c.reply("greeting", "220"); err != nil {
		return err
	}
	if err := c.ehlo(true); err != nil {
		return err
	}
	if !startTLS {
		return nil
	}
	_, err := c.ask("STARTTLS\r\n", "220")
	return err
}

// rest is what a session is for, and its end.
func (c *Client) rest(w Workload, m *Message) error {
	for range w.Turns {
		if err := c.turn(); err != nil {
			return err
		}
	}
	if m != nil {
		if err := c.deliver(m); err != nil {
			return err
		}
	}
	_, err := c.ask("QUIT\r\n", "221")
	return err
}

// The client's commands of a mail transaction.
const (
	mailCommand = "MAIL FROM:<sender@client.example.net>\r\n"
	rcptCommand = "RCPT TO:<recipient@example.test>\r\n"
	dataCommand = "DATA\r\n"
)

// ehlo says EHLO and looks in the reply for the keywords that the server has, STARTTLS
// only in clear text (RFC 3207 section 4.2).
func (c *Client) ehlo(clear bool) error {
	c.wire.say("EHLO client.example.net\r\n")
	pipelining, offered := false, false
	for {
		line, err := c.wire.line()
		if err != nil {
			return fmt.Errorf("EHLO: %w", err)
		}
		if len(line) < 4 || string(line[:3]) != "250" {
			return fmt.Errorf("EHLO was answered %q", line)
		}
		switch string(line[4:]) {
		case "PIPELINING":
			pipelining = true
		case "STARTTLS":
			offered = true
		}
		if line[3] == ' ' {
			break
		}
	}
	if !pipelining || offered != clear {
		return errors.New("the reply to EHLO is not what the server said")
	}
	return nil
}

// deliver is one mail transaction.
func (c *Client) deliver(m *Message) error {
	if c.pipelining {
		c.wire.say(mailCommand + rcptCommand + dataCommand)
		for _, code := range []string{"250", "250", "354"} {
			if _, err := c.reply("MAIL, RCPT and DATA in one go", code); err != nil {
				return err
			}
		}
	} else {
		if err := c.timed(mailCommand); err != nil {
			return err
		}
		if err := c.timed(rcptCommand); err != nil {
			return err
		}
		if _, err := c.ask(dataCommand, "354"); err != nil {
			return err
		}
	}
	if err := m.each(c.wire.send); err != nil {
		return fmt.Errorf("mail data: %w", err)
	}
	text, err := c.ask(".\r\n", "250")
	if err != nil {
		return err
	}
	count := text[bytes.LastIndexByte(text, ' ')+1:]
	if octets, err := strconv.Atoi(string(count)); err != nil || octets != m.octets {
		return fmt.Errorf("%d octets of mail data were sent, and the reply was %q", m.octets, text)
	}
	return nil
}

// turn says short commands of a session in which nothing is delivered.
func (c *Client) turn() error {
	for _, command := range []string{mailCommand, rcptCommand, "NOOP\r\n"} {
		if err := c.timed(command); err != nil {
			return err
		}
	}
	_, err := c.ask("RSET\r\n", "250")
	return err
}

// timed says a command that is answered by 250, and keeps how long that took.
func (c *Client) timed(command string) error {
	begin := time.Now()
	_, err := c.ask(command, "250")
	c.trips = append(c.trips, time.Since(begin))
	return err
}

// ask says a command and waits for a reply of that code.
func (c *Client) ask(command, code string) ([]byte, error) {
	c.wire.say(command)
	return c.reply(command, code)
}

// reply reads a reply and returns its final line, lent until the next call.
func (c *Client) reply(to, code string) ([]byte, error) {
	for {
		line, err := c.wire.line()
		if err != nil {
			return nil, fmt.Errorf("%.8q: %w", to, err)
		}
		if len(line) < 4 || string(line[:3]) != code {
			return nil, fmt.Errorf("%.8q was answered %q", to, slices.Clone(line))
		}
		if line[3] == ' ' {
			return line, nil
		}
	}
}
