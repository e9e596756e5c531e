// Package reassembly turns the segments of one direction of a TCP connection (RFC
// 9293 §3.4, 3.10.7.4) into ordered octets and gaps, under one overlap policy: the
// octets that were seen first win.
//
// A Stream keeps, in one ring, the octets that a retransmission may still
// contradict: those that the receiver has not acknowledged, and those that arrived
// ahead of a hole. The ring is the truth: whatever leaves for the receiver is made
// equal to it, so that an edit of a segment is also the edit of its retransmission.
package reassembly

import (
	"bytes"
	"slices"

	"keepword/inspect/seqnum"
)

// MaxHoles bounds the runs of octets that wait behind holes. A sender of segments of 536
// octets, the least that RFC 9293 §3.7.1 knows, can't make as many within the 128 KiB that
// a direction keeps by default.
const MaxHoles = 128

// Result is what became of a segment.
type Result struct {
	Outcome Outcome
	// Changed: octets of the segment were overwritten with those seen first.
	Changed bool
	// Conflict: and they differed by more than our own edits.
	Conflict bool
}

// Outcome is where a segment's octets went.
type Outcome uint8

const (
	// Nothing: all its octets were known.
	Nothing Outcome = iota
	// Advanced: Next moved.
	Advanced
	// Ahead: it waits behind a hole.
	Ahead
	// TooFar: it reaches beyond what may be kept. Nothing of it was taken.
	TooFar
	// NoMemory: the pool is used up. Nothing of it was taken.
	NoMemory
	// TooManyHoles: it would make more runs than MaxHoles. It was not taken.
	TooManyHoles
)

// span is the octets from first up to, not including, end.
type span struct{ first, end seqnum.Value }

// Stream is one direction. Init makes it ready.
type Stream struct {
	base seqnum.Value // the oldest octet kept
	next seqnum.Value // the first octet that is not there
	kept *Buffer      // octet s lies at Octets[s mod len]; nil where nothing is kept
}

// Init makes first the sequence number of the first octet.
func (s *Stream) Init(first seqnum.Value) { *s = Stream{base: first, next: first} }

// Next returns the sequence number of the first octet that has not been received.
func (s *Stream) Next() seqnum.Value { return s.next }

// Base returns the sequence number of the oldest octet that is kept.
func (s *Stream) Base() seqnum.Value { return s.base }

// Warm reads what the next Insert or Forget will need, and returns something of it (see
// flow.Table's Begin).
func (s *Stream) Warm() uint64 {
	if s.kept == nil {
		return uint64(s.next)
	}
	return uint64(len(s.kept.ahead) + len(s.kept.Octets))
}

// Hole returns the octets missing before those that arrived ahead; false where
// nothing did.
func (s *Stream) Hole() (first, end seqnum.Value, ok bool) {
	if s.kept == nil || len(s.kept.ahead) == 0 {
		return 0, 0, false
	}
	return s.next, s.kept.ahead[0].first, true
}

// Insert takes a segment's octets. Where they are known already, b is made equal to
// what was seen first. No more than limit octets are kept.
func (s *Stream) Insert(seq seqnum.Value, b []byte, limit int, pool *Pool) (r Result) {
	end := seq.Add(len(b))
	if end.LessEq(s.base) {
		return r
	}
	if seq.Less(s.base) {
		b, seq = b[s.base.Sub(seq):], s.base
	}
	if int(end.Sub(s.base)) > limit {
		r.Outcome = TooFar
		return r
	}
	if known := s.next.Sub(seq); known > 0 {
		n := min(int(known), len(b))
		s.reconcile(seq, b[:n], &r)
		b, seq = b[n:], seq.Add(n)
		if len(b) == 0 {
			return r
		}
	}
	if !s.reserve(int(end.Sub(s.base)), pool) {
		r.Outcome = NoMemory
		return r
	}
	switch {
	case len(s.kept.ahead) > 0:
		s.insertAmong(seq, b, &r)
	case seq == s.next:
		s.write(seq, b)
		s.next = end
		r.Outcome = Advanced
	default:
		s.write(seq, b)
		s.kept.ahead = append(s.kept.ahead, span{seq, end})
		r.Outcome = Ahead
	}
	return r
}

// insertAmong takes octets at or beyond next while others wait ahead.
func (s *Stream) insertAmong(seq seqnum.Value, b []byte, r *Result) {
	end := seq.Add(len(b))
	ahead := s.kept.ahead
	// The runs i up to, not including, j touch b.
	i := 0
	for i < len(ahead) && ahead[i].end.Less(seq) {
		i++
	}
	j := i
	for j < len(ahead) && ahead[j].first.LessEq(end) {
		j++
	}
	if i == j && seq != s.next && len(ahead) >= MaxHoles {
		r.Outcome = TooManyHoles
		return
	}
	at := seq
	for _, a := range ahead[i:j] {
		if at.Less(a.first) {
			s.write(at, b[at.Sub(seq):a.first.Sub(seq)])
			at = a.first
		}
		if known := a.end.Min(end); at.Less(known) {
			s.reconcile(at, b[at.Sub(seq):known.Sub(seq)], r)
			at = known
		}
	}
	if at.Less(end) {
		s.write(at, b[at.Sub(seq):])
	}
	merged := span{seq, end}
	if i < j {
		merged = span{seq.Min(ahead[i].first), end.Max(ahead[j-1].end)}
	}
	if merged.first == s.next {
		s.next = merged.end
		s.kept.ahead = append(ahead[:i], ahead[j:]...)
		r.Outcome = Advanced
		return
	}
	if i == j {
		ahead = slices.Insert(ahead, i, merged)
	} else {
		ahead[i] = merged
		ahead = append(ahead[:i+1], ahead[j:]...)
	}
	s.kept.ahead = ahead
	r.Outcome = Ahead
}

