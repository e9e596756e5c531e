package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// dialogue answers SMTP (RFC 5321) as a server that takes every mail.
type dialogue struct {
	unread  []byte
	mode    mode
	secured bool // it is inside of TLS
	chunk   int  // octets to come, in mode chunk
	name    string
	offered bool // STARTTLS, in the last answer to EHLO
	// acted are the verbs in clear text that a policy may keep from the server, with a
	// word on what was offered then.
	acted []string
}

// mode is how the client's octets are read.
type mode uint8

const (
	commands mode = iota
	mailData      // after 354, before the end of mail data
	chunk         // after BDAT (RFC 3030)
	begins        // after 220 to STARTTLS: TLS begins
	opaque        // after 220 to STARTTLS: it never answers
)

// take reads octets of the client and returns the replies that are due.
func (d *dialogue) take(octets []byte) (replies []byte) {
	d.unread = append(d.unread, octets...)
	for {
		switch d.mode {
		case begins, opaque:
			return replies
		case chunk:
			if len(d.unread) < d.chunk {
				return replies
			}
			d.unread, d.mode = d.unread[d.chunk:], commands
			replies = append(replies, ok...)
		default:
			line, rest, found := bytes.Cut(d.unread, []byte("\r\n"))
			if !found {
				return replies
			}
			d.unread = rest
			replies = append(replies, d.answer(string(line))...)
		}
	}
}

const ok = "250 2.0.0 Ok\r\n"

// answer returns the reply to one line.
func (d *dialogue) answer(line string) string {
	if d.mode == mailData {
		if line != "." {
			return ""
		}
		d.mode = commands
		return ok
	}
	words := strings.Fields(strings.ToUpper(line))
	if len(words) == 0 {
		words = []string{""}
	}
	number := -1
	if len(words) > 1 {
		if n, err := strconv.Atoi(words[1]); err == nil {
			number = n
		}
	}
	switch words[0] {
	case "EHLO":
		return d.introduce(line)
	case "HELO":
		d.name, d.offered = "", false
		return "250 server.example.test\r\n"
	case "STARTTLS":
		d.act("STARTTLS")
		return d.beginTLS()
	case "AUTH":
		d.act("AUTH")
		return "235 2.7.0 Authenticated\r\n"
	case "DATA":
		d.mode = mailData
		return "354 Go ahead\r\n"
	case "BDAT":
		if number >= 0 {
			d.mode, d.chunk = chunk, number
			return ""
		}
	case "HELP":
		if number >= 0 && number <= largestPayload {
			return help(number)
		}
	case "MAIL":
		d.act("MAIL")
		return ok
	case "RCPT", "QUIT", "NOOP":
		return ok
	}
	return "500 5.5.1 Command unrecognized\r\n"
}

// introduce answers EHLO. Where in the offer STARTTLS stands depends on the name.
func (d *dialogue) introduce(line string) string {
	name := strings.TrimPrefix(line, "EHLO ")
	d.name, _, _ = strings.Cut(name, ".")
	d.offered = d.name != plainName && !d.secured
	const hello, last = "250-server.example.test\r\n250-PIPELINING\r\n", "250-CHUNKING\r\n250 HELP\r\n"
	switch {
	case !d.offered:
		return hello + last
	case len(name)%2 == 0:
		return hello + "250-STARTTLS\r\n" + last
	}
	return hello + "250-CHUNKING\r\n250 STARTTLS\r\n"
}

func (d *dialogue) beginTLS() string {
	const accepted = "220 2.0.0 Ready to start TLS\r\n"
	switch {
	case d.secured:
	case d.name == tlsName:
		d.mode = begins
		return accepted
	case d.name == opaqueName:
		d.mode = opaque
		return accepted
	}
	return "454 4.7.0 TLS not available\r\n"
}

// act notes a command that the server acts upon.
func (d *dialogue) act(verb string) {
	if d.secured {
		return
	}
	if d.offered {
		verb += " where STARTTLS is offered"
	}
	d.acted = append(d.acted, verb)
}

// help returns a reply of many lines, n octets or some more.
func help(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "214-line %d of the help that was asked for\r\n", i)
	}
	return b.String() + "214 That is all\r\n"
}
