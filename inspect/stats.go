package inspect

import (
	"sync/atomic"

	"keepword/inspect/flow"
	"keepword/inspect/history"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// Cause is a way in which sight of a flow is lost.
type Cause uint8

const (
	causeMidstream  Cause = iota // first seen in its middle
	causeMemoryFull              // the memory of all flows is used up
	causeFlowMemory              // that of one flow is
	causeFlowsFull               // the table was full, the flow had to leave it
	causeGap                     // its receiver has octets that were never seen
	causeNotTLS                  // clear text where TLS was to be, which policy lets pass
	causeSigned                  // both ends sign their segments
	causeFollower                // the kernel let through what was not to be

	causes
)

var causeNames = [causes]string{"midstream", "memory_full", "flow_memory", "flows_full", "gap", "not_tls", "signed", "follower"}

var whenNames = [...]string{"pass", "drop", "kill"}

// String returns the name in configuration and metrics.
func (w When) String() string { return whenNames[w] }

// counters are written by the worker and read by anyone.
type counters struct {
	decided     [verdict.Hold + 1]uint64 // the worker's own, published between batches
	packets     [verdict.Hold + 1]atomic.Uint64
	findings    [verdict.Findings][verdict.Kill + 1]atomic.Uint64
	outcomes    [starttls.OutcomeKilled + 1]atomic.Uint64
	lostSight   [causes][len(whenNames)]atomic.Uint64
	flows       [flow.Reset + 1]atomic.Int64
	breaker     [history.HalfOpen + 1]atomic.Uint64
	injected    atomic.Uint64
	offloaded   atomic.Int64
	memory      atomic.Int64
	memoryLimit atomic.Int64
}

func (c *counters) lost(cause Cause, when When) { c.lostSight[cause][when].Add(1) }

// publish stores what is known between two batches.
func (p *Pipeline) publish() {
	for k, n := range p.stats.decided {
		p.stats.packets[k].Store(n)
	}
	for _, c := range [...]flow.Class{flow.Embryonic, flow.Open, flow.Ended, flow.Reset} {
		p.stats.flows[c].Store(int64(p.flows.Len(c)))
	}
	lent, spare := p.memory.Used()
	p.stats.memory.Store(lent + spare)
}

// LostSight counts one cause under one policy.
type LostSight struct {
	Cause, Policy string
	Count         uint64
}

// FindingCount counts one finding with one action.
type FindingCount struct {
	Finding verdict.Finding
	Action  verdict.Action
	Count   uint64
}

// Stats are a Pipeline's counters at one moment.
type Stats struct {
	Packets  map[verdict.Kind]uint64
	Findings []FindingCount // those that are not zero
	Outcomes map[starttls.Outcome]uint64
	Lost     []LostSight // those that are not zero
	// Opening, Open and Ended are the flows in the table.
	Opening, Open, Ended int64
	Injected             uint64
	// Offloaded are the sessions that were handed over to the kernel and are not over.
	Offloaded int64
	// Breaker counts the changes of circuit breakers to each state.
	Breaker             map[history.State]uint64
	Memory, MemoryLimit int64 // octets
}

// Stats returns the counters. It is safe from any goroutine.
func (p *Pipeline) Stats() Stats {
	c := &p.stats
	s := Stats{
		Packets: map[verdict.Kind]uint64{}, Outcomes: map[starttls.Outcome]uint64{}, Breaker: map[history.State]uint64{},
		Opening: c.flows[flow.Embryonic].Load(), Open: c.flows[flow.Open].Load(), Ended: c.flows[flow.Ended].Load() + c.flows[flow.Reset].Load(),
		Injected: c.injected.Load(), Offloaded: c.offloaded.Load(), Memory: c.memory.Load(), MemoryLimit: c.memoryLimit.Load(),
	}
	for k := range c.packets {
		s.Packets[verdict.Kind(k)] = c.packets[k].Load()
	}
	for to := range c.breaker {
		s.Breaker[history.State(to)] = c.breaker[to].Load()
	}
	for o := range c.outcomes {
		s.Outcomes[starttls.Outcome(o)] = c.outcomes[o].Load()
	}
	for f := range c.findings {
		for a := range c.findings[f] {
			if n := c.findings[f][a].Load(); n > 0 {
				s.Findings = append(s.Findings, FindingCount{verdict.Finding(f), verdict.Action(a), n})
			}
		}
	}
	for cause := range c.lostSight {
		for when := range c.lostSight[cause] {
			if n := c.lostSight[cause][when].Load(); n > 0 {
				s.Lost = append(s.Lost, LostSight{causeNames[cause], whenNames[when], n})
			}
		}
	}
	return s
}
