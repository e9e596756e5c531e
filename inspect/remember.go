package inspect

import (
	"strconv"

	"keepword/inspect/history"
	"keepword/inspect/policy"
	"keepword/inspect/smtp"
	v "keepword/inspect/verdict"
)

// recall is what a session was told of its server, and what has come of it.
type recall uint16

const (
	recalled       recall = 1 << iota // the history was asked
	hidesOffer                        // the breaker is open
	trying                            // it is half open, and this session decides
	offeredBefore                     // the server has offered STARTTLS before
	tookEHLO                          // it has taken EHLO before
	workedBefore                      // its TLS has worked before
	failedBefore                      // TLS between this client and this server failed of late
	ehloWasRefused                    // in this session
	shut                              // the client has closed its window since the 220
	blamed                            // a refusal in this session counts already
	stripped                          // this session has marks of somebody who takes the offer away
)

func (r recall) has(bits recall) bool { return r&bits != 0 }

func (r *recall) set(bits recall, on bool) {
	if on {
		*r |= bits
	}
}

// recall asks once a session, at its first EHLO or HELO, what is remembered of the server.
func (p *Pipeline) recall(s *session) {
	if p.history == nil || s.recall.has(recalled) {
		return
	}
	m, change := p.history.Recall(s.client().Addr(), s.server(), p.now, s.rules.StartTLS == policy.Auto)
	s.recall |= recalled
	if m.Hide || m.Trial {
		p.revokeServer(s)
	}
	// Where the kernel has let EHLO through, it may do the reply.
	s.recall.set(hidesOffer, m.Hide && s.enforce && !p.inArrears)
	s.recall.set(trying, m.Trial)
	s.recall.set(offeredBefore, m.Offered)
	s.recall.set(tookEHLO, m.EHLO)
	s.recall.set(workedBefore, m.Worked)
	s.recall.set(failedBefore, m.Failed)
	p.announce(s, change)
}

// learn has the history note what a session saw of its server.
func (p *Pipeline) learn(s *session, seen history.Seen) {
	if p.history == nil {
		return
	}
	if seen.Kind == history.Worked || seen.Kind == history.Undecided || seen.Kind.Fails() {
		s.recall &^= trying
	}
	seen.Time, seen.Settled = p.now, s.rules.StartTLS != policy.Auto
	p.announce(s, p.history.Note(s.server(), seen))
}

// lessons are the findings that are failures of the server's.
var lessons = [v.Findings]history.Kind{
	v.OfferRefused:                history.Refused,
	v.OfferRefusedTemporarily:     history.RefusedForNow,
	v.AnsweredForServer:           history.Forged,
	v.PlaintextFromServerAfter220: history.Deaf,
}

// causeOf is the finding that a failure is.
var causeOf = map[history.Kind]v.Finding{
	history.Refused:       v.OfferRefused,
	history.RefusedForNow: v.OfferRefusedTemporarily,
	history.Forged:        v.AnsweredForServer,
	history.Deaf:          v.PlaintextFromServerAfter220,
	history.Silent:        v.SilenceAfter220,
}

// learnFinding notes what a finding says of the session's server, and has the history note it.
func (p *Pipeline) learnFinding(s *session, f v.Finding, action v.Action, code int, detail []byte) {
	switch f {
	case v.OfferMasked, v.GreetingMasked, v.AnsweredForServer, v.UnfitAnswer:
		s.recall |= stripped
	case v.OfferRefused, v.OfferRefusedTemporarily:
		s.recall.set(stripped, s.recall.has(workedBefore))
	}
	if p.history == nil {
		return
	}
	switch f {
	case v.HandshakeFailed, v.PlaintextFromClientAfter220, v.PlaintextFromServerAfter220:
		p.history.Failed(s.client().Addr(), s.server(), p.now)
	case v.TLSRateLimited:
		if s.recall.has(trying) {
			p.learn(s, history.Seen{Kind: history.Undecided})
		}
	}
	switch kind := lessons[f]; {
	case !kind.Fails(), kind == history.Deaf && !s.led.Deaf():
	case kind != history.Deaf && s.recall.has(blamed): // else a client could make of one refusal many
	default:
		s.recall |= blamed
		p.learn(s, history.Seen{Kind: kind, Code: code, Text: p.quote(detail), AtOnce: action == v.Hide})
	}
}

// learnOffer judges a positive EHLO reply by those before, and has it noted. It says whether
// that ended the connection.
func (p *Pipeline) learnOffer(s *session) (ended bool) {
	if p.history == nil {
		return false
	}
	kind := history.Offered
	if !s.led.Offered() {
		kind = history.Unoffered
		if s.recall.has(offeredBefore) && p.onceAct(s, v.OfferVanished, toClient, 0, nil) {
			return true
		}
	}
	p.learn(s, history.Seen{Kind: kind, Others: uint32(s.others)})
	return false
}

