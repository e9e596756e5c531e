// Package broken holds small SMTP servers, middleboxes and a raw client that treat
// STARTTLS (RFC 3207) as real ones once did and as no maintained one does today:
// the server that offers what it refuses, the wall that answers in the server's
// place, the box that blots the keyword out, the attacker who writes ahead of TLS.
//
// They are the peers of the lab and of the demo. They know nothing of networks: a
// [Server] and a [Middlebox] are given a listener, a middlebox also a way to dial
// the server behind it, and a [Script] a connection, so that the caller decides in
// which network namespace they live. Each writes down every octet that it received
// and sent (see [Transcript]), and every server stores the mail that it accepts.
package broken

import (
	"fmt"
	"slices"

	"keepword/inspect/verdict"
)

// Role says what a kind is.
type Role uint8

const (
	// RoleServer is a kind for [Serve].
	RoleServer Role = iota
	// RoleMiddlebox is a kind for [Relay].
	RoleMiddlebox
)

// String returns the role's name in tables.
func (r Role) String() string {
	if r == RoleMiddlebox {
		return "middlebox"
	}
	return "server"
}

// Kind is one named way of treating STARTTLS.
type Kind struct {
	// Name is what [Serve] and [Relay] take.
	Name string
	// Role says which of the two.
	Role Role
	// About is one line for tables.
	About string
	// Findings are what an inspector should report that stands between the client
	// and this kind, when the client asks for TLS as it is offered. Empty: nothing
	// is wrong.
	Findings []verdict.Finding
	// Learned are findings that are due besides where the inspector's history says
	// that the same server offered STARTTLS, or took EHLO, before.
	Learned []verdict.Finding

	server serverBehaviour
	box    boxBehaviour
}

// sequel is what a server does once it has answered STARTTLS.
type sequel uint8

const (
	stayInClear   sequel = iota // go on in clear text as if nothing had been asked
	beginTLS                    // discard what the client sent too early, begin TLS
	trustEarly                  // begin TLS, then obey what was sent before it
	fallSilent                  // read, and never answer
	hangUp                      // close at once
	hangUpOnHello               // close when the client's first octets have come
	sendAlert                   // answer the first octets with a TLS alert, and close
)

// serverBehaviour is where a server kind differs from the others.
type serverBehaviour struct {
	offers  []string // lines of the EHLO reply that have to do with TLS
	forgets bool     // EHLO replies after the first leave them out
	noEHLO  bool     // EHLO is not known
	answer  []string // the octets that answer the request for TLS, one write each
	then    sequel
}

// needsTLS says whether a server of this kind can come to a handshake.
func (b serverBehaviour) needsTLS() bool { return b.then == beginTLS || b.then == trustEarly }

// boxBehaviour is what a middlebox does. The zero value relays all as it is.
type boxBehaviour struct {
	// command treats a client's line that asks for STARTTLS: what goes to the server
	// and what the client is told. Nil: it passes.
	command    func(line []byte) (toServer, toClient []byte)
	offer      offerTreatment
	blotOut220 bool   // mask the greeting
	inject     string // octets added behind the 220 that answers STARTTLS
}

// parses says whether the box looks at what it relays.
func (b boxBehaviour) parses() bool {
	return b.command != nil || b.offer != offerPasses || b.blotOut220 || b.inject != ""
}

// offerTreatment is what a middlebox does with the STARTTLS line of an EHLO reply.
type offerTreatment uint8

const (
	offerPasses   offerTreatment = iota
	offerMasked                  // the keyword is overwritten by as many octets
	offerStripped                // the line is deleted
)

const (
	keyword = "STARTTLS"       // RFC 3207 section 2
	anonTLS = "X-ANONYMOUSTLS" // Exchange's private verb for the same

	// masked is what a Cisco ASA makes of the keyword in an EHLO reply, and
	// maskedVerb what it makes of the command.
	masked     = "XXXXXXXA"
	maskedVerb = "XXXXXXXX"

	goAhead     = "220 Ready to start TLS\r\n"
	forgedReply = "250 This line is not from the server\r\n"
	unknown     = "500 Command unrecognized\r\n"
)

var offersSTARTTLS = []string{keyword}

