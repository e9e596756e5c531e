package inspect

import (
	"keepword/inspect/seqnum"
	"keepword/inspect/smtp"
)

// Every edit has the length of what it replaces, and is made in the stream's own
// copy: the packet at hand, those that are held and every retransmission leave equal
// to it. An edit can only reach octets that have not been given away.

// edit overwrites octets from seq on, as far as they are not given away.
func (p *Pipeline) edit(s *session, d int, seq seqnum.Value, b []byte) {
	h := &s.half[d]
	if gone := h.beyond.Sub(seq); gone > 0 {
		n := min(int(gone), len(b))
		b, seq = b[n:], seq.Add(n)
	}
	if len(b) > 0 {
		h.stream.Overwrite(seq, b)
		if p.tap != nil {
			p.tap.Edited(s.ends(), d == toServer, uint32(seq.Sub(h.first)), b)
		}
	}
}

// isOurs says that octets from seq on have not been given away.
func (s *session) isOurs(d int, seq seqnum.Value) bool { return s.half[d].beyond.LessEq(seq) }

// gone returns how many of the n octets from seq on have been given away.
func (s *session) gone(d int, seq seqnum.Value, n int) int {
	return min(max(int(s.half[d].beyond.Sub(seq)), 0), n)
}

// scratch returns n octets to compose an edit in, lent until the next call.
func (p *Pipeline) scratch(n int) []byte {
	if n > len(p.scrap) {
		p.scrap = make([]byte, max(n, smtp.MaxHead))
	}
	return p.scrap[:n]
}

// refusal is a reply of our own wording: its code and texts, the longest first.
type refusal struct {
	code  string
	texts []string
}

// The refusals. A command's Note is its index.
const (
	noRefusal = iota
	notNow    // in place of a false acceptance (RFC 3207 §4)
	tlsFirst
	notHere
	authNeedsTLS
	badParameter
	badSequence
)

var refusals = [...]refusal{
	notNow:       {"454", []string{"4.7.0 TLS not available: STARTTLS did not reach the server", "4.7.0 TLS not available", "TLS not available", "4.7.0 No", "No"}},
	tlsFirst:     {"530", []string{"5.7.0 Must issue a STARTTLS command first", "5.7.0 TLS needed", "TLS first", "No"}},
	notHere:      {"502", []string{"5.5.1 Command not implemented", "5.5.1 No", "No"}},
	authNeedsTLS: {"538", []string{"5.7.11 Encryption required for requested authentication mechanism", "5.7.11 TLS needed", "TLS first", "No"}},
	badParameter: {"501", []string{"5.5.4 Syntax error (no parameters allowed)", "5.5.4 No", "No"}},
	badSequence:  {"503", []string{"5.5.1 Bad sequence of commands", "5.5.1 No", "No"}},
}

// fit fills text with the longest of texts that it holds, and blanks.
func fit(text []byte, texts []string) {
	n := 0
	for _, t := range texts {
		if len(t) <= len(text) {
			n = copy(text, t)
			break
		}
	}
	blank(text[n:])
}

// blankOld takes the content from octets that are kept no more, and says whether they
// had any. Their receiver has acknowledged them and discards them; where somebody
// acknowledged them in its name, it would take what was never read.
func blankOld(b []byte) (changed bool) {
	for i := range b {
		changed = changed || b[i] != 0
		b[i] = 0
	}
	return changed
}

func blank(b []byte) {
	for i := range b {
		b[i] = ' '
	}
}

// rewriteReply makes a line of a reply a line of r, as far as it has arrived. n is its
// length without its end, whole says that its end is there. It says whether the line
// now reads as r.
func (p *Pipeline) rewriteReply(s *session, start seqnum.Value, line []byte, n int, whole bool, r *refusal) bool {
	const digits = 3
	if whole && n < digits {
		return false
	}
	if !s.isOurs(toClient, start) {
		gone := min(int(s.half[toClient].beyond.Sub(start)), digits, len(line))
		if string(line[:gone]) != r.code[:gone] && !s.answer.changed {
			return false
		}
	}
	gone := s.gone(toClient, start, n)
	b := p.scratch(n - gone)
	blank(b) // its length is not known yet
	if gone < digits {
		copy(b, r.code[gone:])
	}
	if gone <= digits && n > digits && line[digits] == '-' {
		b[digits-gone] = '-'
	}
	if gone == 0 && n > digits && whole {
		fit(b[digits+1:], r.texts)
	}
	p.edit(s, toClient, start.Add(gone), b)
	s.answer.changed = !whole
	return true
}

// rewriteCommand keeps a command from the server, as far as it has arrived: it becomes
// a NOOP (RFC 5321 §4.1.1.9), or where a part of it has left, something that no server
// takes. verb is where its verb ends, begun says that the edit has begun before. It says
// whether the server can't act on it.
func (p *Pipeline) rewriteCommand(s *session, start seqnum.Value, n, verb int, begun bool) bool {
	const noop = "NOOP"
	if n < len(noop) || !begun && s.half[toServer].beyond.Sub(start) >= int32(verb) {
		return false
	}
	gone := s.gone(toServer, start, n)
	b := p.scratch(n - gone)
	blank(b)
	if gone == 0 {
		copy(b, noop)
	}
	for i := gone; 0 < i && i < min(verb, n); i++ {
		b[i-gone] = 'X'
	}
	p.edit(s, toServer, start.Add(gone), b)
	return true
}