// learnSilence has the history note a server that says nothing after its 220, once. It is
// the server's silence where it has acknowledged the ClientHello, with the end of its record,
// and may answer: a client can send one that never arrives or ends, or close its window.
func (p *Pipeline) learnSilence(s *session) {
	if bit := uint64(1) << v.SilenceAfter220; p.history != nil && s.isSilent() && s.reported&bit != 0 {
		s.reported &^= bit
		p.history.Failed(s.client().Addr(), s.server(), p.now)
		whole := s.tls != nil && s.tls.records[toServer].Between()
		if h := &s.half[toServer]; whole && !h.acked.Less(h.parsed) && !s.recall.has(shut) {
			p.learn(s, history.Seen{Kind: history.Silent})
		}
	}
}

// judgeHELO judges a positive reply to HELO: a server that took EHLO before has refused it.
func (p *Pipeline) judgeHELO(s *session, ev *smtp.ServerEvent) {
	if s.recall.has(ehloWasRefused) && s.recall.has(tookEHLO) {
		p.onceAct(s, v.EHLORefused, toClient, ev.Code, nil)
	}
}

// judgeDowngrade judges mail in clear text. It says whether that ended the connection.
func (p *Pipeline) judgeDowngrade(s *session) (ended bool) {
	return s.recall.has(failedBefore) && !s.hides() && p.onceAct(s, v.DowngradedAfterFailure, toServer, 0, nil)
}

// holdsBack says that mail in clear text is held back, and not refused for good: TLS is
// required, and it is not the client who does without it.
func (s *session) holdsBack() bool {
	return s.recall.has(stripped) && s.rules.StartTLS == policy.Require && s.rules.Action(v.TLSRequired) == v.Refuse
}

// digest adds an EHLO keyword to what else a reply offers (FNV-1a, folded).
func digest(sum uint16, keyword []byte) uint16 {
	const offset, prime = 2166136261, 16777619
	h := uint32(offset) ^ uint32(sum)
	for _, c := range keyword {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		h = (h ^ uint32(c)) * prime
	}
	return uint16(h>>16 ^ h)
}

// announce reports a change of the breaker's state. It is no finding by itself: it bears the
// name of the one that was its cause.
func (p *Pipeline) announce(s *session, c history.Change) {
	if !c.Changed() {
		return
	}
	p.stats.breaker[c.To].Add(1)
	p.revokeServer(s)
	r, _ := p.history.Lookup(s.server())
	cause, ok := causeOf[r.Refusal.Kind]
	if !ok {
		cause = v.OfferRefused // of a record that was put together from several
	}
	action := v.Log
	if c.To == history.Open {
		action = v.Hide
	}
	p.found = append(p.found, FindingRecord{
		Flow: s.ends(), Time: p.time(), Finding: cause, Action: action, Mode: s.mode(), Breaker: c,
		Code: r.Refusal.Code, Detail: r.Refusal.Text, Reason: breakerReason(c, &r, s.enforce), trail: s.trail,
	})
}

// breakerReason is the sentence of a change. Where nothing is enforced, no offer is hidden,
// and it must not say so.
func breakerReason(c history.Change, r *history.Record, enforced bool) string {
	switch c.To {
	case history.Open:
		times := "once"
		if n := int(r.Promise.Failures); n > 1 {
			times = strconv.Itoa(n) + " times in a row"
		}
		hidden := "in mode enforce its offer would be hidden from new sessions"
		if enforced {
			hidden = "its offer is hidden from new sessions, so that mail goes on in clear text,"
		}
		return "The server's STARTTLS came to nothing " + times + ": " + hidden + " until one may try again on " + date(c.Until)
	case history.HalfOpen:
		if !enforced {
			return "In mode enforce the server's offer of STARTTLS would have been hidden long enough: this session shows whether it works now"
		}
		return "The server's offer of STARTTLS was hidden long enough: this session sees it, and shows whether it works now"
	}
	works := "The server's STARTTLS works again (" + versionName(r.Promise.Version) + ")"
	if !enforced {
		return works + ": in mode enforce its offer would no longer be hidden"
	}
	return works + ": its offer is no longer hidden"
}

// remark is what the history, and the marks of known boxes, add to a finding's sentence.
func (p *Pipeline) remark(s *session, f v.Finding, detail string) string {
	switch f {
	case v.OfferMasked:
		if keyword, _ := smtp.Keyword([]byte(detail)); len(keyword) > 0 && keyword[len(keyword)-1] != 'X' {
			return ". This is the mark of a Cisco ASA (inspect esmtp)"
		}
		return ". Cisco's PIX and ASA do so, and others"
	case v.GreetingMasked:
		return ". This is the mark of a Cisco PIX (fixup protocol smtp) or an early ASA"
	}
	if p.history == nil {
		return ""
	}
	r, _ := p.history.Lookup(s.server())
	switch f {
	case v.OfferVanished:
		last := ". It last did on " + date(r.Offer.Time)
		if r.Offer.Others == uint32(s.others) {
			return last + "; all else that it offers is unchanged, as when a box deletes the line"
		}
		return last + "; what else it offers has changed too, so that the server may have been changed on purpose"
	case v.EHLORefused:
		return ". It last took EHLO on " + date(r.EHLO())
	case v.OfferRefused, v.OfferRefusedTemporarily, v.AnsweredForServer:
		if s.recall.has(workedBefore) {
			return ". Its TLS last worked on " + date(r.Promise.Worked) + ": the server was changed, or somebody takes TLS away"
		}
	}
	return ""
}
