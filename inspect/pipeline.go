package inspect

import (
	"net/netip"
	"sync/atomic"

	"keepword/dataplane"
	"keepword/inspect/flow"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/reassembly"
	"keepword/inspect/smtp"
	"keepword/inspect/verdict"
)

// When is what to do where sight is lost.
type When uint8

const (
	WhenPass When = iota // let the flow through unread
	WhenDrop             // discard the packet
	WhenKill             // end the connection
)

// Limits bound what one Pipeline keeps.
type Limits struct {
	Flows int
	// Memory bounds the octets kept of all flows, FlowMemory those of one; half of
	// it for each direction. FlowMemory is rounded down to a power of two, at least
	// 128 KiB, so that a GSO packet of 64 KiB fits, at most two reassembly.MaxRing.
	Memory, FlowMemory int64
}

// minDirection is the least that a direction may keep.
const minDirection = 1 << 16

// Config is what a Pipeline is made of.
type Config struct {
	Policy *policy.Policy
	// Ports are the servers' ports. A connection to any other is let through unread.
	Ports      []uint16
	Limits     Limits
	MemoryFull When
	Midstream  When
	// Passive says that the packets have been delivered already, as in a capture:
	// nothing is held or altered, and a flow may be picked up in its middle.
	Passive bool
	Sink    Sink
	// Seed is where the flows' ids begin, so that those of several workers, and of one
	// after a restart, differ.
	Seed uint64
	// History remembers the servers; nil: nobody does.
	History History
	// Account is how many things that were said, in all sessions, are kept to account for
	// them (see Said); 24 octets each. 0: none.
	Account int
	// Follows says that the kernel follows dialogues by itself where it is granted (see
	// dataplane.Follower). Otherwise nothing is granted.
	Follows bool
	// Rings are what the kernel keeps mail data in. All workers have the same ones.
	Rings []dataplane.Ring
	// Exempts says that a rule exempts the connections of packets that are Exempt (see
	// dataplane.Packet). Otherwise none is.
	Exempts bool
	// Tap is for proofs, nil: nobody is told.
	Tap Tap
}

// Tap is told what becomes of each direction's octets. What the receiver gets is what
// was inspected, with the edits laid over it. All octets are lent for the call.
type Tap interface {
	// Inspected is given the octets of a direction, in order and each once, when they
	// have been inspected. Edits may or may not be in them.
	Inspected(flow Endpoints, toServer bool, octets []byte)
	// Edited is given each edit. at is its place, modulo 2^32, counted from the
	// direction's first octet.
	Edited(flow Endpoints, toServer bool, at uint32, octets []byte)
}

// Pipeline is one worker's inspection. It implements dataplane.Inspector. But for
// SetPolicy, SetPorts and Stats it is for one goroutine.
type Pipeline struct {
	policy     *policy.Policy
	nextPolicy atomic.Pointer[policy.Policy]
	ports      *portSet
	nextPorts  atomic.Pointer[portSet]
	memoryFull When
	midstream  When
	passive    bool
	sink       Sink
	tap        Tap
	history    History
	follows    bool
	exempts    bool
	granted    map[netip.AddrPort]struct{} // servers

	flows      *flow.Table[session]
	memory     *reassembly.Pool
	rings      []ring
	nextSettle int64 // when rings that were put back late are free
	lines      smtp.Spare
	handshakes spare[handshake]
	words      spare[words]
	waiting    spare[waiting]
	syns       spare[laterSYNs]
	cap        int // octets kept of one direction
	ids        uint64

	// The batch and the packet at hand.
	batch    *dataplane.Batch
	now      int64
	arrivals [lookahead]arrival
	warmth   uint64 // what Pipeline.arrive read, so that it is read
	// nextTick is when timers and gauges are looked at next.
	nextTick  int64
	entry     *flow.Entry[session] // of the session at hand
	view      *packet.View         // nil where a timer acts
	moment    int64                // when the packet at hand came, 0 where a timer acts
	atHand    *half                // whose stream the packet at hand is being read from, or nil
	tookText  bool                 // the text of the packet at hand was taken note of
	inArrears bool                 // the packet at hand has gone on already
	fromLow   bool                 // its sender is the lower end
	edited    bool                 // the packet at hand was made equal to a stream that is gone
	spent     []*reassembly.Buffer // lent until the next Inspect
	scrap     []byte
	quoted    []byte
	copied    []byte // the packet at hand, where it is not ours
	found     []FindingRecord
	ended     FlowRecord
	trail     trail
	told      [maxNoted]Said
	timers    timers
	stats     counters
}

var _ dataplane.Inspector = (*Pipeline)(nil)

type portSet [65536 / 64]uint64

func newPortSet(ports []uint16) *portSet {
	s := new(portSet)
	for _, p := range ports {
		s[p/64] |= 1 << (p % 64)
	}
	return s
}

func (s *portSet) has(p uint16) bool { return s[p/64]&(1<<(p%64)) != 0 }

// New makes a Pipeline.
func New(c Config) *Pipeline {
	p := &Pipeline{
		policy:     c.Policy,
		ports:      newPortSet(c.Ports),
		memoryFull: c.MemoryFull,
		midstream:  c.Midstream,
		passive:    c.Passive,
		sink:       c.Sink,
		tap:        c.Tap,
		history:    c.History,
		follows:    c.Follows,
		exempts:    c.Exempts,
		granted:    map[netip.AddrPort]struct{}{},
		trail:      newTrail(c.Account),
		ids:        c.Seed,
		flows:      flow.NewTable[session](c.Limits.Flows),
		memory:     reassembly.NewPool(c.Limits.Memory),
		rings:      newRings(c.Rings),
		cap:        minDirection,
	}
	for int64(p.cap)*4 <= c.Limits.FlowMemory && p.cap < reassembly.MaxRing {
		p.cap *= 2
	}
	p.stats.memoryLimit.Store(c.Limits.Memory)
	return p
}

