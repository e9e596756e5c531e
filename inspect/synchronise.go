package inspect

import (
	"keepword/inspect/packet"
	"keepword/inspect/seqnum"
	"keepword/inspect/verdict"
)

// maxMSS keeps a packet within what a netfilter queue can hand over: an attribute of
// 65,535 octets with its header, less the longest headers. Linux puts two segments in a
// packet however long they are (sysctl net.ipv4.tcp_min_tso_segs). Only the loopback
// interface allows longer ones.
const maxMSS = (65535 - 4 - 60 - 60) / 2

// synSeen is what a SYN says.
type synSeen struct {
	first  seqnum.Value // sequence number of the first octet
	seen   bool
	scaled bool // it has a window scale option (RFC 7323 §2.2)
	scale  uint8
	signed bool // it has a signature (RFC 2385, RFC 5925)
}

// laterSYNs are SYNs after those that opened a session.
type laterSYNs struct {
	// again is one of the client, which only a server that has forgotten this connection
	// answers.
	again synSeen
	// second is another of the server, until the client tells which it took.
	second synSeen
}

func (p *Pipeline) laterSYNs(s *session) *laterSYNs {
	if s.syns == nil {
		s.syns = p.syns.get()
	}
	return s.syns
}

func synOf(v *packet.View) synSeen {
	syn := synSeen{first: seqnum.Value(v.Seq).Add(1), seen: true}
	o, _ := packet.ParseOptions(v.Options) // of malformed ones Linux takes as much
	if o.HasWScale {
		syn.scaled, syn.scale = true, min(o.WScale, 14) // RFC 7323 §2.3
	}
	syn.signed = o.MD5 || o.AO
	return syn
}

// synchronise takes a SYN (RFC 9293 §3.5).
func (p *Pipeline) synchronise(s *session, d int) verdict.Kind {
	v, h := p.view, &s.half[d]
	if len(v.Payload) > 0 {
		p.once(s, verdict.DataOnSYN, d)
		if s.enforce {
			return verdict.Drop // the sender repeats the SYN without (RFC 7413 §4.1.3)
		}
	}
	syn := synOf(v)
	// Another path's segments could bring octets of this stream unseen (RFC 8684 §3.2):
	// Multipath goes, beside a signature too, for a server may not know that. The MSS alone
	// is no reason to break a signature, which covers the options (RFC 5925 §5.1).
	dirty := s.enforce && v.ClearMultipath()
	dirty = s.enforce && !syn.signed && v.LowerMSS(maxMSS) || dirty
	if s.phase != opening {
		return p.synchroniseAgain(s, d, syn, dirty)
	}
	if d == toClient && v.Flags.Has(packet.ACK) {
		ack, o := seqnum.Value(v.Ack), &s.half[toServer]
		switch {
		case !o.opened: // its SYN was missed
			o.open(synSeen{first: ack})
		case ack.Less(o.first) || o.stream.Next().Less(ack):
			return p.strayAnswer(s) // to another SYN
		}
	}
	h.stream.Release(p.memory) // of a SYN that is repeated
	h.open(syn)
	if len(v.Payload) > 0 { // observed: it is read with what follows
		h.stream.Insert(syn.first, v.Payload, p.cap, p.memory)
	}
	c, o := &s.half[toServer], &s.half[toClient]
	if c.opened && o.opened {
		s.phase = dialogue
	}
	if c.signed && o.signed {
		return p.signed(s)
	}
	return p.kindOf(s, dirty)
}

// synchroniseAgain takes a SYN after both have been seen. A receiver in any later state
// ignores it (RFC 5961 §4.2), but for a server that has forgotten the connection, and a
// client that the first SYN of its server did not reach. Of a connection that is over it
// may open the next one; that begins with the server's answer.
func (p *Pipeline) synchroniseAgain(s *session, d int, syn synSeen, dirty bool) verdict.Kind {
	h, v := &s.half[d], p.view
	switch {
	case d == toServer && !v.Flags.Has(packet.ACK):
		p.laterSYNs(s).again = syn
	case d == toServer, !isAnswer(v), h.opened && syn.first == h.first:
	case s.phase < passing && seqnum.Value(v.Ack) == s.half[toServer].first:
		if h.met || h.acked != h.first {
			break // of a server with SYN cookies; its client has taken the first, and says so
		}
		later := p.laterSYNs(s)
		if later.second.seen && later.second.first != syn.first && s.enforce {
			return verdict.Drop // one of three can't be told by what the client acknowledges
		}
		later.second = syn
	default:
		return p.strayAnswer(s) // to a SYN that is not known
	}
	if dirty {
		p.view.SetChecksums()
		return verdict.Replace
	}
	return verdict.Accept
}

// strayAnswer takes a server's answer to a SYN that is not the session's: nobody would
// follow what it opens. It does not arrive, and the server gets what its client would send
// (RFC 9293 §3.10.7.3), so that it is ready for the SYN that counts.
func (p *Pipeline) strayAnswer(s *session) verdict.Kind {
	if !s.enforce {
		return verdict.Accept
	}
	if s.phase == opening || s.phase >= passing { // else it might be one of the session's own
		r := p.segmentOf(s, toServer)
		r.Flags, r.HasTimestamp = packet.RST, false
		r.Seq = p.view.Ack
		p.inject(&r)
	}
	return verdict.Drop
}

// settleSYN finds by the client's acknowledgement which of two SYNs of the server it
// took. It returns false for octets of the server that come before it: until then
// nobody knows where they stand.
func (p *Pipeline) settleSYN(s *session, d int) bool {
	if s.syns == nil || !s.syns.second.seen {
		return true
	}
	v, h := p.view, &s.half[toClient]
	switch {
	case d == toClient:
		return len(v.Payload) == 0
	case !v.Flags.Has(packet.ACK):
	case seqnum.Value(v.Ack) == s.syns.second.first:
		p.letGo(s, verdict.Drop)
		h.stream.Release(p.memory)
		h.open(s.syns.second)
		s.syns.second = synSeen{}
	case seqnum.Value(v.Ack) == h.first:
		s.syns.second = synSeen{}
	}
	return true
}

// signed is for a connection whose segments both ends sign: whatever is edited or sent in
// their place is discarded by its receiver (RFC 2385 §2.0, RFC 5925 §7.3). It passes
// unread, or does not open where commands may have to be refused. That the client alone
// signs is no ground for either: a server may not know the option.
func (p *Pipeline) signed(s *session) verdict.Kind {
	if s.enforce && s.editsCommands() {
		p.stats.lost(causeSigned, WhenDrop)
		s.phase = opening
		s.half[toClient].opened = false
		return verdict.Drop
	}
	p.stats.lost(causeSigned, WhenPass)
	s.lost = true
	p.pass(s)
	return verdict.Accept
}
