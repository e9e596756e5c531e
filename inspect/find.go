package inspect

import (
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// maxDetail bounds what of the wire is quoted in a finding.
const maxDetail = 128

// quote copies the beginning of b for a finding, before b is edited. It is lent until
// the next call.
func (p *Pipeline) quote(b []byte) []byte {
	p.quoted = append(p.quoted[:0], b[:min(len(b), maxDetail)]...)
	return p.quoted
}

// report notes a finding. It goes to the Sink when the verdict on the packet at hand
// is known.
func (p *Pipeline) report(s *session, f verdict.Finding, action verdict.Action, d, code int, detail []byte) {
	p.stats.findings[f][action].Add(1)
	if action == verdict.Pass {
		return
	}
	s.alerted = true
	said := string(detail[:min(len(detail), maxDetail)])
	p.say(s, SaidFinding, uint16(f)<<8|uint16(action))
	p.found = append(p.found, FindingRecord{
		Flow: s.ends(), Time: p.time(), Finding: f, Action: action, Mode: s.mode(),
		ToServer: d == toServer, Code: code, Detail: said,
		Reason: reason(f, code, said) + p.remark(s, f, said), trail: s.trail,
	})
	p.learnFinding(s, f, action, code, detail)
}

// flush hands the findings on, with what became of the packet.
func (p *Pipeline) flush(kind verdict.Kind) {
	for i := range p.found {
		p.found[i].Packet = kind
		p.found[i].Said = p.account(p.found[i].Flow.ID, p.found[i].trail)
		p.sink.Finding(&p.found[i])
		p.found[i] = FindingRecord{}
	}
	p.found = p.found[:0]
}

// find reports a finding with policy's action, and returns that.
func (p *Pipeline) find(s *session, f verdict.Finding, d, code int, detail []byte) verdict.Action {
	action := s.rules.Action(f)
	p.report(s, f, action, d, code, detail)
	return action
}

// once is find for what one sender can repeat at will: the first of a session is
// reported, the others are counted.
func (p *Pipeline) once(s *session, f verdict.Finding, d int) verdict.Action {
	action := s.rules.Action(f)
	if bit := uint64(1) << f; s.reported&bit == 0 {
		s.reported |= bit
		p.report(s, f, action, d, 0, nil)
	} else {
		p.stats.findings[f][action].Add(1)
	}
	return action
}

// onceAct is once, and ends the connection where policy asks for it: then it returns true.
func (p *Pipeline) onceAct(s *session, f verdict.Finding, d, code int, detail []byte) (ended bool) {
	if bit := uint64(1) << f; s.reported&bit == 0 {
		s.reported |= bit
		return p.act(s, f, d, code, detail)
	}
	p.stats.findings[f][s.rules.Action(f)].Add(1)
	return false
}

// act reports a finding, and ends the connection where policy asks for it: then it
// returns true.
func (p *Pipeline) act(s *session, f verdict.Finding, d, code int, detail []byte) (ended bool) {
	return p.actAs(s, f, s.rules.Action(f), d, code, detail)
}

// actAs is act with an action of the caller's.
func (p *Pipeline) actAs(s *session, f verdict.Finding, action verdict.Action, d, code int, detail []byte) (ended bool) {
	p.report(s, f, action, d, code, detail)
	if action != verdict.Kill || !s.enforce {
		return false
	}
	p.kill(s, f)
	return true
}

// actAll is act for all findings of a step.
func (p *Pipeline) actAll(s *session, found starttls.Found, d, code int, detail []byte) (ended bool) {
	for _, f := range found.List() {
		if p.act(s, f, d, code, detail) {
			return true
		}
	}
	return false
}
