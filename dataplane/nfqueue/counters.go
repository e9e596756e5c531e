package nfqueue

import (
	"errors"
	"sync/atomic"

	"golang.org/x/sys/unix"

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
	// Passed is the number of packets that Config.Follower has brought. Nothing else
	// here counts them.
	Passed uint64
	// Stale is the number of verdicts for packets that the kernel had dropped in the
	// meantime (ENOENT). Of packets that are accepted together the fast engine learns
	// so only where all of them are gone, and counts one.
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
	// Malformed is the number of messages about packets that were not as the kernel
	// writes them. The packets were dropped, where their ids could be read.
	Malformed uint64
	// Injected is the number of packets sent besides, InjectErrors of those that could
	// not be sent.
	Injected, InjectErrors uint64
	// Latency is how long packets took here.
	Latency Latency
}

// counters are Counters in the making: written by the two goroutines of an Engine,
// read by any.
type counters struct {
	received, batches, passed, stale, verdictErrors, shortages atomic.Uint64
	truncated, malformed, injected, injectErrors               atomic.Uint64
	verdicts                                                   [verdictKinds]atomic.Uint64
	latency                                                    latency
}

// decide counts verdicts.
func (c *counters) decide(kinds *[verdictKinds]uint64) {
	for k, n := range kinds {
		if n > 0 {
			c.verdicts[k].Add(n)
		}
	}
}

// survive judges what a netlink socket reports, which is also the kernel's answer to a
// verdict that it could not carry out: what an engine can live with is counted, and the
// rest returned.
func (c *counters) survive(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		// The packet of a verdict is gone: the kernel empties all queues of a
		// namespace when somebody deletes a hooked chain, and those of an interface
		// that goes down.
		c.stale.Add(1)
	case errors.Is(err, unix.ENOMEM), errors.Is(err, unix.ENOBUFS):
		c.shortages.Add(1)
	case errors.Is(err, unix.EINTR):
	default:
		return err
	}
	return nil
}

// Counters returns the present state. It may be called at any time, by any goroutine.
func (e *Engine) Counters() Counters {
	c := &e.counted
	out := Counters{
		Received:      c.received.Load(),
		Batches:       c.batches.Load(),
		Passed:        c.passed.Load(),
		Stale:         c.stale.Load(),
		VerdictErrors: c.verdictErrors.Load(),
		Shortages:     c.shortages.Load(),
		Truncated:     c.truncated.Load(),
		Malformed:     c.malformed.Load(),
		Injected:      c.injected.Load(),
		InjectErrors:  c.injectErrors.Load(),
		Latency:       c.latency.load(),
	}
	for i := range c.verdicts {
		out.Verdicts[i] = c.verdicts[i].Load()
	}
	return out
}
