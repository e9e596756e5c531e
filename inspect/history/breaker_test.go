package history

import (
	"math"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

var (
	aClient = netip.MustParseAddr("192.0.2.1")
	aServer = netip.MustParseAddrPort("198.51.100.25:25")
)

const (
	hour    = 3600 * second
	start   = 1000 * hour // a time; 0 would mean never
	limits2 = 2           // failures that open the breaker in these tests
)

func aHistory() *History {
	return New(Config{Servers: 10, Breaker: Breaker{Failures: limits2, Retry: 24 * hour}})
}

// in returns a History whose breaker for aServer is in a state since start.
func in(t *testing.T, s State) *History {
	h := aHistory()
	if s == Closed {
		h.Note(aServer, Seen{Kind: Offered, Time: start})
		return h
	}
	since := int64(start)
	if s == HalfOpen {
		since -= 24 * hour
	}
	h.Note(aServer, Seen{Kind: Refused, Time: since - second})
	h.Note(aServer, Seen{Kind: Refused, Time: since})
	if s == HalfOpen {
		if m, _ := h.Recall(aClient, aServer, start, true); !m.Trial {
			t.Fatal("no trial after retry")
		}
	}
	if got := state(h); got != s {
		t.Fatalf("state %v, want %v", got, s)
	}
	return h
}

func state(h *History) State {
	r, _ := h.Lookup(aServer)
	return r.Promise.State
}

// What each state becomes with each event, an hour after it was reached.
func TestEachEventMovesEachStateAsDrawn(t *testing.T) {
	type event struct {
		name string
		seen Seen
	}
	events := []event{
		{"offered", Seen{Kind: Offered}},
		{"unoffered", Seen{Kind: Unoffered}},
		{"worked", Seen{Kind: Worked, Version: 0x0304}},
		{"undecided", Seen{Kind: Undecided}},
		{"refused for now", Seen{Kind: RefusedForNow, Code: 454}},
		{"refused", Seen{Kind: Refused, Code: 554}},
		{"refused, at once", Seen{Kind: Refused, Code: 554, AtOnce: true}},
		{"forged", Seen{Kind: Forged, Code: 250}},
		{"silent", Seen{Kind: Silent}},
		{"deaf", Seen{Kind: Deaf}},
	}
	want := map[State][]State{
		Closed:   {Closed, Closed, Closed, Closed, Closed, Closed, Open, Closed, Closed, Open},
		Open:     {Open, Open, Closed, Open, Open, Open, Open, Open, Open, Open},
		HalfOpen: {HalfOpen, HalfOpen, Closed, HalfOpen, Open, Open, Open, Open, Open, Open},
	}
	for from, row := range want {
		for i, e := range events {
			h := in(t, from)
			e.seen.Time = start + hour
			c := h.Note(aServer, e.seen)
			if got := state(h); got != row[i] {
				t.Errorf("%v, %s: %v, want %v", from, e.name, got, row[i])
			}
			if c.Changed() && c.To == Open && c.Until != start+25*hour {
				t.Errorf("%v, %s: open until %d", from, e.name, c.Until)
			}
			if c.Changed() != (row[i] != from) || c.Changed() && (c.From != from || c.To != row[i]) {
				t.Errorf("%v, %s: the change told is %v", from, e.name, c)
			}
		}
	}
}

// What a new session is told in each state.
func TestASessionIsToldWhatTheStateMeans(t *testing.T) {
	for _, c := range []struct {
		state       State
		after       int64
		mayHide     bool
		hide, trial bool
		then        State
	}{
		{Closed, 1000 * hour, true, false, false, Closed},
		{Open, hour, true, true, false, Open},
		{Open, hour, false, false, false, Open},
		{Open, 24*hour - 1, true, true, false, Open},
		{Open, 24 * hour, false, false, false, Open},
		{Open, 24 * hour, true, false, true, HalfOpen},
		{HalfOpen, second, true, true, false, HalfOpen},
		{HalfOpen, second, false, false, false, HalfOpen},
		{HalfOpen, trialTime - 1, true, true, false, HalfOpen},
		{HalfOpen, trialTime, true, false, true, HalfOpen}, // the first trial has timed out
	} {
		h := in(t, c.state)
		m, change := h.Recall(aClient, aServer, start+c.after, c.mayHide)
		if m.Hide != c.hide || m.Trial != c.trial || state(h) != c.then || change.Changed() != (c.then != c.state) {
			t.Errorf("%+v: told %+v, %v, then %v", c, m, change, state(h))
		}
	}
}

func TestATrialThatTellsNothingFreesThePlaceForTheNext(t *testing.T) {
	h := in(t, HalfOpen)
	if m, _ := h.Recall(aClient, aServer, start+second, true); m.Trial || !m.Hide {
		t.Fatal("two trials at once")
	}
	takeChanges(h)
	h.Note(aServer, Seen{Kind: Undecided, Time: start + 2*second})
	if len(takeChanges(h)) != 1 {
		t.Error("the store is not told that the trial has ended")
	}
	if m, _ := h.Recall(aClient, aServer, start+3*second, true); !m.Trial {
		t.Error("no trial after the first ended undecided")
	}
}

func TestRefusalsForNowOpenTheBreakerLater(t *testing.T) {
	h := aHistory()
	for i := range int64(minForNow) {
		if state(h) != Closed {
			t.Fatalf("open after %d refusals for now", i)
		}
		h.Note(aServer, Seen{Kind: RefusedForNow, Time: start + i, Code: 454})
	}
	if state(h) != Open {
		t.Errorf("closed after %d refusals for now", minForNow)
	}
}

func TestABreakerWithoutALimitNeverOpensAndNoLongerHides(t *testing.T) {
	h := in(t, Open)
	h.SetBreaker(Breaker{Failures: 0, Retry: 24 * hour})
	if m, _ := h.Recall(aClient, aServer, start+second, true); m.Hide || m.Trial {
		t.Error("an offer is hidden though the breaker is off")
	}
	h = aHistory()
	h.SetBreaker(Breaker{Failures: 0, Retry: 24 * hour})
	for i := range int64(100) {
		if c := h.Note(aServer, Seen{Kind: Deaf, Time: start + i, AtOnce: true}); c.Changed() {
			t.Fatal("it opens")
		}
	}
}

// model is the breaker as its description has it: it keeps all that happened since TLS
// last worked, and reckons from that.
type model struct {
	limit         int
	retry         int64
	state         State
	since, worked int64
	trial         int64 // when the trial under way began, 0: none
	row           []Seen
}

func (m *model) note(s Seen) {
	switch {
	case s.Kind == Worked:
		m.row, m.worked = nil, s.Time
		m.move(Closed, s.Time)
	case s.Kind == Undecided:
		m.trial = 0
	case s.Kind.Fails():
		m.row = append(m.row, s)
		lasting := 0
		for _, f := range m.row {
			if f.Kind != RefusedForNow {
				lasting++
			}
		}
		enough := m.state == HalfOpen || s.AtOnce || s.Kind == Deaf || lasting >= m.limit || len(m.row) >= max(5, m.limit)
		safe := m.worked != 0 && s.Time < m.worked+m.retry
		if m.limit > 0 && enough && !safe && !s.Settled && m.state != Open {
			m.move(Open, s.Time)
		}
	}
}

func (m *model) ask(now int64) (hide, trial bool) {
	if m.limit == 0 || m.state == Closed {
		return false, false
	}
	free := m.trial == 0 || now >= m.trial+min(m.retry, 600*second)
	if m.state == Open && now < m.since+m.retry || !free {
		return true, false
	}
	m.trial = now
	m.move(HalfOpen, now)
	return false, true
}

func (m *model) move(to State, now int64) {
	if m.state != to {
		m.state, m.since = to, now
	}
}

func TestTheBreakerDoesWhatItsDescriptionSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(0, 7).Draw(t, "failures")
		retry := rapid.Int64Range(1, 48*hour).Draw(t, "retry")
		m := &model{limit: limit, retry: retry}
		h := New(Config{Servers: 3, Breaker: Breaker{Failures: limit, Retry: retry}})
		now := int64(start)
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			now += rapid.OneOf(rapid.Int64Range(0, 700*second), rapid.Int64Range(0, 2*retry)).Draw(t, "pause")
			before := m.state
			var c Change
			if rapid.Bool().Draw(t, "ask") {
				got, change := h.Recall(aClient, aServer, now, true)
				c = change
				if hide, trial := m.ask(now); got.Hide != hide || got.Trial != trial {
					t.Fatalf("%v since %d: told hide %v, trial %v, want %v, %v", before, m.since, got.Hide, got.Trial, hide, trial)
				}
			} else {
				s := Seen{Kind: Kind(rapid.IntRange(0, int(kinds)-1).Draw(t, "kind")), Time: now,
					AtOnce: rapid.IntRange(0, 9).Draw(t, "at once") == 0, Settled: rapid.IntRange(0, 9).Draw(t, "settled") == 0}
				c = h.Note(aServer, s)
				m.note(s)
				if c.To == Open && c.Changed() && m.worked != 0 && now-m.worked < retry {
					t.Fatal("opens for a server whose handshake worked within retry")
				}
			}
			if r, _ := h.Lookup(aServer); r.Promise.State != m.state || int(r.Promise.Failures) != len(m.row) {
				t.Fatalf("%v with %d failures, want %v with %d", r.Promise.State, r.Promise.Failures, m.state, len(m.row))
			}
			if c.Changed() != (m.state != before) {
				t.Fatalf("the change told is %v, from %v to %v", c, before, m.state)
			}
		}
	})
}

