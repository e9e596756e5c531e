package maildata

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// skipPlain is skip, octet by octet, in the words of its comment.
func skipPlain(b []byte, lastLF, limit int, breaks bool) (n, last int) {
	last = lastLF
	for i, c := range b {
		isDot := c == '.' && i > 0 && i+1 < len(b) && strings.IndexByte("\r\n\x00", b[i-1]) >= 0 && strings.IndexByte("\r\n\x00", b[i+1]) >= 0
		isBreak := breaks && (c == '\r' || c == '\n' || c == 0)
		if isDot || isBreak || i-(last+1) >= limit {
			return i, last
		}
		if c == '\n' {
			last = i
		}
	}
	return len(b), last
}

// sameSkip compares the ways to skip with one another.
func sameSkip(t interface{ Fatalf(string, ...any) }, b []byte, lastLF, limit int, breaks bool) {
	n, last := skipPlain(b, lastLF, limit, breaks)
	compare := func(what string, gotN, gotLast int) {
		if gotN != n || gotLast != last {
			t.Fatalf("%s of %d octets %.300q, last LF at %d, limit %d, breaks %v: %d and %d, want %d and %d", what, len(b), b, lastLF, limit, breaks, gotN, gotLast, n, last)
		}
	}
	gotN, gotLast := skip(b, lastLF, limit, breaks)
	compare("skip", gotN, gotLast)
	gotN, gotLast = skipPortable(b, 0, lastLF, limit, breaks)
	compare("skipPortable", gotN, gotLast)
}

func TestACoreIsFoundWhereverItStands(t *testing.T) {
	for length := range 200 {
		for _, filler := range []byte("x.\x2f\x1a\x8a\x8d\xae\xff") {
			b := []byte(strings.Repeat(string([]byte{filler}), length))
			sameSkip(t, b, -1, 1000, false)
			for at := 1; at+1 < length; at++ {
				for _, core := range []string{"\n.\n", "\r.\r", "\x00.\x00", "\n.x", "x.\n", "\n..", "\n/\n", "\x10.\n", "\n.\x1d"} {
					was := [3]byte(b[at-1 : at+2])
					copy(b[at-1:], core)
					sameSkip(t, b, -1, 1000, false)
					copy(b[at-1:], was[:])
				}
			}
		}
	}
}

func TestTheLimitOfALineIsFoundWhereverItStands(t *testing.T) {
	for length := 1; length < 300; length += 7 {
		for before := range 3 {
			for limit := 64; limit < 400; limit += 5 {
				for at := range length {
					b := []byte(strings.Repeat("x", length))
					b[at] = '\n'
					sameSkip(t, b, -1-before*60, limit, false)
				}
			}
		}
	}
}

func TestAllWaysToSkipStopAtTheSamePlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := []byte(strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 40).Draw(t, "pieces"), ""))
		if len(b) > 0 && isBreak(b[0]) {
			b[0] = 'x'
		}
		sameSkip(t, b, -1-rapid.IntRange(0, 2000).Draw(t, "length"), rapid.IntRange(64, 2000).Draw(t, "limit"), rapid.Bool().Draw(t, "breaks"))
	})
}

func FuzzSkip(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte, length, limit uint16, breaks bool) {
		sameSkip(t, b, -1-int(length), 64+int(limit), breaks)
	})
}
