package main

import (
	"fmt"
	"regexp"
	"strings"

	"keepword/inspect/verdict"
)

// Injection: what was said in clear text is taken for what was said in TLS. Venema found
// it in Postfix (CVE-2011-0411), many others had it, and Poddebniak, Ising, Böck and
// Schinzel found it in ten more servers, and its mirror image in clients (NO STARTTLS,
// 2021).

var commandInjection = &class{
	name: "command injection",
	about: "Commands that are written behind STARTTLS, before TLS begins, are obeyed as if the client had said them in TLS. " +
		"The server's buffer is to be emptied (RFC 3207 section 4.2).",
	careless: ways{keepsBuffer: true},
	hurts:    true,
	harm: func(o *outcome) string {
		for _, c := range o.server.obeyed {
			if c.tls == inTLS {
				if c.line != words[atEHLO] {
					return fmt.Sprintf("the server obeyed %q in TLS", c.line)
				}
				break
			}
		}
		return ""
	},
	holds: func(o *outcome) string {
		request := asksTLS.FindIndex(o.road.server.got)
		if request == nil {
			return ""
		}
		if behind := o.road.server.got[request[1]:]; len(behind) > 0 && behind[0] != handshakeRecord {
			return fmt.Sprintf("the server received %q behind STARTTLS", behind)
		}
		return ""
	},
}

// asksTLS matches a line that asks for TLS, however it is spelled.
var asksTLS = regexp.MustCompile(`(?i)(\n|^)[ \t]*STARTTLS[^\n]*\n`)

var responseInjection = &class{
	name: "response injection",
	about: "Replies that are written behind the 220, before TLS begins, are believed as if the server had said them in TLS. " +
		"The client's buffer is to be emptied (RFC 3207 section 4.2).",
	careless: ways{keepsBuffer: true},
	hurts:    true,
	harm: func(o *outcome) string {
		for _, reply := range o.client.heard {
			if strings.Contains(reply, "evil") {
				return fmt.Sprintf("the client believed %q in TLS", reply)
			}
		}
		return ""
	},
	holds: func(o *outcome) string {
		_, behind, answered := strings.Cut(string(o.road.client.got), "220 go ahead\r\n")
		if answered && behind != "" && behind[0] != handshakeRecord {
			return fmt.Sprintf("the client received %q behind the 220", behind)
		}
		return ""
	},
}

