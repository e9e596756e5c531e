package main

import (
	"bytes"
	"fmt"
	"slices"
)

// truth is what an onlooker with both captures of a session can tell of STARTTLS. It
// is read with other code than keepword's, on purpose.
type truth struct {
	octets  bool // anything was said
	offered bool // by an EHLO reply of the server's in clear text
	seen    bool // the client received the offer
	asked   bool
	code    string // of the server's answer to STARTTLS, "" where there was none
	told    string // of what the client received in its place
	begun   bool   // a ServerHello reached the client
}

// truthOf reads a session.
func truthOf(p passage) truth {
	t := truth{octets: len(p.near.toServer)+len(p.near.toClient)+len(p.far.toClient) > 0}
	ask := commandIndex(p.near.toServer, "STARTTLS")
	t.asked = ask >= 0
	t.offered, t.seen = offers(p.far.toClient), offers(p.near.toClient)
	if t.asked {
		t.code, _ = answer(p.far.toClient, ask)
		var rest []byte
		t.told, rest = answer(p.near.toClient, ask)
		for at := 0; at < len(rest) && !t.begun; at += len(lineAt(rest, at)) {
			t.begun = handshakes.Match(rest[at:])
		}
	}
	return t
}

// offers says whether a stream of replies offers STARTTLS before TLS begins.
func offers(stream []byte) bool {
	for at := 0; at < len(stream) && stream[at] >= ' '; {
		line := lineAt(stream, at)
		if offerLine.Match(line) {
			return true
		}
		at += len(line)
	}
	return false
}

// commandIndex returns the place of a verb among a client's command lines, from 0;
// -1 where it does not come before the mail data or before octets that are no text.
func commandIndex(stream []byte, verb string) int {
	index := 0
	for at := 0; at < len(stream); index++ {
		line := lineAt(stream, at)
		at += len(line)
		word, _, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(" "))
		switch {
		case bytes.EqualFold(word, []byte(verb)):
			return index
		case bytes.EqualFold(word, []byte("DATA")), len(word) == 0 || word[0] < ' ':
			return -1
		}
	}
	return -1
}

// answer returns the code of the reply to the command of that index, and the octets
// behind the reply. Whatever stands in a reply's place counts as one line.
func answer(stream []byte, command int) (code string, rest []byte) {
	replies := -1 // the greeting
	for at := 0; at < len(stream); {
		line := lineAt(stream, at)
		at += len(line)
		if replyLine.Match(line) && line[3] == '-' {
			continue
		}
		if replies++; replies <= command {
			continue
		}
		if replyLine.Match(line) {
			return string(line[:3]), stream[at:]
		}
		return "none", stream[at:]
	}
	return "", nil
}

// outcome is what the flow event must say of a session. killed says that keepword
// reported to have ended it.
func (t truth) outcome(killed bool) string {
	refusal := t.code != "" && (t.code[0] == '4' || t.code[0] == '5')
	switch {
	case t.begun:
		return "upgraded"
	case killed:
		return "killed"
	case t.asked && t.told != t.code:
		return "corrected"
	case t.asked && t.code == "":
		return "unknown"
	case t.asked && refusal:
		return "refused"
	case t.asked:
		return "broken"
	case t.offered:
		return "not-asked"
	}
	return "not-offered"
}

// misjudged compares the findings of a session with those that are due for a server
// of its kind.
func (t truth) misjudged(r row, found []string) (faults []string) {
	var due []string
	for _, f := range r.findings {
		if t.asked || slices.Contains(unasked, f) {
			due = append(due, f)
		}
	}
	if t.asked && !t.seen {
		due = append(due, "starttls-not-offered")
	}
	for _, f := range due {
		if !slices.Contains(found, f) && !slices.Contains(r.missed, f) {
			faults = append(faults, "no finding "+f)
		}
	}
	if t.asked && r.either != nil && !slices.ContainsFunc(found, func(f string) bool { return slices.Contains(r.either, f) }) {
		faults = append(faults, fmt.Sprintf("no finding of %v", r.either))
	}
	for _, f := range found {
		if !slices.Contains(due, f) && !slices.Contains(r.besides, f) {
			faults = append(faults, "a finding that is not due: "+f)
		}
	}
	return faults
}

// unasked are the findings of kinds that need no STARTTLS to show.
var unasked = []string{"offer-masked", "greeting-masked"}
