package maildata

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// skip passes over the octets at the beginning of b and stops, at n, before the first
// that matters:
//
//   - a dot with a CR, LF or NUL on both sides, which is the core of all endings;
//   - with breaks, a CR, LF or NUL;
//   - the octet behind limit octets of a line; limit is at least 64.
//
// n is len(b) where there is none. lastLF is the place of the last LF before n. The one
// given is that of the last LF before b, negative: -1-k where the line has k octets so
// far. The octet before b must be no CR, LF or NUL.

// skipPortable is skip from b[from] on, all before it having been passed and lastLF being
// the place of the last LF there.
func skipPortable(b []byte, from, lastLF, limit int, breaks bool) (n, last int) {
	n, last = from, lastLF
	for {
		// No octet needs a look for the length's sake: where an LF stands in as much of b
		// as the limit allows, the line did not reach it.
		to := min(max(last+1+limit, n), len(b))
		passed := n
		n = mark(b, passed, to, breaks)
		if breaks {
			return n, last // and passed no LF
		}
		lf := bytes.LastIndexByte(b[min(passed, n):n], '\n')
		if lf >= 0 {
			last = passed + lf
		}
		if n < to || n == len(b) || lf < 0 {
			return n, last
		}
	}
}

// mark returns the place in b[from:to] of the first core, or, with breaks, the first
// break; to where there is none. It takes eight octets at a time.
func mark(b []byte, from, to int, breaks bool) int {
	i := max(from-1, 0) // a dot there was not judged, as its neighbour was not seen
	for ; i+8 <= to; i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		var marks uint64
		if breaks {
			marks = octetsEqual(x, '\n') | octetsEqual(x, '\r') | octetsEqual(x, 0)
		} else {
			marks = octetsEqual(x, '.')
		}
		for ; marks != 0; marks &= marks - 1 {
			at := i + bits.TrailingZeros64(marks)>>3
			if breaks || isCore(b, at) {
				return at
			}
		}
	}
	for ; i < to; i++ {
		if breaks && isBreak(b[i]) || isCore(b, i) {
			return i
		}
	}
	return to
}

// isCore says whether b[i] is a dot with a break on both sides.
func isCore(b []byte, i int) bool {
	return b[i] == '.' && i > 0 && isBreak(b[i-1]) && i+1 < len(b) && isBreak(b[i+1])
}

// octetsEqual returns 0x80 in each octet of x that is c, and 0 in the others.
func octetsEqual(x uint64, c byte) uint64 {
	const (
		ones  = 0x0101010101010101
		low7s = 0x7f * ones
	)
	x ^= ones * uint64(c)
	// The sum carries into an octet's top bit unless its lower bits are 0, and never
	// beyond it: unlike x-ones, this is exact for every octet.
	return ^(x&low7s + low7s | x | low7s)
}
