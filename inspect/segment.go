package inspect

import (
	"keepword/dataplane"
	"keepword/inspect/flow"
	"keepword/inspect/packet"
	"keepword/inspect/reassembly"
	"keepword/inspect/seqnum"
	"keepword/inspect/smtp"
	"keepword/inspect/verdict"
)

// segment is the way of one segment of a known session.
func (p *Pipeline) segment(e *flow.Entry[session], fromLow bool, pk *dataplane.Packet) verdict.Kind {
	p.entry = e
	s, v := &e.Value, p.view
	d := s.direction(fromLow)
	s.count(d, v)
	class := flow.Open
	switch {
	case s.phase == opening:
		class = flow.Embryonic
	case s.phase >= killed:
		class = s.endedClass()
	}
	p.flows.Touch(e, p.now, class)

	if p.inArrears {
		text := uint64(pk.Passed.Text.Len())
		s.half[d].octets += text
		s.bytes[d] += text
		p.own(s, d)
	}
	if stream := &s.half[toServer].stream; stream.Busy() && (!p.inArrears || d == toServer && v.Flags.Has(packet.FIN)) {
		stream.Alone(p.memory) // the kernel keeps nothing more of it
	}
	wasExempt := p.wasExempt(pk)
	if wasExempt && s.phase == leaving {
		p.pass(s) // its ends have acknowledged what proves TLS
	}
	end, isLast := seqnum.Value(v.Seq).Add(len(v.Payload)), v.Flags.Has(packet.FIN) // before it is cut
	switch {
	case v.Flags.Has(packet.SYN):
		return p.synchronise(s, d)
	case s.phase == killed:
		return p.answerKilled(s, d, pk)
	case v.Flags.Has(packet.RST):
		if wasExempt {
			s.half[d].caughtUp(pk.Passed.Next)
		}
		return p.reset(e, d)
	case s.phase == passing || s.phase == over:
		if wasExempt {
			s.half[d].caughtUp(pk.Passed.Next)
		}
		s.half[d].follow(seqnum.Value(v.Seq), end)
		p.followEnd(e, d, end, isLast)
		if s.phase == over && s.enforce && !s.bypassed && len(v.Payload) > 0 && !wasExempt {
			return verdict.Drop // a reset may have died behind us: what follows it stays unread
		}
		return verdict.Accept
	}
	kind := p.data(e, d, pk)
	p.followEnd(e, d, end, isLast)
	return kind
}

// reset takes a RST. The session ends only where the receiver's does: at a sequence
// number of exactly RCV.NXT (RFC 5961 §3.2), or as the answer to a SYN.
func (p *Pipeline) reset(e *flow.Entry[session], d int) verdict.Kind {
	s, v := &e.Value, p.view
	h := &s.half[d]
	switch seq := seqnum.Value(v.Seq); {
	case s.phase == over, s.phase == passing && !h.mayEnd(seq):
		return verdict.Accept
	case s.phase == passing:
	case s.phase == opening:
		if o := &s.half[1-d]; !v.Flags.Has(packet.ACK) || !o.opened || seqnum.Value(v.Ack) != o.stream.Next() {
			return verdict.Accept
		}
	case h.opened && seq != h.given && !(h.ended() && seq == h.fin.Add(1)):
		p.once(s, verdict.ResetUnsure, d)
		return verdict.Accept
	default:
		s.wasReset = true
	}
	p.conclude(e)
	return verdict.Accept
}

// followEnd notes FINs, and ends the session when both sides' are acknowledged: until
// then an end may have to repeat its last octets. The packet at hand ends at end, and
// isLast says that it has a FIN.
func (p *Pipeline) followEnd(e *flow.Entry[session], d int, end seqnum.Value, isLast bool) {
	s, v := &e.Value, p.view
	h, o := &s.half[d], &s.half[1-d]
	if isLast && (s.phase < passing && !h.hasFIN || s.phase == passing && h.mayEnd(end) || end == h.stream.Next()) { // one out of place is not the last word
		h.finAcked = h.finAcked && end == h.fin
		h.hasFIN, h.fin = true, end
	}
	if v.Flags.Has(packet.ACK) && o.hasFIN && seqnum.Value(v.Ack) == o.fin.Add(1) {
		o.finAcked = true
	}
	if h.finAcked && o.finAcked && s.phase < killed && (s.phase == passing || h.parsed == h.fin && o.parsed == o.fin) {
		p.conclude(e)
	}
}

// conclude ends a session whose ends have said goodbye.
func (p *Pipeline) conclude(e *flow.Entry[session]) {
	if e.Value.enforce {
		p.letGo(&e.Value, verdict.Drop) // a reset may die behind us: what is unread stays so
	}
	p.end(&e.Value, EndClosed)
	p.flows.Touch(e, p.now, e.Value.endedClass())
}

