package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// truth is what must hold at every rest.
type truth uint8

const (
	// T1: every positive reply and every EHLO keyword that leaves for the client was said
	// by the server's side, in answer to that same command.
	T1 truth = iota
	// T2: every command reaches the server's side octet for octet, or the client is told no
	// and what the server's side gets instead is nothing that it could act on.
	T2
	// T3: both sides agree whether TLS has begun, or the connection is ended for both; and
	// nothing is read inside of TLS that was said outside of it, nor the other way round.
	T3
	// T4: STARTTLS is let through if it is offered as the client sees it, and is not if
	// keepword took the offer away.
	T4
	// OneReply: each command gets one reply.
	OneReply
	// NoDeadlock: nobody waits for what can't come.
	NoDeadlock
	// Unaltered: in mode observe every octet passes, as it is and at once.
	Unaltered
	// OneMind: what the kernel has let through by itself inspection would have let through as
	// it stands. It is asked where the kernel has a share.
	OneMind

	truths
)

var truthNames = [truths]string{"T1", "T2", "T3", "T4", "one reply", "no deadlock", "unaltered", "one mind"}

// String returns the truth's name.
func (t truth) String() string { return truthNames[t] }

// verdicts are what one rest is found to be: how often each truth was put to the test, and
// what fell.
type verdicts struct {
	checks [truths]int
	fallen []string // each begins with the truth's name
}

// want checks a truth.
func (v *verdicts) want(t truth, holds bool, format string, args ...any) {
	v.checks[t]++
	if !holds {
		v.fallen = append(v.fallen, t.String()+": "+fmt.Sprintf(format, args...))
	}
}

// view is the dialogue as it reads on both faces of the wall.
type view struct {
	w      *world
	isLast bool // nothing will change any more, however much time passes

	itemsOf [streams][]item
	asked   []item  // whole commands that came from the west
	passed  []item  // whole commands that left for the east
	said    []reply // replies that came from the east
	heard   []reply // replies that left for the west
	isEnded bool
	isRead  bool // the client stands at the wall, so that what it believes is what left
	granted bool // what left for the west lets its reader believe that TLS has begun
	acted   bool // and something has come from the west since
}

// check judges a rest: nothing is under way. At the last one no time will change anything
// either.
func (w *world) check(isLast bool) (v verdicts) {
	s := view{w: w, isLast: isLast, isEnded: w.client.ended || w.server.ended, isRead: w.judge == 1}
	for i := range s.itemsOf {
		s.itemsOf[i] = items(w.trace.octets[i])
	}
	s.asked, s.passed = commands(s.itemsOf[fromWest]), commands(s.itemsOf[toEast])
	s.said, s.heard = s.paired(fromEast), s.paired(toWest)
	s.granted = s.isRead && w.client.believes
	s.acted = s.granted
	for k, c := range s.asked {
		if asksTLS(c.text()) && k+1 < len(s.heard) && s.heard[k+1].code == 220 {
			s.granted = true
			s.acted = s.acted || w.trace.when(toWest, s.heard[k+1].start())[fromWest] < len(w.trace.octets[fromWest])
		}
	}
	if w.wall != nil && w.wall.gateway != nil {
		differences := w.wall.gateway.Witness.Differences
		v.want(OneMind, len(differences) == 0, "%q", differences)
	}
	if w.observes {
		s.unaltered(&v)
		return v
	}
	s.positive(&v)
	s.commands(&v)
	s.crossing(&v)
	s.agreement(&v)
	s.coherence(&v)
	s.oneReply(&v)
	s.deadlock(&v)
	return v
}

// paired returns the replies of a stream, each at the place of the command that it is taken
// to answer, behind the greeting. A line without a code answers nothing but a question.
func (s *view) paired(stream int) (list []reply) {
	for _, r := range replies(s.itemsOf[stream]) {
		k := len(list)
		if r.code != 0 || 0 < k && k <= len(s.asked) && asksTLS(s.asked[k-1].text()) {
			list = append(list, r)
		}
	}
	return list
}

// same says that command k left as it came.
func (s *view) same(k int) bool {
	return k < len(s.passed) && bytes.Equal(s.asked[k].octets, s.passed[k].octets)
}

