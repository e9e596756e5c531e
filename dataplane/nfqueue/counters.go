package nfqueue

import (
	"sync/atomic"

	"keepword/inspect/verdict"
)

// verdictKinds is the number of verdict.Kind's values.
const verdictKinds = verdict.Hold + 1

// Counters are what an Engine has counted since it was opened. What the kernel counts
// of the queue is in Status.
type Counters struct {
	// Received is the number of packets that the kernel has brought.
	Received uint64
	// Verdicts is the number of verdicts by kind. A packet that was held counts twice,
	// at Hold and at its release. Verdicts[verdict.None] are the packets that
	// inspection left undecided, or replaced by what is no packet: they were dropped.
	Verdicts [verdictKinds]uint64
	// Batches is the number of calls of Inspect, ticks without packets included.
	Batches uint64
	// Stale is the number of verdicts for packets that the kernel had dropped in the
	// meantime (ENOENT).
	Stale uint64
	// VerdictErrors is the number of verdicts that could not be sent. The packet was
	// dropped instead.
	VerdictErrors uint64
	// Shortages is the number of times that the kernel had no memory for a message
	// (ENOMEM, ENOBUFS).
	Shortages uint64
	// Truncated is the number of packets longer than a netlink attribute can be, 65531
	// octets: inspection saw their beginning only.
	Truncated uint64
	// Injected is the number of packets sent besides, InjectErrors of those that could
	// not be sent.
	Injected, InjectErrors uint64
}

// counters are Counters in the making: written by the two goroutines of an Engine,
// read by any.
type counters struct {
	received, batches, stale, verdictErrors, shortages atomic.Uint64
	truncated, injected, injectErrors                  atomic.Uint64
	verdicts                                           [verdictKinds]atomic.Uint64
}

// Counters returns the present state. It may be called at any time, by any goroutine.
func (e *Engine) Counters() Counters {
	c := &e.counted
	out := Counters{
		Received:      c.received.Load(),
		Batches:       c.batches.Load(),
		Stale:         c.stale.Load(),
		VerdictErrors: c.verdictErrors.Load(),
		Shortages:     c.shortages.Load(),
		Truncated:     c.truncated.Load(),
		Injected:      c.injected.Load(),
		InjectErrors:  c.injectErrors.Load(),
	}
	for i := range c.verdicts {
		out.Verdicts[i] = c.verdicts[i].Load()
	}
	return out
}