// injections are the fixtures of both classes.
func injections() (all []*fixture) {
	early := []verdict.Finding{verdict.CommandInjection, verdict.PlaintextFromClientAfter220}
	for _, c := range []struct{ name, before, behind string }{
		{name: "RSET", behind: "RSET\r\n"},
		{name: "EHLO", behind: "EHLO evil.example\r\n"},
		{name: "QUIT", behind: "QUIT\r\n"},
		{name: "NOOP", behind: "NOOP\r\n"},
		{name: "MAIL", behind: "MAIL FROM:<evil@evil.example>\r\n"},
		{name: "a transaction", behind: "MAIL FROM:<e@e.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n"},
		{name: "AUTH", behind: "AUTH PLAIN AGV2aWwAZXZpbA==\r\n"},
		{name: "STARTTLS again", behind: "STARTTLS\r\n"},
		{name: "part of a command", behind: "MAIL FROM:<ev"},
		{name: "one octet", behind: "X"},
		{name: "an empty line", behind: "\r\n"},
		{name: "a bare line feed", behind: "\n"},
		{name: "a line ended by LF", behind: "NOOP\n"},
		{name: "a NUL and a command", behind: "\x00NOOP\r\n"},
		{name: "between two commands", before: "NOOP\r\n", behind: "NOOP\r\n"},
	} {
		all = append(all, &fixture{
			class: commandInjection, name: c.name, hostile: clientSide, plan: toMail,
			about:  fmt.Sprintf("%q is written behind STARTTLS", c.behind),
			client: map[step]string{atSTARTTLS: c.before + words[atSTARTTLS] + c.behind}, cutAt: atSTARTTLS,
			findings: early,
			// The client takes the first command's reply for the answer to STARTTLS.
			harmless: c.before != "",
		})
	}
	for _, request := range []string{"starttls\r\n", "STARTTLS\n", "STARTTLS \r\n", " STARTTLS\r\n", "\tSTARTTLS\r\n", "STARTTLS\tnow\r\n"} {
		all = append(all, &fixture{
			class: commandInjection, name: fmt.Sprintf("behind %q", request), hostile: clientSide, plan: toMail,
			about:  "the request for TLS is spelled as some servers take it, and NOOP is written behind it",
			client: map[step]string{atSTARTTLS: request + "NOOP\r\n"}, cutAt: atSTARTTLS, findings: early,
		})
	}
	all = append(all,
		&fixture{
			class: commandInjection, name: "hidden in a ClientHello's first octets", hostile: clientSide, plan: toMail,
			about:  "what stands behind STARTTLS begins as a TLS record does, and goes on with commands",
			client: map[step]string{atSTARTTLS: words[atSTARTTLS] + "\x16\x03\x01\x00\x80\x01\r\nRSET\r\n"}, cutAt: atSTARTTLS,
			findings: append(early, verdict.EarlyClientHello), held: true,
		},
		&fixture{
			class: commandInjection, name: "behind the 220", hostile: clientSide, plan: toMail,
			about:  "a command is written behind the 220, before the ClientHello",
			client: map[step]string{atHello: "RSET\r\n"}, cutAt: atHello,
			findings: early[1:], harmless: true,
		})
	late := []verdict.Finding{verdict.ResponseInjection, verdict.PlaintextFromServerAfter220}
	for _, c := range []struct{ name, behind string }{
		{"a reply", "250 evil\r\n"},
		{"an EHLO reply", "250-evil\r\n250 AUTH PLAIN\r\n"},
		{"a refusal", "554 evil\r\n"},
		{"part of a reply", "250-evil"},
		{"one octet", "2"},
		{"an empty line", "\r\n"},
		{"a reply that LF ends", "250 evil\n"},
		{"two replies", "250 evil\r\n250 evil\r\n"},
		{"a NUL and a reply", "\x00250 evil\r\n"},
	} {
		all = append(all, &fixture{
			class: responseInjection, name: c.name, hostile: boxBehind, plan: toMail,
			about:  fmt.Sprintf("%q is written behind the 220", c.behind),
			server: map[step]string{atSTARTTLS: answers[atSTARTTLS] + c.behind}, cutAt: atSTARTTLS,
			findings: late,
			harmless: !strings.Contains(c.behind, "evil") || c.behind[0] == 0,
		})
	}
	return append(all, &fixture{
		class: responseInjection, name: "behind a 220 of two lines", hostile: boxBehind, plan: toMail,
		about:  "the 220 has a line more, and a reply behind it",
		server: map[step]string{atSTARTTLS: "220-please\r\n220 go ahead\r\n250 evil\r\n"}, cutAt: atSTARTTLS,
		findings: late,
	}, &fixture{
		class: responseInjection, name: "behind a 220 that LF ends", hostile: boxBehind, plan: toMail,
		about:  "for those whose lines end with CRLF the reply is a part of the 220",
		server: map[step]string{atSTARTTLS: "220 go\n250 evil\r\n"}, cutAt: atSTARTTLS,
		findings: late,
	}, &fixture{
		class: responseInjection, name: "behind a bare CR in the 220", hostile: boxBehind, plan: toMail,
		about:  "for those whose lines end with CR alone too, the rest of the 220's line is a reply",
		server: map[step]string{atSTARTTLS: "220 go\r250 evil\r\n"}, cutAt: atSTARTTLS,
		lenient: ways{takesCR: true}, findings: append(late, verdict.EarlyClientHello),
	})
}
