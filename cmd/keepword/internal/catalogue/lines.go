package catalogue

import "keepword/inspect/verdict"

// The end of mail data, and lines of the dialogue.
var lines = map[verdict.Finding]Entry{
	verdict.Smuggling: {
		Signature: signatureBase + 31, Rev: 1, Severity: severe,
		Title: "Mail data with a hidden end and a command behind it",
		RFC:   []string{"RFC 5321 section 4.1.1.4", "RFC 5321 section 2.3.8"},
		Rule:  "Mail data ends with CRLF.CRLF and with nothing else.",
		Wire: "In mail data, a dot between line ends that are not both CRLF (`LF.LF`, `LF.CRLF`, `CRLF.LF`, " +
			"`CR.CR`, `CR.CRLF`, `CRLF.CRCRLF` and the other mixtures, also with NULs between), and behind it a " +
			"line that reads as a command: the first line as any command (MAIL and RCPT with a path, STARTTLS, BDAT " +
			"with a number however they are written, the others in capitals), one of the next 63 as MAIL or BDAT; " +
			"lines that begin with a verb are not counted, as they cost a server nothing. Octets of BDAT are read in the same way, as a server may relay them by DATA; there CRLF.CRLF is ordinary " +
			"content.",
		Why: "The sending side saw one message. A server that takes such a dot for the end sees two, and the " +
			"second may claim any sender of the first server's domains: SPF and DMARC by SPF agree, since it " +
			"comes from the right address.",
		Who: "Published in 2023 by SEC Consult. Servers that took such ends: Postfix (CVE-2023-51764), sendmail " +
			"(CVE-2023-51765), Exim (CVE-2023-51766). Senders that let them out: GMX and Exchange Online, mended " +
			"since; Cisco Secure Email with CR and LF handling set to \"Clean\", which makes true line ends of bare " +
			"ones.",
		Default: "Ends the connection before the line that reads as a command has left whole. Only the two together " +
			"count: bare line ends, dots, quoted dialogues, and prose such as `Mail from: Bob Miller` or `Quit` " +
			"behind a lone dot, are ordinary in mail and are let through. The client is told 421 and why.",
		Advice: "An attack, or a test of your own. Have the servers take CRLF.CRLF alone: Postfix " +
			"`smtpd_forbid_bare_newline = normalize` (3.9, and 3.8.5, 3.7.10, 3.6.14, 3.5.24 on), Exim from " +
			"4.97.1, sendmail from 8.18.1; Cisco Secure Email: CR and LF handling \"Allow\". Look at the client's " +
			"address: what relayed this should be mended too.",
		Next: "Have the server take CRLF.CRLF alone (Postfix: smtpd_forbid_bare_newline = normalize).",
	},
	verdict.SmugglingConfirmed: {
		Signature: signatureBase + 32, Rev: 1, Severity: severe,
		Title: "Server took a hidden end of mail data for a true one",
		RFC:   []string{"RFC 5321 section 4.1.1.4", "RFC 5321 section 2.3.8"},
		Rule:  "One message gets one reply at its end.",
		Wire: "A positive reply of the server that no command waits for: to mail data that go on, or behind a " +
			"`smuggling` that was let through.",
		Why: "The server took the false end for a true one and the rest for a second message. It can be made to " +
			"accept forged mail, and just was.",
		Who: "Servers as those named at `smuggling`, not updated.",
		Default: "Ends the connection, and names the server: it is vulnerable. The default action of `smuggling` comes " +
			"before it; it is met in mode observe, in replay, where `smuggling` is set to `log` or `pass`, and where " +
			"a server takes an end that keepword does not know.",
		Advice: "Update the server at once, or have it take CRLF.CRLF alone; see `smuggling`. Look for what the " +
			"second message was: it is in the server's log under the same connection.",
		Next: "Update the server at once; look in its log for the second message.",
	},
	verdict.BareNewline: {
		Signature: signatureBase + 33, Rev: 1, Severity: notable,
		Title: "Line with a bare CR or LF",
		RFC:   []string{"RFC 5321 section 2.3.8"},
		Rule:  "Lines end with CRLF; CR and LF do not stand alone.",
		Wire: "A CR or an LF that stands alone in a line of a command or a reply. (In mail data it is no finding; " +
			"see `smuggling`.)",
		Why: "Servers differ in whether it ends the line, and so in what the commands are. By itself it is " +
			"carelessness.",
		Who: "People at `nc` and `openssl s_client` without `-crlf`; scripts; a client that goes on with TLS " +
			"though it was refused, whose octets then read as lines.",
		Default: "Reports it once a session and lets it pass; a bare LF is read as the line's end, as most servers do. " +
			"Where it is an attack, another finding says so.",
		Advice: "Mend the program. Nothing else.",
		Next:   "Mend the program that ends lines with LF alone.",
	},
	verdict.NULOctet: {
		Signature: signatureBase + 34, Rev: 1, Severity: notable,
		Title: "NUL in a command or a reply",
		RFC:   []string{"RFC 5321 section 4.1.2", "RFC 5321 section 4.2"},
		Rule:  "Commands and replies are printable ASCII; NUL is none of it.",
		Wire:  "A NUL in a line of a command or a reply.",
		Why:   "Programs written in C cut the line there, and read another command than the others do.",
		Who: "Scanners that try other protocols on the port; a client that goes on with TLS though it was refused, " +
			"whose octets then read as lines.",
		Default: "Reports it once a session and lets it pass.",
		Advice:  "Nothing, unless one of your own programs sends it.",
		Next:    "Nothing to do, unless one of your own programs sends it.",
	},
	verdict.LineTooLong: {
		Signature: signatureBase + 35, Rev: 1, Severity: notable,
		Title: "Line longer than the standard allows",
		RFC:   []string{"RFC 5321 section 4.5.3.1"},
		Rule:  "A command line has 512 octets at most, a reply line 512, a text line 1,000, each with CRLF.",
		Wire: "A command over 512 octets with its end (MAIL and RCPT 1,024, for their extensions; AUTH 12,288), a " +
			"reply line over 512, a line of mail data over 998 without its end.",
		Why: "Programs cut or refuse such lines, or break on them. A line that never ends keeps whoever waits for " +
			"its end waiting.",
		Who: "Programs that write a whole HTML page as one line of mail: very common.",
		Default: "Reports it once a session and lets it pass. A command or a reply over 64 KiB ends the connection, " +
			"unless the action is `pass`: no program has such a one. A line of mail data does not: some programs " +
			"write such mail.",
		Advice: "Nothing. If mail is damaged behind this, have the writing program wrap or encode its lines " +
			"(quoted-printable, base64).",
		Next: "Nothing to do; have the program wrap its lines if mail gets damaged.",
	},
	verdict.BDATMalformed: {
		Signature: signatureBase + 36, Rev: 1, Severity: serious,
		Title: "BDAT that cannot be followed",
		RFC:   []string{"RFC 3030 section 2"},
		Rule:  "BDAT names the size of its chunk as a number; exactly so many octets follow.",
		Wire: "BDAT without a size, with one that is no number or does not fit 63 bits, or whose verb stands behind " +
			"blanks or before a tab. Where commands are kept from the server (`starttls: require` or `hide`, or " +
			"an action `refuse`) also BDAT that the server does not offer.",
		Why: "Nobody can tell where its octets end and the next command begins. Whoever reads it otherwise than " +
			"the server can be shown a different dialogue.",
		Who: "Broken or hostile clients. Nobody is known to do it by design.",
		Default: "Ends the connection. Where commands are kept from the server it is ended whatever the action: a " +
			"command could stand in the octets.",
		Advice: "Mend or block the client.",
		Next:   "Mend or block the client.",
	},
	verdict.ReplyMalformed: {
		Signature: signatureBase + 37, Rev: 1, Severity: notable,
		Title: "Reply that breaks the syntax of replies",
		RFC:   []string{"RFC 5321 section 4.2"},
		Rule:  "A reply line is three digits from 2xx to 5xx, a space or hyphen, text; all lines of one code.",
		Wire: "A line of the server's that is no line of a reply, whose code is not in 200 to 599, or not that of " +
			"the reply's first line. In answer to STARTTLS it is `unfit-answer`.",
		Why:     "Clients differ in how they read it; two of them see two different dialogues.",
		Who:     "Another protocol's server on the port; a box that writes into the dialogue.",
		Default: "Reports it once a session and lets it pass: most clients get along with what such servers say.",
		Advice:  "Look at what the server is, and what stands before it.",
		Next:    "Look at what answers on that port, and at the boxes before it.",
	},
	verdict.UnauthorisedPipelining: {
		Signature: signatureBase + 38, Rev: 1, Severity: notable,
		Title: "Commands sent ahead without leave",
		RFC:   []string{"RFC 2920 section 3.1", "RFC 5321 section 4.3.1"},
		Rule:  "The client waits for the greeting, and for each reply unless PIPELINING is offered.",
		Wire: "A command before the greeting, or before the reply to an earlier one although the latest EHLO reply " +
			"does not offer PIPELINING. (The line of HAProxy's PROXY protocol is none.)",
		Why: "It does not harm by itself, but hardly any mail server does it: it is a good sign of software that " +
			"only wants to get rid of mail.",
		Who: "Spam bots, which send all at once. Exim, where it has agreed on early pipelining (PIPECONNECT). " +
			"Hasty scripts.",
		Default: "Reports it once a session and lets it pass: to refuse spam is the server's part, and it knows more.",
		Advice: "Let the server refuse it: Postfix `smtpd_data_restrictions = reject_unauth_pipelining`, or " +
			"`smtpd_forbid_unauth_pipelining = yes`; Exim does by default (`smtp_enforce_sync`: \"protocol " +
			"synchronization error\").",
		Next: "Have the server refuse it (Postfix: reject_unauth_pipelining).",
	},
	verdict.RoleSwap: {
		Signature: signatureBase + 39, Rev: 1, Severity: notable,
		Title: "Client and server change roles",
		RFC:   []string{"RFC 5321 appendix F.1"},
		Rule:  "TURN, and ATRN, make the server the client; TURN must not be used any more.",
		Wire:  "TURN or ATRN is accepted.",
		Why: "From there on the server sends commands and the client replies. TURN gives a domain's waiting mail " +
			"to whoever asks for it.",
		Who: "On-demand relay (ATRN, RFC 2645), meant for port 366. The SMTP service of Exchange 2000 and 2003 " +
			"offers both words.",
		Default: "Reports it, and lets the session through unread from there: keepword does not follow swapped roles.",
		Advice:  "Switch TURN off at the server, or set `role-swap: kill`.",
		Next:    "Switch TURN off at the server, or set role-swap: kill.",
	},
}
