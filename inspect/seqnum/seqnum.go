// Package seqnum is TCP's 32-bit modular sequence arithmetic, RFC 9293 section 3.4.
//
// Comparisons hold for numbers less than 2^31 apart, which is all that TCP itself
// needs: no window is larger than 2^30 (RFC 7323 section 2.3).
package seqnum

// Value is a sequence or acknowledgment number: the position of one octet in one
// direction of a connection, modulo 2^32.
type Value uint32

// Less says whether v stands before w.
func (v Value) Less(w Value) bool { return v.Sub(w) < 0 }

// LessEq says whether v stands before w or is w.
func (v Value) LessEq(w Value) bool { return v.Sub(w) <= 0 }

// Add returns the position n octets after v, or before it where n is negative.
func (v Value) Add(n int) Value { return v + Value(uint32(n)) }

// Sub returns how many octets v stands after w; negative where it stands before.
func (v Value) Sub(w Value) int32 { return int32(v - w) }

// Max returns the later of v and w.
func (v Value) Max(w Value) Value {
	if v.Less(w) {
		return w
	}
	return v
}

// Min returns the earlier of v and w.
func (v Value) Min(w Value) Value {
	if w.Less(v) {
		return w
	}
	return v
}

// InWindow says whether v is one of the size octets from first on: RCV.NXT =< v <
// RCV.NXT+RCV.WND.
func (v Value) InWindow(first Value, size uint32) bool { return uint32(v-first) < size }
