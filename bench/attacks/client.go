package main

import "strings"

// client is a model of a mail client that carries out its fixture's plan.
type client struct {
	talker
	plan    []step
	now     step // whose reply it waits for
	inReply []string
	offered bool
	asked   bool
	hello   []byte
	// heard are the replies that it took for such in TLS.
	heard []string
}

// words are what an honest client says.
var words = map[step]string{
	atEHLO: "EHLO client.example\r\n", atHELO: "HELO client.example\r\n", atRSET: "RSET\r\n", atSTARTTLS: "STARTTLS\r\n",
	atMAIL: "MAIL FROM:<alice@client.example>\r\n", atRCPT: "RCPT TO:<bob@mx.example>\r\n", atDATA: "DATA\r\n",
	atText: "Subject: hello\r\n\r\nhello\r\n.\r\n", atQUIT: "QUIT\r\n",
}

// next goes on to the next step of the plan.
func (c *client) next() {
	for len(c.plan) > 0 {
		at := c.plan[0]
		c.plan = c.plan[1:]
		if at == atSTARTTLS && (c.tls != inTheClear || c.asked || !c.offered) {
			continue
		}
		c.do(at)
		return
	}
	c.close()
}

// do says the words of a step.
func (c *client) do(at step) {
	c.now = at
	c.asked = c.asked || at == atSTARTTLS
	text, attacks := c.fixture.client[at]
	if !attacks || c.tls == inTLS {
		text = words[at]
	}
	c.speak(text)
}

// hear takes what the server's side sent.
func (c *client) hear(octets []byte) {
	if c.talker.hear(octets, func([]byte) {
		c.tls = inTLS
		c.do(atEHLO)
	}) {
		c.replies()
	}
}

// replies reads lines until TLS begins.
func (c *client) replies() {
	for !c.gone && c.tls != handshaking {
		line, ok := c.line()
		if !ok {
			return
		}
		c.inReply = append(c.inReply, strings.TrimRight(line, "\r\n"))
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		reply := c.inReply
		c.inReply = nil
		if c.tls == inTLS {
			c.heard = append(c.heard, strings.Join(reply, "\n"))
		}
		c.take(reply)
	}
}

// take takes a reply to the step at hand (RFC 5321 section 4.3.2).
func (c *client) take(reply []string) {
	code := reply[len(reply)-1]
	good := strings.HasPrefix(code, "2")
	switch {
	case strings.HasPrefix(code, "421"):
		c.close()
	case c.now == atGreeting && (strings.HasPrefix(code, "220") || good && c.eager):
		c.next()
	case c.now == atGreeting:
		c.do(atQUIT)
	case c.now == atEHLO && good:
		c.offered = false
		for _, line := range reply[1:] {
			c.offered = c.offered || strings.EqualFold(strings.TrimSpace(line[min(4, len(line)):]), "STARTTLS")
		}
		c.next()
	case c.now == atEHLO && c.tls == inTheClear && strings.HasPrefix(code, "5"):
		c.do(atHELO)
	case c.now == atEHLO || c.now == atHELO && !good:
		c.do(atQUIT)
	case c.now == atSTARTTLS && (strings.HasPrefix(code, "220") || good && c.eager):
		c.begin()
		if evil := c.fixture.client[atHello]; evil != "" {
			c.say([]byte(evil))
		}
		c.say(c.hello)
	case c.now == atMAIL && !good, c.now == atRCPT && !good, c.now == atDATA && !strings.HasPrefix(code, "354"):
		c.do(atQUIT)
	case c.now == atQUIT:
		c.close()
	default:
		c.next()
	}
}
