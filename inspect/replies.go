package inspect

import (
	"bytes"

	"keepword/inspect/packet"
	"keepword/inspect/seqnum"
	"keepword/inspect/smtp"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// answerEdit is what is known of the server's line at hand.
type answerEdit struct {
	start      seqnum.Value // first octet of the first line that answers STARTTLS
	undecided  bool         // its digits have not all arrived; they wait
	letGo      bool         // they have waited long enough
	correcting bool         // the reply's lines are made refusals
	refused    bool         // its first line is a refusal of the server's own
	reported   bool         // a finding of this answer was reported before its last line
	changed    bool         // a part of the line at hand has been edited and given away
}

// offerEdit is where the lines of the EHLO reply under way lie, so that one of them
// can be taken out.
type offerEdit struct {
	firstStart seqnum.Value // first line
	firstEnd   seqnum.Value // its end of line
	prev       seqnum.Value // the line before the one at hand
}

// readReplies consumes octets of the server in clear text.
func (p *Pipeline) readReplies(s *session, b []byte) {
	h := &s.half[toClient]
	at := h.parsed
	n, ev := s.dlg.Server(b, &p.lines)
	h.parsed = at.Add(n)
	if ev.Kind == smtp.ServerNone {
		if _, length := s.dlg.ServerPartial(); length > maxLine && p.endless(s, toClient) {
			return
		}
		if s.enforce {
			p.partialReply(s)
		}
		return
	}
	s.answer.undecided = false
	if p.judgeLine(s, toClient, ev.Odd, n-ev.Start, maxReplyLine, ev.Line) || p.judgeReply(s, ev) {
		return
	}
	p.reply(s, ev, at.Add(ev.Start))
	s.answer.changed = false
}

// reply judges a complete line of a reply that begins at start.
func (p *Pipeline) reply(s *session, ev *smtp.ServerEvent, start seqnum.Value) {
	n := int(s.half[toClient].parsed.Sub(start)) - lineEnd(ev.Odd)
	if ev.Final {
		p.say(s, SaidReply, uint16(ev.Code))
	}
	// No other command is answered 220 (RFC 5321 §4.2.2) but XCLIENT, nor is a NOOP in the place of a
	// refused one: it is a second answer to STARTTLS, and its sender begins TLS now.
	asked := s.led.Took(starttls.StepAnswered) || s.led.State() == starttls.Asked && ev.To.Verb != smtp.VerbUnknown
	late := ev.Code == 220 && asked && !ev.Surplus &&
		ev.To.Verb != smtp.VerbXCLIENT && ev.To.Verb != smtp.VerbGreeting && ev.To.Verb != smtp.VerbSTARTTLS && ev.To.Verb != smtp.VerbXANONYMOUSTLS
	if late && ev.First && p.act(s, verdict.SurplusReply, toClient, ev.Code, ev.Text) {
		return
	}
	switch {
	case ev.Surplus:
		if begins := ev.Code == 220; begins && ev.First || !begins && ev.Final { // who says 220 begins TLS
			p.surplus(s, ev)
		}
	case ev.To.Note != noRefusal && ev.Code == 0 && !isNumber(ev.Line[:min(len(ev.Line), 1)]): // noise, which clients skip
	case ev.To.Note != noRefusal && ev.Code == 0: // begun as a reply, and perhaps edited
		p.report(s, verdict.UnfitAnswer, verdict.Kill, toClient, 0, ev.Line)
		p.kill(s, verdict.UnfitAnswer)
	case ev.To.Note != noRefusal:
		p.refuseReply(s, start, ev.Line, n, true, ev.To.Note)
	case ev.To.Verb == smtp.VerbGreeting:
		if ev.Code == 220 && ev.First {
			p.actAll(s, s.led.Greeting(ev.Text), toClient, ev.Code, ev.Text)
		}
	case (ev.To.Verb == smtp.VerbTURN || ev.To.Verb == smtp.VerbATRN) && s.dlg.Mode() == smtp.Left:
		if !p.act(s, verdict.RoleSwap, toClient, ev.Code, []byte(ev.To.Verb.String())) {
			s.lost = true
			p.pass(s)
		}
	case ev.To.Verb == smtp.VerbEHLO && ev.Code/100 == 2: // clients take any 2yz (RFC 5321 §4.2.1)
		p.ehloLine(s, ev, start)
	case ev.To.Verb == smtp.VerbEHLO && ev.Code/100 == 5:
		s.recall |= ehloWasRefused
	case ev.To.Verb == smtp.VerbHELO && ev.Code/100 == 2 && ev.Final:
		p.judgeHELO(s, ev)
	case ev.To.Verb == smtp.VerbSTARTTLS || ev.To.Verb == smtp.VerbXANONYMOUSTLS:
		p.answerLine(s, ev, start, n)
	case ev.Code == 235: // RFC 4954 §4
		s.led.Authenticated()
	}
}

// surplus judges a reply that no command waits for.
func (p *Pipeline) surplus(s *session, ev *smtp.ServerEvent) {
	v, h := p.view, &s.half[toServer]
	// To what was never seen here (see gap) it may well be the reply. No client takes octets
	// with such an acknowledgement that has sent no more than was seen (RFC 9293 §3.10.7.4).
	unseen := v != nil && v.Flags.Has(packet.ACK) && h.stream.Next().Less(seqnum.Value(v.Ack)) && !h.ended()
	// Who says 2yz to mail data that go on has taken something in them for their end.
	if !unseen && (s.reported&(1<<verdict.Smuggling) != 0 || s.dlg.Mode() == smtp.MailData) && ev.Code/100 == 2 {
		s.surplus = true
		p.act(s, verdict.SmugglingConfirmed, toClient, ev.Code, ev.Text)
		return
	}
	found := s.led.Surplus(ev.Code)
	for _, f := range found.List() {
		s.surplus = true
		action := s.rules.Action(f)
		if unseen || !s.settled && !(ev.Code == 220 && s.led.Took(starttls.StepAnswered)) { // else it is a second answer to STARTTLS
			action = min(action, verdict.Log)
		}
		p.actAs(s, f, action, toClient, ev.Code, ev.Text)
	}
}

// partialReply acts on a line of which only a part has arrived.
func (p *Pipeline) partialReply(s *session) {
	head, n := s.dlg.ServerPartial()
	to, waits := s.dlg.Next()
	if n == 0 || !waits {
		return
	}
	start := s.half[toClient].parsed.Add(-n)
	if head[len(head)-1] == '\r' {
		n--
	}
	switch {
	case to.Note != noRefusal:
		if s.answer.changed || isNumber(head[:min(len(head), len("250"))]) {
			p.refuseReply(s, start, head, n, false, to.Note)
		}
	case to.Verb == smtp.VerbEHLO && s.hides() && s.dlg.InReply():
		if at := keywordAt(head); smtp.HasPrefixFold(head[at:], "STARTTLS") {
			p.edit(s, toClient, start.Add(at), []byte(hiddenKeyword))
		}
	case to.Verb == smtp.VerbSTARTTLS || to.Verb == smtp.VerbXANONYMOUSTLS:
		p.partialAnswer(s, head, n, start)
	}
}

// isNumber says that b is all digits.
func isNumber(b []byte) bool { return len(b) > 0 && len(bytes.Trim(b, "0123456789")) == 0 }

// partialAnswer acts on the beginning of a line that answers STARTTLS. Two digits
// can't tell 220 from 250; they wait for the third.
func (p *Pipeline) partialAnswer(s *session, head []byte, n int, start seqnum.Value) {
	const digits = 3
	if s.answer.correcting {
		p.correctPart(s, start, head, n)
		return
	}
	if n < digits {
		if !s.answer.letGo && !s.dlg.InReply() {
			s.answer.undecided, s.answer.start = true, start
		}
		return
	}
	s.answer.undecided = false
	code, _, _ := smtp.ParseReplyLine(head[:digits])
	if f := starttls.Unfit(code); f != verdict.NoFinding && s.rules.Action(f) == verdict.Correct && !s.dlg.InReply() {
		s.answer.correcting = true
		p.correctPart(s, start, head, n)
	}
}

// correctPart makes what has arrived of a line a refusal, or ends the connection where
// it can't.
func (p *Pipeline) correctPart(s *session, start seqnum.Value, head []byte, n int) {
	if !p.rewriteReply(s, start, head, n, false, &refusals[notNow]) {
		p.report(s, verdict.AnsweredForServer, verdict.Kill, toClient, 0, head)
		p.kill(s, verdict.AnsweredForServer)
	}
}

// answerLine judges a line that answers STARTTLS. One answer is one finding: that of
// its last line, or of the line that contradicts the first.
func (p *Pipeline) answerLine(s *session, ev *smtp.ServerEvent, start seqnum.Value, n int) {
	said := p.quote(ev.Text) // before any edit
	if ev.Code == 220 && hidesReply(ev.Text) && p.act(s, verdict.ResponseInjection, toClient, ev.Code, said) {
		return
	}
	refuses := 400 <= ev.Code && ev.Code < 600
	if ev.First {
		s.answer.start, s.answer.refused = start, refuses
	}
	unfit := starttls.Unfit(ev.Code)
	if s.answer.refused && (refuses || ev.Code == 0) {
		unfit, ev.Differs = verdict.NoFinding, false // badly written, but a refusal however it is read
	}
	if ev.Differs {
		unfit = verdict.UnfitAnswer
	}
	action := s.rules.Action(unfit)
	if ev.Differs && (action == verdict.Correct || s.answer.correcting) {
		action = verdict.Kill // its first lines said something else, and may have left
	}
	switch {
	case unfit == verdict.NoFinding:
	case action == verdict.Kill && s.enforce, ev.Differs && !s.answer.reported:
		s.answer.reported = true
		if p.actAs(s, unfit, action, toClient, ev.Code, said) {
			return
		}
	}
	if s.enforce && (s.answer.correcting || action == verdict.Correct && unfit != verdict.NoFinding) {
		s.answer.correcting = true
		if !p.rewriteReply(s, start, ev.Line, n, true, &refusals[notNow]) {
			p.actAs(s, unfit, verdict.Kill, toClient, ev.Code, said)
			return
		}
	}
	if !ev.Final {
		return
	}
	s.settled = true
	if _, behind := s.dlg.ClientPartial(); ev.Code == 220 {
		// What some server takes for STARTTLS by its beginning has let octets pass behind it.
		_, waits := s.dlg.Next()
		if (waits || behind > 0) && p.act(s, verdict.CommandInjection, toServer, 0, nil) {
			return
		}
		if !waits && behind == 0 && p.unheard(s) && p.act(s, verdict.SurplusReply, toClient, ev.Code, said) {
			return
		}
	}
	found := s.led.Answer(ev)
	if s.answer.correcting {
		s.led.Take(starttls.StepCorrected)
		s.answer.correcting = false
	}
	if ev.Code == 220 {
		p.handshake(s)
	}
	if !s.answer.reported && p.actAll(s, found, toClient, ev.Code, said) {
		return
	}
	s.answer.reported = false
	if ev.Code != 220 && s.early == earlyHello {
		// What waited for a 220 would be read as commands.
		s.early = earlyOctets
		p.act(s, verdict.CommandInjection, toServer, 0, []byte("ClientHello"))
	}
}

// unheard says that the server's line at hand was said before the client's last came to it: its
// segment does not acknowledge that (RFC 9293 §3.10.7.4: what is sent acknowledges RCV.NXT).
func (p *Pipeline) unheard(s *session) bool {
	return p.atHand == &s.half[toClient] && p.view.Flags.Has(packet.ACK) &&
		seqnum.Value(p.view.Ack).Less(s.half[toServer].parsed)
}

// hidesReply says that a text goes on behind a CR or a NUL: who ends a line there has a
// reply left over, which he would believe inside TLS.
func hidesReply(text []byte) bool {
	return bytes.ContainsAny(bytes.TrimRight(text, "\r\x00"), "\r\x00")
}

// refuseReply makes a line that answers a refused command the refusal. A refusal of
// the server's own that says more (421) stands.
func (p *Pipeline) refuseReply(s *session, start seqnum.Value, line []byte, n int, whole bool, note uint8) {
	if !s.enforce || len(line) > 0 && line[0] == '4' {
		return
	}
	if !p.rewriteReply(s, start, line, n, whole, &refusals[note]) {
		p.report(s, verdict.UnfitAnswer, verdict.Kill, toClient, 0, line)
		p.kill(s, verdict.UnfitAnswer)
	}
}

// hiddenKeyword takes the place of STARTTLS where its line can't be taken out: no
// registered keyword, and none that differs from STARTTLS in fewer than all letters,
// so that any end of it hides (RFC 5321 §2.2.2: X is for local use).
const hiddenKeyword = "X-HIDDEN"

// ehloLine judges a line of a positive EHLO reply, and takes the offer out where
// policy asks for it.
func (p *Pipeline) ehloLine(s *session, ev *smtp.ServerEvent, start seqnum.Value) {
	end := s.half[toClient].parsed
	o := &s.offer
	if ev.First {
		*o = offerEdit{firstStart: start, firstEnd: end.Add(-lineEnd(ev.Odd))}
		s.offerClean = true
	}
	s.offerClean = s.offerClean && ev.Odd == 0
	offers, found := s.led.EHLOLine(ev)
	if p.actAll(s, found, toClient, ev.Code, ev.Text) {
		return
	}
	if offers && s.hides() {
		s.led.Take(starttls.StepHidden)
		if s.enforce {
			p.hideOffer(s, start, end, keywordAt(ev.Line), ev.Final)
		}
	} else {
		o.prev = start
	}
	if ev.First {
		s.others = 0
	} else if !offers && len(found.List()) == 0 {
		s.others = digest(s.others, ev.Keyword)
	}
	if ev.Final && !p.actAll(s, s.led.EHLOEnd(), toClient, ev.Code, nil) {
		p.learnOffer(s)
	}
}

// keywordAt returns where in a line of an EHLO reply its keyword begins.
func keywordAt(line []byte) int {
	at := min(len("250-"), len(line))
	for at < len(line) && (line[at] == ' ' || line[at] == '\t') {
		at++
	}
	return at
}

// hideOffer takes the line from start to end out of the EHLO reply: the first line's
// free text (RFC 5321 §4.1.1.1, ehlo-greet) grows by as many blanks, and what lies
// between moves up. Where that has left already, the keyword is overwritten.
func (p *Pipeline) hideOffer(s *session, start, end seqnum.Value, keyword int, final bool) {
	const separator = len("250")
	o := &s.offer
	size := int(end.Sub(start))
	edge := o.firstEnd
	if final && o.prev == o.firstStart {
		edge = o.firstStart.Add(separator)
	}
	tooLong := int(o.firstEnd.Sub(o.firstStart))+size+2 > maxReplyLine
	if !s.offerClean || tooLong || !s.isOurs(toClient, edge) || final && !s.isOurs(toClient, o.prev.Add(separator)) {
		p.edit(s, toClient, start.Add(keyword), []byte(hiddenKeyword))
		o.prev = start
		return
	}
	between := int(start.Sub(o.firstEnd))
	b := p.scratch(size + between)
	blank(b[:size])
	x, y := s.half[toClient].stream.View(o.firstEnd, start)
	copy(b[size+copy(b[size:], x):], y)
	p.edit(s, toClient, o.firstEnd, b)
	if o.prev != o.firstStart {
		o.prev = o.prev.Add(size)
	}
	o.firstEnd = o.firstEnd.Add(size)
	if final {
		p.edit(s, toClient, o.prev.Add(separator), []byte{' '})
	}
}
