package main

import (
	"bytes"
	"fmt"
	"regexp"

	"keepword/bench/lab"
)

// wire is what was said in one session, as seen at one place.
type wire struct {
	toServer, toClient []byte
}

// wireOf is a session in a capture.
func wireOf(c *lab.Conversation) wire { return wire{c.Sent(true), c.Sent(false)} }

// passage is one session on both sides of whatever stands between client and server.
type passage struct {
	near wire // the client's side
	far  wire // the server's side
	// ended says that what stands between has said that it ended the session.
	ended bool
}

// altered says what is not the same on both sides.
func (p passage) altered() (faults []string) {
	if !bytes.Equal(p.near.toServer, p.far.toServer) {
		faults = append(faults, fmt.Sprintf("the client sent %s, and the server received %s", quote(p.near.toServer), quote(p.far.toServer)))
	}
	if !bytes.Equal(p.near.toClient, p.far.toClient) {
		faults = append(faults, fmt.Sprintf("the server sent %s, and the client received %s", quote(p.far.toClient), quote(p.near.toClient)))
	}
	return faults
}

// broken says where the first two truths of docs/architecture.md do not hold: no
// positive word and no keyword but the server's own, at its own place (T1); no
// command swallowed or altered without a refusal that the client was told (T2).
func (p passage) broken() []string {
	return append(p.brokenReplies(), p.brokenCommands()...)
}

// brokenReplies is T1. Whatever the client received is, line by line and at the same
// place, what the server sent, or a refusal of the same length, or an EHLO reply of
// the same length without its offer; and at the end of a session that was ended, a
// 421. What TLS sent is such a line too: nothing of it may differ.
func (p passage) brokenReplies() (faults []string) {
	received, sent := p.near.toClient, p.far.toClient
	for at := 0; at < len(received); {
		line := lineAt(received, at)
		there := lineAt(sent, at)
		switch {
		case bytes.HasPrefix(sent[min(at, len(sent)):], line):
		case negative.Match(line):
			last := at+len(line) == len(received)
			farewell := p.ended && last && bytes.HasPrefix(line, []byte("421 "))
			if !farewell && len(there) != len(line) {
				faults = append(faults, fmt.Sprintf("a refusal of another length: %s for %s", quote(line), quote(there)))
			}
		default:
			if n := hiddenOffer(received[at:], sent[min(at, len(sent)):]); n > 0 {
				at += n
				continue
			}
			faults = append(faults, fmt.Sprintf("the client received %s where its server sent %s", quote(line), quote(there)))
		}
		at += len(line)
	}
	if !p.ended && len(received) != len(sent) {
		faults = append(faults, fmt.Sprintf("the client received %d octets, the server sent %d", len(received), len(sent)))
	}
	return faults
}

// brokenCommands is T2.
func (p passage) brokenCommands() (faults []string) {
	sent, received := p.near.toServer, p.far.toServer
	commands := 0
	for at := 0; at < len(received); {
		line := lineAt(received, at)
		commands++
		if there := lineAt(sent, at); !bytes.HasPrefix(sent[min(at, len(sent)):], line) {
			replies := finalReplies(p.near.toClient)
			switch {
			case len(line) != len(there) || !blanked.Match(line):
				faults = append(faults, fmt.Sprintf("the server received %s where its client sent %s", quote(line), quote(there)))
			// The greeting is the reply before the first command's.
			case commands < len(replies) && !negative.Match(replies[commands]):
				faults = append(faults, fmt.Sprintf("%s was kept from the server, and the client was told %s", quote(there), quote(replies[commands])))
			case commands >= len(replies) && !p.ended:
				faults = append(faults, fmt.Sprintf("%s was kept from the server, and the client was told nothing", quote(there)))
			}
		}
		at += len(line)
	}
	if len(received) > len(sent) || !p.ended && len(received) != len(sent) {
		faults = append(faults, fmt.Sprintf("the server received %d octets, the client sent %d", len(received), len(sent)))
	}
	return faults
}

var (
	negative   = regexp.MustCompile(`^[45]\d\d[- ]`)
	blanked    = regexp.MustCompile(`^NOOP *\r\n$`)
	replyLine  = regexp.MustCompile(`^[2-5]\d\d[- \r\n]`)
	offerLine  = regexp.MustCompile(`(?i)^250[- ]STARTTLS\r?\n$`)
	handshakes = regexp.MustCompile(`(?s)^\x16\x03[\x00-\x04]..\x02`) // RFC 8446 section 5.1: a ServerHello's record
)

// lineAt returns the line that begins at an offset, with its end, or what there is
// of it.
func lineAt(stream []byte, at int) []byte {
	rest := stream[min(at, len(stream)):]
	if n := bytes.IndexByte(rest, '\n'); n >= 0 {
		return rest[:n+1]
	}
	return rest
}

// finalReplies returns the last lines of the replies in clear text that a stream
// begins with.
func finalReplies(stream []byte) (replies [][]byte) {
	for at := 0; at < len(stream); {
		line := lineAt(stream, at)
		if !replyLine.Match(line) {
			break
		}
		if line[3] != '-' {
			replies = append(replies, line)
		}
		at += len(line)
	}
	return replies
}

// hiddenOffer returns the length of the EHLO reply at the head of received, where it
// is the one at the head of sent without its offer: blanks stand behind a line, so
// that the length is the same. It returns 0 for anything else.
func hiddenOffer(received, sent []byte) int {
	got, length := ehloLines(received)
	was, lengthWas := ehloLines(sent)
	if length == 0 || length != lengthWas {
		return 0
	}
	var left [][]byte
	for _, line := range was {
		if !bytes.EqualFold(line, []byte("STARTTLS")) {
			left = append(left, line)
		}
	}
	if len(left) != len(got) || len(left) == len(was) {
		return 0
	}
	for i := range got {
		if !bytes.Equal(got[i], left[i]) {
			return 0
		}
	}
	return length
}

// ehloLines returns the texts of a 250 reply without the blanks at their ends, and
// the reply's length; 0 where there is no whole one. A reply's first line may have
// come before: what follows it is compared alike.
func ehloLines(stream []byte) (lines [][]byte, length int) {
	for {
		line := lineAt(stream, length)
		if !bytes.HasPrefix(line, []byte("250")) || len(line) < len("250 \r\n") {
			return nil, 0
		}
		length += len(line)
		lines = append(lines, bytes.TrimRight(line[4:], " \r\n"))
		if line[3] == ' ' {
			return lines, length
		}
	}
}

// quote shows octets of a session on one line.
func quote(octets []byte) string {
	const most = 120
	if len(octets) > most {
		return fmt.Sprintf("%q and %d octets more", octets[:most], len(octets)-most)
	}
	return fmt.Sprintf("%q", octets)
}
