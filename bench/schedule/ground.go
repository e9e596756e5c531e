package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"keepword/bench/lab"
	"keepword/dataplane"
	"keepword/dataplane/nfqueue"
	"keepword/dataplane/steer"
	"keepword/inspect"
	"keepword/inspect/policy"
	"keepword/inspect/seqnum"
	"keepword/inspect/verdict"
)

// inspected keeps what inspection has read of the client's octets, of each flow of a
// client's port in the order of their beginnings.
type inspected struct {
	mu    sync.Mutex
	flows map[uint16][]*readFlow
}

// readFlow is one flow as inspection sees it.
type readFlow struct {
	id       uint64
	octets   []byte
	findings []string
}

// flow returns a flow, which begins with its first octet or finding.
func (r *inspected) flow(port uint16, id uint64) *readFlow {
	for _, f := range r.flows[port] {
		if f.id == id {
			return f
		}
	}
	f := &readFlow{id: id}
	r.flows[port] = append(r.flows[port], f)
	return f
}

// Inspected takes what was inspected.
func (r *inspected) Inspected(flow inspect.Endpoints, toServer bool, octets []byte) {
	if toServer {
		r.octets(flow.Client.Port(), flow.ID, octets)
	}
}

// Edited takes an edit. The policy at hand makes none of commands.
func (r *inspected) Edited(inspect.Endpoints, bool, uint32, []byte) {}

// octets takes octets of a client that were inspected in this order.
func (r *inspected) octets(port uint16, id uint64, octets []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.flow(port, id)
	f.octets = append(f.octets, octets...)
}

// Finding keeps a finding, for the account of a violation.
func (r *inspected) Finding(f *inspect.FindingRecord) {
	r.mu.Lock()
	defer r.mu.Unlock()
	flow := r.flow(f.Flow.Client.Port(), f.Flow.ID)
	flow.findings = append(flow.findings, f.Finding.String()+" "+f.Action.String())
}

