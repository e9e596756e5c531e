package history

import (
	"cmp"
	"strings"
)

// Record is what is remembered of one server. Times are nanoseconds of the Unix epoch, 0
// for never. Its parts are ordered, so that two records merge to the greater of each.
type Record struct {
	First, Last int64 // when a session with it was first and last seen
	Offer       Offer
	Missing     int64 // the last EHLO reply without an offer of STARTTLS
	Refusal     Refusal
	Promise     Promise
}

// Offer is the last EHLO reply that offered STARTTLS.
type Offer struct {
	Time int64
	// Others is a digest of what the reply offered beside it.
	Others uint32
}

// Refusal is the last time that STARTTLS came to nothing.
type Refusal struct {
	Time int64
	Kind Kind // one of the failures
	Code int  // the reply's, 0 where there was none
	Text string
}

// Promise is how the server kept its word of late. Of two of them the one whose TLS worked
// later is the greater: it knows better.
type Promise struct {
	Worked  int64  // when a handshake last worked
	Version uint16 // the TLS version that it chose, as on the wire (0x0304 is TLS 1.3)
	Since   int64  // when the breaker came to its state
	State   State
	Tried   int64 // half-open: when the session began that tries, 0: none is under way
	// Failures are those in a row since, Lasting those of them that no server would mean
	// to pass: all but refusals for now.
	Failures, Lasting uint16
}

// MaxText is how much of a refusal's text is kept, in octets.
const MaxText = 128

// EHLO returns when the server last accepted EHLO.
func (r *Record) EHLO() int64 { return max(r.Offer.Time, r.Missing) }

// Merge makes r what the one and the other tell together. In whatever order, and however
// often, records of one server are merged, they come to the same.
func (r *Record) Merge(o *Record) {
	if r.First == 0 || o.First != 0 && o.First < r.First {
		r.First = o.First
	}
	r.Last = max(r.Last, o.Last)
	r.Missing = max(r.Missing, o.Missing)
	if compareOffers(r.Offer, o.Offer) < 0 {
		r.Offer = o.Offer
	}
	if compareRefusals(r.Refusal, o.Refusal) < 0 {
		r.Refusal = o.Refusal
	}
	if comparePromises(r.Promise, o.Promise) < 0 {
		r.Promise = o.Promise
	}
}

func compareOffers(a, b Offer) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Others, b.Others))
}

func compareRefusals(a, b Refusal) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Code, b.Code),
		strings.Compare(a.Text, b.Text))
}

func comparePromises(a, b Promise) int {
	return cmp.Or(cmp.Compare(a.Worked, b.Worked), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Since, b.Since),
		cmp.Compare(a.State, b.State), cmp.Compare(a.Tried, b.Tried),
		cmp.Compare(a.Failures, b.Failures), cmp.Compare(a.Lasting, b.Lasting))
}
