package eve

import "keepword/inspect/verdict"

// The categories are the sections of the catalogue of findings.
const (
	categoryPromise   = "STARTTLS promise"
	categoryInjection = "STARTTLS injection"
	categoryLines     = "Mail data and lines"
	categoryTCP       = "TCP and IP"
)

// Severities, in the sense of alert.severity: 1 is the gravest.
const (
	severe  = 1 // mail is read or altered, or does not arrive
	serious = 2 // a promise was broken, or protection was lost
	notable = 3 // a deviation that harms nobody by itself
)

// signatureBase is added to a finding's fixed number to make its signature_id. It
// lies at the upper end of 1000000-1999999, which the list of SID allocations
// (sidallocation.org) leaves to local use: no publisher's rules can have these
// numbers, and a site's own rules are usually counted up from the lower end.
const signatureBase = 1_990_000

// Fact is what is always true of a finding, whoever it is about.
type Fact struct {
	// Signature is signature_id. It is never given to another finding.
	Signature int
	// Rev counts the changes of the finding's meaning, from 1.
	Rev int
	// Title names the finding in a few words.
	Title string
	// Category is the finding's section of the catalogue.
	Category string
	// Severity is 1 (gravest) to 3.
	Severity int
	// RFC are the sections that the finding is judged by.
	RFC []string
}

// Describe returns what is known of f. It returns the zero Fact for a value that is
// no finding.
func Describe(f verdict.Finding) Fact {
	if f >= verdict.Findings {
		return Fact{}
	}
	return facts[f]
}

// fact builds a row of the table. The number is fixed for ever: a finding that is
// given up takes its number with it, and a new one takes the next free number.
func fact(number int, category string, severity int, title string, rfc ...string) Fact {
	return Fact{Signature: signatureBase + number, Rev: 1, Title: title, Category: category, Severity: severity, RFC: rfc}
}

