package inspect

import (
	"keepword/dataplane"
	"keepword/inspect/packet"
	"keepword/inspect/seqnum"
	"keepword/inspect/smtp"
	"keepword/inspect/verdict"
)

// hopLimit is that of packets of our own.
const hopLimit = 64

// kill ends a connection on both sides at once: the client is told 421 and the reason
// where a reply is due, then both are reset (RFC 9293 §3.10.7.4) at the sequence
// numbers that they expect. The packet at hand and all that is held is dropped.
func (p *Pipeline) kill(s *session, f verdict.Finding) {
	client, server := &s.half[toClient], &s.half[toServer]
	tell := p.repliesDue(s)
	p.letGo(s, verdict.Drop)

	toC := p.segmentOf(s, toClient)
	toC.Seq, toC.Ack = uint32(client.given), uint32(server.stream.Next())
	if tell {
		said := toC
		// The FIN says what is so, and keeps connection tracking from taking the packet
		// for the start of another connection, to be translated anew.
		said.Flags, said.Window = packet.ACK|packet.PSH|packet.FIN, 1<<15-1
		said.Payload = []byte("421 4.7.0 " + farewell(f) + "\r\n") // RFC 5321 §3.8
		p.inject(&said)
		toC.Seq += uint32(len(said.Payload)) + 1
	}
	toC.Flags, toC.HasTimestamp = packet.RST|packet.ACK, false
	p.inject(&toC)

	toS := p.segmentOf(s, toServer)
	toS.Flags, toS.HasTimestamp = packet.RST|packet.ACK, false
	toS.Seq, toS.Ack = uint32(server.given), uint32(client.stream.Next())
	p.inject(&toS)

	p.release(s)
	s.phase = killed
	p.end(s, EndClosed)
}

// repliesDue says that the client waits for a reply in clear text, or will when it has said
// what it is about to say, or that one goes with the packet at hand; and that it is between
// two lines.
func (p *Pipeline) repliesDue(s *session) bool {
	if s.inLine {
		return false
	}
	switch s.phase {
	case dialogue:
		if m := s.dlg.Mode(); m == smtp.MailData || m == smtp.Chunk {
			return true // its reply is due when the message ends
		}
		_, waits := s.dlg.Next()
		_, begun := s.dlg.ClientPartial() // a command whose reply it will wait for
		return waits || begun > 0 || s.half[toClient].given.Less(s.half[toClient].parsed)
	case handshaking: // the 220 is in the packet at hand
		return !s.led.Implicit() && s.half[toClient].given.LessEq(s.answer.start)
	}
	return false
}

// answerKilled is for what still comes of a killed connection: an end that missed its
// reset, or can't be sure of it (RFC 5961 §3.2), tells what it expects, and gets a
// reset of just that.
//
// A gateway that translates both addresses keeps our packets from their end, but not
// the connection's own. So its packets go on in turns: the first as a reset of the end
// that it is for, the next without its octets, on which that end's kernel, which knows
// of no connection any more, answers the other with a reset.
func (p *Pipeline) answerKilled(s *session, d int, pk *dataplane.Packet) verdict.Kind {
	v, h := p.view, &s.half[d]
	if v.Flags.Has(packet.RST) {
		return verdict.Accept
	}
	if v.Flags.Has(packet.ACK) {
		s.half[1-d].given = seqnum.Value(v.Ack) // with the 421, if that has arrived
		r := p.segmentOf(s, 1-d)
		r.Flags, r.HasTimestamp = packet.RST, false
		r.Seq = v.Ack
		p.inject(&r)
	}
	if p.inArrears {
		return verdict.Accept // it went on while the kernel was not told yet
	}
	h.resetSent = !h.resetSent && !v.Flags.Has(packet.SYN)
	if h.resetSent {
		pk.Data = v.MakeReset(uint32(h.given))
	} else {
		pk.Data = v.Truncate(0)
	}
	return verdict.Replace
}

// segmentOf begins a segment of direction d.
func (p *Pipeline) segmentOf(s *session, d int) packet.Segment {
	from, to := s.server(), s.client()
	if d == toServer {
		from, to = to, from
	}
	seg := packet.Segment{
		Version: 6, HopLimit: hopLimit,
		Src: from.Addr().As16(), Dst: to.Addr().As16(), SrcPort: from.Port(), DstPort: to.Port(),
	}
	if from.Addr().Is4() {
		seg.Version = 4
	}
	// A segment that lacks the option is dropped (RFC 7323 §3.2). The packet at hand
	// has both clocks.
	if p.view == nil {
		return seg // a timer's; a receiver that wants one ignores it, and its RST needs none
	}
	if o, ok := packet.ParseOptions(p.view.Options); ok && o.HasTimestamp {
		seg.HasTimestamp, seg.TSVal, seg.TSEcr = true, o.TSVal, o.TSEcr
		if p.view.SrcPort != seg.SrcPort || p.view.Src != seg.Src {
			seg.TSVal, seg.TSEcr = o.TSEcr, o.TSVal
		}
	}
	return seg
}

// resetUnknown ends a connection of which only the packet at hand is known.
func (p *Pipeline) resetUnknown(v *packet.View) {
	fwd := packet.Segment{
		Version: v.Version, HopLimit: hopLimit, Src: v.Src, Dst: v.Dst, SrcPort: v.SrcPort, DstPort: v.DstPort,
		Flags: packet.RST | packet.ACK, Seq: v.Seq, Ack: v.Ack,
	}
	p.inject(&fwd)
	back := fwd
	back.Src, back.Dst, back.SrcPort, back.DstPort = v.Dst, v.Src, v.DstPort, v.SrcPort
	back.Seq, back.Ack = v.Ack, uint32(seqnum.Value(v.Seq).Add(len(v.Payload)))
	p.inject(&back)
}

func (p *Pipeline) inject(s *packet.Segment) {
	p.batch.Injected = append(p.batch.Injected, s.Append(nil))
	p.stats.injected.Add(1)
}
