package main

import "slices"

// violation is a way in which a truth falls.
type violation struct {
	name   string
	breaks []truth
	holds  func(s *view) bool
	depth  int // at which it is seen
}

// known are violations that the search has found and that are not mended yet. Each is
// recognised by just what makes it, so that nothing else hides behind it, and counted. A
// mended one is taken out here.
var known = []violation{
	{"a 220 that comes late is let through where an unknown verb waits for its reply", []truth{T3}, (*view).isGrantedLate, 2},
	{"a 220 of two lines that comes late is let through where a command comes between the lines", []truth{T3}, (*view).isGrantedInParts, 3},
}

// isGrantedLate says that behind the reply to a question there was another, a 220, where the
// reply to a verb was due that keepword does not know: such a one may be answered so.
func (s *view) isGrantedLate() bool {
	for k, c := range s.asked {
		if !asksTLS(c.text()) || !s.same(k) {
			continue
		}
		for n := k + 2; n < len(s.said) && n <= len(s.asked); n++ {
			verb := verbOf(s.asked[n-1].text())
			if s.said[n].code == 220 && verb != "NOOP" && !slices.Contains(actions, verb) {
				return true
			}
		}
	}
	return false
}

// isGrantedInParts says that behind the reply to a question there was another, a 220, and
// that something from the west came within it.
func (s *view) isGrantedInParts() bool {
	for k, c := range s.asked {
		if !asksTLS(c.text()) || !s.same(k) {
			continue
		}
		for n := k + 2; n < len(s.said); n++ {
			r := s.said[n]
			first, last := s.w.trace.when(fromEast, r.start()), s.w.trace.when(fromEast, r.lines[len(r.lines)-1].end()-1)
			if r.code == 220 && first[fromWest] < last[fromWest] {
				return true
			}
		}
	}
	return false
}

// sift takes out of what fell what is known.
func (s *view) sift(v *verdicts) {
	var rest []string
	for _, sentence := range v.fallen {
		i := slices.IndexFunc(known, func(k violation) bool { return slices.Contains(k.breaks, about(sentence)) && k.holds(s) })
		if i < 0 {
			rest = append(rest, sentence)
			continue
		}
		v.known = append(v.known, known[i].name)
	}
	v.fallen = rest
}