// positive checks T1.
func (s *view) positive(v *verdicts) {
	for k, r := range s.heard {
		if !r.positive() {
			continue
		}
		v.want(T1, k < len(s.said) && s.said[k].code == r.code, "reply %d is %q, which nobody said", k, r.lines[0].text())
		if k == 0 || k > len(s.asked) {
			continue // the greeting; one that nothing asked for
		}
		command := s.asked[k-1]
		if s.w.trace.when(toWest, r.start())[fromWest] < command.end() {
			// It had left before the command came: nobody can call it back.
			v.want(T1, !asksTLS(command.text()) || !s.same(k-1), "%q is answered %q from before, and goes through", command.text(), r.lines[0].text())
			continue
		}
		isAway := k-1 >= len(s.passed) && (s.isEnded || !s.isLast) // lost with the connection, or held
		v.want(T1, isAway || s.same(k-1), "%q is answered %q, and did not go through", command.text(), r.lines[0].text())
		if asksTLS(command.text()) && k < len(s.said) && s.same(k-1) {
			m := s.w.trace.when(fromEast, s.said[k].start())
			v.want(T1, m[toEast] >= s.passed[k-1].end(), "%q was said before %q went through, and is taken for its answer", r.lines[0].text(), command.text())
		}
		if verbOf(command.text()) == "EHLO" && k < len(s.said) {
			known := s.said[k].keywords()
			for _, word := range r.keywords() {
				v.want(T1, slices.Contains(known, word) || isFiller(word, known), "the keyword %q was not said", word)
			}
		}
	}
}

// isFiller says that a keyword is what stands in place of an offer that was taken away: as
// long, its end or all of it of a word for local use (RFC 5321 section 2.2.2).
func isFiller(word string, known []string) bool {
	const offer, filler = "STARTTLS", "X-HIDDEN"
	if !slices.Contains(known, offer) || len(word) != len(offer) || word == offer {
		return false
	}
	same := 0
	for same < len(offer) && word[same] == offer[same] {
		same++
	}
	return word[same:] == filler[same:]
}

// actions are the verbs that a server acts on.
var actions = []string{"EHLO", "HELO", "MAIL", "AUTH", "RSET", "QUIT", "STARTTLS", "X-ANONYMOUSTLS"}

// commands checks T2.
func (s *view) commands(v *verdicts) {
	for k, c := range s.asked {
		if k >= len(s.passed) {
			break
		}
		p := s.passed[k]
		if bytes.Equal(c.octets, p.octets) {
			v.want(T2, true, "")
			continue
		}
		told := k+1 >= len(s.heard) || s.heard[k+1].refuses()
		v.want(T2, told && !slices.Contains(actions, verbOf(p.text())), "%q became %q, and the client was not told no", c.text(), p.text())
	}
	v.want(T2, len(s.passed) <= len(s.asked), "the server's side got %d commands of %d", len(s.passed), len(s.asked))
	if s.isLast && !s.isEnded && !s.waitsForAnswer() {
		v.want(T2, len(s.passed) == len(s.asked), "of %d commands %d went through", len(s.asked), len(s.passed))
	}
}

// waitsForAnswer says that what came behind a question is held until its answer, which the
// server's side owes.
func (s *view) waitsForAnswer() bool {
	for k, c := range s.asked {
		if asksTLS(c.text()) && k+1 >= len(s.said) && k < len(s.passed) {
			return true
		}
	}
	return false
}

// crossing checks that no octet crosses the border between clear text and TLS: T3.
func (s *view) crossing(v *verdicts) {
	for k, c := range s.asked {
		if !asksTLS(c.text()) || !s.same(k) || k+1 >= len(s.said) {
			continue
		}
		r, end := s.said[k+1], s.passed[k].end()
		if r.code == 220 {
			// Behind a look-alike of STARTTLS commands may follow, until it is granted: then
			// nothing but the end of the connection helps.
			early := s.w.trace.when(fromEast, r.start())[toEast] - end
			v.want(T3, early <= 0 || s.isEnded && !isQuestion(c.text()), "%d octets went through behind %q before its 220", early, c.text())
		}
		if k+1 < len(s.heard) && s.heard[k+1].code == 220 {
			last := s.heard[k+1].lines[len(s.heard[k+1].lines)-1].end()
			for _, i := range s.itemsOf[toWest] {
				if i.start >= last {
					v.want(T3, i.record, "behind the 220 %q reached the client", i.octets)
				}
			}
			for _, i := range s.itemsOf[toEast] {
				if i.start >= end && s.w.trace.when(toEast, i.start)[toWest] >= last {
					v.want(T3, i.record, "behind the 220 %q reached the server's side", i.octets)
				}
			}
		}
	}
	asks, granted := false, false
	for k, c := range s.asked {
		if isQuestion(c.text()) {
			asks = true
			granted = granted || k+1 < len(s.said) && s.said[k+1].code == 220
		}
	}
	for _, i := range s.itemsOf[toEast] {
		if i.record && asks {
			v.want(T3, granted, "TLS went through, which the server's side has not granted")
		}
	}
}

