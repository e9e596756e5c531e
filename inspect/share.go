package inspect

import (
	"keepword/dataplane"
	"keepword/inspect/packet"
	"keepword/inspect/seqnum"
	"keepword/inspect/smtp"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// share is what the kernel's follower was last told of a session.
type share uint8

const (
	notShared  share = iota // what comes, comes up
	followed                // from its greeting on, without being told
	exempted                // followed into TLS, likewise
	entrusted               // GrantFollow
	handedOver              // GrantPass
	forsaken

	// handed is set beside one of them: the session was handed over, and is not over.
	handed share = 1 << 7
)

// tell notes what the kernel is told.
func (s *session) tell(what share) { s.share = s.share&handed | what }

// told returns what the kernel was told last.
func (s *session) told() share { return s.share &^ handed }

// maxGranted bounds the servers whose dialogues are followed from their greeting on.
const maxGranted = 1 << 14

// settle is behind each decision: it makes up for what the kernel decided alone, and grants
// what it may decide from here on.
func (p *Pipeline) settle(pk *dataplane.Packet) {
	if p.inArrears {
		p.settleText(&pk.Passed.Text)
	}
	if p.entry == nil {
		return
	}
	s := &p.entry.Value
	if p.inArrears {
		p.arrears(s, pk)
		if pk.Passed.Followed && s.phase == dialogue {
			s.tell(max(s.told(), followed))
		}
		if p.follows && (pk.Passed.Followed || pk.Passed.Exempt) {
			p.grantServer(s)
		}
	} else {
		if s.phase == opening && p.view.Flags&(packet.SYN|packet.ACK) == packet.SYN {
			s.cameUp = 0 // one before may have come in a form that the kernel has not counted
		}
		s.cameUp++
		s.tell(notShared)
	}
	if p.exempts && s.phase == passing && pk.Verdict == verdict.Accept && !s.half[toServer].hasFIN && !s.half[toClient].hasFIN {
		pk.Exempt = true
		p.handOver(s)
	}
	if p.follows {
		p.grant(s)
	}
	if s.phase >= killed || s.half[toServer].hasFIN && s.half[toClient].hasFIN { // the last acknowledgement need not come up
		p.handBack(s)
	}
}

// wasExempt says that the kernel has let the packet at hand through as one of TLS.
func (p *Pipeline) wasExempt(pk *dataplane.Packet) bool { return p.inArrears && pk.Passed.Exempt }

// handOver notes that the kernel has a session from here on, all but its end.
func (p *Pipeline) handOver(s *session) {
	if s.share&handed != 0 {
		return
	}
	s.share |= handed
	p.stats.offloaded.Add(1)
	inTLS := s.led.Took(starttls.StepServerHello)
	if implicit := s.led.Took(starttls.StepClientHello) && !s.led.Took(starttls.StepAsked); inTLS || implicit {
		s.led.Take(starttls.StepOffloaded)
	}
}

// handBack notes that a session is over, or forgotten.
func (p *Pipeline) handBack(s *session) {
	if s.share&handed != 0 {
		s.share &^= handed
		p.stats.offloaded.Add(-1)
	}
}

// smallPassed is how long a packet is at most that is copied without a thought.
const smallPassed = 2048

// own has a packet that the kernel has let through read from a copy. Where it lies in the log
// nobody may write, and whatever inspection would make of a packet it makes in place. Only what
// surely stays as it is is read where it lies: many octets to the server, the next that it waits
// for.
func (p *Pipeline) own(s *session, d int) {
	v, h := p.view, &s.half[d]
	_, _, hole := h.stream.Hole()
	if len(v.Bytes()) > smallPassed && d == toServer && s.phase == dialogue && !s.editsCommands() && h.opened && !hole &&
		h.stream.Next() == seqnum.Value(v.Seq) && v.Flags&^packet.PSH == packet.ACK && !p.opensWide(s, d) {
		return
	}
	p.copied = append(p.copied[:0], v.Bytes()...)
	packet.Parse(p.copied, v)
}

// arrears accounts for a packet that has gone on already, and for those that the kernel let
// through without a word before it. That it differs with us about one never happens, as far
// as the proofs show (bench/follow); if it does, what is known of the session is not what its
// ends know.
func (p *Pipeline) arrears(s *session, pk *dataplane.Packet) {
	for d := range s.half {
		h := &s.half[d]
		h.packets += pk.Passed.Packets[d]
		s.bytes[d] += pk.Passed.Octets[d]
	}
	if pk.Verdict == verdict.Accept {
		return
	}
	p.stats.lost(causeFollower, WhenPass)
	if s.phase < passing {
		s.lost = true
		p.pass(s)
	}
}

// acknowledged takes up to where octets were acknowledged that the kernel let through.
func (p *Pipeline) acknowledged(h *half, ack seqnum.Value) {
	if h.opened && h.acked.Less(ack) && ack.LessEq(h.given) {
		h.acked = ack
		h.stream.Forget(ack.Min(h.parsed), p.memory)
	}
}

// grant lets the kernel do what it may.
func (p *Pipeline) grant(s *session) {
	g := dataplane.Grant{Seen: s.cameUp}
	was := s.told()
	switch {
	case s.phase >= killed:
		s.tell(forsaken)
		g.Kind = dataplane.GrantForget
		if s.phase == over && p.inArrears && (was == followed || was == exempted) {
			return // the kernel has seen the end too, and was told nothing
		}
	case s.phase == passing && p.inArrears && !s.lost && (was == followed || was == exempted):
		s.tell(exempted) // the kernel sees it too; if it does not, it comes up
		p.handOver(s)
		return
	case s.phase == passing:
		s.tell(handedOver)
		g.Kind = dataplane.GrantPass
		p.handOver(s)
	case was == notShared && p.followable(s):
		s.tell(entrusted)
		g.Kind = dataplane.GrantFollow
		if s.dlg.InText() {
			g.InText, g.Line, g.Ring = true, s.dlg.InLine(), p.shareRing(s)
		}
	}
	if s.told() == was {
		return
	}
	g.Client, g.Server = s.client(), s.server()
	for d := range s.half {
		h := &s.half[d]
		g.Next[d], g.Acked[d] = uint32(h.given), uint32(h.acked)
		if h.scaled && s.half[1-d].scaled { // RFC 7323 §2.2: both, or none
			g.Scale[d] = h.scale
		}
	}
	if g.Kind == dataplane.GrantPass { // how far its ends have come nobody has followed
		d := s.direction(p.fromLow)
		g.Next[d], g.Next[1-d] = p.view.Seq, p.view.Ack
		if s.lost && p.inArrears { // it may be following still, and writing to a ring that nobody keeps for it
			p.batch.Grants = append(p.batch.Grants, dataplane.Grant{Kind: dataplane.GrantForget, Client: g.Client, Server: g.Server})
		}
	}
	p.batch.Grants = append(p.batch.Grants, g)
}

// forsake tells the kernel that a session is not known any more.
func (p *Pipeline) forsake(s *session) {
	p.handBack(s)
	if p.follows && p.batch != nil && s.told() != forsaken {
		s.tell(forsaken)
		p.batch.Grants = append(p.batch.Grants, dataplane.Grant{Kind: dataplane.GrantForget, Client: s.client(), Server: s.server()})
	}
}

// grantServer has the dialogues of a server followed from their greeting on, once the kernel
// has seen octets, or the end, of one that came from it: it sees both directions, with the
// addresses that we see. To its EHLO reply nothing was to be done, nor is to the next.
func (p *Pipeline) grantServer(s *session) {
	if s.direction(p.fromLow) != toClient || len(p.view.Payload) == 0 && !p.view.Flags.Has(packet.FIN) ||
		!s.rules.Followable || s.editsCommands() || s.recall.has(trying) || s.reported != 0 || !s.led.Introduced() {
		return
	}
	server := s.server()
	if _, known := p.granted[server]; known || len(p.granted) == maxGranted {
		return
	}
	p.granted[server] = struct{}{}
	p.batch.Grants = append(p.batch.Grants, dataplane.Grant{Kind: dataplane.GrantServer, Server: server})
}

// revokeServer takes grantServer back, whichever worker it came from.
func (p *Pipeline) revokeServer(s *session) {
	if p.follows {
		delete(p.granted, s.server())
		p.batch.Grants = append(p.batch.Grants, dataplane.Grant{Kind: dataplane.GrantNoServer, Server: s.server()})
	}
}

// revoke takes back all that the kernel may follow.
func (p *Pipeline) revoke() {
	if p.follows {
		clear(p.granted)
		p.batch.Grants = append(p.batch.Grants, dataplane.Grant{Kind: dataplane.GrantNothing})
	}
}

// followable says that a session is where the kernel can take it up: the client has said EHLO
// and waits for no reply, or is within a line of mail data, all octets are read and given, no promise of STARTTLS is under way,
// and nothing was suspicious so far.
func (p *Pipeline) followable(s *session) bool {
	if s.phase != dialogue || !s.rules.Followable || s.editsCommands() || s.lost || s.midstream || s.surplus ||
		s.reported != 0 || s.syns != nil || len(s.held.packets()) > 0 || s.led.State() != starttls.Clear ||
		s.led.Took(starttls.StepAsked) || s.recall.has(trying) || s.refuse.note != noRefusal {
		return false
	}
	for d := range s.half {
		h := &s.half[d]
		_, _, hole := h.stream.Hole()
		if next := h.stream.Next(); !h.opened || h.hasFIN || hole || h.parsed != next || h.given != next || next.Less(h.beyond) {
			return false
		}
	}
	_, fromClient := s.dlg.ClientPartial()
	_, fromServer := s.dlg.ServerPartial()
	_, waits := s.dlg.Next()
	if waits || fromServer > 0 || s.dlg.InReply() || !s.led.Introduced() {
		return false
	}
	return s.dlg.Mode() == smtp.Commands && fromClient == 0 || s.dlg.InText()
}

// caughtUp notes up to where an unread direction has come that the kernel let through.
func (h *half) caughtUp(next uint32) { h.given = h.given.Max(seqnum.Value(next)) }
