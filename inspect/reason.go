package inspect

import (
	"strconv"

	v "keepword/inspect/verdict"
)

// sentences say of each finding what happened, for someone who was not there. %c is
// the reply code, %d the detail.
var sentences = [v.Findings]string{
	v.OfferRefused:                "The server offered STARTTLS and then refused it with %c: %d",
	v.OfferRefusedTemporarily:     "The server offered STARTTLS and then answered %c, TLS not available for now: %d",
	v.TLSRateLimited:              "The server refused STARTTLS with %c because of too many new TLS sessions: %d",
	v.AnsweredForServer:           "STARTTLS was answered %c, which only an answer to another command can be: a box before the server spoke in its place, and the client would have begun TLS alone",
	v.UnfitAnswer:                 "STARTTLS was answered by something that can't be an answer to it: %d",
	v.SurplusReply:                "The server's side sent a reply (%c) that no command had asked for: %d",
	v.PlaintextFromClientAfter220: "After 220 the client went on in clear text instead of beginning TLS: %d",
	v.PlaintextFromServerAfter220: "The server said 220 to STARTTLS and then answered the client's TLS in clear text: %d",
	v.SilenceAfter220:             "The server said 220 to STARTTLS and has not answered the client's TLS since: a box between may keep it from the server",
	v.HandshakeFailed:             "The TLS handshake after STARTTLS failed: %d",
	v.PlaintextAfterTLS:           "Clear text came in a connection that had begun TLS: %d",
	v.DowngradedAfterFailure:      "The client sends mail in clear text to a server with which its TLS failed shortly before",
	v.OfferVanished:               "The server has offered STARTTLS before, and its EHLO reply does not now: somebody between may have taken it away",
	v.EHLORefused:                 "The server refused EHLO, which it has taken before, and took HELO (%c): so no client can ask for TLS",
	v.OfferMasked:                 "A box overwrote a keyword of the server's EHLO reply with %d, as firewalls do that inspect SMTP; STARTTLS may have been hidden that way",
	v.GreetingMasked:              "A box masked the server's greeting; clients may use HELO then, and never see an offer of STARTTLS",
	v.OfferInconsistent:           "Two EHLO replies of one session disagree about STARTTLS; the later one counts",
	v.STARTTLSNotOffered:          "The client asked for STARTTLS, which it had not been offered",
	v.STARTTLSWithParameter:       "The client sent STARTTLS with a parameter, which must be answered 501: %d",
	v.STARTTLSMalformed:           "The client sent a line that some servers take for STARTTLS and others do not: %d",
	v.STARTTLSInTransaction:       "The client asked for STARTTLS within a mail transaction",
	v.TLSRequired:                 "The client sent %d in clear text to a server that is set to require TLS",
	v.TLSTooOld:                   "The server chose %d, below the version set as the lowest",
	v.ImplicitTLS:                 "The client began TLS at once, without STARTTLS",
	v.XAnonymoustls:               "The client asked for TLS with Exchange's X-ANONYMOUSTLS",
	v.CommandInjection:            "The client's side sent octets between STARTTLS and its answer; a careless server would run them inside TLS: %d",
	v.EarlyClientHello:            "The client began TLS although its STARTTLS had not been answered 220",
	v.ResponseInjection:           "Octets followed the server's 220 in clear text; a careless client would believe them inside TLS: %d",
	v.AuthBeforeTLS:               "The client had authenticated in clear text before it began TLS; the session may be somebody else's",
	v.AuthInClear:                 "The client sent AUTH in clear text although the server offers STARTTLS",
	v.Smuggling:                   "A command stands in mail data, behind octets that careless servers take for its end; they would take what follows for another sender's message: %d",
	v.SmugglingConfirmed:          "The server replied (%c) to mail data before their end, or twice: it takes octets for the end that are none, and can be made to accept forged mail: %d",
	v.BareNewline:                 "A line holds a bare CR or LF; servers differ in whether that ends it: %d",
	v.NULOctet:                    "A line holds a NUL, at which careless programs cut it: %d",
	v.LineTooLong:                 "A line is longer than the standard allows: %d",
	v.ReplyMalformed:              "A line of the server's is no line of a reply, or contradicts the one before: %d",
	v.UnauthorisedPipelining:      "The client did not wait for its turn: it sent %d before the greeting, or before a reply, without the server's having offered that",
	v.BDATMalformed:               "The client announced a chunk of mail data of which nobody can tell where it ends: %d",
	v.RoleSwap:                    "Client and server changed roles (%d); the session is no longer followed",
	v.OverlapConflict:             "A retransmission carried other octets than the first time; the first ones count",
	v.DataOnSYN:                   "A SYN carried data, before the connection was open",
	v.UrgentData:                  "A segment was marked urgent; receivers differ in what they then read",
	v.OutOfWindow:                 "A segment lay outside what its receiver can take",
	v.ResetUnsure:                 "A reset came that its receiver may ignore; the session is followed on",
	v.Gap:                         "The receiver has octets that were never seen here; the session is no longer followed",
	v.Midstream:                   "The connection was first seen in its middle and can't be followed",
	v.TooManyHoles:                "Too many segments are missing to follow the connection",
	v.MemoryLimit:                 "The connection asks for more memory than its limit",
}

// reason is a finding's sentence.
func reason(f v.Finding, code int, detail string) string {
	out := make([]byte, 0, 256)
	for t := sentences[f]; len(t) > 0; {
		switch {
		case t[0] == '%' && len(t) > 1 && t[1] == 'c':
			out, t = strconv.AppendInt(out, int64(code), 10), t[2:]
		case t[0] == '%' && len(t) > 1 && t[1] == 'd':
			if detail == "" {
				detail = "(no text)"
			}
			out, t = append(out, clean(detail)...), t[2:]
		default:
			out, t = append(out, t[0]), t[1:]
		}
	}
	return string(out)
}

// clean makes a quotation from the wire fit for one line of text.
func clean(s string) string {
	q := strconv.QuoteToASCII(s)
	if q[1:len(q)-1] == s {
		return s
	}
	return q
}

// farewell is what the client is told with 421.
func farewell(f v.Finding) string {
	switch f {
	case v.AnsweredForServer, v.UnfitAnswer, v.SurplusReply:
		return "Connection ended by firewall: STARTTLS was not answered by the server"
	case v.CommandInjection:
		return "Connection ended by firewall: octets between STARTTLS and its answer"
	case v.ResponseInjection:
		return "Connection ended by firewall: octets behind the answer to STARTTLS"
	case v.Smuggling:
		return "Connection ended by firewall: a command in mail data, behind what is not their end"
	case v.BDATMalformed:
		return "Connection ended by firewall: BDAT with no readable size, or not offered"
	case v.TLSRequired:
		return "Connection ended by firewall: TLS required"
	}
	return "Connection ended by firewall: " + f.String()
}
