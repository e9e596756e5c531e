// Package history remembers what each mail server kept and broke of its offer of STARTTLS
// (RFC 3207), and has the circuit breaker that takes away an offer which only ever fails.
//
// It knows no clock, no store and no lock: times are the caller's, a History is for one
// goroutine at a time.
package history

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
)

// Kind is what a session has to tell of its server.
type Kind uint8

const (
	// Offered: an EHLO reply in clear text offers STARTTLS.
	Offered Kind = iota
	// Unoffered: one does not.
	Unoffered
	// Worked: a handshake was completed, and both ends protect their data.
	Worked
	// Undecided: the session that a half-open breaker let try has ended, or has been told
	// something that says nothing about the server.
	Undecided

	// The failures. None of them can a client provoke.

	// RefusedForNow: STARTTLS was answered 454.
	RefusedForNow
	// Refused: it was answered 5yz.
	Refused
	// Forged: it was answered by what can't be an answer to it: the server never saw it.
	Forged
	// Silent: after 220 nothing answered the ClientHello.
	Silent
	// Deaf: after 220 the server answered the ClientHello in clear text.
	Deaf

	kinds
)

var kindNames = [kinds]string{"offered", "unoffered", "worked", "undecided", "refused for now", "refused", "forged", "silent", "deaf"}

// String returns a name for people.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "invalid"
}

// ParseKind returns the kind of that name, and false where there is none.
func ParseKind(name string) (Kind, bool) {
	for i, n := range kindNames {
		if n == name {
			return Kind(i), true
		}
	}
	return 0, false
}

// Fails says that k is a failure.
func (k Kind) Fails() bool { return k >= RefusedForNow && k < kinds }

// Seen is what a session saw.
type Seen struct {
	Kind    Kind
	Time    int64
	Others  uint32 // Offered, Unoffered: a digest of what else the reply offers
	Version uint16 // Worked: the TLS version
	Code    int    // a failure's reply code, 0 where there is none
	Text    []byte // and its text, lent for the call
	AtOnce  bool   // a failure: one is enough for the breaker
	Settled bool   // a failure: what becomes of the server's offer is not the breaker's
}

// Memory is what a new session is told of its server.
type Memory struct {
	// Hide: the breaker is open, the offer is to be hidden.
	Hide bool
	// Trial: the breaker is half open, and this session sees the true offer. What comes of
	// it is to be noted, Undecided at the latest when it ends.
	Trial bool
	// Offered: the server has offered STARTTLS within Lapse.
	Offered bool
	// EHLO: it has accepted EHLO within Lapse.
	EHLO bool
	// Worked: a handshake with it has worked within Lapse.
	Worked bool
	// Failed: TLS between this client and this server failed within FailureLapse.
	Failed bool
}

const (
	second = int64(1e9)
	// Lapse is how long an offer, or a handshake that worked, is held up to a server:
	// 30 days. A server that was changed for good is not complained of for ever.
	Lapse = 30 * 24 * 3600 * second
	// FailureLapse is how long a failed handshake makes a next session in clear text a
	// downgrade: two hours, in which every mail program tries again (RFC 5321 §4.5.4.1
	// asks for 30 minutes and more between tries; Postfix's longest pause is 4,000 s).
	FailureLapse = 2 * 3600 * second
)

// Config is what a History is made of.
type Config struct {
	Servers int // how many are remembered; the one longest unseen goes first
	Breaker Breaker
}

// maxPairs bounds the failures that are kept for FailureLapse.
const maxPairs = 1 << 14

// History is what is remembered of all servers.
type History struct {
	breaker Breaker
	cap     int
	servers map[netip.AddrPort]*entry
	ring    entry // of all entries: next is the one seen last, prev the one longest unseen
	changed map[netip.AddrPort]struct{}
	failed  pairs
}

type entry struct {
	server     netip.AddrPort
	record     Record
	prev, next *entry
}

// New makes an empty History.
func New(c Config) *History {
	h := &History{
		breaker: c.Breaker, cap: max(c.Servers, 1),
		servers: map[netip.AddrPort]*entry{}, changed: map[netip.AddrPort]struct{}{},
	}
	h.ring.prev, h.ring.next = &h.ring, &h.ring
	return h
}

// SetBreaker changes the breaker's limits. States stay.
func (h *History) SetBreaker(b Breaker) { h.breaker = b }

// Len returns how many servers are remembered.
func (h *History) Len() int { return len(h.servers) }

// Lookup returns what is remembered of a server, and whether anything is.
func (h *History) Lookup(server netip.AddrPort) (Record, bool) {
	e := h.servers[server]
	if e == nil {
		return Record{}, false
	}
	return e.record, true
}

// Recall tells a session between client and server, which begins now, what is remembered.
// Where mayHide is set, its offer can be hidden: it may be told to hide or to try. A state
// that the breaker changed to is returned.
func (h *History) Recall(client netip.Addr, server netip.AddrPort, now int64, mayHide bool) (m Memory, c Change) {
	m.Failed = h.failed.within(client, server, now)
	e := h.servers[server]
	if e == nil {
		return m, c
	}
	r := &e.record
	m.Offered = within(r.Offer.Time, now, Lapse)
	m.EHLO = within(r.EHLO(), now, Lapse)
	m.Worked = within(r.Promise.Worked, now, Lapse)
	if mayHide {
		m.Hide, m.Trial, c = h.breaker.ask(&r.Promise, now)
		if c.Changed() {
			h.changed[server] = struct{}{}
		}
	}
	return m, c
}

