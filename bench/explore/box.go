package main

import (
	"hash/maphash"
	"strings"
)

// deed is what a box does with something that it understands.
type deed uint8

const (
	pass       deed = iota
	swallow         // the command goes no further, and nothing answers it
	answerOK        // nor does it here; the box says 250 in the server's place
	answer220       // or 220
	answer454       // or 454
	noop            // a NOOP of the same length goes on in its place, and its reply is passed: the PIX
	mask            // a word that nobody knows goes on in its place: the ASA
	alsoOK          // the command goes on, and the box says 250 besides
	also220         // or 220
	refuse          // the box says 502 in the server's place
	deleteLine      // the line of the offer is taken out of the reply to EHLO
	maskWord        // the offer is overwritten
	addLine         // an offer is put in
	inject          // another reply follows the server's
)

// The deeds that a box may choose from, by what it has before it.
var (
	onQuestion = []deed{pass, swallow, answerOK, answer220, answer454, noop, mask, alsoOK, also220}
	onEHLO     = []deed{pass, refuse}
	onOffer    = []deed{pass, deleteLine, maskWord}
	onNoOffer  = []deed{pass, addLine}
	on220      = []deed{pass, inject}
	onOther    = []deed{pass}
)

// box is a middlebox: it takes part in the dialogue in both directions, with a TCP
// connection to each side, until TLS begins.
type box struct {
	inboxes [2]inbox
	reply   reply    // under way, of the server
	waits   []string // lines that have gone on and wait for their replies
	opaque  bool     // what comes is passed unread
	meddled bool     // it has done anything but pass
	mute    bool     // it has swallowed something and not answered
	// fixed, where it is not nil, is all that the box does to a client's line: a control.
	fixed func(line string) deed
}

func (b *box) digest(h *maphash.Hash) {
	writeOctets(h, b.inboxes[west])
	writeOctets(h, b.inboxes[east])
	for _, l := range b.reply.lines {
		writeOctets(h, l.octets)
	}
	writeOctets(h, []byte(strings.Join(b.waits, "\n")))
	writeInts(h, int64(btoi(b.opaque)), int64(btoi(b.meddled)), int64(btoi(b.mute)))
}

func (b *box) take(w *world, from side, s segment) {
	if s.reset {
		w.hangUp(b, from.other())
		return
	}
	in := &b.inboxes[from]
	*in = append(*in, s.octets...)
	for {
		i, ok := in.next()
		switch {
		case !ok:
			return
		case i.record:
			b.opaque = true
			w.say(b, from.other(), string(i.octets))
		case b.opaque:
			w.say(b, from.other(), string(i.octets))
		case from == west:
			b.takeLine(w, string(i.octets))
		case b.reply.add(i):
			r := b.reply
			b.reply = reply{}
			b.takeReply(w, r)
		}
	}
}

// choose returns what the box does.
func (b *box) choose(w *world, deeds []deed) deed {
	d := deeds[w.choose(len(deeds), false)]
	b.meddled = b.meddled || d != pass
	return d
}

// takeLine takes a command.
func (b *box) takeLine(w *world, line string) {
	d := pass
	switch {
	case b.fixed != nil:
		d = b.fixed(line)
	case asksTLS(line):
		d = b.choose(w, onQuestion)
	case verbOf(line) == "EHLO":
		d = b.choose(w, onEHLO)
	}
	switch d {
	case swallow:
		b.mute = true
		return
	case answerOK, answer220, answer454, refuse:
		w.say(b, west, ownWords[d])
		return
	case alsoOK, also220:
		w.say(b, west, ownWords[d])
	case noop:
		line = overwritten(line, "NOOP")
	case mask:
		line = overwritten(line, "XXXX")
	}
	b.waits = append(b.waits, line)
	w.say(b, east, line)
}

// ownWords are what a box says in the server's place.
var ownWords = [...]string{
	answerOK: "250 OK\r\n", alsoOK: "250 OK\r\n", answer220: "220 OK\r\n", also220: "220 OK\r\n",
	answer454: "454 4.7.0 No\r\n", refuse: "502 5.5.1 No\r\n", inject: "250 2.0.0 Ok\r\n",
}

// overwritten returns a word and blanks, as long as the line, with the line's end.
func overwritten(line, word string) string {
	end := len(strings.TrimRight(line, "\r\n"))
	return word + strings.Repeat(" ", end-len(word)) + line[end:]
}

// takeReply takes a whole reply of the server.
func (b *box) takeReply(w *world, r reply) {
	asked := ""
	isNoise := r.code == 0 && (len(b.waits) == 0 || !asksTLS(b.waits[0]))
	if len(b.waits) > 0 && !isNoise {
		asked, b.waits = b.waits[0], b.waits[1:]
	}
	deeds := onOther
	switch verb := verbOf(asked); {
	case b.fixed != nil:
	case verb == "EHLO" && r.offers():
		deeds = onOffer
	case verb == "EHLO" && r.positive():
		deeds = onNoOffer
	case asksTLS(verb) && r.code == 220:
		deeds = on220
		b.opaque = true
	}
	d := b.choose(w, deeds)
	var text strings.Builder
	for n, l := range r.lines {
		line := string(l.octets)
		isLast := n == len(r.lines)-1
		isOffer := n > 0 && strings.Contains(strings.ToUpper(line), "STARTTLS")
		switch {
		case d == deleteLine && isOffer:
			continue
		case d == maskWord && isOffer:
			line = line[:4] + "XXXXXXXA" + line[12:]
		case d == addLine && isLast:
			text.WriteString(line[:3] + "-" + line[4:])
			line = "250 STARTTLS\r\n"
		case d == deleteLine && n == len(r.lines)-2 && strings.HasPrefix(strings.ToUpper(string(r.lines[n+1].octets)), "250 STARTTLS"):
			line = line[:3] + " " + line[4:] // the last line goes, and this one takes its place
		}
		text.WriteString(line)
	}
	if d == inject {
		text.WriteString(ownWords[inject])
	}
	w.say(b, west, text.String())
}
