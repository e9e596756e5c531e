package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
)

// body is what a message may hold.
type body struct {
	name string
	// text has lines that end in LF; how they end on the wire follows. Where it is "",
	// make makes octets that go as they are.
	text string
	make func(*generator) []byte
	// spells says that a line which is an SMTP command stands behind a line of one dot.
	// Its lines end in CRLF then, as the standard has it: with other line ends it is
	// what an attack is, octet by octet (see boundary).
	spells bool
	// mails says that a line begins a transaction. With other line ends than CRLF it goes
	// alone, for there may be lines of one dot in others.
	mails bool
	// binary octets go by BDAT where it is offered.
	binary bool
}

// lineEnds are those of programs that do it right, and of some that don't.
var lineEnds = []struct{ name, end string }{
	{"lines that end in CRLF", "\r\n"},
	{"lines that end in a bare LF", "\n"},
	{"lines that end in a bare CR", "\r"},
	{"lines that end in CRCRLF", "\r\r\n"},
}

// compose makes a message of a body.
func (g *generator) compose(b body) []byte {
	g.d.has(b.name)
	if b.make != nil {
		if g.one(6) {
			g.d.has("a message without a header")
			return b.make(g)
		}
		return append(g.header("\r\n"), b.make(g)...)
	}
	text := b.text
	for !b.spells && !b.mails && g.one(4) { // beside others
		if other := bodies[g.IntN(len(bodies))]; other.make == nil && !other.spells && !other.mails {
			g.d.has(other.name)
			text += other.text
		}
	}
	end := lineEnds[0]
	switch {
	case b.spells:
	case g.one(8):
		g.d.has("lines that end in CRLF and others that do not")
		return append(g.header("\r\n"), g.mix(text)...)
	case g.one(2):
		end = pick(g, lineEnds...)
	}
	g.d.has(end.name)
	text = strings.ReplaceAll(text, "\n", end.end)
	if g.one(6) {
		g.d.has("a message without a header")
		return []byte(text)
	}
	return append(g.header(pick(g, "\r\n", end.end)), text...)
}

// mix ends each line as one program or another does.
func (g *generator) mix(text string) []byte {
	var out []byte
	for l := range strings.Lines(text) {
		out = append(append(out, strings.TrimSuffix(l, "\n")...), pick(g, lineEnds...).end...)
	}
	return out
}

// header is that of a message.
func (g *generator) header(end string) []byte {
	fields := []string{
		"From: Alice <alice@example.net>", "To: bob@example.org", "Subject: " + pick(g, "Hello", "Re: STARTTLS", "QUIT", "=?utf-8?q?Gr=C3=BC=C3=9Fe?=", ". a dot"),
		"Date: Mon, 2 Jun 2025 10:11:12 +0200", "Message-ID: <" + g.letters(12) + "@client.example>", "MIME-Version: 1.0",
	}
	if g.one(3) {
		fields = append([]string{"Received: from client.example (client.example [192.0.2.1])\n\tby mx.example (Postfix) with ESMTPS id 5BE3A41F2C\n\tfor <bob@example.org>; Mon, 2 Jun 2025 10:11:12 +0200 (CEST)"}, fields...)
	}
	if g.one(4) {
		g.d.has("a DKIM signature")
		signature := base64.StdEncoding.EncodeToString(g.random(256))
		fields = append([]string{"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d=example.net; s=mail;\n\th=from:to:subject:date; bh=" + signature[:44] + ";\n\tb=" + signature[44:108] + "\n\t " + signature[108:172] + "\n\t " + signature[172:]}, fields...)
	}
	g.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	return []byte(strings.ReplaceAll(strings.Join(fields, "\n")+"\n\n", "\n", end))
}

// made are the bodies that are not text with line ends of one kind.
var made = []body{
	{name: "an empty message", make: func(*generator) []byte { return nil }},
	{name: "lines of 998 octets", make: func(g *generator) []byte { // RFC 5322 section 2.1.1
		return []byte(g.letters(998) + "\r\n." + g.letters(997) + "\r\n" + g.letters(998) + "\r\n")
	}},
	{name: "a line of 5,000 octets", make: func(g *generator) []byte { return []byte("short\r\n" + g.letters(5000) + "\r\n.\n" + "and more\r\n") }},
	{name: "octets of any value", binary: true, make: func(g *generator) []byte { return g.random(600) }},
	{name: "NULs in a body", make: func(g *generator) []byte {
		return bytes.Join([][]byte{[]byte("a\x00b\r\n\x00.\x00\r\n"), []byte("QUI\x00x\r\n.\x00\n"), []byte("no command")}, []byte("\x00"))
	}},
	{name: "UTF-16", binary: true, make: func(*generator) []byte {
		var out []byte
		for _, c := range "A line\n.\nanother one\r\n.\r\nQuite another\r\n" {
			out = append(out, byte(c), 0)
		}
		return out
	}},
	{name: "Latin-1", make: func(*generator) []byte { return []byte("Gr\xfc\xdfe aus K\xf6ln\r\n\xff\xfe\r\n") }},
	{name: "base64", make: func(g *generator) []byte {
		return wrap(base64.StdEncoding.EncodeToString(g.random(1500)), 76, "\r\n")
	}},
	{name: "base64 that spells commands", make: func(*generator) []byte {
		return []byte("STARTTLS\r\nQUIT\r\nDATA\r\nRSET\r\nNOOP\r\nHELO\r\n")
	}},
	{name: "base64 in lines that end in LF", make: func(g *generator) []byte {
		return wrap(base64.StdEncoding.EncodeToString(g.random(900)), 76, "\n")
	}},
	{name: "nothing but line ends", make: func(g *generator) []byte {
		return bytes.Repeat([]byte(pick(g, "\r\n", "\n", "\r", "\r\r\n", "\n\r")), 100)
	}},
	{name: "nothing but dots", make: func(g *generator) []byte {
		return bytes.Repeat([]byte(pick(g, ".\r\n", "..\r\n", ". \r\n", ".\n", ".\r", ".\n\r", ".\r\r\n")), 60)
	}},
	{name: "yEnc", make: func(g *generator) []byte {
		out := []byte("=ybegin line=128 size=600 name=a.bin\r\n")
		for range 5 {
			l := g.random(128)
			for i, c := range l {
				if c == 0 || c == '\r' || c == '\n' || c == '=' {
					l[i] = '.'
				}
			}
			out = append(append(out, l...), "\r\n"...)
		}
		return append(out, "=yend size=600\r\n"...)
	}},
	{name: "a dot between line ends of every kind, and text behind it", make: func(g *generator) []byte {
		ends := []string{"\n", "\r", "\r\n", "\r\r\n", "\n\r", "\x00\n", "\r\x00\n", "\n\x00"}
		var out []byte
		for i, before := range ends {
			for j, behind := range ends {
				if before == "\r\n" && behind == "\r\n" {
					continue // that is the end
				}
				out = fmt.Appendf(out, "text %d%s.%stext %d", i, before, behind, j)
			}
		}
		return out
	}},
}

// wrap cuts text into lines.
func wrap(text string, width int, end string) (out []byte) {
	for len(text) > 0 {
		n := min(width, len(text))
		out = append(append(out, text[:n]...), end...)
		text = text[n:]
	}
	return out
}

// longLine is many packets, so that only one message of rare holds it.
var longLine = body{name: "a line of 100,000 octets", make: func(*generator) []byte {
	return []byte(strings.Repeat("x", 100_000) + "\r\nend\r\n")
}}

const rare = 400
