package main

import (
	"strings"
	"testing"
)

const (
	greeting = "220 mx.example ESMTP\r\n"
	ehlo     = "250-mx.example\r\n250-STARTTLS\r\n250 8BITMIME\r\n"
	hidden   = "250-mx.example              \r\n250 8BITMIME\r\n"
)

// The check of octets must be able to fail: each of these is a lie that some box tells.
func TestTheCheckOfOctetsSeesEveryLie(t *testing.T) {
	asked := "EHLO c\r\nSTARTTLS\r\n"
	for name, p := range map[string]passage{
		"an OK for a command that was eaten": {
			near: said(asked, greeting+ehlo+"250 OK\r\n"), far: said("EHLO c\r\n", greeting+ehlo)},
		"an OK that answers another command": {
			near: said(asked, greeting+ehlo+"250 OK\r\n"), far: said("EHLO c\r\nNOOP    \r\n", greeting+ehlo+"250 OK\r\n")},
		"an acceptance in a refusal's place": {
			near: said(asked, greeting+ehlo+"220 No\r\n"), far: said(asked, greeting+ehlo+"454 No\r\n")},
		"another text": {
			near: said(asked, greeting+ehlo+"220 Go\r\n"), far: said(asked, greeting+ehlo+"220 OK\r\n")},
		"a masked keyword": {
			near: said("", greeting+strings.Replace(ehlo, "STARTTLS", "XXXXXXXA", 1)), far: said("", greeting+ehlo)},
		"a keyword of nobody's": {
			near: said("", greeting+strings.Replace(hidden, "8BITMIME", "CHUNKING", 1)), far: said("", greeting+ehlo)},
		"a line taken out without its length": {
			near: said("", greeting+strings.Replace(ehlo, "250-STARTTLS\r\n", "", 1)), far: said("", greeting+ehlo)},
		"a forged reply behind the 220": {
			near: said(asked, greeting+ehlo+"220 Go\r\n250 OK\r\n"), far: said(asked, greeting+ehlo+"220 Go\r\n")},
		"a refusal of another length": {
			near: said(asked, greeting+ehlo+"454 Not now\r\n"), far: said(asked, greeting+ehlo+"250 OK\r\n")},
		"a reply that was swallowed": {
			near: said(asked, greeting+ehlo), far: said(asked, greeting+ehlo+"220 Go\r\n")},
		"a command that was swallowed": {
			near: said(asked, greeting+ehlo), far: said("EHLO c\r\n", greeting+ehlo)},
		"a masked command": {
			near: said(asked, greeting+ehlo+"500 What\r\n"), far: said("EHLO c\r\nXXXXXXXX\r\n", greeting+ehlo+"500 What\r\n")},
		"an octet of TLS": {
			near: said(asked, greeting+ehlo+"220 Go\r\n\x16\x03\x03a"), far: said(asked, greeting+ehlo+"220 Go\r\n\x16\x03\x03b")},
	} {
		if p.broken() == nil || p.altered() == nil {
			t.Errorf("%s: not seen", name)
		}
	}
}

func TestTheCheckOfOctetsTakesWhatIsHonest(t *testing.T) {
	asked := "EHLO c\r\nSTARTTLS\r\n"
	for name, p := range map[string]passage{
		"nothing altered": {
			near: said(asked, greeting+ehlo+"220 Go\r\n\x16\x03"), far: said(asked, greeting+ehlo+"220 Go\r\n\x16\x03")},
		"a correction of the same length": {
			near: said(asked, greeting+ehlo+"454 No\r\n"), far: said(asked, greeting+ehlo+"250 OK\r\n")},
		"a hidden offer": {
			near: said("", greeting+hidden), far: said("", greeting+ehlo)},
		"a refused command": {
			near: said(asked, greeting+ehlo+"502 No\r\n"), far: said("EHLO c\r\nNOOP    \r\n", greeting+ehlo+"250 OK\r\n")},
		"a session that was ended": {
			near: said(asked, greeting+ehlo+"421 4.7.0 Ended\r\n"), far: said("EHLO c\r\n", greeting+ehlo+"220 Go\r\n250 OK\r\n"), ended: true},
	} {
		if faults := p.broken(); faults != nil {
			t.Errorf("%s: %s", name, strings.Join(faults, "; "))
		}
	}
}

func TestTheOutcomeIsReadFromTheWire(t *testing.T) {
	asked, hello := "EHLO c\r\nSTARTTLS\r\n", "\x16\x03\x03\x00\x7a\x02"
	for _, test := range []struct {
		client, server string
		received       string // by the client, where that is not what the server sent
		killed         bool
		want           string
	}{
		{client: asked, server: greeting + ehlo + "220 Go\r\n" + hello, want: "upgraded"},
		{client: asked, server: greeting + ehlo + "220 Go\r\n", want: "broken"},
		{client: asked, server: greeting + ehlo + "220 Go\r\n", killed: true, want: "killed"},
		{client: asked, server: greeting + ehlo + "554 No\r\n", want: "refused"},
		{client: asked, server: greeting + ehlo + "250 OK\r\n", want: "broken"},
		{client: asked, server: greeting + ehlo + "250 OK\r\n", received: greeting + ehlo + "454 No\r\n", want: "corrected"},
		{client: asked, server: greeting + ehlo, want: "unknown"},
		{client: "EHLO c\r\nMAIL FROM:<>\r\n", server: greeting + ehlo, want: "not-asked"},
		{client: "EHLO c\r\nDATA\r\nSTARTTLS\r\n", server: greeting + "250 mx.example\r\n", want: "not-offered"},
	} {
		p := passage{near: said(test.client, test.server), far: said(test.client, test.server)}
		if test.received != "" {
			p.near.toClient = []byte(test.received)
		}
		if got := truthOf(p).outcome(test.killed); got != test.want {
			t.Errorf("client %q, server %q, received %q: %s, want %s", test.client, test.server, test.received, got, test.want)
		}
	}
}

func said(toServer, toClient string) wire { return wire{[]byte(toServer), []byte(toClient)} }