// takeChanges empties the list of changes.
func takeChanges(h *History) map[netip.AddrPort]bool {
	changes := map[netip.AddrPort]bool{}
	h.Changes(func(s netip.AddrPort, r *Record) bool {
		changes[s] = r != nil
		return true
	})
	return changes
}

func TestAClockThatWasFarAheadTurnsNothingOffForLong(t *testing.T) {
	const year = 365 * 24 * hour
	for _, s := range []State{Open, HalfOpen} {
		h := in(t, s) // while the clock was a year ahead
		now := int64(start - year)
		if m, c := h.Recall(aClient, aServer, now, true); !m.Trial || m.Hide || m.Offered {
			t.Errorf("%v since a year that is to come: %+v", s, m)
		} else if s == Open && c.To != HalfOpen {
			t.Errorf("the change told is %v", c)
		}
	}
	h := in(t, Closed)
	h.Note(aServer, Seen{Kind: Worked, Time: start + year})
	h.Note(aServer, Seen{Kind: Worked, Time: start})
	for range 9 {
		if c := h.Note(aServer, Seen{Kind: Refused, Time: start + second}); c.Changed() {
			t.Fatalf("TLS worked a second ago, and the breaker is %v", c.To)
		}
	}
	// Steps back that are no more than a clock's being set right change nothing.
	h = in(t, Open)
	if m, _ := h.Recall(aClient, aServer, start-hour, true); !m.Hide {
		t.Errorf("the clock went back by an hour: %+v", m)
	}
}

func TestARetryOfAnyLengthHasAnEnd(t *testing.T) {
	h := New(Config{Servers: 10, Breaker: Breaker{Failures: 1, Retry: math.MaxInt64}})
	c := h.Note(aServer, Seen{Kind: Refused, Time: start})
	if c.To != Open || c.Until != math.MaxInt64 {
		t.Errorf("the change told is %+v", c)
	}
	if m, _ := h.Recall(aClient, aServer, start+1e6*hour, true); !m.Hide {
		t.Errorf("told %+v", m)
	}
}
