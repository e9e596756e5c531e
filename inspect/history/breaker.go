package history

import "math"

// State is the circuit breaker's for one server.
type State uint8

const (
	// Closed: sessions see the server's offer.
	Closed State = iota
	// Open: it is hidden from new sessions.
	Open
	// HalfOpen: one session sees it, and decides.
	HalfOpen

	states
)

var stateNames = [states]string{"closed", "open", "half-open"}

// String returns the state's name in events.
func (s State) String() string {
	if s < states {
		return stateNames[s]
	}
	return "invalid"
}

// ParseState returns the state of that name, and false where there is none.
func ParseState(name string) (State, bool) {
	for i, n := range stateNames {
		if n == name {
			return State(i), true
		}
	}
	return 0, false
}

// Change is a change of a breaker's state; the zero value is none.
type Change struct {
	From, To State
	Until    int64 // Open: when one session may try
}

// Changed says that it is one.
func (c Change) Changed() bool { return c.From != c.To }

// Breaker are the limits of the circuit breaker.
type Breaker struct {
	// Failures in a row open it; 0: it never opens.
	Failures int
	// Retry is how long it stays open, in nanoseconds, before one session tries. As long
	// it does not open for a server whose handshake has worked: who can forge a few
	// refusals shall not turn TLS off.
	Retry int64
}

const (
	// minForNow is how many refusals for now open a breaker at the least: they are what a
	// sound server says under load (RFC 3207 §4).
	minForNow = 5
	// trialTime is how long a trial may take before another session may try:
	// ten minutes, RFC 5321 §4.5.3.2's longest timeout.
	trialTime = 600 * second
	// maxRow keeps the counters from wrapping.
	maxRow = 1<<16 - 1
)

// ask says what a new session is to do. The breaker may become half open.
func (b *Breaker) ask(p *Promise, now int64) (hide, trial bool, c Change) {
	if b.Failures == 0 || p.State == Closed {
		return false, false, c
	}
	if within(p.Since, now, b.Retry) && p.State == Open || within(p.Tried, now, min(b.Retry, trialTime)) {
		return true, false, c
	}
	p.Tried = now
	return false, true, p.move(HalfOpen, now, 0)
}

// worked closes the breaker.
func (b *Breaker) worked(p *Promise, s Seen) (c Change) {
	c = p.move(Closed, s.Time, 0)
	p.Worked, p.Version, p.Failures, p.Lasting = s.Time, s.Version, 0, 0
	return c
}

// failed counts a failure, and opens the breaker where it is one too many.
func (b *Breaker) failed(p *Promise, s Seen) (c Change) {
	p.Failures += min(1, maxRow-p.Failures)
	if s.Kind != RefusedForNow {
		p.Lasting += min(1, maxRow-p.Lasting)
	}
	if s.Settled || p.State == Open || b.Failures == 0 || within(p.Worked, s.Time, b.Retry) {
		return c
	}
	if p.State == HalfOpen || s.AtOnce || s.Kind == Deaf ||
		int(p.Lasting) >= b.Failures || int(p.Failures) >= max(b.Failures, minForNow) {
		return p.move(Open, s.Time, s.Time+min(b.Retry, math.MaxInt64-s.Time))
	}
	return c
}

func (p *Promise) move(to State, now, until int64) (c Change) {
	c = Change{p.State, to, until}
	if c.Changed() {
		p.State, p.Since = to, now
	}
	return c
}
