package eve

import "time"

const (
	// secondLayout is the part of a time that is the same for a whole second, but for the
	// zone.
	secondLayout = "2006-01-02T15:04:05"
	zoneLayout   = "-0700"
	// timeLayout is the form of Suricata's timestamps.
	timeLayout = secondLayout + ".000000" + zoneLayout
)

// keptSeconds is how many seconds are remembered: most sessions are shorter, so that of
// one's times none is computed anew.
const keptSeconds = 64

// stamps writes times, and remembers how the seconds of late are written: to find the date
// of each would be a sixth of an event's cost.
type stamps struct {
	zone *time.Location
	kept [keptSeconds]stamp // by the second, modulo their number
}

type stamp struct {
	known  bool
	second int64 // of the Unix epoch
	text   [len(secondLayout)]byte
	offset [len(zoneLayout)]byte
}

// at returns the stamp of a second, lent until the next call. Nanoseconds of 64 bits end in
// 2262, so that a year has four digits.
func (s *stamps) at(second int64) *stamp {
	k := &s.kept[uint64(second)%keptSeconds]
	if !k.known || k.second != second {
		t := time.Unix(second, 0).In(s.zone)
		t.AppendFormat(k.text[:0], secondLayout)
		t.AppendFormat(k.offset[:0], zoneLayout)
		k.known, k.second = true, second
	}
	return k
}

// append appends ns, nanoseconds of the Unix epoch, in the form of timeLayout.
func (s *stamps) append(b []byte, ns int64) []byte {
	second, rest := split(ns, int64(time.Second))
	k := s.at(second)
	b = append(b, k.text[:]...)
	b = append(b, '.')
	b = appendPadded(b, rest/int64(time.Microsecond), 6)
	return append(b, k.offset[:]...)
}

// appendMillis appends ms, milliseconds of the Unix epoch, in the form of dialogueTime; the
// zone must be UTC.
func (s *stamps) appendMillis(b []byte, ms int64) []byte {
	second, rest := split(ms, int64(time.Second/time.Millisecond))
	b = append(b, s.at(second).text[:]...)
	b = append(b, '.')
	b = appendPadded(b, rest, 3)
	return append(b, 'Z')
}

// split divides n, which is negative before 1970, into whole units and a rest that is not.
func split(n, unit int64) (whole, rest int64) {
	whole, rest = n/unit, n%unit
	if rest < 0 {
		whole, rest = whole-1, rest+unit
	}
	return whole, rest
}
