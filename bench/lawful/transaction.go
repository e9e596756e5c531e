package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
)

// authenticate is an exchange of RFC 4954. Its base64 may spell anything.
func (g *generator) authenticate() {
	spelled := pick(g, "STARTTLS", "QUIT", "DATA", "RSETNOOP", "EHLO", "AAAA"+g.letters(8)) // all of them are base64
	encoded := base64.StdEncoding.EncodeToString(g.random(1 + g.IntN(300)))
	outcome := g.reply(235, "2.7.0", "Authentication succeeded")
	if g.one(4) {
		g.d.has("AUTH that fails")
		outcome = g.reply(535, "5.7.8", "Authentication failed")
	}
	const username, password = "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"
	switch g.IntN(6) {
	case 0:
		g.d.has("AUTH PLAIN")
		g.play(exchange{line("AUTH PLAIN " + encoded), outcome, true})
	case 1:
		g.d.has("AUTH PLAIN", "AUTH that spells a command")
		g.play(exchange{line("AUTH PLAIN"), line("334 "), true}, exchange{line(spelled), outcome, true})
	case 2:
		g.d.has("AUTH LOGIN", "AUTH that spells a command")
		g.play(exchange{line("AUTH LOGIN"), line(username), true}, exchange{line(spelled), line(password), true}, exchange{line(encoded), outcome, true})
	case 3:
		g.d.has("AUTH LOGIN")
		g.play(exchange{line("AUTH LOGIN " + encoded), line(password), true}, exchange{line(encoded), outcome, true})
	case 4:
		g.d.has("AUTH CRAM-MD5")
		g.play(exchange{line("AUTH CRAM-MD5"), line("334 PDEyMzQuNTY3OEBteC5leGFtcGxlPg=="), true}, exchange{line(encoded), outcome, true})
	case 5:
		g.d.has("AUTH that is cancelled")
		g.play(exchange{line("AUTH LOGIN"), line(username), true}, exchange{line("*"), g.reply(501, "5.7.0", "Cancelled"), true})
	}
}

// transact is a mail transaction.
func (g *generator) transact() []exchange {
	b := bodies[g.number%len(bodies)]
	if g.number%rare == 0 {
		b = longLine
	}
	g.number++
	text := g.compose(b)
	binary := g.chunking && (b.binary || g.one(3))
	list := g.envelope(binary)
	if g.one(10) {
		g.d.has("RSET within a transaction")
		list = append(list, exchange{line("RSET"), g.ok(), false})
		list = append(list, g.envelope(binary)...)
	}
	if binary {
		return append(list, g.chunks(text)...)
	}
	return append(list, g.data(text)...)
}

// envelope is MAIL with its RCPTs.
func (g *generator) envelope(binary bool) []exchange {
	from := pick(g, "<alice@example.net>", "<>", "<\"a lice\"@example.net>", "<"+g.letters(60)+"@"+strings.Repeat("sub.", 40)+"example.net>", "<@relay.example:alice@example.net>")
	var parameters string
	if g.extended {
		parameters = pick(g, "", " SIZE=1000", " BODY=8BITMIME", " RET=HDRS ENVID=QQ314159", " AUTH=<>", " SIZE=1000 BODY=8BITMIME")
	}
	if binary && parameters == "" {
		g.d.has("BINARYMIME")
		parameters = " BODY=BINARYMIME"
	}
	if strings.Contains(parameters, "8BITMIME") {
		g.d.has("8BITMIME")
	}
	if g.utf8 && g.one(3) {
		g.d.has("SMTPUTF8")
		from, parameters = "<jürgen@größe.example>", " SMTPUTF8"
	}
	list := []exchange{{line(pick(g, "MAIL FROM:", "mail from:", "Mail From:") + from + parameters), g.ok(), false}}
	recipients := pick(g, 1, 1, 2, 3, 12)
	if g.one(200) {
		g.d.has("hundreds of recipients")
		recipients = 700
	}
	if recipients > 1 {
		g.d.has("several recipients")
	}
	for i := range recipients {
		to := fmt.Sprintf("RCPT TO:<bob%d@example.org>", i)
		if g.extended && g.one(6) {
			to += " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@example.org"
		}
		reply := g.reply(250, "2.1.5", "Ok")
		if i > 0 && g.one(5) {
			g.d.has("a recipient that is refused")
			reply = g.reply(550, "5.1.1", "User unknown")
		}
		list = append(list, exchange{line(to), reply, false})
	}
	return list
}

