package inspect

import (
	"cmp"

	"keepword/inspect/smtp"
	"keepword/inspect/verdict"
)

// SaidKind is what happened in a session.
type SaidKind uint8

// The kinds of Said.
const (
	SaidCommand      SaidKind = iota // Verb; also the end of mail data
	SaidReply                        // a whole reply: Code
	SaidAuthResponse                 // a line of an AUTH exchange
	SaidClientHello                  // and below: TLS
	SaidServerHello                  // Version
	SaidAlert                        // in clear text
	SaidProtected                    // both ends protect their data
	SaidFinding                      // Finding, Action
)

// Said is one thing that happened in a session.
type Said struct {
	Time     int64 // nanoseconds of the Unix epoch
	Kind     SaidKind
	ToServer bool // who said it: the client
	Verb     smtp.Verb
	Code     int    // 0: no reply that could be read
	Version  uint16 // as on the wire
	Finding  verdict.Finding
	Action   verdict.Action
}

// Bounds of an account.
const (
	// maxSaid is how much of one session is kept: what comes first. A session up to TLS
	// takes 8, one that delivers a message in clear text 12.
	maxSaid = 48
	// maxNoted is how much more there may be of findings and TLS.
	maxNoted = maxSaid + 32
)

// utterance is a Said as it is kept.
type utterance struct {
	id   uint64 // the flow's
	time int64
	prev uint32 // place of the one before of the same flow, counted as next is
	kind SaidKind
	n    uint8 // how many there are before
	arg  uint16
}

// trail keeps what was said of late in all sessions, in one ring: the latest outlive the
// sessions' end, and a million idle sessions take no more than a few.
type trail struct {
	list []utterance // as many as a power of two, or none
	next uint32      // modulo 2^32; its place in list is its remainder. 0 is nobody's.
}

func newTrail(n int) trail {
	if n <= 0 {
		return trail{}
	}
	size := 1
	for size < n && size < 1<<30 {
		size *= 2
	}
	return trail{list: make([]utterance, size), next: 1}
}

func (t *trail) at(place uint32) *utterance { return &t.list[place&uint32(len(t.list)-1)] }

// of returns the utterance at place, if it is still there.
func (t *trail) of(id uint64, place uint32) *utterance {
	if len(t.list) == 0 || place == 0 {
		return nil
	}
	if u := t.at(place); u.id == id {
		return u
	}
	return nil
}

// time is when the packet at hand came, or where a timer acts, the batch.
func (p *Pipeline) time() int64 { return cmp.Or(p.moment, p.now) }

// say keeps what happened in a session.
func (p *Pipeline) say(s *session, kind SaidKind, arg uint16) {
	t := &p.trail
	if len(t.list) == 0 {
		return
	}
	n := uint8(0)
	if last := t.of(s.id, s.trail); last != nil {
		n = last.n + 1
	}
	if n >= maxNoted || n >= maxSaid && kind < SaidClientHello {
		return
	}
	*t.at(t.next) = utterance{id: s.id, time: p.time(), prev: s.trail, kind: kind, n: n, arg: arg}
	s.trail = t.next
	if t.next++; t.next == 0 {
		t.next = 1
	}
}

// account returns what was said in a session, the last at place, as far as it is known. It
// is lent until the next call.
func (p *Pipeline) account(id uint64, place uint32) []Said {
	out := p.told[:]
	at := len(out)
	for u := p.trail.of(id, place); u != nil && at > 0; u = p.trail.of(id, u.prev) {
		at--
		out[at] = u.said()
		if u.n == 0 {
			break
		}
	}
	return out[at:]
}

const toServerBit = 1 << 15

func (u *utterance) said() (s Said) {
	s = Said{Time: u.time, Kind: u.kind}
	switch u.kind {
	case SaidCommand:
		s.ToServer, s.Verb = true, smtp.Verb(u.arg)
	case SaidAuthResponse, SaidClientHello:
		s.ToServer = true
	case SaidReply:
		s.Code = int(u.arg)
	case SaidServerHello:
		s.Version = u.arg
	case SaidAlert:
		s.ToServer = u.arg&toServerBit != 0
	case SaidFinding:
		s.Finding, s.Action = verdict.Finding(u.arg>>8), verdict.Action(u.arg&0xff)
	}
	return s
}
