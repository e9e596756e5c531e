package main

import (
	"time"

	"keepword/inspect/policy"
	v "keepword/inspect/verdict"
)

// What most dialogues say.
const (
	greeting = "220 mx.example ESMTP\r\n"
	ehlo     = "EHLO client.example\r\n"
	offer    = "250-mx.example\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-STARTTLS\r\n250 8BITMIME\r\n"
	noOffer  = "250-mx.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
	bare     = "250 mx.example\r\n"
	mail     = "MAIL FROM:<a@example>\r\n"
	rcpt     = "RCPT TO:<b@example>\r\n"
	startTLS = "STARTTLS\r\n"
	ready    = "220 go ahead\r\n"
	ok       = "250 ok\r\n"
)

// introduced brings a session behind the server's reply to EHLO.
func introduced(reply string) step { return script(open, s(greeting), c(ehlo), s(reply)) }

// agreed brings one behind the 220 that answers STARTTLS, and the ClientHello.
func agreed() step {
	return script(introduced(offer), c(startTLS), s(ready), c(clientHello()))
}

// promise are the fixtures of the promise: offered, asked, answered, begun.
func promise() []*Fixture {
	return []*Fixture{
		{Finding: v.OfferRefused, Told: true, Next: script(again, introduced(offer)),
			Play: script(introduced(offer), c(startTLS), s("554 no security subsystem\r\n"))},
		{Finding: v.OfferRefusedTemporarily, Told: true, Next: script(again, introduced(offer)),
			Play: script(introduced(offer), c(startTLS), s("454 not available\r\n"))},
		{Finding: v.TLSRateLimited, Told: true,
			Play: script(introduced(offer), c(startTLS), s("454 too many new TLS sessions\r\n"))},
		{Finding: v.AnsweredForServer, Told: true, Healed: told("454 No\r\n"),
			Play: script(introduced(offer), c(startTLS), s("250 OK\r\n"))},
		{Finding: v.UnfitAnswer, Told: true, Healed: told("454 No\r\n"),
			Play: script(introduced(offer), c(startTLS), s("354 go\r\n"))},
		{Finding: v.SurplusReply, Told: true,
			Play: script(introduced(offer), c(startTLS), s("503 not now\r\n220 go\r\n"))},
		{Finding: v.SurplusReply, Variant: "STARTTLS not asked for", Reports: atMostLog,
			Special: "at most log where no STARTTLS is pending",
			Play:    script(introduced(offer), s("250 again\r\n"))},
		{Finding: v.PlaintextFromClientAfter220,
			Play: script(introduced(offer), c(startTLS), s(ready), c(mail))},
		{Finding: v.PlaintextFromServerAfter220, Opens: true,
			Play: script(agreed(), s("500 what?\r\n"))},
		{Finding: v.SilenceAfter220,
			Special: "log after 10 s, the action after 60 s; with pass nothing is timed or counted. In real time only the first limit is waited for",
			Reports: silence, Counted: silence,
			Play: script(agreed(), pause(11*time.Second), pause(51*time.Second), secured(tls13))},
		{Finding: v.HandshakeFailed, Play: script(agreed(), s(refusal()))},
		{Finding: v.PlaintextAfterTLS,
			Play: script(agreed(), s(serverHello(tls13)), c(protected(tls13)), s("250 in the clear\r\n"))},
		{Finding: v.DowngradedAfterFailure, Told: true, Before: []Report{{v.HandshakeFailed, v.Log}},
			Play: script(agreed(), s(refusal()), again, introduced(offer), c(mail), s(ok))},
		{Finding: v.OfferVanished, Told: true,
			Play: script(introduced(offer), again, introduced(noOffer))},
		{Finding: v.OfferVanished, Variant: "starttls: require", Told: true, StartTLS: policy.Require, Default: v.Kill,
			Special: "killed where nothing else is set",
			Play:    script(introduced(offer), again, introduced(noOffer))},
		{Finding: v.EHLORefused, Told: true, Play: ehloRefused()},
		{Finding: v.EHLORefused, Variant: "starttls: require", Told: true, StartTLS: policy.Require, Default: v.Kill,
			Special: "killed where nothing else is set", Play: ehloRefused()},
		{Finding: v.OfferMasked, Told: true,
			Play: script(open, s(greeting), c(ehlo), s("250-mx.example\r\n250-XXXXXXXA\r\n250 8BITMIME\r\n"))},
		{Finding: v.GreetingMasked, Told: true,
			Play: script(open, s("220 ****2*0**0*\r\n"), c("HELO client.example\r\n"), s(bare))},
		{Finding: v.OfferInconsistent, Told: true,
			Play: script(introduced(offer), c(ehlo), s(noOffer))},
		{Finding: v.STARTTLSNotOffered, Told: true, Refusal: "503",
			Play: script(introduced(noOffer), c(startTLS), s("502 not here\r\n"))},
		{Finding: v.STARTTLSWithParameter, Told: true, Refusal: "501",
			Play: script(introduced(offer), c("STARTTLS now\r\n"), s("501 no parameters\r\n"))},
		{Finding: v.STARTTLSMalformed, Told: true, Refusal: "501",
			Play: script(introduced(offer), c("STARTTLSX\r\n"), s("501 what?\r\n"))},
		{Finding: v.STARTTLSInTransaction, Told: true, Refusal: "503",
			Play: script(introduced(offer), c(mail), s(ok), c(startTLS), s("503 in a transaction\r\n"))},
		{Finding: v.TLSRequired, Told: true, Refusal: "530", StartTLS: policy.Require,
			Play: script(introduced(offer), c(mail), s(ok))},
		{Finding: v.TLSTooOld,
			Play: script(agreed(), secured(tls10))},
		{Finding: v.ImplicitTLS,
			Play: script(open, c(clientHello()), secured(tls13))},
		{Finding: v.XAnonymoustls, Told: true,
			Play: script(introduced("250-mx.example\r\n250-X-ANONYMOUSTLS\r\n250 8BITMIME\r\n"),
				c("X-ANONYMOUSTLS\r\n"), s(ready), c(clientHello()), secured(tls13))},
	}
}

// ehloRefused is a server that takes EHLO, and then does not.
func ehloRefused() step {
	return script(introduced(noOffer), again, open, s(greeting), c(ehlo), s("502 what?\r\n"), c("HELO client.example\r\n"), s(bare))
}

// silence is reported as such first, and the action follows where that is more.
func silence(m setting) []v.Action {
	switch {
	case m.action == v.Pass:
		return nil
	case m.action == v.Kill && !m.brief:
		return []v.Action{v.Log, v.Kill}
	}
	return []v.Action{v.Log}
}
