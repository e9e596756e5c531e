package catalogue

import "keepword/inspect/verdict"

// Offers that are taken away, and how STARTTLS is asked for.
var offers = map[verdict.Finding]Entry{
	verdict.OfferVanished: {
		Signature: signatureBase + 13, Rev: 1, Severity: serious,
		Title: "Server no longer offers the STARTTLS that it used to offer",
		RFC:   []string{"RFC 3207 section 6"},
		Rule:  "A missing offer may have been taken away on its way: a client may hold the past against it.",
		Wire: "The server's EHLO reply in clear text has no STARTTLS, though the server (this address and port) " +
			"offered it within the last 30 days.",
		Why: "Stripping is the cheapest attack on mail: delete one line, and the client goes on in clear text " +
			"without a complaint. A lapsed certificate looks the same from outside. In both cases mail is " +
			"readable, and no log has an error.",
		Who: "Boxes and networks that delete the line; measurements of 2014 and 2015 found a mobile network, and " +
			"whole countries, in which offers were taken away. Administrators who switch TLS off. Exchange, which " +
			"stops offering STARTTLS when it finds no fit certificate (event 12014). Servers that offer it to " +
			"some clients only (Postfix: `smtpd_discard_ehlo_keyword_address_maps`).",
		Default: "Reports it, with the time of the last offer, and whether the rest of the reply is unchanged, as when " +
			"a box has deleted the line, or has changed too, which rather speaks for a changed server. Under " +
			"`starttls: require` the connection is ended by default.",
		Advice: "Ask the server beside it: `openssl s_client -starttls smtp -connect HOST:25`. Offered there and not " +
			"here: somebody between takes it away. Offered nowhere: mend the server's certificate. If its " +
			"administrator meant it: `keepword history forget ADDRESS`. Where clear text is not acceptable, " +
			"`starttls: require`.",
		Next: "Ask the server beside it for its offer. Changed on purpose: keepword history forget ADDRESS.",
	},
	verdict.EHLORefused: {
		Signature: signatureBase + 14, Rev: 1, Severity: serious,
		Title: "EHLO refused by a server that knew it",
		RFC:   []string{"RFC 5321 section 3.2", "RFC 3207 section 6"},
		Rule:  "Servers know EHLO; without it there are no extensions, and so no STARTTLS.",
		Wire: "A server that took EHLO before refuses it with 500, 502 or the like, and takes the HELO that " +
			"follows.",
		Why: "HELO has no extensions. Who refuses EHLO takes away STARTTLS, without touching any line that names " +
			"it.",
		Who: "Cisco PIX with `fixup protocol smtp` lets only the seven commands of RFC 821's least set through, " +
			"and EHLO is none of them. An attacker who forges the refusal.",
		Default: "Reports it, when the HELO is taken, with the time of the last EHLO that was. Under `starttls: " +
			"require` the connection is ended by default. A server of which no EHLO reply is remembered may " +
			"simply be old, and is no finding.",
		Advice: "Switch off the SMTP inspection of the box between (PIX: `no fixup protocol smtp 25`). If the server " +
			"was replaced by an older one on purpose: `keepword history forget ADDRESS`.",
		Next: "Switch off SMTP inspection between. Changed on purpose: keepword history forget ADDRESS.",
	},
	verdict.OfferMasked: {
		Signature: signatureBase + 15, Rev: 1, Severity: serious,
		Title: "Keyword of the EHLO reply overwritten on its way",
		RFC:   []string{"RFC 5321 section 4.1.1.1", "RFC 3207 section 6"},
		Rule:  "The EHLO reply is the server's own; no keyword of four or more X is registered.",
		Wire: "A keyword of the EHLO reply, of four letters or more, is all X, or all X but for a last letter A to P: " +
			"`250-XXXXXXXA`, `250-XXXXXXXX`.",
		Why: "The masked word was very likely STARTTLS: eight letters, and nothing else of the reply tells. " +
			"Clients see no offer and send in clear text, every time, to a server that has TLS.",
		Who: "Cisco ASA's ESMTP inspection masks the keywords that it does not allow, `XXXXXXXA` for STARTTLS " +
			"where that is the first; for years this was its default (`no allow-tls`). It overwrites commands " +
			"with X too, which the server then refuses. In 2014 a mobile carrier was reported to overwrite its " +
			"customers' offers.",
		Default: "Reports it and names the kind of box. keepword can't restore the word: it has no right to an offer " +
			"that it did not see, and the same box would eat the command. Under `starttls: require` the session " +
			"counts as stripped: MAIL in clear text ends with 421 and the client keeps it.",
		Advice: "On an ASA: `policy-map global_policy`, `class inspection_default`, `no inspect esmtp`; or keep the " +
			"inspection with `policy-map type inspect esmtp NAME`, `parameters`, `allow-tls`, and `inspect esmtp " +
			"NAME`. On others, whatever is called SMTP or ESMTP inspection.",
		Next: "On the Cisco ASA between: no inspect esmtp, or allow-tls in its inspection map.",
	},
	verdict.GreetingMasked: {
		Signature: signatureBase + 16, Rev: 1, Severity: serious,
		Title: "Greeting of the server overwritten on its way",
		RFC:   []string{"RFC 5321 section 4.2"},
		Rule:  "The 220 greeting begins with the server's name.",
		Wire: "The text of the 220 greeting is nothing but `*`, `2`, `0` and blanks, at least four octets and one " +
			"asterisk: `220 ****************0*2******`.",
		Why: "It hides the server's name, and costs more than that: clients take it for the mark of a box that " +
			"knows no ESMTP, send HELO in place of EHLO, and never see an offer of STARTTLS.",
		Who: "Cisco PIX `fixup protocol smtp`, and ASA's ESMTP inspection with `mask-banner`, which its default " +
			"map has. Postfix's client knows the mark and turns ESMTP off by itself (`smtp_pix_workarounds = " +
			"disable_esmtp, ...`).",
		Default: "Reports it and names the kind of box. The greeting itself is never touched. Under `starttls: " +
			"require` the session counts as stripped: MAIL in clear text ends with 421 and the client keeps it.",
		Advice: "Remove the inspection: PIX `no fixup protocol smtp 25`; ASA `no inspect esmtp`, or `no mask-banner` " +
			"in its inspection map. If the client is your Postfix and the box another's: " +
			"`smtp_pix_workaround_maps` can leave `disable_esmtp` out for that address.",
		Next: "On the Cisco PIX or ASA between, switch off SMTP inspection or mask-banner.",
	},
	verdict.OfferInconsistent: {
		Signature: signatureBase + 17, Rev: 1, Severity: notable,
		Title:   "EHLO replies of one session disagree about STARTTLS",
		RFC:     []string{"RFC 5321 section 4.1.1.1"},
		Rule:    "A server answers EHLO by what it can do; before TLS that does not change in a session.",
		Wire:    "Two EHLO replies of one session, both in clear text, disagree about STARTTLS.",
		Why:     "One of them is not true of the server. A box that takes away offers now and then looks like this.",
		Who:     "Nobody is known for sure. A server may withdraw its offer after STARTTLS failed in the session.",
		Default: "Reports it; the latest reply counts, as it does for the client.",
		Advice:  "Look at the server's configuration, and at any proxy or load balancer before it.",
		Next:    "Look at the server, and at any proxy or load balancer before it.",
	},
	verdict.STARTTLSNotOffered: {
		Signature: signatureBase + 18, Rev: 1, Severity: notable,
		Title: "Client asks for a STARTTLS that was not offered",
		RFC:   []string{"RFC 3207 section 4"},
		Rule:  "STARTTLS is for servers that offer it.",
		Wire:  "The client asks for STARTTLS, though the latest EHLO reply does not offer it, or there was none.",
		Why: "Harmless by itself. It shows clients that do not look, and it is what a client does whose first EHLO " +
			"reply was another than the one seen here.",
		Who: "`openssl s_client -starttls smtp`, which asks in any case; monitoring and scanners.",
		Default: "Reports it; the server decides. `refuse` answers 503 and keeps the command from the server. Where " +
			"keepword hid the offer the command is always refused, with 502, and reported under this id: what was " +
			"not offered is not let through either.",
		Advice: "Nothing. If a mail server of yours does it, look between it and keepword for who added an offer.",
		Next:   "Nothing to do; the server decides.",
	},
	verdict.STARTTLSWithParameter: {
		Signature: signatureBase + 19, Rev: 1, Severity: notable,
		Title: "STARTTLS with a parameter",
		RFC:   []string{"RFC 3207 section 4"},
		Rule:  "STARTTLS takes no parameter; with one the answer is 501.",
		Wire:  "`STARTTLS foo`: something other than blanks stands behind the verb.",
		Why: "Servers differ: one says 501, another begins TLS. Whoever stands between and guesses otherwise loses " +
			"track; keepword waits for the answer.",
		Who: "Broken clients, and people who look for servers and boxes that read it otherwise.",
		Default: "Reports it and lets the server answer; a 220 is followed as after any STARTTLS. `refuse` answers 501 " +
			"and keeps the command from the server.",
		Advice: "Mend the client. Where no client of yours does it, `refuse` is safe.",
		Next:   "Mend the client that sends it.",
	},
	verdict.STARTTLSMalformed: {
		Signature: signatureBase + 20, Rev: 1, Severity: notable,
		Title: "STARTTLS not written as the standard says",
		RFC:   []string{"RFC 3207 section 4", "RFC 5321 section 4.1.1"},
		Rule:  "A command is its verb, a single space where an argument follows, and CRLF.",
		Wire: "A line that some servers take for STARTTLS and others do not: leading blanks, a tab behind it, " +
			"letters behind it (`STARTTLSX`), a bare LF at its end.",
		Why: "An inspector that reads such a line otherwise than the server no longer knows whether TLS begins. It " +
			"is a way around firewalls.",
		Who: "Broken clients, scripts that end lines with LF, and tests for such differences.",
		Default: "Reports it and lets the server answer; if that says 220, it was STARTTLS, and is followed as such. " +
			"`refuse` answers 501 and keeps the command from the server.",
		Advice: "Mend the client. Where no client of yours does it, `refuse` is safe.",
		Next:   "Mend the client; if none of yours does it, look who tests your servers.",
	},
	verdict.STARTTLSInTransaction: {
		Signature: signatureBase + 21, Rev: 1, Severity: notable,
		Title:   "STARTTLS inside a mail transaction",
		RFC:     []string{"RFC 3207 section 4.2"},
		Rule:    "TLS discards all that went before; inside a mail transaction that is the transaction.",
		Wire:    "STARTTLS after a MAIL that was accepted, before its transaction has ended.",
		Why:     "Server and client may disagree about what becomes of the sender and recipients named in clear text.",
		Who:     "Nobody is known to do it; tests do.",
		Default: "Reports it and lets the server answer. `refuse` answers 503 and keeps the command from the server.",
		Advice:  "Mend the client: EHLO and STARTTLS come before MAIL.",
		Next:    "Mend the client: STARTTLS belongs before MAIL.",
	},
	verdict.TLSRequired: {
		Signature: signatureBase + 22, Rev: 1, Severity: serious,
		Title: "Mail in clear text to a server that must be reached over TLS",
		RFC:   []string{"RFC 3207 section 4"},
		Rule:  "A server may ask for TLS before all else: 530, Must issue a STARTTLS command first.",
		Wire:  "`starttls: require` holds for the server, and the client sends MAIL or AUTH in clear text.",
		Why:   "It is what the rule is there for: not a message, and not a password, in clear text to this server.",
		Who:   "Clients that can't do TLS, or do not want to; clients whose offer was taken away on its way.",
		Default: "Refuses the command with `530 5.7.0`; the server sees a NOOP in its place. 530 is final, and the " +
			"client gives the mail back. In a session with marks of stripping (`offer-masked`, `greeting-masked`, " +
			"a 454 though TLS has worked before) it is ended with `421` instead: the fault is not the client's, " +
			"which keeps the mail and tries again. Where the command's verb has left already, the connection is " +
			"ended. BDAT ends it as well: it brings a message, or where the server does not know it, hides a command.",
		Advice: "Intended: have the client use TLS, or take the server out of the rule. Look for `offer-masked`, " +
			"`offer-vanished` and `ehlo-refused` of the same server: then it is the path that needs mending.",
		Next: "Have the client use TLS, or take the server out of starttls: require.",
	},
	verdict.TLSTooOld: {
		Signature: signatureBase + 23, Rev: 1, Severity: serious,
		Title: "TLS version below the configured floor",
		RFC:   []string{"RFC 8446 section 4.1.3", "RFC 8996 section 4"},
		Rule:  "TLS 1.0 and 1.1 must not be used any more (RFC 8996).",
		Wire: "The ServerHello chooses a version below `tls_minimum`. Without that key, which has no default, this " +
			"is never reported.",
		Why: "Old versions have known weaknesses, and large providers refuse them: the next thing that happens is " +
			"mail that does not arrive.",
		Who:     "Servers that have not been updated: Windows Server 2003 knows nothing above TLS 1.0.",
		Default: "Reports it: old TLS still protects from whoever only listens, and clear text does not.",
		Advice: "Update the server, or have it allow newer versions (Postfix: `smtpd_tls_protocols = >=TLSv1.2`). Set " +
			"`kill` only once the report has stayed empty.",
		Next: "Update the server so that it takes TLS 1.2 or newer.",
	},
	verdict.ImplicitTLS: {
		Signature: signatureBase + 24, Rev: 1, Severity: notable,
		Title: "TLS from the first octet",
		RFC:   []string{"RFC 8314 section 3.3"},
		Rule:  "TLS from the first octet belongs on port 465; on 25 and 587 it begins with STARTTLS.",
		Wire:  "The client's first octets are a ClientHello, before the server has said a word.",
		Why: "It does not work with an ordinary server on these ports: the client waits for a ServerHello, the " +
			"server reads unknown commands. If the server is set up for it, all is well.",
		Who: "Mail programs set to \"SSL/TLS\" in place of \"STARTTLS\"; scanners.",
		Default: "Lets it through and says nothing: no promise was made. The records are followed until both sides " +
			"protect their data. `log` reports it.",
		Advice: "Set the client to STARTTLS, or to port 465. `log` for a while shows which clients these are.",
		Next:   "Set the client to STARTTLS, or to port 465.",
	},
	verdict.XAnonymoustls: {
		Signature: signatureBase + 25, Rev: 1, Severity: notable,
		Title: "TLS begun with a verb of its own",
		RFC:   []string{"RFC 5321 section 4.1.5"},
		Rule:  "Verbs that begin with X are by agreement of both sides.",
		Wire:  "The client sends Exchange's verb `X-ANONYMOUSTLS`.",
		Why: "It begins TLS as STARTTLS does, and so must be followed as that; whoever does not know it sees clear " +
			"text turn into noise.",
		Who: "Exchange from 2007 on, between the servers of one organisation.",
		Default: "Lets it through and says nothing; the answer and the handshake are followed and judged as those of " +
			"STARTTLS. Where the offer of TLS is hidden it is refused with 502.",
		Advice: "Nothing.",
		Next:   "Nothing to do; Exchange servers talk to each other so.",
	},
}