var facts = [verdict.Findings]Fact{
	verdict.OfferRefused: fact(1, categoryPromise, serious,
		"Server refuses the STARTTLS that it offers", "RFC 3207 section 4"),
	verdict.OfferRefusedTemporarily: fact(2, categoryPromise, notable,
		"Server refuses the STARTTLS that it offers for now", "RFC 3207 section 4"),
	verdict.TLSRateLimited: fact(3, categoryPromise, notable,
		"Server limits the rate of new TLS sessions", "RFC 3207 section 4"),
	verdict.AnsweredForServer: fact(4, categoryPromise, severe,
		"STARTTLS answered with a success that does not begin TLS", "RFC 3207 section 4", "RFC 5321 section 4.2"),
	verdict.UnfitAnswer: fact(5, categoryPromise, severe,
		"STARTTLS answered with what is no answer to it", "RFC 3207 section 4", "RFC 5321 section 4.2"),
	verdict.SurplusReply: fact(6, categoryPromise, serious,
		"A reply that no command asked for", "RFC 5321 section 4.2"),
	verdict.PlaintextFromClientAfter220: fact(7, categoryPromise, severe,
		"Client sends clear text where TLS was agreed", "RFC 3207 section 4"),
	verdict.PlaintextFromServerAfter220: fact(8, categoryPromise, severe,
		"Server answers TLS in clear text", "RFC 3207 section 4"),
	verdict.SilenceAfter220: fact(9, categoryPromise, severe,
		"Server agreed to TLS and does not answer the handshake", "RFC 3207 section 4"),
	verdict.HandshakeFailed: fact(10, categoryPromise, serious,
		"TLS handshake failed", "RFC 8446 section 6", "RFC 8460 section 4.3"),
	verdict.PlaintextAfterTLS: fact(11, categoryPromise, severe,
		"Clear text in a connection that was in TLS", "RFC 8446 section 5.1"),
	verdict.DowngradedAfterFailure: fact(12, categoryPromise, serious,
		"Mail in clear text after a TLS failure", "RFC 3207 section 6"),
	verdict.OfferVanished: fact(13, categoryPromise, serious,
		"Server no longer offers the STARTTLS that it used to offer", "RFC 3207 section 6"),
	verdict.EHLORefused: fact(14, categoryPromise, serious,
		"EHLO refused by a server that knew it", "RFC 5321 section 3.2", "RFC 3207 section 6"),
	verdict.OfferMasked: fact(15, categoryPromise, serious,
		"Keyword of the EHLO reply overwritten on its way", "RFC 5321 section 4.1.1.1", "RFC 3207 section 6"),
	verdict.GreetingMasked: fact(16, categoryPromise, serious,
		"Greeting of the server overwritten on its way", "RFC 5321 section 4.2"),
	verdict.OfferInconsistent: fact(17, categoryPromise, notable,
		"EHLO replies of one session disagree about STARTTLS", "RFC 5321 section 4.1.1.1"),
	verdict.STARTTLSNotOffered: fact(18, categoryPromise, notable,
		"Client asks for a STARTTLS that was not offered", "RFC 3207 section 4"),
	verdict.STARTTLSWithParameter: fact(19, categoryPromise, notable,
		"STARTTLS with a parameter", "RFC 3207 section 4"),
	verdict.STARTTLSMalformed: fact(20, categoryPromise, notable,
		"STARTTLS not written as the standard says", "RFC 3207 section 4", "RFC 5321 section 4.1.1"),
	verdict.STARTTLSInTransaction: fact(21, categoryPromise, notable,
		"STARTTLS inside a mail transaction", "RFC 3207 section 4.2"),
	verdict.TLSRequired: fact(22, categoryPromise, serious,
		"Mail in clear text to a server that must be reached over TLS", "RFC 3207 section 4"),
	verdict.TLSTooOld: fact(23, categoryPromise, serious,
		"TLS version below the configured floor", "RFC 8446 section 4.1.3", "RFC 8996 section 4"),
	verdict.ImplicitTLS: fact(24, categoryPromise, notable,
		"TLS from the first octet", "RFC 8314 section 3.3"),
	verdict.XAnonymoustls: fact(25, categoryPromise, notable,
		"TLS begun with a verb of its own", "RFC 5321 section 4.1.5"),

	verdict.CommandInjection: fact(26, categoryInjection, severe,
		"Command sent after STARTTLS and before its answer", "RFC 3207 section 4", "RFC 3207 section 4.2"),
	verdict.EarlyClientHello: fact(27, categoryInjection, notable,
		"ClientHello sent before the answer to STARTTLS", "RFC 3207 section 4"),
	verdict.ResponseInjection: fact(28, categoryInjection, severe,
		"Octets between the answer to STARTTLS and the ServerHello", "RFC 3207 section 4", "RFC 3207 section 4.2"),
	verdict.AuthBeforeTLS: fact(29, categoryInjection, serious,
		"Client authenticated before TLS began", "RFC 4954 section 4", "RFC 3207 section 4.2"),
	verdict.AuthInClear: fact(30, categoryInjection, serious,
		"Authentication in clear text although STARTTLS was offered", "RFC 4954 section 4", "RFC 4954 section 9"),

	verdict.Smuggling: fact(31, categoryLines, severe,
		"Mail data with a hidden end and a command behind it", "RFC 5321 section 4.1.1.4", "RFC 5321 section 2.3.8"),
	verdict.SmugglingConfirmed: fact(32, categoryLines, severe,
		"Server took a hidden end of mail data for a true one", "RFC 5321 section 4.1.1.4", "RFC 5321 section 2.3.8"),
	verdict.BareNewline: fact(33, categoryLines, notable,
		"Line with a bare CR or LF", "RFC 5321 section 2.3.8"),
	verdict.NULOctet: fact(34, categoryLines, notable,
		"NUL in a command or a reply", "RFC 5321 section 4.1.2", "RFC 5321 section 4.2"),
	verdict.LineTooLong: fact(35, categoryLines, notable,
		"Line longer than the standard allows", "RFC 5321 section 4.5.3.1"),
	verdict.BDATMalformed: fact(36, categoryLines, serious,
		"BDAT that cannot be followed", "RFC 3030 section 2"),
	verdict.ReplyMalformed: fact(37, categoryLines, notable,
		"Reply that breaks the syntax of replies", "RFC 5321 section 4.2"),
	verdict.UnauthorisedPipelining: fact(38, categoryLines, notable,
		"Commands sent ahead without leave", "RFC 2920 section 3.1", "RFC 5321 section 4.3.1"),
	verdict.RoleSwap: fact(39, categoryLines, notable,
		"Client and server change roles", "RFC 5321 appendix F.1"),

	verdict.OverlapConflict: fact(40, categoryTCP, serious,
		"Retransmission with other octets", "RFC 9293 section 3.4"),
	verdict.DataOnSYN: fact(41, categoryTCP, notable,
		"Data on a SYN", "RFC 9293 section 3.5", "RFC 7413 section 3"),
	verdict.UrgentData: fact(42, categoryTCP, notable,
		"Urgent data in the dialogue", "RFC 9293 section 3.8.5", "RFC 6093 section 3"),
	verdict.BadChecksum: fact(43, categoryTCP, notable,
		"Packet with a wrong checksum", "RFC 9293 section 3.1"),
	verdict.BadHeader: fact(44, categoryTCP, notable,
		"Packet with a broken header", "RFC 9293 section 3.1"),
	verdict.OutOfWindow: fact(45, categoryTCP, notable,
		"Segment outside the window", "RFC 9293 section 3.4"),
	verdict.ResetUnsure: fact(46, categoryTCP, notable,
		"Reset that the receiver may ignore", "RFC 9293 section 3.5.3", "RFC 5961 section 3"),
	verdict.Gap: fact(47, categoryTCP, serious,
		"Octets that passed unseen", "RFC 9293 section 3.4"),
	verdict.Midstream: fact(48, categoryTCP, notable,
		"Connection first seen in its middle", "RFC 9293 section 3.5"),
	verdict.TooManyHoles: fact(49, categoryTCP, serious,
		"More missing segments than are kept track of", "RFC 9293 section 3.10.7.4"),
	verdict.MemoryLimit: fact(50, categoryTCP, serious,
		"Memory limit reached", "RFC 9293 section 3.10.7.4"),
}
