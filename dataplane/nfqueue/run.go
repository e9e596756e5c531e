package nfqueue

import (
	"context"
	"runtime"
	"time"

	"keepword/dataplane"
	"keepword/inspect/verdict"
)

// DrainTime bounds how long Run goes on after its context has ended.
const DrainTime = 500 * time.Millisecond

// minPacket is the shortest IP packet: an IPv4 header without options.
const minPacket = 20

// Run inspects until ctx ends, and then on until the queue has been empty for a tick
// and every held packet is released, for DrainTime at most. For the queue to become
// empty the caller must have stopped what fills it (steer's StopDiverting).
//
// It returns nil when it has stopped as asked, ErrClosed after Close, and an *OpError
// when the queue can't be received from any more.
func (e *Engine) Run(ctx context.Context, in dataplane.Inspector) error {
	e.running.Lock()
	defer e.running.Unlock()
	if e.isClosed() {
		return ErrClosed
	}
	if !e.cfg.Portable {
		// Its thread sleeps in the kernel, and is woken there.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	defer context.AfterFunc(ctx, e.queue.wake)()
	var deadline time.Time // set once ctx has ended
	for {
		e.batch.Reset(0)
		idle, err := e.queue.receive(&e.batch)
		if e.isClosed() {
			return ErrClosed
		}
		if err != nil {
			return &OpError{Op: "receive", Queue: e.cfg.Queue, Err: err}
		}
		received, n := time.Now(), len(e.batch.Packets)
		e.follow(in)
		e.inspect(in, &e.batch)
		e.counted.latency.observe(n, time.Since(received))
		switch {
		case ctx.Err() == nil:
		case deadline.IsZero():
			deadline = time.Now().Add(DrainTime)
		case idle && len(e.waiting.held) == 0, time.Now().After(deadline):
			e.follow(in)
			return nil
		}
	}
}

func (e *Engine) isClosed() bool {
	select {
	case <-e.closed:
		return true
	default:
		return false
	}
}

// clock is the time of the Unix epoch as it was when the engine was opened, and what
// has passed since: a step of the wall clock is no step for inspection's timers.
func (e *Engine) clock() int64 { return e.opened.UnixNano() + int64(time.Since(e.opened)) }

// follow has inspected what the kernel has let through by itself. It comes between
// receiving a batch and its inspection: what was logged of a connection before one of
// its packets was diverted must be inspected before that packet.
func (e *Engine) follow(in dataplane.Inspector) {
	for more := e.cfg.Follower != nil; more; {
		e.passed.Reset(0)
		more = e.cfg.Follower.Fill(&e.passed, batchLimit)
		if len(e.passed.Packets) == 0 {
			return
		}
		e.counted.passed.Add(uint64(len(e.passed.Packets)))
		e.inspect(in, &e.passed)
	}
}

// inspect has a batch decided and carries the decisions out.
func (e *Engine) inspect(in dataplane.Inspector, b *dataplane.Batch) {
	b.Now = e.clock()
	for i := range b.Packets {
		if b.Packets[i].Time == 0 {
			b.Packets[i].Time = b.Now
		}
	}
	in.Inspect(b)
	e.counted.batches.Add(1)
	e.decide(b)
	for _, packet := range b.Injected {
		if err := e.send.Send(packet); err != nil {
			e.counted.injectErrors.Add(1)
			continue
		}
		e.counted.injected.Add(1)
	}
	if e.cfg.Follower != nil && len(b.Grants) > 0 {
		e.cfg.Follower.Grant(b.Grants)
	}
}

// decide tells the kernel all verdicts of a batch.
func (e *Engine) decide(b *dataplane.Batch) {
	// First of all, what waits from now on: among the released are packets of this batch.
	for i := range b.Packets {
		if p := &b.Packets[i]; p.Verdict == verdict.Hold && p.Passed == nil {
			e.waiting.hold(p.ID)
			e.counted.verdicts[verdict.Hold].Add(1)
		}
	}
	for i := range b.Released {
		r := &b.Released[i]
		e.waiting.release(r.ID)
		// Packets of this batch that came before it have no verdict yet.
		e.queue.decide(decision{id: r.ID, kind: sendable(r.Verdict, r.Data), data: r.Data, single: true})
	}
	for i := range b.Packets {
		p := &b.Packets[i]
		if p.Passed == nil && p.Verdict != verdict.Hold {
			d := decision{id: p.ID, kind: sendable(p.Verdict, p.Data), data: p.Data}
			if p.Exempt && d.kind == verdict.Accept && e.cfg.MarkExempt {
				d.mark, d.marked = p.Mark|e.cfg.Mark, true
			}
			e.queue.decide(d)
		}
		p.Data = nil
	}
	e.queue.flush()
}

// sendable is what the kernel is told where kind was decided: what is no verdict, or
// replaces a packet by what is none, is None and drops it, for a packet without a verdict
// would wait for ever. A packet can't be released to be held.
func sendable(kind verdict.Kind, data []byte) verdict.Kind {
	switch {
	case kind == verdict.Accept, kind == verdict.Drop, kind == verdict.Replace && len(data) >= minPacket:
		return kind
	}
	return verdict.None
}
