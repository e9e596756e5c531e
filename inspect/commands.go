package inspect

import (
	"bytes"

	"keepword/inspect/policy"
	"keepword/inspect/seqnum"
	"keepword/inspect/smtp"
	"keepword/inspect/starttls"
	"keepword/inspect/tlsrecord"
	"keepword/inspect/verdict"
)

// refuseEdit is a command that is being refused while its line is not complete.
type refuseEdit struct {
	note    uint8 // index of refusals, noRefusal: none
	finding verdict.Finding
}

// earliness is what came between STARTTLS and its answer.
type earliness uint8

const (
	notEarly earliness = iota
	earlyHello
	earlyOctets
)

// helloPrefix are as many octets as tell a ClientHello from a command.
const helloPrefix = 6

// readCommands consumes octets of the client in clear text.
func (p *Pipeline) readCommands(s *session, b []byte) {
	h := &s.half[toServer]
	switch s.dlg.Mode() {
	case smtp.Asked:
		p.readEarly(s, b)
		return
	case smtp.Waiting:
		return // the reply decides what it is
	case smtp.Commands:
		if _, n := s.dlg.ClientPartial(); n == 0 && tlsrecord.MayBeClientHello(b) && p.readUnasked(s, b) {
			return
		}
	}
	at := h.parsed
	n, ev := s.dlg.Client(b, &p.lines)
	h.parsed = at.Add(n)
	switch ev.Kind {
	case smtp.ClientNone:
		if _, length := s.dlg.ClientPartial(); length > maxLine && p.endless(s, toServer) {
			return
		}
		if s.editsCommands() && s.enforce {
			p.refusePartial(s)
		}
	case smtp.ClientCommand:
		if !p.judgeLine(s, toServer, ev.Odd, n-ev.Start, commandLimit(ev.Verb), ev.Line) && !p.judgeOrder(s, ev) {
			p.command(s, ev, at.Add(ev.Start))
		}
	case smtp.ClientAuthResponse:
		p.say(s, SaidAuthResponse, 0)
		p.judgeLine(s, toServer, ev.Odd, n-ev.Start, commandLimit(ev.Verb), nil)
	case smtp.ClientEndOfData:
		p.say(s, SaidCommand, uint16(ev.Verb))
	case smtp.ClientSmuggling:
		s.reported |= 1 << verdict.Smuggling
		said := append(p.quote([]byte(ev.Ending.String()+": ")), ev.Line...)
		p.act(s, verdict.Smuggling, toServer, 0, said)
	case smtp.ClientLongLine, smtp.ClientEndlessLine:
		p.onceAct(s, verdict.LineTooLong, toServer, 0, []byte("mail data"))
	case smtp.ClientTooMany:
		if p.act(s, verdict.MemoryLimit, toServer, 0, nil) {
			return
		}
		s.lost = true
		p.stats.lost(causeFlowMemory, WhenPass)
		p.pass(s)
	}
}

// readUnasked takes a ClientHello that nothing announced: the first octets of a
// connection (RFC 8314 §3), before its server has said anything in clear text, the belief of
// a client that was told a false acceptance, or the haste of one that was refused. It says
// whether there is nothing left to read.
func (p *Pipeline) readUnasked(s *session, b []byte) bool {
	h := &s.half[toServer]
	switch {
	case h.parsed == h.first && s.half[toClient].parsed == s.half[toClient].first:
		f := s.led.BeginImplicit()
		p.handshake(s)
		p.actAll(s, f, toServer, 0, nil)
	case s.led.Believed() && len(b) >= helloPrefix:
		// The false acceptance was let through: the client speaks TLS to a server that
		// does not. There is no dialogue left to follow.
		s.led.Take(starttls.StepClientHello)
		p.say(s, SaidClientHello, 0)
		h.parsed = h.stream.Next()
		p.pass(s)
	case s.led.Took(starttls.StepAsked):
		// Its STARTTLS was refused: there is no 220 to wait for any more, and the server
		// would read commands.
		bit := uint64(1) << verdict.EarlyClientHello
		if s.reported&bit != 0 {
			return false // said, and let be
		}
		s.reported |= bit
		action := s.rules.Action(verdict.EarlyClientHello)
		if action == verdict.Delay {
			action = verdict.Kill
		}
		return p.actAs(s, verdict.EarlyClientHello, action, toServer, 0, nil)
	default:
		return false
	}
	return true
}

