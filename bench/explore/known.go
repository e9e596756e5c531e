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
	{"a 220 that comes late is let through", []truth{T3}, (*view).isGrantedLate, 2},
	{"commands behind a STARTTLS with letters behind it are let through, and it is granted", []truth{T3}, (*view).isCrowded, 2},
	{"a reply that came while STARTTLS was held counts as its answer", []truth{T1}, (*view).isEarly, 3},
	{"a line that is no reply becomes a refusal, beside the reply", []truth{T1, T2, T3, OneReply}, (*view).isNoiseHeard, 2},
}

// isGrantedLate says that behind the reply to a question there was another, a 220.
func (s *view) isGrantedLate() bool {
	for k, c := range s.asked {
		if !asksTLS(c.text()) || !s.same(k) {
			continue
		}
		for n := k + 2; n < len(s.said); n++ {
			if s.said[n].code == 220 && (n > len(s.asked) || !asksTLS(s.asked[n-1].text())) {
				return true
			}
		}
	}
	return false
}

// isCrowded says that commands stood behind a question that is none by the book when it
// was granted.
func (s *view) isCrowded() bool {
	for k, c := range s.asked {
		if asksTLS(c.text()) && !isQuestion(c.text()) && k+1 < len(s.said) && s.said[k+1].code == 220 &&
			s.w.trace.when(fromEast, s.said[k+1].start())[toEast] > c.end() {
			return true
		}
	}
	return false
}

// isEarly says that what answers a question came when the question had, and had not gone
// through yet.
func (s *view) isEarly() bool {
	for k, c := range s.asked {
		if asksTLS(c.text()) && k < len(s.passed) && k+1 < len(s.said) {
			then := s.w.trace.when(fromEast, s.said[k+1].start())
			if then[fromWest] >= c.end() && then[toEast] < s.passed[k].end() {
				return true
			}
		}
	}
	return false
}

// isNoiseHeard says that a line without a code, which answers nothing, left with one.
func (s *view) isNoiseHeard() bool {
	came, left := replies(s.itemsOf[fromEast]), replies(s.itemsOf[toWest])
	noise := 0
	for n := range min(len(came), len(left)) {
		if came[n].code == 0 && left[n].refuses() {
			noise++
		}
	}
	for n, r := range s.said { // but for those that answer a question
		if r.code == 0 && n < len(s.heard) {
			noise--
		}
	}
	return noise > 0
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
