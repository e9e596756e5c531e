package broken

import (
	"crypto/tls"
	"time"

	"keepword/inspect/verdict"
)

// Dialogue is a named script, for tables.
type Dialogue struct {
	// Name and About are for a reader.
	Name, About string
	// Findings are what an inspector should report between this client and an honest
	// server. Empty: nothing is wrong.
	Findings []verdict.Finding
	// Upgrades says whether TLS comes about with an honest server behind it and nobody
	// between. Those marked so fail where it does not.
	Upgrades bool
	Script   Script
}

const (
	// gap parts two segments, and is shorter than the AnswerDelay that makes a server
	// answer after the second.
	gap = 20 * time.Millisecond

	// quiet is when a dialogue gives up waiting for one more reply.
	quiet = 400 * time.Millisecond
)

// Dialogues returns the ways in which a client may ask for TLS, the mannerly one
// first. They are for a server with an AnswerDelay of 100 ms, so that what is sent
// behind STARTTLS in a second segment comes before the 220. config is for the
// client's side of TLS.
func Dialogues(config *tls.Config) []Dialogue {
	atOnce := Cut{}
	inTwo := Cut{Sizes: []int{len("STARTTLS\r\n"), maxLine}, Pause: gap}
	one := Cut{Sizes: []int{1}}
	opening := []Step{Expect(220), Send("EHLO client.example\r\n", atOnce), Expect(250)}

	// asks sends a request, whatever comes of it is only noted.
	asks := func(request string, cut Cut) Script {
		return dialogueOf(opening, Send(request, cut), Listen(quiet))
	}
	// upgrades sends a request and goes over to TLS on the 220.
	upgrades := func(request string, cut Cut) Script {
		return dialogueOf(opening, Send(request, cut), Expect(220), StartTLS(config),
			Send("EHLO client.example\r\n", atOnce), Expect(250), Send("QUIT\r\n", atOnce), Expect(221))
	}
	early := func(steps ...Step) Script {
		return dialogueOf(opening, append(steps, Send("NOOP\r\n", atOnce), Expect(250))...)
	}
	injection := []verdict.Finding{verdict.CommandInjection}
	malformed := []verdict.Finding{verdict.STARTTLSMalformed}

	return []Dialogue{
		{Name: "mannerly", About: "STARTTLS, 220, ClientHello", Upgrades: true, Script: upgrades("STARTTLS\r\n", atOnce)},
		{Name: "lower-case", About: "starttls", Upgrades: true, Script: upgrades("starttls\r\n", atOnce)},
		{Name: "mixed-case", About: "StartTLS", Upgrades: true, Script: upgrades("StartTLS\r\n", atOnce)},
		{Name: "one-octet-a-segment", About: "STARTTLS letter by letter", Upgrades: true, Script: upgrades("STARTTLS\r\n", one)},
		{Name: "bare-LF", About: "STARTTLS ended by LF alone", Findings: malformed, Upgrades: true, Script: upgrades("STARTTLS\n", atOnce)},
		{Name: "leading-blank", About: "a blank before STARTTLS", Findings: malformed, Script: asks(" STARTTLS\r\n", atOnce)},
		{Name: "longer-verb", About: "STARTTLSX", Findings: malformed, Script: asks("STARTTLSX\r\n", atOnce)},
		{Name: "parameter", About: "STARTTLS foo",
			Findings: []verdict.Finding{verdict.STARTTLSWithParameter}, Script: asks("STARTTLS foo\r\n", atOnce)},
		{Name: "in-transaction", About: "STARTTLS after MAIL and RCPT", Upgrades: true,
			Findings: []verdict.Finding{verdict.STARTTLSInTransaction},
			Script: dialogueOf(opening, append([]Step{
				Send("MAIL FROM:<a@client.example>\r\n", atOnce), Expect(250),
				Send("RCPT TO:<b@mail.example>\r\n", atOnce), Expect(250)},
				upgrades("STARTTLS\r\n", atOnce).Steps[len(opening):]...)...)},

		{Name: "injection-one-segment", About: "STARTTLS and RSET in one segment", Findings: injection,
			Script: asks("STARTTLS\r\nRSET\r\n", atOnce)},
		{Name: "injection-two-segments", About: "RSET in a segment of its own before the 220", Findings: injection,
			Script: asks("STARTTLS\r\nRSET\r\n", inTwo)},
		{Name: "injection-part-of-a-line", About: "STARTTLS and the beginning of a command", Findings: injection,
			Script: asks("STARTTLS\r\nRS", atOnce)},
		{Name: "injection-one-octet-a-segment", About: "STARTTLS and RSET letter by letter", Findings: injection,
			Script: asks("STARTTLS\r\nRSET\r\n", one)},
		{Name: "early-hello-one-segment", About: "STARTTLS and the ClientHello in one segment",
			Findings: []verdict.Finding{verdict.EarlyClientHello}, Script: early(EarlyTLS("STARTTLS\r\n", config))},
		{Name: "early-hello-two-segments", About: "the ClientHello in a segment of its own before the 220",
			Findings: []verdict.Finding{verdict.EarlyClientHello}, Upgrades: true,
			Script: early(Send("STARTTLS\r\n", atOnce), Pause(gap), EarlyTLS("", config))},
		{Name: "plaintext-after-220", About: "mail in clear text behind the 220",
			Findings: []verdict.Finding{verdict.PlaintextFromClientAfter220},
			Script: dialogueOf(opening, Send("STARTTLS\r\n", atOnce), Expect(220),
				Send("MAIL FROM:<a@client.example>\r\n", atOnce), Listen(quiet))},
	}
}

// dialogueOf joins steps to a script.
func dialogueOf(opening []Step, steps ...Step) Script {
	return Script{Steps: append(append([]Step(nil), opening...), steps...), Patience: 2 * time.Second}
}