// readEarly judges octets that came before the answer to STARTTLS (RFC 3207 §4: the
// client must wait). They are not consumed: what they are depends on the answer.
func (p *Pipeline) readEarly(s *session, b []byte) {
	if len(b) < helloPrefix { // where the ring ends, for example
		h := &s.half[toServer]
		x, y := h.stream.View(h.parsed, h.stream.Next())
		b = append(append(p.scratch(2 * helloPrefix)[:0], x...), y[:min(len(y), helloPrefix)]...)
	}
	if tlsrecord.MayBeClientHello(b[:min(len(b), helloPrefix)]) && s.early != earlyOctets {
		if len(b) >= helloPrefix && s.early == notEarly {
			s.early = earlyHello
			p.act(s, verdict.EarlyClientHello, toServer, 0, nil)
		}
		return
	}
	if s.early != earlyOctets {
		s.early = earlyOctets
		p.act(s, verdict.CommandInjection, toServer, 0, b)
	}
}

// command judges a complete command line that begins at start.
func (p *Pipeline) command(s *session, ev *smtp.ClientEvent, start seqnum.Value) {
	p.noteCommand(s, ev)
	p.say(s, SaidCommand, uint16(ev.Verb))
	s.settled = false
	n := int(s.half[toServer].parsed.Sub(start)) - lineEnd(ev.Odd)
	if r := s.refuse; r.note != noRefusal { // begun while its line was not complete
		s.refuse = refuseEdit{}
		if r.note == notHere || r.note == badSequence {
			s.led.Ask(ev)
			s.led.Withdraw()
		}
		p.refuseCommand(s, ev, start, n, r, true)
		return
	}
	switch ev.Verb {
	case smtp.VerbSTARTTLS, smtp.VerbXANONYMOUSTLS:
		p.ask(s, ev, start, n)
	case smtp.VerbBDAT, smtp.VerbBDATLast:
		action := s.rules.Action(verdict.BDATMalformed)
		if s.editsCommands() {
			action = verdict.Kill // what is to be refused could stand in its octets, or behind them
		} else if ev.Flags&smtp.BadSize == 0 {
			return
		}
		switch {
		case ev.Flags&(smtp.BadSize|smtp.Unoffered) != 0:
			p.actAs(s, verdict.BDATMalformed, action, toServer, 0, ev.Line)
		case s.rules.StartTLS == policy.Require && s.rules.Action(verdict.TLSRequired) == verdict.Refuse:
			// In one group with the MAIL that is refused, it brings the message all the same.
			p.actAs(s, verdict.TLSRequired, verdict.Kill, toServer, 0, []byte(ev.Verb.String()))
		}
	case smtp.VerbEHLO, smtp.VerbHELO:
		p.recall(s)
	case smtp.VerbMAIL, smtp.VerbAUTH:
		if ev.Verb == smtp.VerbMAIL && p.judgeDowngrade(s) {
			return
		}
		if r, ok := s.wish(ev.Verb); ok {
			p.judgeCommand(s, ev, start, n, r)
		}
	}
}

// lineEnd is the length of a line's end.
func lineEnd(odd smtp.LineFlags) int {
	if odd&smtp.BareLF != 0 {
		return 1
	}
	return 2
}

// wish is the finding that a verb in clear text is, with its refusal; false where it is
// none.
func (s *session) wish(verb smtp.Verb) (r refuseEdit, ok bool) {
	switch {
	case verb == smtp.VerbSTARTTLS || verb == smtp.VerbXANONYMOUSTLS:
		switch {
		case s.hides():
			return hidden, true
		case verb == smtp.VerbSTARTTLS && !s.led.Offered():
			return refuseEdit{badSequence, verdict.STARTTLSNotOffered}, true
		}
	case verb != smtp.VerbMAIL && verb != smtp.VerbAUTH:
	case s.rules.StartTLS == policy.Require:
		return refuseEdit{tlsFirst, verdict.TLSRequired}, true
	case verb == smtp.VerbAUTH && s.led.Offered():
		return refuseEdit{authNeedsTLS, verdict.AuthInClear}, true
	}
	return r, false
}

// hides says that an offer was taken away, or will be.
func (s *session) hides() bool {
	return s.led.Took(starttls.StepHidden) || s.rules.StartTLS == policy.Hide || s.recall.has(hidesOffer)
}

// editsCommands says that a command may have to be kept from the server, so that none may be
// given away before it was read.
func (s *session) editsCommands() bool { return s.rules.EditsCommands || s.recall.has(hidesOffer) }

// hidden refuses what was not offered because its offer was taken away.
var hidden = refuseEdit{notHere, verdict.STARTTLSNotOffered}

