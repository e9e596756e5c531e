package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"keepword/bench/lab"
)

// width is that of the narrowest terminal in use.
const width = 80

// indent stands before what is quoted.
const indent = "    "

// page prints the play.
type page struct {
	out  io.Writer
	bold bool
}

// title begins a part.
func (p *page) title(text string) {
	if p.bold {
		text = "\x1b[1m" + text + "\x1b[0m" // ECMA-48 section 8.3.117, SGR
	}
	fmt.Fprintf(p.out, "%s\n\n", text)
}

// text prints a paragraph.
func (p *page) text(format string, args ...any) {
	p.wrap("", "", fmt.Sprintf(format, args...))
	fmt.Fprintln(p.out)
}

// wrap prints text in lines of at most width, the first behind one prefix, the
// others behind another.
func (p *page) wrap(first, rest, text string) {
	line, prefix, words := first, first, 0
	for _, word := range strings.Fields(text) {
		if words > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			fmt.Fprintln(p.out, line)
			line, prefix, words = rest, rest, 0
		}
		if line != prefix {
			line += " "
		}
		line += word
		words++
	}
	fmt.Fprintln(p.out, strings.TrimRight(line, " "))
}

// verbatim quotes text line by line.
func (p *page) verbatim(text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintln(p.out, strings.TrimRight(indent+line, " \n"))
	}
	fmt.Fprintln(p.out)
}

// log quotes a log, without the time and the host, which say nothing here.
func (p *page) log(text string) {
	for line := range strings.Lines(text) {
		if _, rest, ok := strings.Cut(line, " postfix/"); ok {
			line = "postfix/" + rest
		}
		p.wrap(indent, indent+"  ", line)
	}
	fmt.Fprintln(p.out)
}

// events prints what keepword told, one event a paragraph.
func (p *page) events(events []lab.Event) {
	const quoted = indent + "       "
	for _, e := range events {
		switch e.EventType {
		case "alert":
			p.wrap(indent+"alert  ", quoted, fmt.Sprintf("finding: %s, action: %s", e.Finding(), e.Action()))
			p.wrap(quoted, quoted, e.Reason())
		case "flow":
			p.wrap(indent+"flow   ", quoted, fmt.Sprintf("starttls.outcome: %s, starttls.reply: %s", e.Outcome(), e.Var("starttls.reply")))
			p.wrap(quoted, quoted, strings.Join(e.Metadata.Flowbits, ", "))
		}
	}
	fmt.Fprintln(p.out)
}

// dialogue prints a session as it was on the client's side of the gateway, and marks
// the server's lines that were others on the server's side.
func (p *page) dialogue(near, far *lab.Conversation) {
	original := far.Sent(false)
	inData := false
	for _, turn := range near.Turns {
		octets := turn.Octets
		if turn.FromClient {
			if inData {
				octets = p.messageText(octets)
				inData = false
			}
			p.lines("C: ", octets, nil)
			continue
		}
		n := min(len(octets), len(original))
		p.lines("S: ", octets, original[:n])
		original = original[n:]
		inData = bytes.HasPrefix(lastLine(octets), []byte("354"))
	}
	if near.Resets > 0 {
		fmt.Fprintf(p.out, "%s(the connection is reset)\n", indent)
	}
	fmt.Fprintln(p.out)
}

// messageText prints a message by its size, and returns what the client sent behind.
func (p *page) messageText(octets []byte) []byte {
	const end = "\r\n.\r\n" // RFC 5321 section 4.1.1.4
	text, rest, _ := bytes.Cut(octets, []byte(end))
	fmt.Fprintf(p.out, "%sC: (the message, %d octets)\n", indent, len(text)+len(end))
	return rest
}

// lines prints one side's lines. original is what they were before the gateway, of
// the same length, or nil where nothing can have changed them.
func (p *page) lines(who string, octets, original []byte) {
	skipped := 0
	for len(octets) > 0 {
		line, rest, whole := bytes.Cut(octets, []byte("\r\n"))
		if !whole || !printable(line) {
			fmt.Fprintf(p.out, "%s%s%s\n", indent, who, describe(octets))
			return
		}
		length := len(octets) - len(rest)
		was := original[:min(length, len(original))]
		original = original[len(was):]
		octets = rest
		// Of an EHLO reply the first line, the last and the offer are enough.
		if text := string(line); strings.HasPrefix(text, "250-") && !strings.Contains(text, "server.") && text != "250-STARTTLS" {
			skipped++
			continue
		}
		if skipped > 0 {
			fmt.Fprintf(p.out, "%s%s(%d more lines)\n", indent, who, skipped)
			skipped = 0
		}
		fmt.Fprintf(p.out, "%s%s%s\n", indent, who, clip(string(line), width-len(indent)-len(who)))
		if was = bytes.TrimRight(was, "\r\n"); len(was) > 0 && !bytes.Equal(was, line) {
			fmt.Fprintf(p.out, "%s   ^ came to the gateway as: %s\n", indent, was)
		}
	}
}

func clip(line string, room int) string {
	if len(line) > room {
		return line[:room-3] + "..."
	}
	return line
}

func printable(line []byte) bool {
	return !bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' })
}

// describe names octets that are no line of text.
func describe(octets []byte) string {
	// RFC 8446 section 5.1: a handshake record, of any version from SSL 3 on.
	if len(octets) > 1 && octets[0] == 22 && octets[1] == 3 {
		return fmt.Sprintf("(TLS begins: a ClientHello, %d octets)", len(octets))
	}
	return fmt.Sprintf("(%d octets that are no text)", len(octets))
}

// lastLine returns the last whole line.
func lastLine(octets []byte) []byte {
	octets = bytes.TrimSuffix(octets, []byte("\r\n"))
	return octets[bytes.LastIndexByte(octets, '\n')+1:]
}
