package main

import (
	"fmt"
	"slices"

	"keepword/dataplane"
	"keepword/inspect"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// subject reads packets: keepword's inspection, or the baseline.
type subject interface {
	// read takes a batch. What it learns of the packets is its own.
	read(b *dataplane.Batch)
	// check says what of the traffic so far was not read as it was meant to be, in
	// which case figures about it mean nothing. octets are those of all payloads,
	// each once.
	check(octets uint64) error
	// forget ends all connections, so that their ends can be used again.
	forget(now int64)
}

// keepword is the whole inspection of one worker, with the defaults of an empty
// configuration: it enforces.
type keepword struct {
	*inspect.Pipeline
	ended *quiet
}

// quiet is a Sink that takes everything and keeps nothing but a count.
type quiet struct{ flows uint64 }

// Finding takes a finding.
func (*quiet) Finding(*inspect.FindingRecord) {}

// FlowEnd takes the end of a flow.
func (q *quiet) FlowEnd(*inspect.FlowRecord) { q.flows++ }

// newKeepword returns an inspection of at most flows connections.
func newKeepword(flows int) keepword {
	ended := &quiet{}
	return keepword{inspect.New(inspect.Config{
		Policy: policy.New(policy.Config{}),
		Ports:  []uint16{serverPort},
		Limits: inspect.Limits{Flows: flows, Memory: 512 << 20, FlowMemory: 256 << 10},
		Sink:   ended,
		// Neither may happen: check would tell.
		MemoryFull: inspect.WhenKill, Midstream: inspect.WhenPass,
	}), ended}
}

func (k keepword) read(b *dataplane.Batch) { k.Inspect(b) }

func (k keepword) forget(now int64) { k.Flush(now) }

// check wants lawful traffic to have been followed from its first octet on: no finding,
// no loss of sight.
func (k keepword) check(uint64) error {
	s := k.Stats()
	s.Findings = slices.DeleteFunc(s.Findings, func(f inspect.FindingCount) bool {
		return f.Finding == verdict.LineTooLong // mail data of one octet a segment has no lines
	})
	if len(s.Findings) > 0 || len(s.Lost) > 0 {
		return fmt.Errorf("the generated traffic was not followed as it should be: findings %v, lost sight %v", s.Findings, s.Lost)
	}
	return nil
}
