package nfqueue

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"time"

	nfq "github.com/florianl/go-nfqueue/v2"
	"golang.org/x/sys/unix"

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
	select {
	case <-e.closed:
		return ErrClosed
	default:
	}
	tick := time.NewTimer(dataplane.TickInterval)
	defer tick.Stop()
	stop := ctx.Done()
	var deadline time.Time // set once ctx has ended
	for {
		idle := false
		e.batch.Reset(0)
		select {
		case p := <-e.packets:
			e.fill(p)
		case <-tick.C:
			idle = len(e.packets) == 0
		case <-stop:
			stop = nil
			deadline = time.Now().Add(DrainTime)
		case err := <-e.failed:
			return &OpError{Op: "receive", Queue: e.cfg.Queue, Err: err}
		case <-e.closed:
			return ErrClosed
		}
		tick.Reset(dataplane.TickInterval)
		e.inspect(in)
		if deadline.IsZero() {
			continue
		}
		if idle && e.held == 0 || time.Now().After(deadline) {
			return nil
		}
	}
}

// fill puts p into the batch, and what has been received besides.
func (e *Engine) fill(p dataplane.Packet) {
	for {
		e.batch.Packets = append(e.batch.Packets, p)
		if len(e.batch.Packets) == batchLimit {
			return
		}
		select {
		case p = <-e.packets:
		default:
			return
		}
	}
}

// clock is the time of the Unix epoch as it was when the engine was opened, and what
// has passed since: a step of the wall clock is no step for inspection's timers.
func (e *Engine) clock() int64 { return e.opened.UnixNano() + int64(time.Since(e.opened)) }

// inspect has the batch decided and carries the decisions out.
func (e *Engine) inspect(in dataplane.Inspector) {
	b := &e.batch
	b.Now = e.clock()
	for i := range b.Packets {
		if b.Packets[i].Time == 0 {
			b.Packets[i].Time = b.Now
		}
	}
	in.Inspect(b)
	e.counted.batches.Add(1)
	for i := range b.Released {
		r := &b.Released[i]
		e.held--
		if r.Verdict == verdict.Hold {
			r.Verdict = verdict.None // a packet can't be released to be held
		}
		e.decide(r.ID, r.Verdict, r.Data)
	}
	for i := range b.Packets {
		p := &b.Packets[i]
		e.decide(p.ID, p.Verdict, p.Data)
		p.Data = nil
	}
	for _, packet := range b.Injected {
		if err := e.send.Send(packet); err != nil {
			e.counted.injectErrors.Add(1)
			continue
		}
		e.counted.injected.Add(1)
	}
}

// decide tells the kernel what becomes of a packet. What is no verdict drops it, as
// does a verdict that can't be sent: a packet without one would wait for ever.
func (e *Engine) decide(id uint32, kind verdict.Kind, data []byte) {
	var err error
	switch {
	case kind == verdict.Accept:
		err = e.queue.SetVerdict(id, nfq.NfAccept)
	case kind == verdict.Replace && len(data) >= minPacket:
		err = e.queue.SetVerdictWithOption(id, nfq.NfAccept, nfq.WithAlteredPacket(data))
	case kind == verdict.Drop:
		err = e.queue.SetVerdict(id, nfq.NfDrop)
	case kind == verdict.Hold:
		e.held++
	default:
		kind = verdict.None
		err = e.queue.SetVerdict(id, nfq.NfDrop)
	}
	if err != nil {
		e.counted.verdictErrors.Add(1)
		kind = verdict.Drop
		_ = e.queue.SetVerdict(id, nfq.NfDrop)
	}
	e.counted.verdicts[kind].Add(1)
}

// receive takes a packet from the library's goroutine. It blocks while inspection is
// behind by a batch, and returns other than 0 when receiving must end.
func (e *Engine) receive(a nfq.Attribute) int {
	if a.PacketID == nil {
		return 0
	}
	e.counted.received.Add(1)
	if a.CapLen != nil {
		e.counted.truncated.Add(1)
	}
	select {
	case e.packets <- packetOf(&a):
		return 0
	case <-e.closed:
		return 1
	}
}

// packetOf is what a describes. The library's copy of the octets becomes the packet's.
func packetOf(a *nfq.Attribute) dataplane.Packet {
	p := dataplane.Packet{ID: *a.PacketID}
	if a.Payload != nil {
		p.Data = *a.Payload
	}
	if a.Timestamp != nil {
		p.Time = a.Timestamp.UnixNano()
	}
	switch {
	case a.InDev != nil:
		p.Iface = *a.InDev
	case a.OutDev != nil:
		p.Iface = *a.OutDev
	}
	if a.SkbInfo != nil && len(*a.SkbInfo) >= 4 {
		const csumNotReady = 1 << 0 // NFQA_SKB_CSUMNOTREADY
		p.ChecksumPartial = binary.BigEndian.Uint32(*a.SkbInfo)&csumNotReady != 0
	}
	return p
}

// receiveError judges what the netlink socket reports, which is also the kernel's
// answer to a verdict that it could not carry out. It returns other than 0 when
// receiving must end.
func (e *Engine) receiveError(err error) int {
	switch {
	case errors.Is(err, unix.ENOENT):
		// The packet of a verdict is gone: the kernel empties all queues of a
		// namespace when somebody deletes a hooked chain, and those of an interface
		// that goes down.
		e.counted.stale.Add(1)
		return 0
	case errors.Is(err, unix.ENOMEM), errors.Is(err, unix.ENOBUFS):
		e.counted.shortages.Add(1)
		return 0
	case errors.Is(err, unix.EINTR):
		return 0
	case errors.Is(err, fs.ErrClosed):
		return 1
	}
	select {
	case e.failed <- err:
	default: // the first reason is the one to tell
	}
	return 1
}
