package catalogue

import "keepword/inspect/verdict"

// What follows a 220.
var handshake = map[verdict.Finding]Entry{
	verdict.PlaintextFromClientAfter220: {
		Signature: signatureBase + 7, Rev: 1, Severity: severe,
		Title: "Client sends clear text where TLS was agreed",
		RFC:   []string{"RFC 3207 section 4"},
		Rule:  "After 220 the client begins the TLS handshake; the next octets are a ClientHello.",
		Wire:  "STARTTLS was answered 220, and the client's next octets are no TLS record.",
		Why: "The server hands them to its TLS library, which gives up: the mail is not delivered, and commands or " +
			"a password go where nobody waits for them. The two ends disagree about whether TLS has begun.",
		Who: "A client that never asked: somebody between it and keepword put the STARTTLS in, or overwrote the " +
			"220 on its way back. No product is known to us for sure.",
		Default: "Ends the connection on both sides. There is nothing to mend in it: the server waits for TLS, the " +
			"client does not speak it.",
		Advice: "Compare with the client's own log: if it did not send STARTTLS, or did not see 220, the fault lies " +
			"between the client and keepword. Look for the box there.",
		Next: "Look for a box between the client and keepword that adds STARTTLS or alters the 220.",
	},
	verdict.PlaintextFromServerAfter220: {
		Signature: signatureBase + 8, Rev: 1, Severity: severe,
		Title: "Server answers TLS in clear text",
		RFC:   []string{"RFC 3207 section 4"},
		Rule:  "After 220 the server takes part in the TLS handshake; it answers a ClientHello in TLS.",
		Wire: "STARTTLS was answered 220, the client sent its ClientHello, and the server's next octets are clear " +
			"text.",
		Why: "The client's TLS library reads a line of SMTP and gives up; the delivery fails, and will fail at " +
			"every try while the server's promise stands.",
		Who: "A 220 that was not the server's: the ClientHello then reaches a server that reads commands, which " +
			"answers 500. Also an attacker who writes into the stream before the ServerHello. No product is known " +
			"to us for sure.",
		Default: "Ends the connection on both sides, so that neither waits for the other's TLS. One such failure is " +
			"enough to hide the server's offer for new sessions (the circuit breaker; see `offer-refused` for " +
			"when it may), unless an alert came before it: then it was the handshake that failed.",
		Advice: "The reply's text in the event tells who speaks: a 500 that quotes unreadable octets is the server " +
			"itself, which never saw STARTTLS. Switch off SMTP inspection in between. `starttls: hide` for the " +
			"server moves the mail until then.",
		Next: "Switch off SMTP inspection before the server; starttls: hide moves the mail until then.",
	},
	verdict.SilenceAfter220: {
		Signature: signatureBase + 9, Rev: 1, Severity: severe,
		Title: "Server agreed to TLS and does not answer the handshake",
		RFC:   []string{"RFC 3207 section 4"},
		Rule:  "After 220 the server takes part in the TLS handshake.",
		Wire: "STARTTLS was answered 220, the client sent its ClientHello, and nothing at all comes from the " +
			"server.",
		Why: "The client waits for its own timeout, five minutes with Postfix (`smtp_starttls_timeout`), on every " +
			"try: its queue fills, and no log says more than \"timed out\".",
		Who: "Boxes that let the words of SMTP through and keep back what is none, TLS among it. Also a path on " +
			"which large packets vanish: a ClientHello with a post-quantum key share no longer fits into one " +
			"packet.",
		Default: "Ends the connection after 60 s of silence, after it was reported at 10 s: both ends are free again. " +
			"It counts for the server as `offer-refused` does. Clients that give up sooner end as " +
			"`handshake-failed`.",
		Advice: "See whether the ClientHello arrives at the server (`tcpdump -n port 25` there). If not, switch off " +
			"SMTP inspection in between, and test the path's MTU: `ping -M do -s 1472 HOST`; lower it or clamp " +
			"the MSS where that fails. `starttls: hide` for the server moves the mail until then.",
		Next: "See with tcpdump at the server whether the ClientHello arrives; if not, find who eats it.",
	},
	verdict.HandshakeFailed: {
		Signature: signatureBase + 10, Rev: 1, Severity: serious,
		Title: "TLS handshake failed",
		RFC:   []string{"RFC 8446 section 6", "RFC 8460 section 4.3"},
		Rule:  "A fatal alert, or the end of the connection before both sides are done, fails the handshake.",
		Wire: "A TLS alert that can be read, or the end of the connection, after 220 and before both sides have " +
			"sent protected data.",
		Why: "No TLS, and so no mail, or mail in clear text at the next try: see `downgraded-after-failure`. Once " +
			"this is routine, nobody notices the one that an attacker caused.",
		Who: "Old software: Windows Server 2003 ends at TLS 1.0, which large providers refuse. Debian 12's " +
			"OpenSMTPD 6.8 says 220 and then fails every handshake. Clients that verify certificates, and do not " +
			"like this one. Scanners that connect, ask for STARTTLS and leave.",
		Default: "Reports it with the alert's name and does nothing more: the two ends have told each other already. " +
			"It is never counted against the server, as any client can provoke it. Behind the ServerHello TLS 1.3 " +
			"protects its alerts: the finding then says no more than that the connection ended.",
		Advice: "The alert's name is the lead: `protocol_version` and `handshake_failure`, nothing in common: allow " +
			"TLS 1.2 and its usual ciphers on both; `certificate_expired`, `unknown_ca`, `bad_certificate`: mend " +
			"the certificate and its chain. `openssl s_client -starttls smtp -connect HOST:25` shows both.",
		Next: "Follow the alert's name: renew the certificate, or allow a TLS version that both have.",
	},
	verdict.PlaintextAfterTLS: {
		Signature: signatureBase + 11, Rev: 1, Severity: severe,
		Title: "Clear text in a connection that was in TLS",
		RFC:   []string{"RFC 8446 section 5.1"},
		Rule:  "Once TLS has begun every octet stands in a TLS record, until the connection ends.",
		Wire: "After the ServerHello, or in a connection that began with TLS, octets that are no TLS record, while " +
			"records are still followed (until both sides have sent protected data).",
		Why: "TLS itself would notice and give up, so no harm is done to the mail; but either a program is broken, " +
			"or somebody writes into the connection.",
		Who:     "Nobody is known to do it by design.",
		Default: "Ends the connection: what is in it can't be told apart any more.",
		Advice: "See which side sent it. If it recurs with one program, update that; if it comes with many, look for " +
			"who can write into the path.",
		Next: "Update the program that sent it; if it comes from many, look who can write into the path.",
	},
	verdict.DowngradedAfterFailure: {
		Signature: signatureBase + 12, Rev: 1, Severity: serious,
		Title: "Mail in clear text after a TLS failure",
		RFC:   []string{"RFC 3207 section 6"},
		Rule:  "A client that must have TLS must not go on without it because TLS failed.",
		Wire: "Within two hours after TLS failed between a client and a server (`handshake-failed`, " +
			"`silence-after-220`, or clear text behind the 220), the same client opens a new connection to the " +
			"same server and sends MAIL in clear text. Where keepword itself hid the offer, it is no finding.",
		Why: "Whoever can break a handshake can then read the mail: the client's own retry lays it open. To break " +
			"one takes a single forged packet.",
		Who: "Every client set to use TLS where possible. Postfix at level `may` tries again without TLS when the " +
			"handshake failed; Exim does while `tls_tempfail_tryclear` is on, which is its default.",
		Default: "Reports it and lets the mail go: most of these are an old server's fault and no attack, and clear " +
			"text is what the client was set to accept. `kill` ends the connection with 421, and the client keeps " +
			"the mail.",
		Advice: "Mend the handshake: the `handshake-failed` before it has the reason. For a server that must be " +
			"reached over TLS set `starttls: require` here, or have the client insist: Postfix " +
			"`smtp_tls_security_level = encrypt` (or `dane`), Exim `hosts_require_tls`.",
		Next: "Mend the failed handshake before it; set starttls: require where TLS is a must.",
	},
}