// agreement checks that both ends believe the same: the other half of T3.
func (s *view) agreement(v *verdicts) {
	w := s.w
	if s.isEnded {
		v.want(T3, w.client.ended && w.server.ended, "the connection is ended for one side only")
		return
	}
	if s.isLast && (s.acted || !s.granted) {
		v.want(T3, s.granted == w.server.isTLS, "TLS has begun for the client: %v, for the server: %v", s.granted, w.server.isTLS)
	}
}

// coherence checks T4.
func (s *view) coherence(v *verdicts) {
	for k, c := range s.asked {
		if !asksTLS(c.text()) || k >= len(s.passed) {
			continue
		}
		seen := s.w.trace.when(fromWest, c.start)[toWest]
		for n := k; n > 0; n-- { // reply n answers command n-1
			if n >= len(s.heard) || n >= len(s.said) || verbOf(s.asked[n-1].text()) != "EHLO" || !s.heard[n].positive() {
				continue
			}
			if lines := s.heard[n].lines; lines[len(lines)-1].end() > seen {
				continue
			}
			switch isOffered := s.heard[n].offers(); {
			case isOffered:
				v.want(T4, s.same(k) || !strings.EqualFold(string(c.octets), startTLS), "STARTTLS is offered, and %q does not go through", c.text())
			case s.said[n].offers():
				v.want(T4, !s.same(k), "STARTTLS is hidden, and %q goes through", c.text())
			}
			break
		}
	}
}

// oneReply checks that each reply goes through as one, and that an honest server's are as
// many as its client's commands.
func (s *view) oneReply(v *verdicts) {
	w := s.w
	if s.isEnded {
		v.want(OneReply, len(s.heard) <= len(s.said)+1, "%d replies became %d", len(s.said), len(s.heard)) // and the 421
		return
	}
	v.want(OneReply, len(s.heard) <= len(s.said), "%d replies became %d", len(s.said), len(s.heard))
	if !s.isLast {
		return
	}
	v.want(OneReply, len(s.heard) == len(s.said), "%d replies became %d", len(s.said), len(s.heard))
	if w.honest && s.isRead && (w.box == nil || !w.box.meddled) {
		v.want(OneReply, !w.client.surplus && len(s.heard) <= len(s.asked)+1, "%d commands got %d replies", len(s.asked), len(s.heard)-1)
	}
}

// deadlock checks that nobody waits for ever. Whom the server or a box leaves without an
// answer waits for them, and not for keepword; but not in TLS, where keepword promises an
// end.
func (s *view) deadlock(v *verdicts) {
	w := s.w
	if !s.isLast || s.isEnded {
		return
	}
	isOwed := w.server.quiet || w.box != nil && w.box.mute || w.server.talk == silent
	if w.wall != nil && !isOwed {
		v.want(NoDeadlock, !w.wall.isHolding(), "octets are held for ever")
	}
	if !isOwed {
		v.want(NoDeadlock, w.client.talk != inClear || len(w.client.waits) == 0, "the client waits for the reply to %q", w.client.waits)
	}
	isRecord := func(i item) bool { return i.record }
	if s.granted && slices.ContainsFunc(s.itemsOf[fromWest], isRecord) {
		v.want(NoDeadlock, slices.ContainsFunc(s.itemsOf[fromEast], isRecord), "the client waits for TLS")
	}
}

// unaltered checks that the wall might as well not be there.
func (s *view) unaltered(v *verdicts) {
	t := &s.w.trace
	v.want(Unaltered, !s.w.wall.touched, "a packet was held, dropped, replaced or made")
	for from, to := range map[int]int{fromWest: toEast, fromEast: toWest} {
		v.want(Unaltered, bytes.Equal(t.octets[from], t.octets[to]), "%q became %q", t.octets[from], t.octets[to])
	}
}

// about returns the truth that a sentence of verdicts is about.
func about(sentence string) truth {
	name, _, _ := strings.Cut(sentence, ":")
	return truth(slices.Index(truthNames[:], name))
}