// data is DATA with its message.
func (g *generator) data(text []byte) []exchange {
	g.d.has("DATA")
	if g.one(20) {
		g.d.has("an empty message for no recipient") // RFC 2920 section 3.1
		return []exchange{{line("DATA"), line("354 Go ahead"), true}, {[]byte(".\r\n"), g.reply(554, "5.5.1", "No valid recipients"), false}}
	}
	if g.one(15) {
		g.d.has("DATA that is refused")
		return []exchange{{line("DATA"), g.reply(554, "5.5.1", "No valid recipients"), true}}
	}
	end := g.reply(250, "2.0.0", "Ok: queued as "+strings.ToUpper(g.letters(10)))
	if g.one(8) {
		g.d.has("a message that is refused")
		end = g.reply(550, "5.7.1", "No such mail here")
	}
	return []exchange{
		{line(pick(g, "DATA", "data")), pick(g, line("354 End data with <CR><LF>.<CR><LF>"), line("354"), lines(354, "Go ahead", "250 is to follow")), true},
		{g.mailData(text), end, g.one(2)},
	}
}

// mailData is a message as DATA carries it: dots doubled at line starts, and the end (RFC
// 5321 section 4.5.2). Lines are those that end in CRLF, and no others.
func (g *generator) mailData(text []byte) []byte {
	if g.one(10) && !bytes.Contains(append([]byte("\r\n"), text...), []byte("\r\n.\r\n")) {
		g.d.has("a program that doubles no dots")
		if len(text) > 0 {
			text = append(text[:len(text):len(text)], "\r\n"...)
		}
		return append(text, ".\r\n"...)
	}
	return stuff(text)
}

// stuff doubles the dots at line starts, and puts the end behind a message.
func stuff(text []byte) []byte {
	out := bytes.ReplaceAll(text, []byte("\r\n."), []byte("\r\n.."))
	if bytes.HasPrefix(text, []byte(".")) {
		out = append([]byte("."), out...)
	}
	if len(out) > 0 && !bytes.HasSuffix(out, []byte("\r\n")) {
		out = append(out, "\r\n"...)
	}
	return append(out, ".\r\n"...)
}

// chunks is a message in BDATs (RFC 3030), cut anywhere.
func (g *generator) chunks(text []byte) (list []exchange) {
	g.d.has("BDAT")
	chunk := func(octets []byte, last bool, reply []byte) {
		command := fmt.Sprintf("%s %d", pick(g, "BDAT", "bdat"), len(octets))
		if last {
			command += pick(g, " LAST", " last")
		}
		list = append(list, exchange{append(line(command), octets...), reply, false})
	}
	if g.one(6) {
		g.d.has("BDAT of 0 octets")
		chunk(nil, false, g.ok())
	}
	size := pick(g, 1, 3, 50, 1000, 1<<20)
	const most = 40 // chunks
	size = max(size, len(text)/most)
	for len(text) > size {
		n := min(size, len(text))
		if cut := g.awkward(text[:n]); cut > 0 {
			n = cut
		}
		if n == 1 {
			g.d.has("BDAT of 1 octet")
		}
		chunk(text[:n], false, g.ok())
		text = text[n:]
	}
	if len(text) > 0 && g.one(2) {
		g.d.has("BDAT LAST of 0 octets")
		chunk(text, false, g.ok())
		text = nil
	}
	chunk(text, true, g.reply(250, "2.6.0", "Message received"))
	if len(list) > 1 {
		g.d.has("several BDATs")
	}
	return list
}

// awkward returns where a chunk may be cut within a CRLF, or behind the dot of what
// looks like an end of mail data; 0 where it has neither.
func (g *generator) awkward(text []byte) int {
	if at := bytes.Index(text, []byte("\r\n.\r\n")); at >= 0 && g.one(2) {
		g.d.has("BDAT cut within CRLF.CRLF")
		return at + 1 + g.IntN(4)
	}
	if at := bytes.LastIndex(text, []byte("\r\n")); at >= 0 && g.one(3) {
		g.d.has("BDAT cut within CRLF")
		return at + 1
	}
	return 0
}