// endedClass is the class of a session that is over: where only a reset says so to its
// receiver, that may be going on.
func (s *session) endedClass() flow.Class {
	if s.phase == killed || s.wasReset && s.enforce {
		return flow.Reset
	}
	return flow.Ended
}

// data takes a segment of a session that is being read.
func (p *Pipeline) data(e *flow.Entry[session], d int, pk *dataplane.Packet) verdict.Kind {
	s, v := &e.Value, p.view
	h := &s.half[d]
	if p.inArrears && pk.Passed.Followed {
		p.acknowledged(h, seqnum.Value(pk.Passed.Acked))
	}
	if !h.opened { // in its middle, or the other SYN was missed
		h.open(synSeen{first: seqnum.Value(v.Seq)})
	}
	if o := &s.half[1-d]; !o.opened && v.Flags.Has(packet.ACK) {
		o.open(synSeen{first: seqnum.Value(v.Ack)})
	}
	if s.phase == opening {
		if s.enforce {
			return verdict.Drop // before the handshake is complete (RFC 9293 §3.10.7.4)
		}
		s.phase = dialogue
	}
	if s.syns != nil && !p.settleSYN(s, d) && s.enforce {
		return verdict.Drop
	}
	dirty := p.acknowledge(s, d)
	if s.phase >= passing { // a gap was found
		return p.kindOf(s, dirty)
	}
	if v.Flags.Has(packet.URG) { // also without octets: the pointer may be to one still to come
		switch action := p.once(s, verdict.UrgentData, d); {
		case !s.enforce:
		case action == verdict.Kill:
			p.kill(s, verdict.UrgentData)
			return verdict.Drop
		case action == verdict.Correct:
			v.ClearUrgent()
			dirty = true
		}
	}
	if p.inArrears && pk.Passed.Text.Len() > 0 {
		return p.text(s, &pk.Passed.Text)
	}
	if len(v.Payload) == 0 {
		if seq := seqnum.Value(v.Seq); v.Flags.Has(packet.FIN) && s.enforce && (seq != h.given || !h.isLast(seq)) {
			return verdict.Drop // octets before it are held or missing; the sender repeats it
		}
		return p.kindOf(s, dirty)
	}
	return p.octets(e, d, pk, dirty)
}

// acknowledge takes the acknowledgement and the window of a segment of direction d,
// which are about the other direction. It says whether it changed the segment.
func (p *Pipeline) acknowledge(s *session, d int) (dirty bool) {
	v := p.view
	if !v.Flags.Has(packet.ACK) {
		return false
	}
	if v.Window == 0 && d == toServer && s.phase == handshaking {
		s.recall |= shut
	}
	o, ack := &s.half[1-d], seqnum.Value(v.Ack)
	if o.ended() && ack == o.fin.Add(1) {
		ack = o.fin
	}
	o.met = o.met || ack == o.first
	if ack.Sub(o.acked) > 0 {
		if ack.LessEq(o.stream.Next()) {
			o.acked = o.acked.Max(ack.Min(o.given)) // nobody can have more; that much may be forged
		} else {
			o.unseen = ack // a gap, as soon as octets come that show a hole
		}
		if _, end, hole := o.stream.Hole(); hole && end.LessEq(ack) {
			p.gap(s, 1-d)
			return false
		}
		o.stream.Forget(o.acked.Min(o.parsed), p.memory)
		if s.phase == leaving && s.hasLeft() {
			p.pass(s)
			return false
		}
	}
	if p.opensWide(s, d) {
		v.SetWindow(uint16(p.cap >> s.half[d].scale))
		return true
	}
	return false
}

// opensWide says that the window of the segment at hand has to be lowered: the sender may have
// no more in flight than we can keep, for a retransmission must be checked against what was
// inspected. The right edge moves with ACK, so it never shrinks (RFC 9293 §3.8.6).
func (p *Pipeline) opensWide(s *session, d int) bool {
	return s.enforce && s.half[d].scaled && s.half[1-d].scaled && int(p.view.Window)<<s.half[d].scale > p.cap
}

// gap is where the receiver has octets that were never seen.
func (p *Pipeline) gap(s *session, d int) {
	if s.phase == leaving {
		p.pass(s) // what was to be read has been
		return
	}
	h := &s.half[d]
	h.given = h.given.Max(h.unseen) // the receiver expects what is next
	s.lost = true
	action := s.rules.Action(verdict.Gap)
	if s.editsCommands() {
		action = verdict.Kill // what is to be refused could pass unread
	}
	when := WhenPass
	if action == verdict.Kill && s.enforce {
		when = WhenKill
	}
	p.stats.lost(causeGap, when)
	if p.actAs(s, verdict.Gap, action, d, 0, nil) {
		return
	}
	p.pass(s)
}