// kinds is the table that everything else follows.
var kinds = []Kind{
	{Name: "plain", About: "knows no STARTTLS and offers none",
		server: serverBehaviour{answer: []string{unknown}}},
	{Name: "honest", About: "offers STARTTLS, answers 220 and begins TLS",
		server: serverBehaviour{offers: offersSTARTTLS, answer: []string{goAhead}, then: beginTLS}},
	{Name: "multi-line-220", About: "as honest, with a 220 of two lines",
		server: serverBehaviour{offers: offersSTARTTLS, answer: []string{"220-Ready\r\n220 to start TLS\r\n"}, then: beginTLS}},
	{Name: "trusts-early-octets", About: "as honest, but obeys after the handshake what came in clear before it",
		server: serverBehaviour{offers: offersSTARTTLS, answer: []string{goAhead}, then: trustEarly}},

	{Name: "exchange55", About: "Exchange 5.5 SP2: offers, then 554 Unable to initialize security subsystem",
		Findings: []verdict.Finding{verdict.OfferRefused},
		server:   serverBehaviour{offers: offersSTARTTLS, answer: []string{"554 Unable to initialize security subsystem\r\n"}}},
	{Name: "refuses-502", About: "offers, then 502",
		Findings: []verdict.Finding{verdict.OfferRefused},
		server:   serverBehaviour{offers: offersSTARTTLS, answer: []string{"502 Command not implemented\r\n"}}},
	{Name: "refuses-454", About: "offers, then 454 TLS not available due to temporary reason",
		Findings: []verdict.Finding{verdict.OfferRefusedTemporarily},
		server:   serverBehaviour{offers: offersSTARTTLS, answer: []string{"454 TLS not available due to temporary reason\r\n"}}},
	{Name: "rate-limited", About: "offers, then 454 Too many new TLS sessions",
		Findings: []verdict.Finding{verdict.TLSRateLimited},
		server:   serverBehaviour{offers: offersSTARTTLS, answer: []string{"454 4.7.0 Too many new TLS sessions from your address\r\n"}}},

	{Name: "clear-after-220", About: "answers 220, stays in clear text and takes the ClientHello for commands",
		Findings: []verdict.Finding{verdict.PlaintextFromServerAfter220},
		server:   serverBehaviour{offers: offersSTARTTLS, answer: []string{goAhead}}},
	{Name: "silent-after-220", About: "answers 220 and never says a word again",
		Findings: []verdict.Finding{verdict.SilenceAfter220},
		server:   serverBehaviour{offers: offersSTARTTLS, answer: []string{goAhead}, then: fallSilent}},
	{Name: "closes-after-220", About: "answers 220 and closes at once",
		Findings: []verdict.Finding{verdict.HandshakeFailed},
		server:   serverBehaviour{offers: offersSTARTTLS, answer: []string{goAhead}, then: hangUp}},
	{Name: "closes-on-client-hello", About: "answers 220 and closes when the ClientHello comes",
		Findings: []verdict.Finding{verdict.HandshakeFailed},
		server:   serverBehaviour{offers: offersSTARTTLS, answer: []string{goAhead}, then: hangUpOnHello}},
	{Name: "alerts-after-220", About: "answers 220, and the ClientHello with the alert handshake_failure",
		Findings: []verdict.Finding{verdict.HandshakeFailed},
		server:   serverBehaviour{offers: offersSTARTTLS, answer: []string{goAhead}, then: sendAlert}},
	{Name: "injects-after-220", About: "a forged reply behind the 220, in the same write",
		Findings: []verdict.Finding{verdict.ResponseInjection},
		server:   serverBehaviour{offers: offersSTARTTLS, answer: []string{goAhead + forgedReply}, then: beginTLS}},
	{Name: "injects-before-server-hello", About: "a forged reply in a write of its own between the 220 and the ServerHello",
		Findings: []verdict.Finding{verdict.ResponseInjection},
		server:   serverBehaviour{offers: offersSTARTTLS, answer: []string{goAhead, forgedReply}, then: beginTLS}},

	{Name: "answers-250", About: "answers 250 OK and stays in clear text",
		Findings: []verdict.Finding{verdict.AnsweredForServer},
		server:   serverBehaviour{offers: offersSTARTTLS, answer: []string{"250 OK\r\n"}}},
	{Name: "multi-line-250", About: "answers 250 in two lines and stays in clear text",
		Findings: []verdict.Finding{verdict.AnsweredForServer},
		server:   serverBehaviour{offers: offersSTARTTLS, answer: []string{"250-OK\r\n250 and nothing done\r\n"}}},
	{Name: "answers-334", About: "answers 334, as if this were AUTH",
		Findings: []verdict.Finding{verdict.UnfitAnswer},
		server:   serverBehaviour{offers: offersSTARTTLS, answer: []string{"334 Go on\r\n"}}},
	{Name: "answers-garbage", About: "answers with a line that is no reply",
		Findings: []verdict.Finding{verdict.UnfitAnswer},
		server:   serverBehaviour{offers: offersSTARTTLS, answer: []string{"yes, certainly\r\n"}}},
	{Name: "answers-250-then-220", About: "two answers, 250 and then 220, and begins TLS",
		Findings: []verdict.Finding{verdict.AnsweredForServer, verdict.SurplusReply},
		server:   serverBehaviour{offers: offersSTARTTLS, answer: []string{"250 OK\r\n", goAhead}, then: beginTLS}},
	{Name: "answers-454-then-220", About: "two answers, 454 and then 220, and begins TLS",
		Findings: []verdict.Finding{verdict.OfferRefusedTemporarily, verdict.SurplusReply},
		server:   serverBehaviour{offers: offersSTARTTLS, answer: []string{"454 TLS not available\r\n", goAhead}, then: beginTLS}},

	{Name: "asa", About: "the EHLO reply of a server behind a Cisco ASA: 250-XXXXXXXA",
		Findings: []verdict.Finding{verdict.OfferMasked}, Learned: []verdict.Finding{verdict.OfferVanished},
		server: serverBehaviour{offers: []string{masked}, answer: []string{unknown}}},
	{Name: "no-ehlo", About: "502 to EHLO, takes HELO",
		Learned: []verdict.Finding{verdict.EHLORefused},
		server:  serverBehaviour{noEHLO: true, answer: []string{unknown}}},
	{Name: "inconsistent-ehlo", About: "offers STARTTLS in the first EHLO reply only; to see it, say EHLO twice",
		Findings: []verdict.Finding{verdict.OfferInconsistent},
		server:   serverBehaviour{offers: offersSTARTTLS, forgets: true, answer: []string{goAhead}, then: beginTLS}},
	{Name: "x-anonymoustls", About: "Exchange: offers X-ANONYMOUSTLS beside STARTTLS; to see it, ask by that verb",
		Findings: []verdict.Finding{verdict.XAnonymoustls},
		server:   serverBehaviour{offers: []string{anonTLS, keyword}, answer: []string{goAhead}, then: beginTLS}},

	{Name: "transparent", Role: RoleMiddlebox, About: "relays all as it is"},
	{Name: "pix-answers", Role: RoleMiddlebox, About: "the wall of 1999: eats STARTTLS and says 250 OK in the server's place",
		Findings: []verdict.Finding{verdict.AnsweredForServer},
		box: boxBehaviour{command: func([]byte) (toServer, toClient []byte) {
			return nil, []byte("250 OK\r\n")
		}}},
	{Name: "pix-noop", Role: RoleMiddlebox, About: "overwrites STARTTLS with NOOP and lets the server's 250 stand as the answer",
		Findings: []verdict.Finding{verdict.AnsweredForServer},
		box:      boxBehaviour{command: overwriteVerb("NOOP    ")}},
	{Name: "asa-mask", Role: RoleMiddlebox, About: "overwrites the offer with XXXXXXXA and the command with XXXXXXXX",
		Findings: []verdict.Finding{verdict.OfferMasked}, Learned: []verdict.Finding{verdict.OfferVanished},
		box: boxBehaviour{command: overwriteVerb(maskedVerb), offer: offerMasked}},
	{Name: "strip-line", Role: RoleMiddlebox, About: "deletes the STARTTLS line from the EHLO reply",
		Learned: []verdict.Finding{verdict.OfferVanished},
		box:     boxBehaviour{offer: offerStripped}},
	{Name: "mask-greeting", Role: RoleMiddlebox, About: "overwrites the greeting with asterisks",
		Findings: []verdict.Finding{verdict.GreetingMasked},
		box:      boxBehaviour{blotOut220: true}},
	{Name: "injector", Role: RoleMiddlebox, About: "adds a forged reply behind the server's 220",
		Findings: []verdict.Finding{verdict.ResponseInjection},
		box:      boxBehaviour{inject: forgedReply}},
}

// Kinds returns every kind, servers first. The caller may keep and change it.
func Kinds() []Kind {
	all := slices.Clone(kinds)
	for i := range all {
		all[i].Findings = slices.Clone(all[i].Findings)
		all[i].Learned = slices.Clone(all[i].Learned)
	}
	return all
}

// findKind returns the kind of that name and role.
func findKind(name string, role Role) (Kind, error) {
	for _, k := range kinds {
		if k.Name == name && k.Role == role {
			return k, nil
		}
	}
	return Kind{}, fmt.Errorf("no %s of kind %q: take a name from Kinds", role, name)
}
