package main

import "slices"

// violation is a way in which a truth falls.
type violation struct {
	name   string
	breaks []truth
	holds  func(s *view) bool
}

// known are violations that the search has found and that are not mended yet. Each is
// recognised by just what makes it, so that nothing else hides behind it, and counted. A
// mended one is taken out here.
var known = []violation{
	{"a 220 that comes late is let through", []truth{T3}, (*view).isGrantedLate},
	{"commands behind a STARTTLS with letters behind it are let through, and it is granted", []truth{T3}, (*view).isCrowded},
	{"a command is refused although replies are out of step", []truth{T1, T2, T3, NoDeadlock}, (*view).isOutOfStep},
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

// isOutOfStep says that keepword refused a command after a reply had come that no command
// had waited for: the client's count of replies is ahead since.
func (s *view) isOutOfStep() bool {
	for n, r := range s.said {
		sent := s.w.trace.when(fromEast, r.start())[toEast]
		if n == 0 || n <= len(s.passed) && s.passed[n-1].end() <= sent {
			continue
		}
		for k := n - 1; k < len(s.asked) && k < len(s.passed); k++ {
			if !s.same(k) {
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
