package catalogue

import "keepword/inspect/verdict"

// What answers STARTTLS.
var answers = map[verdict.Finding]Entry{
	verdict.OfferRefused: {
		Signature: signatureBase + 1, Rev: 1, Severity: serious,
		Title: "Server refuses the STARTTLS that it offers",
		RFC:   []string{"RFC 3207 section 4"},
		Rule:  "Whoever offers STARTTLS must be able to begin TLS; 220, 454 and 501 are the answers to it.",
		Wire: "The latest EHLO reply offers STARTTLS, the client asks, and the answer is 5xx: typically `502` or " +
			"`554`. (`501` and `503` blame the command and are no finding, nor is the refusal of a line that is " +
			"not STARTTLS to the letter, or stands in a mail transaction: a client could make servers look bad.)",
		Why: "The server promises what it can't do. A client that may go on in clear text does so, on every " +
			"delivery, after a round trip for nothing; one that must use TLS can't deliver at all, and some give " +
			"the mail back to its sender at once (Postfix at level `encrypt` does, since 5xx is final).",
		Who: "Exchange Server 5.5 and its contemporaries offer STARTTLS without any certificate and then answer " +
			"`554 Unable to initialize security subsystem` (Microsoft's article Q237327). A box that overwrites " +
			"the command on its way looks the same: the server answers 500 to a word that it does not know. So " +
			"does an attacker who wants clear text.",
		Default: "Reports it and lets the reply pass: a refusal is an honest answer. It is counted for the server; " +
			"after `history.breaker.failures` in a row (2) its offer is hidden for new sessions, so that mail " +
			"goes without the wasted try, and after `history.breaker.retry` (24 h) one session sees the true " +
			"offer again. With `hide` one refusal is enough. This is so under `starttls: auto` only, and never " +
			"within `retry` of a handshake that worked.",
		Advice: "Try it: `openssl s_client -starttls smtp -connect HOST:25`. If the server refuses by itself, mend " +
			"its certificate and key, or have it withdraw the offer (Postfix: `smtpd_tls_security_level = none`). " +
			"If it works from beside the server, look for the box between. Until then `starttls: hide` for the " +
			"server spares every client the try. Once it is mended, `keepword history forget ADDRESS` shows its " +
			"offer again at once.",
		Next: "Mend the server's certificate and key, or have its administrator take the offer away.",
	},
	verdict.OfferRefusedTemporarily: {
		Signature: signatureBase + 2, Rev: 1, Severity: notable,
		Title: "Server refuses the STARTTLS that it offers for now",
		RFC:   []string{"RFC 3207 section 4"},
		Rule:  "454 says that TLS is not available for a temporary reason: it is to pass.",
		Wire: "The latest EHLO reply offers STARTTLS, the client asks to the letter, and the answer is `454`, " +
			"without \"too many\" in its text.",
		Why: "Meant for a passing trouble, 454 is often the only sign of a lasting one: a certificate that can't " +
			"be read, expired, or was never installed. Mail goes in clear text meanwhile, or waits. After a " +
			"handshake that worked it is also what an attacker would forge: it costs one reply, and most clients " +
			"go on in clear text.",
		Who: "Postfix whose key or certificate can't be loaded (`454 4.7.0 TLS not available due to local " +
			"problem`); sendmail, which also refuses to use a key file that others can read (`454 4.3.3 TLS not " +
			"available`). Another keepword farther on, whose text says `STARTTLS did not reach the server`.",
		Default: "Reports it and lets the reply pass. It is counted for the server; five in a row hide its offer for " +
			"new sessions, as with `offer-refused`. With `hide` one is enough. Under `starttls: require`, where " +
			"TLS has worked before, the session counts as stripped: MAIL in clear text ends with 421, so that the " +
			"client keeps it.",
		Advice: "On the server look into its log at that time, and at the names, the permissions and the dates of " +
			"certificate and key (Postfix: `smtpd_tls_chain_files`, or `smtpd_tls_cert_file` and " +
			"`smtpd_tls_key_file`). If the server's log knows of no refusal, somebody else said 454: look for the " +
			"box between.",
		Next: "Read the server's log for its TLS trouble; if it has none, a box between them said 454.",
	},
	verdict.TLSRateLimited: {
		Signature: signatureBase + 3, Rev: 1, Severity: notable,
		Title: "Server limits the rate of new TLS sessions",
		RFC:   []string{"RFC 3207 section 4"},
		Rule:  "454 says that TLS is not available for a temporary reason.",
		Wire:  "STARTTLS is answered `454`, and the text has \"too many\" in it.",
		Why: "The server works; it limits how many TLS sessions one client may begin. The mail waits or goes in " +
			"clear text, according to the client.",
		Who: "Postfix, where `smtpd_client_new_tls_session_rate_limit` is set: `454 4.7.0 Error: too many new TLS " +
			"sessions from ...`.",
		Default: "Reports it and does nothing else. It is never counted against the server: nothing of it is broken.",
		Advice: "Nothing, where it is rare. If the server is yours and the client a regular one, raise " +
			"`smtpd_client_new_tls_session_rate_limit`, or exempt it by `smtpd_client_event_limit_exceptions`. If " +
			"the client is yours, have it keep sessions open for several messages, or resume them.",
		Next: "Nothing to mend; raise the server's limit if the client is one of your own.",
	},
	verdict.AnsweredForServer: {
		Signature: signatureBase + 4, Rev: 1, Severity: severe,
		Title: "STARTTLS answered with a success that does not begin TLS",
		RFC:   []string{"RFC 3207 section 4", "RFC 5321 section 4.2"},
		Rule:  "Only 220 begins TLS; no other 2xx is an answer to STARTTLS.",
		Wire:  "The client asks for STARTTLS, and the answer is 2xx but not 220: `250 OK`, `200 ...`.",
		Why: "This is the failure of 1999. The command never reached the server; the client takes the OK for " +
			"consent and begins TLS alone, the server reads a ClientHello as commands, and mail stops without a " +
			"word in either log that says why.",
		Who: "Microsoft's article Q237327 names the Cisco PIX and the Sidewinder firewall: boxes that inspect " +
			"SMTP, do not know the word, and answer in the server's place, or overwrite it with NOOP so that the " +
			"server's 250 to NOOP stands as the answer. Postfix's client begins TLS on any 2xx; curl and Python's " +
			"smtplib only on 220.",
		Default: "Corrects the reply in place to `454`, in the same length, before any octet of it that says otherwise " +
			"leaves: the client is told the truth, which is that TLS has not begun, and may go on in clear text " +
			"or keep the mail. It counts for the server as `offer-refused` does. `kill` ends the connection with " +
			"421 instead; with `log` the mail fails as it did in 1999.",
		Advice: "The box stands between keepword and the server: switch off its SMTP inspection. Cisco PIX: `no fixup " +
			"protocol smtp 25`. Cisco ASA, and PIX from 7.0: `policy-map global_policy`, `class " +
			"inspection_default`, `no inspect esmtp`. Where it can't be changed, `starttls: hide` for the servers " +
			"behind it saves each client the try.",
		Next: "Switch off SMTP inspection on the box before the server (Cisco ASA: no inspect esmtp).",
	},
	verdict.UnfitAnswer: {
		Signature: signatureBase + 5, Rev: 1, Severity: severe,
		Title: "STARTTLS answered with what is no answer to it",
		RFC:   []string{"RFC 3207 section 4", "RFC 5321 section 4.2"},
		Rule:  "STARTTLS is answered 220, 454, 501 or another refusal; 1xx and 3xx answer other commands.",
		Wire: "The client asks for STARTTLS, and what comes is 1xx, 3xx, a code of 600 or more, a line that is no " +
			"reply, or a reply whose lines disagree in their codes.",
		Why: "Nobody can tell what the client will make of it. In the lab Postfix, swaks and curl hung where the " +
			"answer was no reply at all; others went on in clear text, or gave the mail back.",
		Who: "Nobody is known to do it by design. Boxes and servers that are out of step by one reply do it (a 354 " +
			"or 334 that belongs to another command), and so do attackers: forged answers to STARTTLS are part of " +
			"the published attacks on it.",
		Default: "Corrects it to `454`, as `answered-for-server`: the mail moves again. Where the reply's lines " +
			"disagree the first ones have left already, and the connection is ended with 421 instead.",
		Advice: "Look at both sides of the box that you suspect: `keepword replay` shows the dialogue of a capture. " +
			"Mend or remove whatever answers in the server's name.",
		Next: "Capture on both sides of the boxes between, and remove the one that answers.",
	},
	verdict.SurplusReply: {
		Signature: signatureBase + 6, Rev: 1, Severity: serious,
		Title: "A reply that no command asked for",
		RFC:   []string{"RFC 5321 section 4.2"},
		Rule:  "Every command gets exactly one reply; but for 421 a server sends none on its own.",
		Wire: "The server's side sends a reply, other than 421, though no command waits for one; or another command " +
			"is answered 220 after STARTTLS was asked for; or a reply was there, or had begun, before its command.",
		Why: "From there on every reply is taken for that of the next command. Where one of them is for STARTTLS, " +
			"the client may begin TLS on the word of somebody who is not the server.",
		Who: "A box that answers and lets the command through all the same, so that the server answers too. No " +
			"product is known to us for sure.",
		Default: "Ends the connection where it touches STARTTLS: a second answer to it, a 220 to a later command, or a " +
			"client that asks for STARTTLS, or sends a command that is to be refused, after such a reply. Any other surplus reply is at most reported: out " +
			"of step is not yet betrayed.",
		Advice: "Find who sent the second reply: its text often names the program. Behind `smuggling` that was let " +
			"through, a surplus 2xx is `smuggling-confirmed`.",
		Next: "Find the box that answers beside the server; the reply's text may name it.",
	},
}
