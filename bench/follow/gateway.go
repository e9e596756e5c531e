package follow

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"

	"keepword/dataplane"
	"keepword/inspect/verdict"
)

// Witness stands between an engine and an Inspector, and says where inspection would have
// done anything but accept, as it stands, a packet that the kernel has let through.
type Witness struct {
	dataplane.Inspector
	// Passed counts the packets that the kernel has let through and logged, Text those among
	// them that it has read alone, CameUp all others.
	Passed, Text, CameUp int
	// Rounds counts the batches that are not of the log. Any goroutine may read it.
	Rounds atomic.Uint64
	// Differences tell what was wrong, the first few.
	Differences []string

	before []byte // octets of the passed packets at hand
	ends   []int  // and where each ends among them
}

// mostTold bounds Differences.
const mostTold = 10

// Inspect is dataplane.Inspector's.
func (w *Witness) Inspect(b *dataplane.Batch) {
	w.before, w.ends = w.before[:0], w.ends[:0]
	for i := range b.Packets {
		if b.Packets[i].Passed != nil {
			w.before = append(w.before, b.Packets[i].Data...)
			w.ends = append(w.ends, len(w.before))
		}
	}
	w.Inspector.Inspect(b)
	if len(w.ends) == 0 {
		w.Rounds.Add(1)
	}
	at, n := 0, 0
	for i := range b.Packets {
		pk := &b.Packets[i]
		if pk.Passed == nil {
			w.CameUp++
			continue
		}
		w.Passed++
		if pk.Passed.Text.Len() > 0 {
			w.Text++
		}
		was := w.before[at:w.ends[n]]
		at, n = w.ends[n], n+1
		if len(w.Differences) == mostTold || pk.Verdict == verdict.Accept && bytes.Equal(was, pk.Data) {
			continue
		}
		w.Differences = append(w.Differences, fmt.Sprintf("the kernel let through %q (followed: %v, in TLS: %v), inspection would say %v", was, pk.Passed.Followed, pk.Passed.Exempt, pk.Verdict))
	}
}

// Gateway is the whole way of a packet in one place, as keepword run has it in a kernel: the
// program decides first; what it leaves is queued, and inspected when the queue's reader wakes
// up, behind all that was logged by then.
type Gateway struct {
	// Witness has seen all that was inspected.
	Witness Witness
	// Decide takes the place of Kernel.Decide, where proofs have to fail.
	Decide func(packet []byte) (passed bool, out []byte, err error)
	// Deliver takes each packet that goes on. It is lent.
	Deliver func(packet []byte)
	// Meanwhile is called, where it is not nil, between any two steps of WakeUp: other packets
	// may come in then.
	Meanwhile func()
	// Skew is added to the time of what was logged, in nanoseconds: who has time go faster
	// than the kernel's clock says by how much.
	Skew int64

	follower dataplane.Follower
	batch    dataplane.Batch
	queue    [][]byte
	held     map[uint32][]byte
	last     uint32 // packet's ID
}

// NewGateway makes a Gateway of the program and an Inspector that follows (inspect.Config.Follows).
func NewGateway(k *Kernel, in dataplane.Inspector, deliver func(packet []byte)) *Gateway {
	return &Gateway{
		Witness: Witness{Inspector: in}, Decide: k.Decide, Deliver: deliver,
		follower: k.Follower(), held: map[uint32][]byte{},
	}
}

// Take takes a packet as it comes in by an interface. passed says that it has gone on; otherwise
// it waits for WakeUp, or was dropped.
func (g *Gateway) Take(packet []byte) (passed bool, err error) {
	passed, out, err := g.Decide(packet)
	switch {
	case err != nil || out == nil:
	case passed:
		g.Deliver(slices.Clone(out))
	default:
		g.queue = append(g.queue, slices.Clone(out))
	}
	return passed, err
}

// Queued is how many packets wait for WakeUp.
func (g *Gateway) Queued() int { return len(g.queue) }

// Held is how many packets inspection has kept back.
func (g *Gateway) Held() int { return len(g.held) }

// logBatch is how many packets of the log are inspected at once.
const logBatch = 64

// WakeUp has inspected what was logged, and then what is queued, at a time of inspection's
// clock.
func (g *Gateway) WakeUp(now int64) {
	queue := g.queue // received before the log is read, as engines do
	g.queue = nil
	for more := true; more; {
		g.batch.Reset(now)
		more = g.follower.Fill(&g.batch, logBatch)
		for i := range g.batch.Packets {
			g.batch.Packets[i].Time += g.Skew
		}
		g.inspect()
	}
	g.batch.Reset(now)
	for _, packet := range queue {
		g.last++
		g.batch.Packets = append(g.batch.Packets, dataplane.Packet{ID: g.last, Time: now, Data: packet})
	}
	g.inspect()
}

// inspect has the batch inspected and carries out what comes of it, as an engine does.
func (g *Gateway) inspect() {
	b := &g.batch
	g.meanwhile()
	g.Witness.Inspect(b)
	for i := range b.Packets {
		if pk := &b.Packets[i]; pk.Verdict == verdict.Hold && pk.Passed == nil {
			g.held[pk.ID] = pk.Data
		}
	}
	for i := range b.Released {
		r := &b.Released[i]
		data := g.held[r.ID]
		delete(g.held, r.ID)
		if r.Verdict == verdict.Replace {
			data = r.Data
		}
		if r.Verdict != verdict.Drop {
			g.Deliver(data)
		}
	}
	for i := range b.Packets {
		if pk := &b.Packets[i]; pk.Passed == nil && (pk.Verdict == verdict.Accept || pk.Verdict == verdict.Replace) {
			g.Deliver(pk.Data)
		}
	}
	for _, packet := range b.Injected {
		g.Deliver(packet)
	}
	g.meanwhile()
	g.follower.Grant(b.Grants)
}

func (g *Gateway) meanwhile() {
	if g.Meanwhile != nil {
		g.Meanwhile()
	}
}
