package inspect

import (
	"slices"

	"keepword/dataplane"
	"keepword/inspect/flow"
	"keepword/inspect/packet"
	"keepword/inspect/reassembly"
	"keepword/inspect/seqnum"
	"keepword/inspect/verdict"
)

// Bounds of holding.
const (
	// maxHeld packets of one session wait, and no more octets than may be kept of a
	// direction; a further packet is dropped, and its sender repeats it. 64 segments of
	// 1,448 octets are more than most senders have in flight behind a lost one, and few
	// enough to be looked through for each packet.
	maxHeld = 64
	// holdUndecided is how long the first digits of an answer wait for the rest. A
	// sender that waits for their acknowledgement (Nagle, RFC 9293 §3.7.4) sends
	// nothing more until then.
	holdUndecided = 200e6
	// holdOther is how long octets behind a hole, or an early ClientHello, wait. Then
	// they are dropped, and the sender's own timer decides.
	holdOther = 10e9
)

// held is a packet that waits, or the tail of one whose head has left.
type held struct {
	id         uint32
	buffer     *reassembly.Buffer // it holds the packet
	length     int                // of the packet
	first, end seqnum.Value
	until      int64
	d          uint8
	tail       bool // no packet waits in the kernel: it is sent as one of ours
	dirty      bool // it differs from what waits in the kernel
}

// waiting are the packets that one session holds.
type waiting struct{ list []held }

// packets returns what waits, lent until that changes.
func (w *waiting) packets() []held {
	if w == nil {
		return nil
	}
	return w.list
}

// hold lets the packet at hand wait. dirty says that it was changed.
func (p *Pipeline) hold(e *flow.Entry[session], d int, pk *dataplane.Packet, end seqnum.Value, dirty bool) verdict.Kind {
	if p.inArrears || !p.keep(e, d, held{id: pk.ID, end: end, dirty: dirty}) {
		return verdict.Drop
	}
	return verdict.Hold
}

// keepTail keeps the packet at hand, of which only the head may go. Without room for
// it the sender repeats it.
func (p *Pipeline) keepTail(e *flow.Entry[session], d int) {
	v := p.view
	p.keep(e, d, held{tail: true, end: seqnum.Value(v.Seq).Add(len(v.Payload))})
}

func (p *Pipeline) keep(e *flow.Entry[session], d int, w held) bool {
	s, v := &e.Value, p.view
	octets := len(v.Bytes())
	for _, w := range s.held.packets() {
		octets += w.length
	}
	if len(s.held.packets()) >= maxHeld || octets > p.cap {
		return false
	}
	w.buffer = p.memory.Get(len(v.Bytes()))
	if w.buffer == nil {
		return false
	}
	w.length = copy(w.buffer.Octets, v.Bytes())
	w.d, w.first = uint8(d), seqnum.Value(v.Seq)
	wait, q := int64(holdOther), &p.timers.held
	if d == toClient && s.answer.undecided {
		wait, q = holdUndecided, &p.timers.undecided
	}
	w.until = p.now + wait
	if s.held == nil {
		s.held = p.waiting.get()
	}
	s.held.list = append(s.held.list, w)
	q.push(w.until, e.Slot(), s.id)
	return true
}

// covers says that octets wait in packets held already.
func (s *session) covers(d int, first, end seqnum.Value) bool {
	for _, w := range s.held.packets() {
		if int(w.d) == d && w.first.LessEq(first) && end.LessEq(w.end) {
			return true
		}
	}
	return false
}

// letGoInOrder lets the held packets go whose octets may be given away by now.
func (p *Pipeline) letGoInOrder(s *session) {
	for {
		next, list := -1, s.held.packets()
		for i := range list {
			w := &list[i]
			if w.end.LessEq(s.limit(int(w.d))) && (next < 0 || w.d == list[next].d && w.first.Less(list[next].first)) {
				next = i
			}
		}
		if next < 0 {
			return
		}
		p.letGoOne(s, next, verdict.Accept)
	}
}

// letGo decides all that is held: Accept or Drop.
func (p *Pipeline) letGo(s *session, kind verdict.Kind) {
	for s.held != nil {
		next, list := 0, s.held.list
		for i := range list {
			if w := &list[i]; w.d == list[next].d && w.first.Less(list[next].first) {
				next = i
			}
		}
		p.letGoOne(s, next, kind)
	}
}

// letGoOne decides one held packet. What leaves is made equal to what is kept.
func (p *Pipeline) letGoOne(s *session, i int, kind verdict.Kind) {
	w := s.held.list[i]
	if s.held.list = slices.Delete(s.held.list, i, i+1); len(s.held.list) == 0 {
		p.waiting.put(&s.held)
	}
	p.spent = append(p.spent, w.buffer)
	octets, h := w.buffer.Octets[:w.length], &s.half[w.d]
	if kind == verdict.Accept {
		var v packet.View
		packet.Parse(octets, &v) // as when it came
		stray := v.Flags.Has(packet.FIN) && !h.isLast(w.end)
		if stray {
			v.ClearFIN()
		}
		if h.stream.Restore(w.first, v.Payload) || w.tail || w.dirty || stray {
			v.SetChecksums()
			kind = verdict.Replace
		}
		s.noteGiven(int(w.d), v.Payload, h.give(w.end))
	}
	switch {
	case !w.tail:
		r := dataplane.Release{ID: w.id, Verdict: kind}
		if kind == verdict.Replace {
			r.Data = octets
		}
		p.batch.Released = append(p.batch.Released, r)
	case kind == verdict.Replace:
		p.batch.Injected = append(p.batch.Injected, octets)
	}
}

// waitsTooLong says that octets of the server have waited for their time.
func (s *session) waitsTooLong(now int64) bool {
	for _, w := range s.held.packets() {
		if w.d == toClient && w.until <= now {
			return true
		}
	}
	return false
}

// holdExpired is the end of a held packet's time.
func (p *Pipeline) holdExpired(e *flow.Entry[session]) {
	s := &e.Value
	if s.answer.undecided && s.waitsTooLong(p.now) {
		// It must not stall: the digits go as they came. If they begin what can't be an
		// answer, the connection will have to end.
		s.answer.undecided, s.answer.letGo = false, true
		p.letGoInOrder(s)
	}
	for i := 0; i < len(s.held.packets()); {
		if s.held.list[i].until <= p.now {
			p.letGoOne(s, i, verdict.Drop)
		} else {
			i++
		}
	}
}
