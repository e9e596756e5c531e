package catalogue

import "keepword/inspect/verdict"

// TCP and IP: what decides whether the octets that were read are those that arrive.
var tcp = map[verdict.Finding]Entry{
	verdict.OverlapConflict: {
		Signature: signatureBase + 40, Rev: 1, Severity: serious,
		Title: "Retransmission with other octets",
		RFC:   []string{"RFC 9293 section 3.4"},
		Rule:  "Each octet has its place in the stream; sent again, it is the same.",
		Wire: "A retransmission, or a segment that overlaps an earlier one, with other octets than those seen " +
			"first.",
		Why: "Systems differ in which of the two they keep. An attacker shows the firewall one dialogue and the " +
			"server another.",
		Who: "Tools for getting around inspection. Broken TCP stacks, rarely.",
		Default: "Corrects it: the octets seen first are written over the others, so that whatever the receiver keeps " +
			"is what was read. Reported once a session. `kill` ends the connection; to let it be is not offered, " +
			"since nothing that was read would hold any more.",
		Advice: "Take it for an attempt to get around the firewall until it is explained; look at the sender.",
		Next:   "Look at the sender: this is how firewalls are got around.",
	},
	verdict.DataOnSYN: {
		Signature: signatureBase + 41, Rev: 1, Severity: notable,
		Title: "Data on a SYN",
		RFC:   []string{"RFC 9293 section 3.5", "RFC 7413 section 3"},
		Rule:  "Data on a SYN waits until the handshake is complete.",
		Wire:  "A SYN, of either side, with payload.",
		Why:   "Some receivers deliver it and some do not: nobody between knows which.",
		Who:   "TCP Fast Open (RFC 7413), which Exim can use (`hosts_try_fastopen`).",
		Default: "Reports it once a session. In mode enforce that SYN is dropped whatever the action: its sender " +
			"repeats it without data, and loses nothing but a moment.",
		Advice: "Nothing. To save that moment switch Fast Open off for mail.",
		Next:   "Nothing to do; the sender repeats the SYN without data.",
	},
	verdict.UrgentData: {
		Signature: signatureBase + 42, Rev: 1, Severity: notable,
		Title: "Urgent data in the dialogue",
		RFC:   []string{"RFC 9293 section 3.8.5", "RFC 6093 section 3"},
		Rule:  "New programs should not use the urgent pointer; receivers differ in what they read.",
		Wire:  "The URG bit, with or without payload.",
		Why: "Some receivers take the octet at the pointer out of the stream, others leave it in. SMTP has no use " +
			"for it.",
		Who: "Nobody in SMTP. Tools for getting around inspection.",
		Default: "Corrects it: the flag and the pointer are cleared, so that every octet is ordinary data. Reported " +
			"once a session.",
		Advice: "Look at the sender.",
		Next:   "Look at the sender: SMTP has no use for urgent data.",
	},
	verdict.BadChecksum: {
		Signature: signatureBase + 43, Rev: 1, Severity: notable,
		Title: "Packet with a wrong checksum",
		RFC:   []string{"RFC 9293 section 3.1"},
		Rule:  "A segment whose checksum is wrong is discarded.",
		Wire:  "A TCP or IP checksum that is wrong.",
		Why:   "No receiver takes it; a firewall that does reads what never arrives.",
		Who: "Broken hardware. Captures taken on the sending host, where the network card fills in checksums " +
			"later.",
		Default: "Drops the packet in mode enforce, as its receiver would. It is counted (`keepword_findings_total`) " +
			"and makes no event, as it belongs to no session.",
		Advice: "If the counter grows, look for a broken card or link. In replay such captures are told by themselves " +
			"(`--checksums auto`), and their checksums ignored.",
		Next: "If it recurs, look for a broken network card or link.",
	},
	verdict.BadHeader: {
		Signature: signatureBase + 44, Rev: 1, Severity: notable,
		Title: "Packet with a broken header",
		RFC:   []string{"RFC 9293 section 3.1"},
		Rule:  "A segment that can't be read is discarded.",
		Wire: "A header that contradicts itself or its length, a fragment that nobody put together, or control bits " +
			"that no receiver acts on (SYN with FIN or RST, neither ACK nor RST).",
		Why: "No receiver takes it; a firewall that does reads what never arrives.",
		Who: "Port scanners.",
		Default: "Drops the packet in mode enforce, as its receiver would. It is counted (`keepword_findings_total`) " +
			"and makes no event, as it belongs to no session.",
		Advice: "Nothing.",
		Next:   "Nothing to do.",
	},
	verdict.OutOfWindow: {
		Signature: signatureBase + 45, Rev: 1, Severity: notable,
		Title: "Segment outside the window",
		RFC:   []string{"RFC 9293 section 3.4"},
		Rule:  "A receiver takes octets inside its window only.",
		Wire: "Octets farther ahead than may be kept of a direction (half of `limits.flow_memory`), or behind the " +
			"FIN.",
		Why: "Nobody has room for them; with keepword in between, which bounds the window, an honest sender never " +
			"sends them.",
		Who: "Forged segments, and what is left of old connections.",
		Default: "Reports it once a session. In mode enforce the segment is dropped whatever the action; the sender " +
			"repeats what was honest.",
		Advice: "Nothing. If it comes with every large mail, raise `limits.flow_memory`.",
		Next:   "Nothing to do; raise limits.flow_memory if it comes with every large mail.",
	},
	verdict.ResetUnsure: {
		Signature: signatureBase + 46, Rev: 1, Severity: notable,
		Title: "Reset that the receiver may ignore",
		RFC:   []string{"RFC 9293 section 3.5.3", "RFC 5961 section 3"},
		Rule:  "A reset counts only if its sequence number is exactly the next one expected.",
		Wire:  "A RST that is not exactly at the next octet its receiver expects.",
		Why: "Its receiver may ignore it and go on. A firewall that believes it looks away while the session " +
			"continues.",
		Who:     "Attackers who guess sequence numbers; resets that crossed with data.",
		Default: "Reports it once a session and lets it pass; the session is followed on until it is seen to be over.",
		Advice:  "Nothing.",
		Next:    "Nothing to do; the session is followed on.",
	},
	verdict.Gap: {
		Signature: signatureBase + 47, Rev: 1, Severity: serious,
		Title: "Octets that passed unseen",
		RFC:   []string{"RFC 9293 section 3.4"},
		Rule:  "A receiver acknowledges what it has.",
		Wire:  "The receiver acknowledges octets that never came by here.",
		Why: "What was in them nobody has read: commands, the beginning of TLS, the end of mail data. From there " +
			"on keepword would be guessing.",
		Who: "Queues that overflowed while `when.queue_full` is `pass`; routes on which one direction, or a part " +
			"of the packets, takes another way.",
		Default: "Reports it, and lets the session through unread from there. Where commands are kept from the server " +
			"(`starttls: require` or `hide`, or an action `refuse`) it is ended instead, whatever the action: one " +
			"of them could have passed.",
		Advice: "Look at `keepword_queue_dropped_total`: if it grows, raise the number of queues or give keepword " +
			"more processor time. If not, look for asymmetric routes. A site that must not pass unread octets " +
			"sets `when.queue_full: drop` and `gap: kill`.",
		Next: "Look at keepword_queue_dropped_total, and for routes that bypass this host.",
	},
	verdict.Midstream: {
		Signature: signatureBase + 48, Rev: 1, Severity: notable,
		Title: "Connection first seen in its middle",
		RFC:   []string{"RFC 9293 section 3.5"},
		Rule:  "A connection begins with SYNs; without them nobody knows where it stands.",
		Wire:  "A packet with data, of a connection that is not known.",
		Why:   "What was said before is unknown: it may be in mail data or in TLS. It can't be judged.",
		Who: "Every connection that was open when keepword started. Afterwards: asymmetric routes, a table that " +
			"was full.",
		Default: "Reports it where the session is let through; what becomes of it is decided by `when.midstream` " +
			"(`pass`, `drop` or `kill`). Replayed captures are read from there on as far as they can be.",
		Advice: "Expected after a start. If it goes on, look for asymmetric routes, or raise `limits.flows`.",
		Next:   "Expected after a start; if it goes on, look for asymmetric routes.",
	},
	verdict.TooManyHoles: {
		Signature: signatureBase + 49, Rev: 1, Severity: serious,
		Title: "More missing segments than are kept track of",
		RFC:   []string{"RFC 9293 section 3.10.7.4"},
		Rule:  "A receiver may keep what arrives out of order; how much is its own affair.",
		Wire:  "More than 128 runs of octets of one direction wait behind missing ones.",
		Why:   "Each has to be remembered; without a bound one sender could use up the memory of all.",
		Who:   "Attackers. A path that loses most packets.",
		Default: "Ends the connection in mode enforce. With `log` the segment is dropped until holes have been filled, " +
			"which the sender notices as loss. Reported once a session. In mode observe the session is let " +
			"through unread.",
		Advice: "Look at the loss on the path, else at the sender.",
		Next:   "Look at the packet loss on the path, else at the sender.",
	},
	verdict.MemoryLimit: {
		Signature: signatureBase + 50, Rev: 1, Severity: serious,
		Title: "Memory limit reached",
		RFC:   []string{"RFC 9293 section 3.10.7.4"},
		Rule:  "A receiver may keep what arrives out of order; how much is its own affair.",
		Wire: "The memory for all sessions (`limits.memory`) is used up, or 4,096 commands of one session wait for " +
			"replies.",
		Why: "What can't be kept can't be checked: the session can't be followed without a risk to all others.",
		Who: "Attackers. Far more traffic than the limit was made for.",
		Default: "Ends the connection that asks for more. For memory it is `when.memory_full` that decides (`kill` by " +
			"default, else `drop` or `pass`), for commands the action of this id. In mode observe the session is " +
			"let through unread.",
		Advice: "Compare `keepword_memory_bytes` with `keepword_memory_limit_bytes`; raise `limits.memory`, or look " +
			"for who holds it.",
		Next: "Raise limits.memory, or look for the client that holds it.",
	},
}