// octets takes a segment's payload: into the stream, through inspection, and to the
// receiver as far as it may.
func (p *Pipeline) octets(e *flow.Entry[session], d int, pk *dataplane.Packet, dirty bool) verdict.Kind {
	s, v := &e.Value, p.view
	h := &s.half[d]
	seq := seqnum.Value(v.Seq)
	end := seq.Add(len(v.Payload))
	if old := h.stream.Base().Sub(seq); old > 0 && s.enforce {
		dirty = blankOld(v.Payload[:min(int(old), len(v.Payload))]) || dirty
	}
	if s.enforce && h.ended() && h.fin.Less(end) {
		p.once(s, verdict.OutOfWindow, d)
		return verdict.Drop // behind the FIN there is nothing
	}
	r := h.stream.Insert(seq, v.Payload, p.cap, p.memory)
	if r.Outcome == reassembly.TooFar && !s.enforce && h.parsed == h.stream.Next() {
		// Nothing bounds the sender here, and nothing is going to be rewritten.
		h.stream.Forget(h.parsed, p.memory)
		r = h.stream.Insert(seq, v.Payload, p.cap, p.memory)
	}
	dirty = dirty || r.Changed
	if r.Conflict {
		if p.once(s, verdict.OverlapConflict, d) == verdict.Kill && s.enforce {
			p.kill(s, verdict.OverlapConflict)
			return verdict.Drop
		}
	}
	switch r.Outcome {
	case reassembly.TooFar:
		if h.stream.Next().Less(h.unseen) { // far ahead, since much went by unseen
			p.gap(s, d)
			return p.kindOf(s, dirty)
		}
		p.once(s, verdict.OutOfWindow, d)
		if !s.enforce {
			return verdict.Accept // beyond all windows; what is true comes again, or is a gap
		}
		return verdict.Drop
	case reassembly.NoMemory:
		return p.full(s, d)
	case reassembly.TooManyHoles:
		if !s.enforce {
			p.giveUp(s, d, verdict.TooManyHoles)
			return verdict.Accept
		}
		if p.once(s, verdict.TooManyHoles, d) == verdict.Kill {
			p.kill(s, verdict.TooManyHoles)
		}
		return verdict.Drop // the sender repeats it when holes have been filled
	case reassembly.Ahead:
		if first, hole, _ := h.stream.Hole(); first.Less(hole) && hole.LessEq(h.unseen) {
			p.gap(s, d)
			return p.kindOf(s, dirty)
		}
		if !s.enforce {
			return verdict.Accept
		}
		if p.mayPassAhead(s, d) {
			h.beyond = h.beyond.Max(end)
			if v.Flags.Has(packet.FIN) {
				v.ClearFIN()
				dirty = true
			}
			return p.kindOf(s, dirty)
		}
		if s.covers(d, seq, end) {
			return verdict.Drop // held already
		}
		return p.hold(e, d, pk, end, dirty)
	case reassembly.Advanced:
		p.atHand, p.edited = h, false
		p.inspect(s)
		p.atHand = nil
	}
	if s.phase >= passing {
		// Killed or given up by what was inspected.
		return p.kindOf(s, dirty || p.edited)
	}
	if !s.enforce {
		h.give(h.stream.Next())
		return verdict.Accept
	}
	return p.give(e, d, pk, dirty)
}

// kindOf is the verdict on the packet at hand where all of it may go.
func (p *Pipeline) kindOf(s *session, dirty bool) verdict.Kind {
	switch {
	case s.phase == killed:
		return verdict.Drop
	case dirty && s.enforce:
		p.view.SetChecksums()
		return verdict.Replace
	}
	return verdict.Accept
}

// give lets the packet at hand through as far as its octets may go, after what is
// held before it.
func (p *Pipeline) give(e *flow.Entry[session], d int, pk *dataplane.Packet, dirty bool) verdict.Kind {
	s, v := &e.Value, p.view
	h := &s.half[d]
	p.letGoInOrder(s)
	limit := s.limit(d)
	seq := seqnum.Value(v.Seq)
	end := seq.Add(len(v.Payload))
	if limit.Less(end) {
		if s.covers(d, seq, end) {
			return verdict.Drop // held already
		}
		if limit.LessEq(seq) || limit.LessEq(h.given) {
			return p.hold(e, d, pk, end, dirty)
		}
		// Its head may go. Its tail stays here, and is sent on when it may; to the
		// receiver it looks like a loss.
		p.keepTail(e, d)
		h.stream.Restore(seq, v.Payload)
		pk.Data = v.Truncate(int(limit.Sub(seq)))
		s.noteGiven(d, v.Payload, h.give(limit))
		return verdict.Replace
	}
	if v.Flags.Has(packet.FIN) && !h.isLast(end) {
		v.ClearFIN()
		dirty = true
	}
	// What was edited or held must leave as it is kept.
	if h.stream.Edited() && h.stream.Restore(seq, v.Payload) {
		dirty = true
	}
	s.noteGiven(d, v.Payload, h.give(end))
	return p.kindOf(s, dirty)
}

