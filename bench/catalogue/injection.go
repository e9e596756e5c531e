package main

import (
	"strings"

	v "keepword/inspect/verdict"
)

// injection are the fixtures of what is brought into a session before its TLS.
func injection() []*Fixture {
	return []*Fixture{
		{Finding: v.CommandInjection, Told: true,
			Play: script(introduced(offer), c(startTLS+mail))},
		{Finding: v.EarlyClientHello, Told: true,
			Play: script(introduced(offer), c(startTLS), c(clientHello()), mark, s(ready), secured(tls13))},
		{Finding: v.ResponseInjection, Told: true,
			Play: script(introduced(offer), c(startTLS), s(ready+"250 injected\r\n"), c(clientHello()), secured(tls13))},
		{Finding: v.AuthBeforeTLS, Told: true, Before: []Report{{v.AuthInClear, v.Log}},
			Play: script(introduced(offer), c("AUTH PLAIN AGEAYg==\r\n"), s("235 welcome\r\n"), c(startTLS), s(ready), c(clientHello()), secured(tls13))},
		{Finding: v.AuthInClear, Told: true, Refusal: "538",
			Play: script(introduced(offer), c("AUTH PLAIN AGEAYg==\r\n"), s("535 no\r\n"))},
	}
}

// intoData brings a session to where the client's octets are mail data.
func intoData() step {
	return script(introduced(offer), c(mail), s(ok), c(rcpt), s(ok), c("DATA\r\n"), s("354 go\r\n"))
}

// smuggled is what a careless server takes for two messages.
const smuggled = "text\n.\nMAIL FROM:<ceo@example>\r\n"

// tooLong is of a line that no program has.
const tooLong = "over 64 KiB"

// lines are the fixtures of mail data and lines.
func lines() []*Fixture {
	return []*Fixture{
		{Finding: v.Smuggling, Told: true,
			Play: script(intoData(), c(smuggled), c(".\r\n"), s(ok))},
		{Finding: v.SmugglingConfirmed, Told: true,
			Before: []Report{{v.Smuggling, v.Log}},
			Play:   script(intoData(), c(smuggled), s("250 queued\r\n"))},
		{Finding: v.BareNewline, Told: true,
			Play: script(introduced(offer), c("NOOP\n"), s(ok))},
		{Finding: v.NULOctet, Told: true,
			Play: script(introduced(offer), c("NOOP a\x00b\r\n"), s(ok))},
		{Finding: v.LineTooLong, Told: true,
			Play: script(introduced(offer), c("NOOP "+strings.Repeat("x", 600)+"\r\n"), s(ok))},
		{Finding: v.LineTooLong, Variant: tooLong, Told: true,
			Special: "a line that does not end is always killed, unless pass is set",
			Reports: func(m setting) []v.Action {
				if m.action == v.Pass {
					return nil
				}
				return []v.Action{v.Kill}
			},
			Play: script(introduced(offer), c("NOOP "+strings.Repeat("x", 65_600)))},
		{Finding: v.BDATMalformed, Told: true,
			Play: script(introduced(offer), c(mail), s(ok), c(rcpt), s(ok), c("BDAT many\r\n"), s("501 how many?\r\n"))},
		{Finding: v.ReplyMalformed, Told: true,
			Play: script(introduced(offer), c("NOOP\r\n"), s("hello\r\n250 ok\r\n"))},
		{Finding: v.UnauthorisedPipelining, Told: true,
			Play: script(introduced(bare), c(mail+rcpt), s(ok+ok))},
		{Finding: v.RoleSwap, Told: true,
			Play: script(introduced(offer), c("TURN\r\n"), s(ok))},
	}
}