// Window is how many octets a sender may have in flight so that they can be kept.
func (p *Pipeline) Window() int { return p.cap }

// SetPolicy changes the policy from the next batch on. Open sessions take up new actions,
// but keep the mode and the lowest TLS version that they began with. It is safe from
// any goroutine.
func (p *Pipeline) SetPolicy(next *policy.Policy) { p.nextPolicy.Store(next) }

// SetPorts changes the inspected ports from the next batch on, for new sessions. It is
// safe from any goroutine.
func (p *Pipeline) SetPorts(ports []uint16) { p.nextPorts.Store(newPortSet(ports)) }

// Inspect decides every packet of b.
func (p *Pipeline) Inspect(b *dataplane.Batch) {
	p.batch, p.now = b, b.Now
	for _, buf := range p.spent {
		p.memory.Put(buf)
	}
	p.spent = p.spent[:0]
	p.reload()
	ticks := p.now >= p.nextTick
	if ticks { // what has become due comes before the packets of this moment
		p.nextTick = p.now + timerStep
		p.expire()
	}
	if p.now >= p.nextSettle {
		p.nextSettle = p.now + settleStep
		p.memory.Settle()
	}
	for rest := b.Packets; len(rest) > 0; {
		part := rest[:min(len(rest), lookahead)]
		rest = rest[len(part):]
		p.arrive(part)
		for i := range part {
			pk, a := &part[i], &p.arrivals[i]
			p.view, p.moment, p.entry = &a.view, pk.Time, nil
			p.inArrears, p.fromLow = pk.Passed != nil, a.fromLow
			pk.Verdict = p.decide(pk, a)
			p.settle(pk)
			p.stats.decided[pk.Verdict]++
			if len(p.found) > 0 {
				p.flush(pk.Verdict)
			}
		}
	}
	p.view, p.moment = nil, 0
	if ticks {
		p.publish()
	}
}

// reload takes up what SetPolicy and SetPorts left.
func (p *Pipeline) reload() {
	if p.nextPorts.Load() != nil {
		p.ports = p.nextPorts.Swap(nil)
		p.revoke()
	}
	if p.nextPolicy.Load() == nil {
		return
	}
	p.policy = p.nextPolicy.Swap(nil)
	p.revoke()
	p.flows.Each(func(e *flow.Entry[session]) {
		if s := &e.Value; s.rules != nil {
			s.rules = p.policy.Rules(s.server())
		}
	})
}

// lookahead is how many packets are looked at together: their reads are more than a
// processor has under way at a time, and what was read stays near until it is needed.
const lookahead = 32

// arrival is a packet of the batch as it is first looked at.
type arrival struct {
	view    packet.View
	key     flow.Key
	hash    uint64
	entry   *flow.Entry[session] // where the search for its flow will probably end, or nil
	class   packet.Class
	fromLow bool
}

// arrive looks at packets together before they are decided one after the other. Flows of
// which little was seen of late lie far away in memory; their reads are begun here, and
// wait for it at the same time.
func (p *Pipeline) arrive(packets []dataplane.Packet) {
	list := p.arrivals[:len(packets)]
	for i := range list {
		a := &list[i]
		if a.class = packet.Parse(packets[i].Data, &a.view); a.class == packet.OK {
			a.fromLow = a.key.Set(&a.view)
			a.hash = p.flows.Hash(&a.key)
		}
	}
	if len(list) == 1 {
		list[0].entry = nil
		return
	}
	for i := range list {
		p.warmth += uint64(p.flows.Begin(list[i].hash))
	}
	for i := range list {
		e := p.flows.Approach(list[i].hash)
		if list[i].entry = e; e != nil {
			p.warmth += uint64(e.Touched) + e.Value.warm()
		}
	}
}

// decide is the way of one packet.
func (p *Pipeline) decide(pk *dataplane.Packet, a *arrival) verdict.Kind {
	v := &a.view
	switch a.class {
	case packet.OK:
	case packet.NotIP, packet.NotTCP:
		return verdict.Accept
	default:
		// A fragment here has no place in a reassembled stream; a receiver would
		// discard the others.
		return p.discard(verdict.BadHeader)
	}
	if !pk.ChecksumPartial && !v.ChecksumOK() {
		return p.discard(verdict.BadChecksum)
	}
	if !v.Flags.Acceptable() {
		return p.discard(verdict.BadHeader)
	}
	e := a.entry
	if e == nil || !e.Is(&a.key) {
		e = p.flows.Find(&a.key, a.hash)
	}
	if opens := v.Flags&(packet.SYN|packet.ACK|packet.RST) == packet.SYN; e == nil || opens && e.Value.replaceable(v, a.fromLow) || e.Value.reopened(v, a.fromLow) {
		var kind verdict.Kind
		if e, kind = p.admit(e, a, pk); e == nil {
			return kind
		}
	}
	return p.segment(e, a.fromLow, pk)
}

// discard is for a packet that no receiver would take.
func (p *Pipeline) discard(f verdict.Finding) verdict.Kind {
	p.stats.findings[f][verdict.Log].Add(1)
	if p.passive || p.policy.Mode() == verdict.Observe {
		return verdict.Accept
	}
	return verdict.Drop
}

// Flush ends all flows and reports them, at time now. It is for the end of an engine,
// after its last batch.
func (p *Pipeline) Flush(now int64) {
	p.now = now
	p.flows.Each(func(e *flow.Entry[session]) {
		p.remove(e, EndShutdown)
	})
	p.flush(verdict.Accept)
	p.publish()
}