// FlowEnd keeps how a flow was lost sight of, for the same purpose.
func (r *inspected) FlowEnd(f *inspect.FlowRecord) {
	if !f.Bypassed {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	flow := r.flow(f.Flow.Client.Port(), f.Flow.ID)
	flow.findings = append(flow.findings, "bypassed")
}

// finish returns what was read of a port's flows, and forgets it.
func (r *inspected) finish(client netip.AddrPort) []*readFlow {
	r.mu.Lock()
	defer r.mu.Unlock()
	flows := r.flows[client.Port()]
	delete(r.flows, client.Port())
	return flows
}

// ground is a lab with inspection on its gateway, in this process, and a box behind the
// gateway in which packets expire.
type ground struct {
	lab    *lab.Lab
	wire   *wire
	server *server
	read   *inspected
	table  *steer.Table
	engine *nfqueue.Engine
	end    context.CancelFunc
	ended  chan error
	ports  atomic.Uint32
}

const (
	// exempt is the mark of packets that inspection has made.
	exempt = 0x10000000
	// maxQueue is as many packets as may wait for inspection: what hundreds of sessions
	// send at once.
	maxQueue = 1 << 14
	// firstPort is the first of the clients' ports; each schedule has one of its own
	// until they have all been used.
	firstPort, ports = 1024, 1<<16 - 1024
)

// keepword is the inspection that is shipped, with its default policy.
func keepword(read *inspected) dataplane.Inspector {
	return inspect.New(inspect.Config{
		Policy: policy.New(policy.Config{Mode: verdict.Enforce}),
		Ports:  []uint16{smtpPort},
		Limits: inspect.Limits{Flows: 1 << 17, Memory: 1 << 30, FlowMemory: 256 << 10},
		Sink:   read,
		Tap:    read,
	})
}

// newGround builds the lab; what inspects its packets is made by in. It must be closed.
func newGround(ctx context.Context, in func(*inspected) dataplane.Inspector) (_ *ground, err error) {
	g := &ground{read: &inspected{flows: map[uint16][]*readFlow{}}}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	if g.lab, err = lab.New(lab.Options{Box: true}); err != nil {
		return nil, err
	}
	// The client's kernel knows nothing of the connections and would reset them. Raw
	// sockets get packets before it does.
	deaf := g.lab.Client.Command(ctx, "nft", "add table inet deaf; add chain inet deaf c { type filter hook input priority 0; }; "+
		fmt.Sprintf("add rule inet deaf c tcp sport %d drop", smtpPort))
	if _, err := deaf.Output(); err != nil {
		return nil, err
	}
	l, err := g.lab.Server.Listen("tcp", fmt.Sprintf(":%d", smtpPort))
	if err != nil {
		return nil, err
	}
	g.server = startServer(l)
	err = g.lab.Gateway.Do(func() (err error) {
		if g.engine, err = nfqueue.Open(nfqueue.Config{MaxLen: maxQueue, Buffer: 64 << 20, Mark: exempt}); err != nil {
			return err
		}
		g.table, err = steer.Open(steer.Config{Ports: []uint16{smtpPort}, Hooks: []steer.Hook{steer.Forward}, Queues: 1, Mark: exempt})
		return err
	})
	if err != nil {
		return nil, err
	}
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	g.end, g.ended = end, make(chan error, 1)
	go func() { g.ended <- g.engine.Run(running, in(g.read)) }()
	g.wire, err = openWire(g.lab.Client)
	return g, err
}

func (g *ground) close() (err error) {
	if g.wire != nil {
		g.wire.close()
	}
	if g.server != nil {
		g.server.stop()
	}
	if g.end != nil {
		g.end()
		err = <-g.ended
	}
	if g.engine != nil {
		err = errors.Join(err, g.engine.Close())
	}
	if g.lab != nil {
		g.lab.Close() // and with it the table
	}
	return err
}

// Outcome is what became of a schedule.
type Outcome struct {
	*Schedule
	// Complete: the server has acknowledged every octet. Answered: and sent every reply.
	Complete, Answered bool
	// Acked octets of the client were acknowledged, and Replies received.
	Acked, Replies int
	// Reset: the connection was ended.
	Reset bool
	// Violation says in what the property fails; empty: it holds.
	Violation string
}

// play plays one schedule and judges it.
func (g *ground) play(ctx context.Context, s *Schedule) (o Outcome, err error) {
	o.Schedule = s
	port := uint16(firstPort + g.ports.Add(1)%ports)
	from := netip.AddrPortFrom(g.lab.Client.Addr(s.IPv6), port)
	c := newClient(s, from, netip.AddrPortFrom(g.lab.Server.Addr(s.IPv6), smtpPort), g.wire)
	c.replies = g.wire.take(port)
	defer g.wire.give(port)
	if o.Complete, o.Answered, err = c.play(ctx); err != nil {
		return o, err
	}
	o.Reset, o.Acked, o.Replies = c.reset, int(c.acked.Sub(seqnum.Value(c.first))), c.finals
	read := g.server.finish(from)
	o.judge(read, g.read.finish(from))
	return o, nil
}

// judge compares what the server's application has read with what was inspected.
func (o *Outcome) judge(read [][]byte, flows []*readFlow) {
	var b strings.Builder
	text, next := o.Text(), 0
	for i, got := range read {
		for next < len(flows) && !bytes.HasPrefix(flows[next].octets, got) {
			next++
		}
		switch {
		case len(got) == 0:
		case next == len(flows):
			fmt.Fprintf(&b, "connection %d of the server read what was not inspected:\n  %q\n", i, got)
			next = 0
		}
	}
	switch {
	case !o.Lawful:
	case !o.Complete || !o.Answered:
		fmt.Fprintf(&b, "a lawful sender did not complete (reset: %v): it came to octet %d and %d replies\n", o.Reset, o.Acked, o.Replies)
	case len(read) != 1 || !bytes.Equal(read[0], text):
		fmt.Fprintf(&b, "the server did not read what a lawful sender said:\n  %q\n", read)
	}
	if b.Len() == 0 {
		return
	}
	for _, f := range flows {
		fmt.Fprintf(&b, "inspected, with the findings %q:\n  %q\n", f.findings, f.octets)
	}
	o.Violation = b.String()
}

// playAll plays the schedules of n seeds from first on, so many at the same time, and
// tells each outcome.
func (g *ground) playAll(ctx context.Context, first uint64, n, parallel int, tell func(Outcome)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Uint64
	var mu sync.Mutex
	var playing sync.WaitGroup
	for range parallel {
		playing.Go(func() {
			for i := next.Add(1) - 1; i < uint64(n) && ctx.Err() == nil; i = next.Add(1) - 1 {
				o, err := g.play(ctx, Generate(first+i))
				if err != nil {
					cancel(fmt.Errorf("seed %d: %w", first+i, err))
					return
				}
				mu.Lock()
				tell(o)
				mu.Unlock()
			}
		})
	}
	playing.Wait()
	return context.Cause(ctx)
}
