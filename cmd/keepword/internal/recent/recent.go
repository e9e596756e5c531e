// Package recent keeps the sessions that a worker saw last, so that `keepword explain` can
// be asked about one that somebody complains of now: also where nothing was found in it.
package recent

import (
	"slices"
	"sync"
	"time"

	"keepword/inspect"
	"keepword/inspect/starttls"
)

// maxFindings bounds the findings kept of one session: no more fit into an explanation.
const maxFindings = 12

// Session is what is kept of one.
type Session struct {
	// Flow is the session at its end, nil where it has not ended, or carried no octet.
	Flow *inspect.FlowRecord
	// Findings in order of being made, and changes of the circuit breaker, up to a bound.
	Findings []inspect.FindingRecord
}

// Sessions keeps the last sessions, and hands everything on. It is an inspect.Sink for one
// goroutine; Find and Since may be called from any.
//
// Nothing is allocated for a session once every place was used: places are used again, with
// the memory that they have. A place takes about 500 octets and 32 for each thing said, 12
// of them in most sessions and never more than 80: 4,096 places are 4 MiB, and 13 MiB at the
// worst. Findings, which are rare, take 300 octets each and what they quote.
type Sessions struct {
	next inspect.Sink

	// mu is held for the copying of one record. Find, which a person asks for, looks
	// through the ids under it, and copies one session.
	mu    sync.Mutex
	ids   []uint64 // of places; 0: never used
	ring  []place
	at    int            // the place to be used next
	open  map[uint64]int // the places of flows with findings that have not ended
	since int64          // all that has happened since then is here
}

// place keeps a session. Its slices' memory is its own.
type place struct {
	isFlow   bool
	flow     inspect.FlowRecord
	steps    [starttls.Steps]starttls.Step
	said     []inspect.Said
	findings []inspect.FindingRecord
	last     int64 // when something was last told of it
}

// New returns Sessions for the last n, at least one, which hands on to next.
func New(n int, next inspect.Sink) *Sessions {
	n = max(1, n)
	return &Sessions{
		next: next, ids: make([]uint64, n), ring: make([]place, n), open: make(map[uint64]int),
		since: time.Now().UnixNano(),
	}
}

var _ inspect.Sink = (*Sessions)(nil)

// Finding keeps r with its session, and hands it on.
func (s *Sessions) Finding(r *inspect.FindingRecord) {
	s.mu.Lock()
	i, known := s.open[r.Flow.ID]
	if !known {
		i = s.take(r.Flow.ID)
		s.open[r.Flow.ID] = i
	}
	s.ring[i].add(r)
	s.mu.Unlock()
	s.next.Finding(r)
}

// FlowEnd keeps r, and hands it on.
func (s *Sessions) FlowEnd(r *inspect.FlowRecord) {
	s.mu.Lock()
	i, known := s.open[r.Flow.ID]
	if known {
		delete(s.open, r.Flow.ID)
	} else {
		i = s.take(r.Flow.ID)
	}
	s.ring[i].end(r)
	s.mu.Unlock()
	s.next.FlowEnd(r)
}

// take makes room for a flow in the oldest place.
func (s *Sessions) take(id uint64) int {
	i := s.at
	if s.at++; s.at == len(s.ring) {
		s.at = 0
	}
	if old := s.ids[i]; old != 0 {
		delete(s.open, old)
		s.since = max(s.since, s.ring[i].last)
	}
	s.ids[i] = id
	p := &s.ring[i]
	p.isFlow = false
	clear(p.findings)
	p.findings = p.findings[:0]
	return i
}

// add keeps a finding. What was said is kept once a session, as of the last of them.
func (p *place) add(r *inspect.FindingRecord) {
	p.last = r.Time
	p.said = append(p.said[:0], r.Said...)
	if len(p.findings) < maxFindings {
		p.findings = append(p.findings, *r)
		p.findings[len(p.findings)-1].Said = nil
	}
}

// end keeps the session's end.
func (p *place) end(r *inspect.FlowRecord) {
	rcpts := append(p.flow.RcptTo[:0], r.RcptTo...)
	p.flow, p.isFlow, p.last = *r, true, r.End
	p.flow.RcptTo = rcpts
	p.flow.Steps = p.steps[:copy(p.steps[:], r.Steps)]
	p.said = append(p.said[:0], r.Said...)
	p.flow.Said = nil
}

// session copies what p keeps.
func (p *place) session() Session {
	s := Session{Findings: slices.Clone(p.findings)}
	said := slices.Clone(p.said)
	if n := len(s.Findings); n > 0 {
		s.Findings[n-1].Said = said
	}
	if p.isFlow {
		flow := p.flow
		flow.Steps, flow.RcptTo, flow.Said = slices.Clone(p.flow.Steps), slices.Clone(p.flow.RcptTo), said
		s.Flow = &flow
	}
	return s
}

// Find returns the session whose flow is wanted, by its inspect.Endpoints.ID, and false
// where it is not kept.
func (s *Sessions) Find(wanted func(id uint64) bool) (Session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, id := range s.ids {
		if id != 0 && wanted(id) {
			return s.ring[i].session(), true
		}
	}
	return Session{}, false
}

// Each calls f for each session, the oldest first, until it returns false. Meanwhile nothing
// new is taken.
func (s *Sessions) Each(f func(id uint64, session Session) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.ring {
		i := (s.at + n) % len(s.ring)
		if s.ids[i] != 0 && !f(s.ids[i], s.ring[i].session()) {
			return
		}
	}
}

// Since returns from when on, in nanoseconds of the Unix epoch, everything is kept.
func (s *Sessions) Since() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since
}