// within says that a time lies less than lapse before now, or after it: the clock may have
// been set back since. What lies further ahead is of a clock that was wrong, and counts for
// nothing; else it would count until then.
func within(t, now, lapse int64) bool { return t != 0 && now-t < lapse && t-now < lapse }

// Note enters what a session saw of its server, and returns a state that the breaker
// changed to.
func (h *History) Note(server netip.AddrPort, seen Seen) (c Change) {
	if seen.Kind == Undecided {
		if e := h.servers[server]; e != nil {
			e.record.Promise.Tried = 0
			h.changed[server] = struct{}{}
		}
		return c
	}
	e := h.open(server, seen.Time)
	r := &e.record
	r.Last = max(r.Last, seen.Time)
	switch {
	case seen.Kind == Offered:
		r.Offer = Offer{seen.Time, seen.Others}
	case seen.Kind == Unoffered:
		r.Missing = seen.Time
	case seen.Kind == Worked:
		c = h.breaker.worked(&r.Promise, seen)
	case seen.Kind.Fails():
		r.Refusal.Time, r.Refusal.Kind, r.Refusal.Code = seen.Time, seen.Kind, seen.Code
		if text := seen.Text[:min(len(seen.Text), MaxText)]; r.Refusal.Text != string(text) {
			r.Refusal.Text = string(text) // a server refuses in the same words, mostly
		}
		c = h.breaker.failed(&r.Promise, seen)
	}
	h.changed[server] = struct{}{}
	return c
}

// Failed notes that TLS between a client and a server came to nothing.
func (h *History) Failed(client netip.Addr, server netip.AddrPort, now int64) {
	h.failed.add(client, server, now)
}

// open returns the entry of a server, made where there is none, as the one seen last.
func (h *History) open(server netip.AddrPort, now int64) *entry {
	e := h.servers[server]
	if e == nil {
		e = &entry{server: server, record: Record{First: now}}
		h.servers[server] = e
	} else {
		e.unlink()
	}
	e.link(h.ring.next)
	if len(h.servers) > h.cap {
		h.Forget(h.ring.prev.server)
	}
	return e
}

func (e *entry) unlink() { e.prev.next, e.next.prev = e.next, e.prev }

// Forget forgets a server, and says whether there was anything to forget.
func (h *History) Forget(server netip.AddrPort) bool {
	e := h.servers[server]
	if e == nil {
		return false
	}
	e.unlink()
	delete(h.servers, server)
	h.changed[server] = struct{}{}
	if len(h.changed) > 2*h.cap {
		// Nobody takes the changes. What is left out are servers that are forgotten
		// already: who reads a store drops those beyond its bound.
		for s := range h.changed {
			if h.servers[s] == nil {
				delete(h.changed, s)
			}
		}
	}
	return true
}

// Merge enters records of somebody else's, or of a store. Where there are too many servers,
// those longest unseen are left out.
func (h *History) Merge(records iter.Seq2[netip.AddrPort, Record]) {
	var moved []*entry // those that have no place in the ring, or another than before
	for server, r := range records {
		e := h.servers[server]
		switch {
		case e == nil:
			e = &entry{server: server}
			h.servers[server] = e
			moved = append(moved, e)
		case e.next != nil && r.Last > e.record.Last:
			e.unlink()
			e.prev, e.next = nil, nil
			moved = append(moved, e)
		}
		e.record.Merge(&r)
		h.changed[server] = struct{}{}
		if len(h.servers) > 2*h.cap {
			h.arrange(moved)
			moved = moved[:0]
		}
	}
	h.arrange(moved)
}

// arrange puts entries where their times belong in the ring, and forgets those that are too
// many. It goes through the ring once: sorting it as a whole takes ten times as long.
func (h *History) arrange(entries []*entry) {
	newest := func(a, b *entry) int {
		return cmp.Or(cmp.Compare(b.record.Last, a.record.Last), a.server.Compare(b.server))
	}
	slices.SortFunc(entries, newest)
	at := h.ring.next
	for _, e := range entries {
		for at != &h.ring && newest(at, e) < 0 {
			at = at.next
		}
		e.link(at)
	}
	for len(h.servers) > h.cap {
		h.Forget(h.ring.prev.server)
	}
}

// link puts e, which is in no ring, before another entry.
func (e *entry) link(next *entry) {
	e.prev, e.next = next.prev, next
	e.prev.next, next.prev = e, e
}

// Each calls f for every server, in no order, until f returns false. f may change h, and
// servers that come or go meanwhile may be left out, or told twice where they do both.
func (h *History) Each(f func(netip.AddrPort, *Record) bool) {
	for s, e := range h.servers {
		if !f(s, &e.record) {
			return
		}
	}
}

// Changes calls f for every server that was changed and of which it has not been told yet,
// with nil for one that was forgotten, until f returns false.
func (h *History) Changes(f func(netip.AddrPort, *Record) bool) {
	for s := range h.changed {
		delete(h.changed, s)
		var r *Record
		if e := h.servers[s]; e != nil {
			r = &e.record
		}
		if !f(s, r) {
			return
		}
	}
}