// reserve makes the ring hold n octets from base on.
func (s *Stream) reserve(n int, pool *Pool) bool {
	if s.kept != nil && n <= len(s.kept.Octets) {
		return true
	}
	more := pool.Get(n)
	if more == nil {
		return false
	}
	if old := s.kept; old != nil {
		last := s.next
		if k := len(old.ahead); k > 0 {
			last = old.ahead[k-1].end
		}
		a, b := s.view(s.base, last)
		put(more.Octets, s.base, a)
		put(more.Octets, s.base.Add(len(a)), b)
		more.ahead, old.ahead = old.ahead, more.ahead
		more.edited, old.edited = old.edited, more.edited
		pool.Put(old)
	}
	s.kept = more
	return true
}

// put copies b into a ring.
func put(ring []byte, seq seqnum.Value, b []byte) {
	n := copy(ring[int(seq)&(len(ring)-1):], b)
	copy(ring, b[n:])
}

func (s *Stream) write(seq seqnum.Value, b []byte) { put(s.kept.Octets, seq, b) }

// view returns the octets from first to end where they lie, in at most two parts.
func (s *Stream) view(first, end seqnum.Value) (a, b []byte) {
	n := int(end.Sub(first))
	if n <= 0 {
		return nil, nil
	}
	ring := s.kept.Octets
	at := int(first) & (len(ring) - 1)
	if at+n <= len(ring) {
		return ring[at : at+n], nil
	}
	return ring[at:], ring[:n-(len(ring)-at)]
}

// View returns octets that are kept, from first up to end, where they lie in the ring,
// in at most two parts. They are lent until s changes.
func (s *Stream) View(first, end seqnum.Value) (a, b []byte) { return s.view(first, end) }

// reconcile makes b equal to the ring.
func (s *Stream) reconcile(seq seqnum.Value, b []byte, r *Result) {
	x, y := s.view(seq, seq.Add(len(b)))
	if bytes.Equal(b[:len(x)], x) && bytes.Equal(b[len(x):], y) {
		return
	}
	r.Changed = true
	ring := s.kept.Octets
	for i := range b {
		at := seq.Add(i)
		if first := ring[int(at)&(len(ring)-1)]; b[i] != first {
			r.Conflict = r.Conflict || !s.wasEdited(at)
			b[i] = first
		}
	}
}

func (s *Stream) wasEdited(at seqnum.Value) bool {
	i := firstEndingBehind(s.kept.edited, at)
	return i < len(s.kept.edited) && s.kept.edited[i].first.LessEq(at)
}

// firstEndingBehind returns the index of the first of spans that ends behind at. They are
// in order and apart from each other.
func firstEndingBehind(spans []span, at seqnum.Value) int {
	i, _ := slices.BinarySearchFunc(spans, at, func(e span, at seqnum.Value) int {
		if e.end.LessEq(at) {
			return -1
		}
		return 1
	})
	return i
}

// Edited says that anything kept was edited: if nothing was, octets that Insert has
// taken are equal to what is kept.
func (s *Stream) Edited() bool { return s.kept != nil && len(s.kept.edited) > 0 }

// Restore makes b, which begins at seq, equal to what is kept, as far as it is
// kept; it says whether b changed.
func (s *Stream) Restore(seq seqnum.Value, b []byte) (changed bool) {
	if seq.Add(len(b)).LessEq(s.base) {
		return false
	}
	if seq.Less(s.base) {
		n := min(int(s.base.Sub(seq)), len(b))
		b, seq = b[n:], seq.Add(n)
	}
	if over := seq.Add(len(b)).Sub(s.next); over > 0 {
		b = b[:max(len(b)-int(over), 0)]
	}
	x, y := s.view(seq, seq.Add(len(b)))
	if bytes.Equal(b[:len(x)], x) && bytes.Equal(b[len(x):], y) {
		return false
	}
	copy(b[copy(b, x):], y)
	return true
}

// Overwrite edits octets that are kept. The caller answers for their not having
// been given away.
func (s *Stream) Overwrite(seq seqnum.Value, b []byte) {
	if len(b) == 0 {
		return
	}
	s.write(seq, b)
	edited, new := s.kept.edited, span{seq, seq.Add(len(b))}
	i := firstEndingBehind(edited, seq.Add(-1)) // one that ends here is joined
	j := i
	for ; j < len(edited) && edited[j].first.LessEq(new.end); j++ {
		new = span{new.first.Min(edited[j].first), new.end.Max(edited[j].end)}
	}
	s.kept.edited = slices.Replace(edited, i, j, new)
}

// Forget lets go of the octets before first: the receiver has them, and inspection
// is done with them.
func (s *Stream) Forget(first seqnum.Value, pool *Pool) {
	first = first.Min(s.next)
	if first.LessEq(s.base) {
		return
	}
	s.base = first
	b := s.kept
	if first == s.next && len(b.ahead) == 0 && !b.busy() {
		pool.Put(b)
		s.kept = nil
		return
	}
	b.edited = slices.Delete(b.edited, 0, firstEndingBehind(b.edited, first))
}

// Release gives back all that is kept. s is to be used no more.
func (s *Stream) Release(pool *Pool) {
	if s.kept != nil {
		pool.Put(s.kept)
	}
	*s = Stream{base: s.next, next: s.next}
}
