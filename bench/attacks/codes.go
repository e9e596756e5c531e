package main

import (
	"fmt"
	"strings"

	"keepword/inspect/verdict"
)

// The negotiation attacks: a reply with a forged code, or one too many, so that the two
// ends disagree on whether TLS has begun (T3 of docs/architecture.md).

var forgedCodes = &class{
	name: "forged code",
	about: "A reply has a code that its server never gave, or that is no answer to its command, " +
		"so that one end begins TLS and the other does not (RFC 3207 section 4; RFC 5321 section 4.2).",
	careless: ways{eager: true},
	harm:     misled,
	holds:    disagreement,
}

var extraReplies = &class{
	name: "reply in advance",
	about: "A second reply stands behind an earlier one, so that the client takes it for the answer to STARTTLS before the server has read that. " +
		"Every command gets exactly one reply (RFC 5321 section 4.3.1).",
	harm:  misled,
	holds: disagreement,
}

// misled says which end took the other's octets for what they are not.
func misled(o *outcome) string {
	for _, c := range o.server.obeyed {
		if c.tls == inTheClear && c.line[0] == handshakeRecord {
			return "the client's ClientHello reached the server as a command"
		}
	}
	switch {
	case o.server.deceived:
		return "clear text reached the server as TLS"
	case o.client.deceived:
		return "clear text reached the client as TLS"
	}
	return ""
}

// disagreement says how the two ends differ at rest.
func disagreement(o *outcome) string {
	switch c, s := o.road.client, o.road.server; {
	case c.over() && s.over():
		return ""
	case c.over() != s.over():
		return fmt.Sprintf("ended for the client %v, for the server %v", c.over(), s.over())
	case o.client.tls == o.server.tls && o.client.tls != handshaking:
		return ""
	}
	return fmt.Sprintf("the connection hangs: TLS is %v for the client, %v for the server", o.client.tls, o.server.tls)
}

// codes are those of the issue.
var codes = []string{"200", "220", "221", "250", "334", "354", "421", "454", "500", "501", "503", "530", "550", "554"}

// codeSteps are the steps that a code is forged at, each with the plan of its client.
var codeSteps = []struct {
	at   step
	plan []step
}{
	{atGreeting, toMail}, {atEHLO, toMail}, {atHELO, byHELO}, {atSTARTTLS, toMail}, {atRSET, withRSET}, {atQUIT, toQUIT},
}

// answerFindings are those that a forged answer to STARTTLS is.
var answerFindings = map[string][]verdict.Finding{
	"200": {verdict.AnsweredForServer}, "221": {verdict.AnsweredForServer}, "250": {verdict.AnsweredForServer},
	"220": {verdict.PlaintextFromServerAfter220},
	"334": {verdict.UnfitAnswer}, "354": {verdict.UnfitAnswer},
	"454": {verdict.OfferRefusedTemporarily},
	"500": {verdict.OfferRefused}, "530": {verdict.OfferRefused}, "550": {verdict.OfferRefused}, "554": {verdict.OfferRefused},
}

// forgeries are the fixtures of forged codes.
func forgeries() (all []*fixture) {
	for _, s := range codeSteps {
		for _, code := range codes {
			for _, lines := range []int{1, 2} {
				for _, who := range []hostile{serverSide, boxInPlace, boxBesides} {
					f := &fixture{
						class: forgedCodes, name: fmt.Sprintf("%s to %s, %d line%s", code, s.at, lines, strings.Repeat("s", lines-1)),
						group:   fmt.Sprintf("each code to %s", s.at),
						hostile: who, plan: s.plan, cutAt: s.at, hot: 1,
						about:  fmt.Sprintf("%s is answered %s", s.at, code),
						server: map[step]string{s.at: forged(s.at, code, lines)}, harmless: true,
					}
					if s.at == atSTARTTLS {
						f.findings = answerFindings[code]
						switch {
						case who == boxBesides:
							f.findings = append(f.findings[:len(f.findings):len(f.findings)], verdict.SurplusReply, verdict.ResponseInjection)
							f.harmless = code == "421" // on which a client leaves
						case who == serverSide && code == "220":
							f.findings = nil // it means it
						default:
							f.harmless = code[0] != '2'
						}
					}
					all = append(all, f)
				}
			}
		}
	}
	return all
}

// spellings are the fixtures of answers to STARTTLS that some clients take for a 220, and
// others for nothing.
func spellings() (all []*fixture) {
	for _, answer := range []string{"220\r\n", "220\tgo\r\n", "220go\r\n", "2200 go\r\n", "220.go\r\n", "220 go\n", "220-go\r\n221 go\r\n"} {
		for _, who := range []hostile{boxInPlace, boxBehind} {
			f := &fixture{
				class: forgedCodes, name: fmt.Sprintf("%q to STARTTLS", answer), group: "a 220 spelled oddly to STARTTLS", hostile: who, plan: toMail,
				cutAt: atSTARTTLS, about: "not every client takes it for a 220", server: map[step]string{atSTARTTLS: answer},
				harmless: who == boxBehind,
				findings: []verdict.Finding{verdict.UnfitAnswer, verdict.AnsweredForServer, verdict.PlaintextFromServerAfter220, verdict.PlaintextFromClientAfter220},
			}
			if who == boxBehind { // the server's TLS may come about
				f.findings = nil
			}
			all = append(all, f)
		}
	}
	return all
}

// forged is a reply with a code, of one line or two; to EHLO the second offers TLS.
func forged(at step, code string, lines int) string {
	text := code + " forged\r\n"
	if lines == 1 {
		return text
	}
	if at == atEHLO {
		text = code + " STARTTLS\r\n"
	}
	return code + "-forged\r\n" + text
}

// advances are the fixtures of replies in advance.
func advances() (all []*fixture) {
	surplus := []verdict.Finding{verdict.SurplusReply, verdict.PlaintextFromServerAfter220, verdict.ResponseInjection}
	for _, at := range []step{atGreeting, atEHLO} {
		for _, c := range []struct{ name, between, extra string }{
			{"a second 220", "", "220 evil\r\n"},
			{"a second 220 behind LF", "\n", "220 evil\r\n"},
			{"a second 220 of two lines", "", "220-evil\r\n220 evil\r\n"},
			{"a second 220 and a third reply", "", "220 evil\r\n250 evil\r\n"},
		} {
			f := &fixture{
				class: extraReplies, name: fmt.Sprintf("%s to %s", c.name, at), hostile: boxBehind, plan: toMail,
				about:  fmt.Sprintf("%q stands behind the reply to %s", c.extra, at),
				server: map[step]string{at: strings.TrimSuffix(answers[at], "\r\n") + "\r\n" + c.extra}, cutAt: at, hot: 1,
				findings: surplus,
			}
			if at == atGreeting { // it may come behind the EHLO, and is the answer to that then
				f.findings, f.harmless = nil, true
			}
			if c.between != "" {
				f.server[at] = strings.TrimSuffix(answers[at], "\r\n") + c.between + c.extra
			}
			all = append(all, f)
		}
	}
	return append(all, &fixture{
		class: extraReplies, name: "a second 220 behind a bare CR", hostile: boxBehind, plan: toMail,
		about:  "a client whose lines end with CR alone reads two replies where the standard has one",
		server: map[step]string{atEHLO: "250-mx.example\r\n250-STARTTLS\r\n250 8BITMIME\r220 evil\r\n"}, cutAt: atEHLO, hot: 1,
		lenient: ways{takesCR: true}, findings: []verdict.Finding{verdict.BareNewline},
	})
}
