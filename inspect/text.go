package inspect

import (
	"keepword/dataplane"
	"keepword/inspect/reassembly"
	"keepword/inspect/seqnum"
	"keepword/inspect/smtp"
	"keepword/inspect/verdict"
)

// ring is memory that is shared with the kernel, as this worker uses it.
type ring = *reassembly.Buffer

// newRings makes them this worker's as well.
func newRings(shared []dataplane.Ring) (rings []ring) {
	for _, r := range shared {
		rings = append(rings, reassembly.Shared(r.Octets, r.Taken))
	}
	return rings
}

// text takes note of mail data that the kernel has read and let through. They are no more than
// lines of text, and lie where they would have been kept.
func (p *Pipeline) text(s *session, t *dataplane.Text) verdict.Kind {
	h, seq, tail := &s.half[toServer], seqnum.Value(p.view.Seq), t.Tail.Octets()
	if _, _, hole := h.stream.Hole(); s.direction(p.fromLow) != toServer || s.phase != dialogue || hole || seq != h.stream.Next() ||
		h.parsed != seq || h.given != seq || !s.dlg.MayReadText() || t.Ring >= len(p.rings) || !h.stream.Follow(p.rings[t.Ring], t.Len()) {
		return verdict.Drop
	}
	p.tookText = true
	end := h.stream.Next()
	if p.tap != nil {
		x, y := h.stream.View(seq, end)
		p.tap.Inspected(s.ends(), true, x)
		p.tap.Inspected(s.ends(), true, y)
	}
	s.dlg.Text(t.Line)
	h.parsed = seq.Add(int(t.Octets))
	if tail != "" {
		p.readCommands(s, append(p.scratch(len(tail))[:0], tail...))
	}
	if t.Tail == dataplane.TailEnd {
		h.stream.Alone(p.memory) // the kernel keeps nothing more of it
	}
	h.give(end)
	p.inspect(s)
	return verdict.Accept
}

// settleText puts the ring of a text back that nobody here has taken note of.
func (p *Pipeline) settleText(t *dataplane.Text) {
	if t.Len() > 0 && !p.tookText && t.Ring < len(p.rings) {
		p.memory.PutLate(p.rings[t.Ring])
	}
	p.tookText = false
}

// shareRing returns one more than the index of the ring that the kernel may go on with, where the
// client is in the middle of mail data of which some are in flight: 0 where there is none.
func (p *Pipeline) shareRing(s *session) int {
	stream := &s.half[toServer].stream
	if s.dlg.Mode() != smtp.MailData || stream.Base() == stream.Next() {
		return 0 // it takes one, when it needs one
	}
	shared := stream.Shared()
	for i, r := range p.rings {
		if r == shared {
			stream.Again()
			return i + 1
		}
	}
	for i, r := range p.rings {
		if !r.Take() {
			continue
		}
		if !stream.Share(r, p.memory) {
			p.memory.Put(r)
			return 0
		}
		return i + 1
	}
	return 0
}