// judgeCommand reports a finding that is a command, and refuses the command where
// policy asks for it; it says whether there is nothing left to judge.
func (p *Pipeline) judgeCommand(s *session, ev *smtp.ClientEvent, start seqnum.Value, n int, r refuseEdit) {
	switch {
	case r.finding == verdict.TLSRequired && s.holdsBack():
		p.actAs(s, r.finding, verdict.Kill, toServer, 0, []byte(ev.Verb.String()))
	case s.rules.Action(r.finding) == verdict.Refuse:
		p.refuseCommand(s, ev, start, n, r, false)
	default:
		p.act(s, r.finding, toServer, 0, []byte(ev.Verb.String()))
	}
}

// refuseCommand keeps a complete command from the server, and has its reply made the
// refusal. begun says that the edit began before the line was complete. A command whose
// verb has left can't be kept from the server any more: the connection is ended.
func (p *Pipeline) refuseCommand(s *session, ev *smtp.ClientEvent, start seqnum.Value, n int, r refuseEdit, begun bool) {
	said := []byte(ev.Verb.String())
	if p.hasAnswer(s, said) {
		return
	}
	if s.enforce && !p.rewriteCommand(s, start, n, verbEnd(ev.Line, ev.Verb), begun) {
		p.actAs(s, r.finding, verdict.Kill, toServer, 0, said)
		return
	}
	p.report(s, r.finding, verdict.Refuse, toServer, 0, said)
	if s.enforce {
		s.dlg.Refused(r.note)
	}
}

// refusePartial refuses a command of which only a part has arrived, as soon as its
// verb has: no octet of the verb's end may leave before.
func (p *Pipeline) refusePartial(s *session) {
	if s.dlg.Mode() != smtp.Commands {
		return
	}
	head, n := s.dlg.ClientPartial()
	if n == 0 {
		return
	}
	start := s.half[toServer].parsed.Add(-n)
	if head[len(head)-1] == '\r' {
		n--
	}
	verb := smtp.VerbUnknown
	for _, v := range [...]smtp.Verb{smtp.VerbMAIL, smtp.VerbAUTH, smtp.VerbSTARTTLS, smtp.VerbXANONYMOUSTLS} {
		if smtp.HasPrefixFold(bytes.TrimLeft(head, smtp.Blanks), v.String()) {
			verb = v
		}
	}
	end := verbEnd(head, verb)
	if s.refuse.note == noRefusal {
		r, ok := s.wish(verb)
		if !ok || s.rules.Action(r.finding) != verdict.Refuse && r.note != notHere {
			return
		}
		if r.finding == verdict.TLSRequired && s.holdsBack() {
			p.actAs(s, r.finding, verdict.Kill, toServer, 0, []byte(verb.String()))
			return
		}
		if s.surplus && p.act(s, verdict.SurplusReply, toServer, 0, []byte(verb.String())) {
			return
		}
		s.refuse = r
		if !p.rewriteCommand(s, start, n, end, false) {
			p.actAs(s, s.refuse.finding, verdict.Kill, toServer, 0, []byte(verb.String()))
		}
		return
	}
	p.rewriteCommand(s, start, n, end, true)
}

// verbEnd returns where a line's verb ends.
func verbEnd(line []byte, verb smtp.Verb) int {
	return len(line) - len(bytes.TrimLeft(line, smtp.Blanks)) + len(verb.String())
}

// hasAnswer says that the client has got, or has begun to get, what it would take for the
// reply to the command that it sends now, and that this has ended the connection.
func (p *Pipeline) hasAnswer(s *session, line []byte) bool {
	_, part := s.dlg.ServerPartial()
	begun := s.dlg.Waiting() == 1 && (part > 0 || s.dlg.InReply()) // before it was asked
	// And what is there while the command was kept back, the server can't have said to it.
	h := &s.half[toClient]
	begun = begun || s.enforce && h.parsed.Less(h.stream.Next())
	return (s.surplus || begun) && p.act(s, verdict.SurplusReply, toServer, 0, line)
}

// ask takes the client's STARTTLS.
func (p *Pipeline) ask(s *session, ev *smtp.ClientEvent, start seqnum.Value, n int) {
	s.early = notEarly
	s.answer = answerEdit{}
	if p.hasAnswer(s, ev.Line) {
		return
	}
	found := s.led.Ask(ev)
	if s.hides() && s.enforce {
		// What was not offered is not let through: both ends see one truth.
		p.refuseCommand(s, ev, start, n, hidden, false)
		s.led.Withdraw()
		return
	}
	for _, f := range found.List() {
		if s.rules.Action(f) == verdict.Refuse {
			r := refuseEdit{badSequence, f}
			if f == verdict.STARTTLSWithParameter || f == verdict.STARTTLSMalformed {
				r.note = badParameter
			}
			p.refuseCommand(s, ev, start, n, r, false)
			if s.enforce {
				s.led.Withdraw()
				return
			}
			continue
		}
		if p.act(s, f, toServer, 0, ev.Line) {
			return
		}
	}
}
