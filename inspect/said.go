package inspect

import "keepword/inspect/smtp"

// heard is what is known of the commands that are kept for the flow's record.
type heard struct {
	helo, mail, second bool // EHLO or HELO; the first MAIL, and another
	rcpts              uint8
}

// words are what the two ends said of themselves and of the first mail transaction, as it
// goes into the flow's record: a piece of a chain of words, each behind an octet for its
// kind and one for its length.
type words struct {
	next   *words
	used   uint8
	octets [pieceOctets]byte
}

// Bounds of what is kept of a session. What does not fit is left out.
const (
	// pieceOctets make a piece 48 octets long, a size in which Go allocates without loss.
	pieceOctets = 39
	// maxPieces have room for the 11 words of a session, of 40 octets each: the client's
	// name, the sender, maxRcpts recipients and the server's name in TLS.
	maxPieces = 12
	// maxWord is what a word's octet for its length can say. A domain has as many at the
	// most (RFC 5321 section 4.5.3.1.2).
	maxWord = 255
	// maxRcpts are enough to tell whose mail it was: most has one recipient, and a list's
	// hundred would be most of the record.
	maxRcpts = 8
)

// The kinds of words.
const (
	saidHELO = iota
	saidFrom
	saidRcpt
	saidSNI
)

// noteCommand keeps what a command says.
func (p *Pipeline) noteCommand(s *session, ev *smtp.ClientEvent) {
	h := &s.heard
	switch ev.Verb {
	case smtp.VerbEHLO, smtp.VerbHELO:
		if !h.helo {
			h.helo = true
			p.note(s, saidHELO, smtp.Domain(ev.Line))
		}
	case smtp.VerbMAIL:
		if h.mail {
			h.second = true
			return
		}
		h.mail = true
		p.note(s, saidFrom, smtp.Path(ev.Line))
	case smtp.VerbRCPT:
		if !h.second && h.rcpts < maxRcpts {
			h.rcpts++
			p.note(s, saidRcpt, smtp.Path(ev.Line))
		}
	}
}

// note keeps a word.
func (p *Pipeline) note(s *session, kind byte, word []byte) {
	word = word[:min(len(word), maxWord)]
	free := maxPieces * len(words{}.octets)
	for w := s.words; w != nil; w = w.next {
		free -= int(w.used)
	}
	if 2+len(word) > free {
		return
	}
	p.append(s, []byte{kind, byte(len(word))})
	p.append(s, word)
}

func (p *Pipeline) append(s *session, b []byte) {
	for at := &s.words; len(b) > 0; at = &(*at).next {
		if *at == nil {
			*at = p.words.get()
		}
		w := *at
		n := copy(w.octets[w.used:], b)
		w.used += uint8(n)
		b = b[n:]
	}
}

// forget gives the words back.
func (p *Pipeline) forget(s *session) {
	for s.words != nil {
		next := s.words.next
		p.words.put(&s.words)
		s.words = next
	}
}

// tell fills in what r says of the session.
func (w *words) tell(r *FlowRecord) {
	var all [maxPieces * len(words{}.octets)]byte
	b := all[:0]
	for ; w != nil; w = w.next {
		b = append(b, w.octets[:w.used]...)
	}
	for len(b) > 0 {
		kind, end := b[0], 2+int(b[1])
		word := string(b[2:end])
		b = b[end:]
		switch kind {
		case saidHELO:
			r.HELO = word
		case saidFrom:
			r.MailFrom = word
		case saidRcpt:
			r.RcptTo = append(r.RcptTo, word)
		case saidSNI:
			r.SNI = word
		}
	}
}