// limit returns up to where direction d may be given away.
func (s *session) limit(d int) seqnum.Value {
	h := &s.half[d]
	if s.phase == dialogue {
		switch {
		case d == toServer && (s.dlg.Mode() == smtp.Waiting || // unread until the reply tells how to read it
			s.dlg.Mode() == smtp.Asked && s.early != earlyOctets && s.rules.Action(verdict.EarlyClientHello) == verdict.Delay):
			if h.parsed.Less(h.beyond) {
				return h.given // what went ahead of a hole must not be read either: it stays open
			}
			return h.parsed
		case d == toClient && s.answer.undecided:
			return s.answer.start
		}
	}
	return h.stream.Next()
}

// mayPassAhead says that octets behind a hole may go before it is filled: the
// receiver can't act on them until then, and nothing in them can need an edit.
func (p *Pipeline) mayPassAhead(s *session, d int) bool {
	if s.phase == handshaking || s.phase == leaving {
		return true
	}
	m := s.dlg.Mode()
	return d == toServer && !s.editsCommands() && (m == smtp.MailData || m == smtp.Chunk)
}

// inspect reads all that may be read, in both directions. The client's octets go
// first: a reply may decide how those behind its command are to be read, and they how
// the next reply is.
func (p *Pipeline) inspect(s *session) {
	for p.readOne(s, toServer) || p.readOne(s, toClient) {
	}
	for d := range s.half {
		h := &s.half[d]
		h.stream.Forget(h.acked.Min(h.parsed), p.memory)
	}
}

// readOne reads direction d up to its next event, and says whether it consumed any
// octet, or found that they are to be read otherwise.
func (p *Pipeline) readOne(s *session, d int) bool {
	h := &s.half[d]
	if s.phase >= passing || !h.opened || h.parsed == h.stream.Next() {
		return false
	}
	if s.phase == leaving {
		h.parsed = h.stream.Next()
		return false
	}
	b := p.unread(h)
	before, phase := h.parsed, s.phase
	switch {
	case s.phase == handshaking:
		p.readRecords(s, d, b)
	case d == toServer:
		p.readCommands(s, b)
	default:
		p.readReplies(s, b)
	}
	n := int(h.parsed.Sub(before))
	if p.tap != nil && n > 0 {
		p.tap.Inspected(s.ends(), d == toServer, b[:min(n, len(b))])
	}
	return n > 0 || s.phase != phase
}

// unread returns octets of h from parsed on: where they lie in the packet at hand, if
// they do, else in the stream.
func (p *Pipeline) unread(h *half) []byte {
	if h == p.atHand {
		if off := int(h.parsed.Sub(seqnum.Value(p.view.Seq))); 0 <= off && off < len(p.view.Payload) {
			return p.view.Payload[off:]
		}
	}
	b, _ := h.stream.View(h.parsed, h.stream.Next())
	return b
}

// full is where the memory of all flows is used up.
func (p *Pipeline) full(s *session, d int) verdict.Kind {
	p.stats.lost(causeMemoryFull, p.memoryFull)
	s.lost = true
	switch p.memoryFull {
	case WhenDrop:
		if s.enforce {
			return verdict.Drop
		}
	case WhenKill:
		if s.enforce {
			p.find(s, verdict.MemoryLimit, d, 0, nil)
			p.kill(s, verdict.MemoryLimit)
			return verdict.Drop
		}
	}
	p.giveUp(s, d, verdict.MemoryLimit)
	return verdict.Accept
}

// giveUp lets a session through unread. Enforcing would have kept its sender within
// bounds.
func (p *Pipeline) giveUp(s *session, d int, f verdict.Finding) {
	s.lost = true
	p.stats.lost(causeFlowMemory, WhenPass)
	if bit := uint64(1) << f; s.reported&bit == 0 {
		s.reported |= bit
		p.report(s, f, min(s.rules.Action(f), verdict.Log), d, 0, nil)
	}
	p.pass(s)
}
