package catalogue

import "keepword/inspect/verdict"

// Octets and credentials on the wrong side of the beginning of TLS.
var injection = map[verdict.Finding]Entry{
	verdict.CommandInjection: {
		Signature: signatureBase + 26, Rev: 1, Severity: severe,
		Title: "Command sent after STARTTLS and before its answer",
		RFC:   []string{"RFC 3207 section 4", "RFC 3207 section 4.2"},
		Rule:  "After STARTTLS the client sends nothing until it has the reply.",
		Wire: "Octets of the client behind `STARTTLS` CRLF and before its answer, in the same segment or a later " +
			"one, that can't begin a ClientHello. Also a ClientHello that came early, where the answer then is no " +
			"220; and octets behind what only looks like STARTTLS (`STARTTLSX`), where the server grants it.",
		Why: "A careless server keeps them in its buffer and runs them as the first commands inside TLS, as if the " +
			"client had sent them there. Whoever can write into the path puts commands before the client's own, " +
			"and so can read its password and its messages.",
		Who: "An attacker on the path, or a client that pipelines behind STARTTLS against the rule. The hole was " +
			"found in Postfix in 2011 (CVE-2011-0411) and then in many others; a study of 2021 still found it in " +
			"fifteen implementations, and in two of a hundred servers scanned.",
		Default: "Ends the connection, with 421 where the client waits for a reply. No ordinary client is known to be " +
			"harmed: whoever waits for the reply, as the standard says, never meets it.",
		Advice: "Find out whether the octets are the client's own, by its log or a capture beside it. If they are, " +
			"update the client. If they are not, somebody writes into the path between it and keepword. In any " +
			"case update servers older than the fix (Postfix from 2.4.16, 2.5.12, 2.6.9, 2.7.3 and 2.8 on).",
		Next: "Find out whether the client sent these octets; if not, somebody writes into the path.",
	},
	verdict.EarlyClientHello: {
		Signature: signatureBase + 27, Rev: 1, Severity: notable,
		Title: "ClientHello sent before the answer to STARTTLS",
		RFC:   []string{"RFC 3207 section 4"},
		Rule:  "After STARTTLS the client sends nothing until it has the reply.",
		Wire: "As `command-injection`, but the octets are a TLS ClientHello. Also a ClientHello of a client whose " +
			"STARTTLS was refused.",
		Why: "A server that empties its buffer before TLS, as it should since 2011, throws the ClientHello away: " +
			"both sides then wait for each other. If the answer is no 220, the ClientHello is read as commands.",
		Who: "It saves a round trip, and somebody will try. `openssl s_client` begins TLS whatever the answer is.",
		Default: "Holds it back until the answer is there: behind a 220 it goes on, and nobody loses anything; behind " +
			"any other answer it is `command-injection`. It waits 10 s at most; then the client repeats it by " +
			"itself. Where the refusal has been given already, the connection is ended: the server would read TLS " +
			"as commands.",
		Advice: "Nothing; report it to the client's makers.",
		Next:   "Nothing to do; the client is hasty.",
	},
	verdict.ResponseInjection: {
		Signature: signatureBase + 28, Rev: 1, Severity: severe,
		Title: "Octets between the answer to STARTTLS and the ServerHello",
		RFC:   []string{"RFC 3207 section 4", "RFC 3207 section 4.2"},
		Rule:  "After its 220 the server sends nothing but TLS.",
		Wire: "Octets of the server behind its 220 and before the client's ClientHello that are not due there: " +
			"clear text, or a ServerHello that nobody asked for. Also a bare CR or a NUL within the 220's line, " +
			"with text behind it, which some clients read as another reply.",
		Why: "A careless client keeps them and reads them inside TLS as replies of the server that it has just " +
			"authenticated: whoever writes into the path answers in its place, and so decides what the client " +
			"does next.",
		Who: "An attacker between keepword and the server. The study of 2021 found clients that believe such " +
			"replies, Mutt before 1.14.4 (CVE-2020-14954) and Thunderbird (CVE-2020-15685) among them.",
		Default: "Ends the connection; the client is told 421 where the 220 has not reached it yet. No server is known " +
			"to do it by itself.",
		Advice: "The text in the event tells what was to be believed. Look for who can write into the path between " +
			"keepword and the server. Update the clients.",
		Next: "Look for who can write between keepword and the server; update the clients.",
	},
	verdict.AuthBeforeTLS: {
		Signature: signatureBase + 29, Rev: 1, Severity: serious,
		Title: "Client authenticated before TLS began",
		RFC:   []string{"RFC 4954 section 4", "RFC 3207 section 4.2"},
		Rule:  "After TLS has begun both sides forget all that was said before, a login included.",
		Wire:  "The server accepted a login in clear text (235), and then STARTTLS with 220.",
		Why: "The password, or what is as good, could be read. And if the server does not forget the login, " +
			"whoever logged in before TLS, perhaps somebody between, is the one whose session goes on inside TLS.",
		Who:     "Broken clients. Nobody is known for sure.",
		Default: "Reports it: what has been said can't be taken back, and the server may well have forgotten it.",
		Advice: "Set the client to begin TLS first. On the server offer AUTH only inside TLS (Postfix: " +
			"`smtpd_tls_auth_only = yes`), and change the password.",
		Next: "Have the client begin TLS before it logs in; change the password.",
	},
	verdict.AuthInClear: {
		Signature: signatureBase + 30, Rev: 1, Severity: serious,
		Title: "Authentication in clear text although STARTTLS was offered",
		RFC:   []string{"RFC 4954 section 4", "RFC 4954 section 9"},
		Rule:  "Where TLS is to be had, plain passwords are not to be sent without it.",
		Wire: "AUTH in clear text although the latest EHLO reply offers STARTTLS. (Under `starttls: require` it is " +
			"`tls-required`.)",
		Why: "With PLAIN and LOGIN the password goes over the line as good as readable.",
		Who: "Mail programs with encryption switched off, scanners and printers, old scripts; and bots that guess " +
			"passwords.",
		Default: "Reports it: refusing would cut off devices of which nobody knows yet. `refuse` answers 538 and keeps " +
			"the command from the server.",
		Advice: "Let it report for some weeks, mend the clients that it names, then set `auth-in-clear: refuse`. On " +
			"the server `smtpd_tls_auth_only = yes` (Postfix) does it at its source.",
		Next: "Switch TLS on in that client, then set auth-in-clear: refuse.",
	},
}
