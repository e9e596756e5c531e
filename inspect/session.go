package inspect

import (
	"math"
	"net/netip"

	"keepword/dataplane"
	"keepword/inspect/flow"
	"keepword/inspect/history"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/reassembly"
	"keepword/inspect/seqnum"
	"keepword/inspect/smtp"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// The SMTP roles are the indices of a session's two directions; packets name TCP's
// ends, and this is the one place that maps them.
const (
	toServer = 0
	toClient = 1
)

// phase is how a session's octets are read.
type phase uint8

const (
	// opening: before the server's SYN.
	opening phase = iota
	// dialogue: SMTP in clear text.
	dialogue
	// handshaking: after 220, or TLS from the first octet; records are followed.
	handshaking
	// leaving: both ends protect their data, but what proves it has not been acknowledged:
	// it may die behind us, and other octets come in its place. Nothing more is read.
	leaving
	// passing: let through unread: TLS is up, or sight was lost and policy lets pass.
	passing
	// killed: ended by keepword; what still comes is answered by a reset.
	killed
	// over: reported; late segments pass, but for octets that nobody would read.
	over
)

// half is one direction of a session. While it is read,
//
//	first <= stream.Base() <= parsed <= stream.Next()
//	first <= given <= stream.Next(), given <= beyond, acked <= stream.Next()
type half struct {
	stream   reassembly.Stream
	first    seqnum.Value // its first octet
	parsed   seqnum.Value // octets before it were inspected
	given    seqnum.Value // octets before it were given to the receiver
	beyond   seqnum.Value // octets before it may have been, ahead of a hole
	acked    seqnum.Value // octets before it were acknowledged by the receiver
	unseen   seqnum.Value // octets before it too, some of them never seen here
	fin      seqnum.Value // sequence number of the FIN, where hasFIN
	opened   bool         // the first sequence number is known
	met      bool         // its SYN was acknowledged
	hasFIN   bool
	finAcked bool
	// resetSent says that the last packet of a killed connection went on as a reset.
	resetSent bool
	scaled    bool // this direction's SYN had a window scale option (RFC 7323 §2.2)
	signed    bool // and a signature (RFC 2385, RFC 5925)
	scale     uint8
	packets   uint32
	octets    uint64
}

func (h *half) open(syn synSeen) {
	first := syn.first
	h.stream.Init(first)
	h.first, h.parsed, h.given, h.beyond, h.acked, h.unseen, h.opened = first, first, first, first, first, first, true
	h.scaled, h.scale, h.signed = syn.scaled, syn.scale, syn.signed
}

// give notes that the octets before end are the receiver's, and with them those that
// went ahead of them. It says whether they were not before.
func (h *half) give(end seqnum.Value) (advanced bool) {
	advanced = h.given.Less(end)
	if advanced {
		h.given = end.Max(h.beyond.Min(h.stream.Next()))
	}
	h.beyond = h.beyond.Max(h.given)
	return advanced
}

// maxFlight is more than senders have in flight.
const maxFlight = 1 << 24

// follow notes up to where the octets of an unread direction have come.
func (h *half) follow(seq, end seqnum.Value) {
	switch {
	case !h.opened:
		h.open(synSeen{first: end})
	case h.given.Less(end) && seq.Sub(h.given) < maxFlight:
		h.given = end
	}
}

// mayEnd says that a goodbye of an unread direction at seq is not one that somebody made
// up who does not see the connection. Which is the next octet, nobody knows for sure.
func (h *half) mayEnd(seq seqnum.Value) bool {
	at := seq.Sub(h.given)
	return !h.opened || -maxFlight < at && at <= 0 || h.hasFIN && seq == h.fin.Add(1)
}

// ended says that a FIN stands behind the last octet received. One that stands
// elsewhere ends nothing.
func (h *half) ended() bool { return h.hasFIN && h.fin == h.stream.Next() }

// isLast says that a FIN at end may go: it stands behind all that is known of the
// direction. A receiver counts a FIN elsewhere as an octet, and swallows the one that
// belongs there; its sender repeats the true one.
func (h *half) isLast(end seqnum.Value) bool {
	_, _, hole := h.stream.Hole()
	return end == h.stream.Next() && !hole
}

// session is one SMTP connection. There may be a million of them, most of them idle:
// what few need is borrowed. Its parts are in the order in which a segment needs them.
type session struct {
	half  [2]half
	bytes [2]uint64 // of the packets of each direction

	phase     phase
	early     earliness
	clientLow bool // the client is the key's low end
	enforce   bool
	isDone    bool // reported
	alerted   bool
	bypassed  bool
	lost      bool // part of it went unseen
	midstream bool // its beginning did
	wasReset  bool // by an end, while it was read
	inLine    bool // the client was given a part of a line
	surplus   bool // the client was sent a reply that nothing had asked for
	clearText bool // the client was sent a line in clear text behind the 220
	settled   bool // STARTTLS was answered, and no command has come since
	refuse    refuseEdit
	heard     heard
	answer    answerEdit
	held      *waiting   // nil: nothing is
	syns      *laterSYNs // nil: there were none

	dlg   smtp.Dialogue
	tls   *handshake // nil: it is not under way
	rules *policy.Rules

	led        starttls.Ledger
	iface      uint32
	offer      offerEdit
	offerClean bool      // all lines of the offer's reply so far end with CRLF
	share      share     // what the kernel was told of it
	cameUp     uint16    // packets that the kernel has not let through by itself, modulo 2^16
	key        *flow.Key // its entry's
	id         uint64
	start      int64
	reported   uint64 // bit per finding that is reported once a session
	words      *words // nil: nobody has said anything worth telling
	trail      uint32 // where its account ends, 0: nowhere
	others     uint16 // a digest of what the EHLO reply offers beside STARTTLS
	recall     recall // what is remembered of its server
}

// warm reads from every part of s that a segment needs.
func (s *session) warm() uint64 {
	c, o := &s.half[toServer], &s.half[toClient]
	return c.stream.Warm() + o.stream.Warm() + s.bytes[0] + s.dlg.Warm()
}

// count counts a packet.
func (s *session) count(d int, v *packet.View) {
	h := &s.half[d]
	h.packets += min(1, math.MaxUint32-h.packets)
	h.octets += uint64(len(v.Payload))
	s.bytes[d] += uint64(len(v.Bytes()))
}

func (s *session) counts(d int) Counts {
	h := &s.half[d]
	return Counts{uint64(h.packets), s.bytes[d], h.octets}
}

func (s *session) client() netip.AddrPort { return s.key.End(s.clientLow) }
func (s *session) server() netip.AddrPort { return s.key.End(!s.clientLow) }

func (s *session) ends() Endpoints {
	return Endpoints{ID: s.id, Iface: s.iface, Client: s.client(), Server: s.server()}
}

// noteGiven notes whether the client has a part of a line.
func (s *session) noteGiven(d int, payload []byte, advanced bool) {
	if d == toClient && advanced && len(payload) > 0 {
		s.inLine = payload[len(payload)-1] != '\n'
	}
}

// replaceable says that a SYN opens a new connection in the session's place: the old one
// never was answered. One that is over is replaced when its server answers, as SYN and
// goodbye may both be forged, or die behind us (see reopened). Where nothing is enforced,
// the answer may not have been seen.
func (s *session) replaceable(v *packet.View, fromLow bool) bool {
	switch s.phase {
	case over:
		return !s.enforce
	case opening:
		h := &s.half[toServer]
		return fromLow == s.clientLow && h.opened && h.stream.Next() != seqnum.Value(v.Seq).Add(1)
	}
	return false
}

// reopened says that the server answers a later SYN than the session's, or the same one
// anew after it was over for somebody: both ends have forgotten the old connection.
func (s *session) reopened(v *packet.View, fromLow bool) bool {
	if s.syns == nil || !s.syns.again.seen || !isAnswer(v) || s.direction(fromLow) != toClient || seqnum.Value(v.Ack) != s.syns.again.first {
		return false
	}
	o, h := &s.half[toServer], &s.half[toClient]
	if s.syns.again.first != o.first {
		return true
	}
	return s.phase >= passing && (!h.opened || seqnum.Value(v.Seq).Add(1) != h.first)
}

// isAnswer says that a segment answers a SYN with one.
func isAnswer(v *packet.View) bool {
	return v.Flags&(packet.SYN|packet.ACK|packet.RST) == packet.SYN|packet.ACK
}

// admit makes a session for a packet that belongs to none, in place of old where that
// is not nil. Where it returns none, the packet's verdict is kind.
func (p *Pipeline) admit(old *flow.Entry[session], a *arrival, pk *dataplane.Packet) (e *flow.Entry[session], kind verdict.Kind) {
	v := &a.view
	opens := v.Flags&(packet.SYN|packet.RST) == packet.SYN
	if !opens && (len(v.Payload) == 0 || v.Flags.Has(packet.RST) || p.wasExempt(pk)) {
		return nil, verdict.Accept // carries nothing, or is one of TLS that began before this process
	}
	clientIsSource, ok := p.roles(v)
	if !ok { // no inspected port, or the client of another service
		if old != nil {
			p.remove(old, EndClosed)
		}
		return nil, verdict.Accept
	}
	if !opens && !p.passive {
		when := p.midstream
		if p.policy.Mode() == verdict.Observe {
			when = WhenPass
		}
		p.stats.lost(causeMidstream, when)
		switch when {
		case WhenDrop:
			return nil, verdict.Drop
		case WhenKill:
			p.resetUnknown(v)
			return nil, verdict.Drop
		}
	}
	var syn synSeen
	if old != nil {
		if old.Value.reopened(v, a.fromLow) {
			syn = old.Value.syns.again
		}
		p.remove(old, EndClosed)
	}
	if p.flows.Full() {
		if !opens && !p.passive && p.flows.Len(flow.Ended)+p.flows.Len(flow.Embryonic) == 0 {
			return nil, verdict.Accept // none that is read leaves for one that will not be
		}
		p.evict()
	}
	e = p.flows.Insert(&a.key, a.hash, p.now)
	p.ids = max(p.ids+1, 1) // never 0
	s := &e.Value
	*s = session{
		key: &e.Key, clientLow: a.fromLow == clientIsSource,
		id: p.ids, iface: pk.Iface, start: pk.Time,
	}
	if syn.seen {
		s.half[toServer].open(syn)
	}
	s.rules = p.policy.Rules(s.server())
	s.enforce = !p.passive && s.rules.Mode == verdict.Enforce
	s.dlg.Init()
	s.led.Init(s.rules.MinTLS)
	if !opens {
		s.midstream = true
		p.find(s, verdict.Midstream, s.direction(a.fromLow), 0, nil)
		if !p.passive {
			s.lost = true
			p.pass(s)
		}
	}
	return e, verdict.None
}

// remove ends a session that is not over yet, and forgets it.
func (p *Pipeline) remove(e *flow.Entry[session], reason EndReason) {
	p.end(&e.Value, reason)
	p.forsake(&e.Value)
	p.syns.put(&e.Value.syns)
	p.flows.Remove(e)
}

// roles says whether the SMTP client sent a segment of an unknown connection: it opens
// the connection (RFC 5321 §2.1), and without a SYN the inspected port tells the
// server. ok is false where the connection is not to be inspected.
func (p *Pipeline) roles(v *packet.View) (clientIsSource, ok bool) {
	to, from := p.ports.has(v.DstPort), p.ports.has(v.SrcPort)
	switch v.Flags & (packet.SYN | packet.ACK) {
	case packet.SYN:
		return true, to
	case packet.SYN | packet.ACK:
		return false, from
	}
	return to, to || from
}

// evict makes room in a full table: what is over first, then what never began, then
// what was idle longest.
func (p *Pipeline) evict() {
	for _, c := range [...]flow.Class{flow.Ended, flow.Embryonic, flow.Reset, flow.Open} {
		if e := p.flows.Oldest(c); e != nil {
			if c == flow.Open {
				p.stats.lost(causeFlowsFull, WhenPass)
				e.Value.lost = true
			}
			p.remove(e, EndForced)
			return
		}
	}
}

func (s *session) mode() verdict.Mode {
	if s.enforce {
		return verdict.Enforce
	}
	return verdict.Observe
}

func (s *session) direction(fromLow bool) int {
	if fromLow == s.clientLow {
		return toServer
	}
	return toClient
}

// pass gives a session up: its octets are let through unread from here on.
func (p *Pipeline) pass(s *session) {
	s.bypassed = true
	p.release(s)
	s.phase = passing
}

// release gives back all that a session borrowed for reading. Packets still held are let
// through in the order of their octets.
func (p *Pipeline) release(s *session) {
	p.letGo(s, verdict.Accept)
	for d := range s.half {
		h := &s.half[d]
		if h == p.atHand && h.stream.Restore(seqnum.Value(p.view.Seq), p.view.Payload) {
			p.edited = true // it goes on, and its stream is not there any more
		}
		h.stream.Release(p.memory)
	}
	s.dlg.Release(&p.lines)
	p.handshakes.put(&s.tls)
}

// closedEarly is what a handshake failed of that ended with its connection.
const closedEarly = "the connection was closed before it was done"

// end reports a session that carried any octet, once, and lets it go.
func (p *Pipeline) end(s *session, reason EndReason) {
	if s.isDone {
		return
	}
	s.isDone = true
	wasKilled := s.phase == killed
	if !wasKilled && s.phase != passing && s.phase != opening {
		closing := s.led.Close()
		for _, f := range closing.List() {
			p.find(s, f, toServer, 0, []byte(closedEarly))
		}
	}
	p.learnSilence(s)
	if s.recall.has(trying) {
		p.learn(s, history.Seen{Kind: history.Undecided})
	}
	if wasKilled {
		p.flush(verdict.Drop) // the packet at hand goes with the connection
	} else {
		p.flush(verdict.Accept)
		p.release(s)
	}
	if s.half[toServer].octets+s.half[toClient].octets > 0 {
		p.record(s, reason)
		p.stats.outcomes[p.ended.Outcome].Add(1)
		p.sink.FlowEnd(&p.ended)
	}
	p.forget(s)
	if !wasKilled {
		s.phase = over
	}
}

// record makes p.ended the account of s.
func (p *Pipeline) record(s *session, reason EndReason) {
	r := &p.ended
	*r = FlowRecord{
		Flow: s.ends(), Start: s.start, End: max(p.now, s.start),
		ToServer: s.counts(toServer), ToClient: s.counts(toClient),
		State: FlowEstablished, Reason: reason, Alerted: s.alerted, Bypassed: s.bypassed,
		Steps:      s.led.Steps(),
		Outcome:    s.led.Outcome(s.phase == killed, s.lost || s.midstream && !s.led.Introduced()),
		ReplyCode:  s.led.ReplyCode(),
		TLSVersion: s.led.Version(),
		Said:       p.account(s.id, s.trail),
	}
	switch {
	case s.phase == opening:
		r.State = FlowNew
	case reason == EndClosed:
		r.State = FlowClosed
	case s.bypassed:
		r.State = FlowBypassed
	}
	s.words.tell(r)
}
