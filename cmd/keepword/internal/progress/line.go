package progress

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// state is what a line says.
type state struct {
	octets, total int64 // total 0: unknown
	packets       uint64
	spent         time.Duration
}

// minTrack is the shortest track that says something, in columns.
const minTrack = 10

// line writes s for a terminal of so many columns. It leaves the last one free, behind
// which many terminals begin a new line.
func (s state) line(columns int) string {
	var left, right []string
	if s.total > 0 {
		left = append(left, fmt.Sprintf("%3d%%", s.share(100)))
	} else {
		left = append(left, grouped(uint64(s.octets/1e6))+" MB")
	}
	if seconds := s.spent.Seconds(); seconds > 0 {
		right = append(right, fmt.Sprintf("%.0f MB/s", float64(s.octets)/1e6/seconds))
	}
	right = append(right, grouped(s.packets)+" packets")
	if s.total > 0 && s.octets > 0 {
		right = append(right, remaining(s.left())+" left")
	}
	const between = "  "
	words := strings.Join(append(left, right...), between)
	room := columns - 1
	if track := room - len(words) - len(between); s.total > 0 && track >= minTrack {
		words = strings.Join(append(append(left, s.track(track)), right...), between)
	}
	return words[:max(min(len(words), room), 0)]
}

// share returns how many of n parts have been read.
func (s state) share(n int) int {
	return int(float64(n) * min(float64(s.octets)/float64(s.total), 1)) // a file may grow meanwhile
}

// track draws the share that has been read, in so many columns.
func (s state) track(columns int) string {
	inner := columns - len("[]")
	full := s.share(inner)
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", inner-full) + "]"
}

// left is the time that the rest takes, if it is read as fast as what was.
func (s state) left() time.Duration {
	rest := max(s.total-s.octets, 0)
	return time.Duration(float64(s.spent) * float64(rest) / float64(s.octets))
}

// remaining writes a duration in its two greatest units.
func remaining(d time.Duration) string {
	seconds := int64((d + time.Second - 1) / time.Second)
	switch {
	case seconds < 60:
		return fmt.Sprintf("%d s", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%d min %d s", seconds/60, seconds%60)
	}
	return fmt.Sprintf("%d h %d min", seconds/3600, seconds/60%60)
}

// grouped writes a number with commas.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
