// Package history remembers what each mail server kept and broke of its offer of STARTTLS
// (RFC 3207), and has the circuit breaker that takes away an offer which only ever fails.
//
// It knows no clock, no store and no lock: times are the caller's, a History is for one
// goroutine at a time.
package history

import (
	"cmp"
	"iter"
	"maps"
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

// within says that a time lies less than lapse before now.
func within(t, now, lapse int64) bool { return t != 0 && now-t < lapse }

// Note enters what a session saw of its server, and returns a state that the breaker
// changed to.
func (h *History) Note(server netip.AddrPort, seen Seen) (c Change) {
	if seen.Kind == Undecided {
		if e := h.servers[server]; e != nil {
			e.record.Promise.Tried = 0
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
		r.Refusal = Refusal{seen.Time, seen.Kind, seen.Code, string(seen.Text[:min(len(seen.Text), MaxText)])}
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
	h.link(e)
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
	for server, r := range records {
		e := h.servers[server]
		if e == nil {
			e = &entry{server: server}
			h.servers[server] = e
		}
		e.record.Merge(&r)
		h.changed[server] = struct{}{}
		if len(h.servers) > 2*h.cap {
			h.arrange()
		}
	}
	h.arrange()
}

// arrange puts all entries in the order of their times, and forgets those that are too many.
func (h *History) arrange() {
	all := slices.SortedFunc(maps.Values(h.servers), func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.record.Last, b.record.Last), a.server.Compare(b.server))
	})
	h.ring.prev, h.ring.next = &h.ring, &h.ring
	for _, e := range all {
		h.link(e)
	}
	for len(h.servers) > h.cap {
		h.Forget(h.ring.prev.server)
	}
}

// link makes e, which is in no ring, the one seen last.
func (h *History) link(e *entry) {
	e.prev, e.next = &h.ring, h.ring.next
	e.prev.next, e.next.prev = e, e
}

// Each calls f for every server, the one seen last first, until f returns false.
func (h *History) Each(f func(netip.AddrPort, *Record) bool) {
	for e := h.ring.next; e != &h.ring && f(e.server, &e.record); e = e.next {
	}
}

// Changes calls f for every server that was changed since the last call, with nil for one
// that was forgotten.
func (h *History) Changes(f func(netip.AddrPort, *Record)) {
	for s := range h.changed {
		if e := h.servers[s]; e != nil {
			f(s, &e.record)
		} else {
			f(s, nil)
		}
	}
	clear(h.changed)
}
