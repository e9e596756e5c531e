package main

import (
	"fmt"

	"keepword/bench/traffic"
)

const (
	// stateLen is about what a connection's state takes, in octets.
	stateLen = 512
	lineLen  = 64 // octets of a cache line
	// underWay is as many reads as a core can have under way at a time, and more.
	underWay = 32
)

// lines is a ring through memory: each cache line of as much as a number of connections
// take says which is read next, in no order that a processor could guess.
type lines [][lineLen / 8]uint64

func newLines(flows int) lines {
	l := make(lines, flows*stateLen/lineLen)
	order := traffic.Chance(8).Perm(len(l))
	for i, at := range order {
		l[at][0] = uint64(order[(i+1)%len(order)])
	}
	return l
}

// read reads n lines, so many at a time, and returns the nanoseconds for one.
func (l lines) read(n, atOnce int) (each float64, err error) {
	at := make([]uint64, atOnce)
	for i := range at {
		at[i] = uint64(i * len(l) / atOnce)
	}
	spent := timed(func() {
		for range n / atOnce {
			for i := range at {
				at[i] = l[at[i]][0]
			}
		}
	})
	var sum uint64
	for _, a := range at {
		sum += a
	}
	if sum >= uint64(len(l)*atOnce) { // and so the reads are made
		return 0, fmt.Errorf("the memory holds what was not written to it: %d", at)
	}
	return float64(spent) / float64(n/atOnce*atOnce), nil
}

// latency has the rows about the memory alone, without which no packet's state can be
// looked at.
func (b *bench) latency() ([]row, error) {
	l := newLines(b.flows)
	sampled := func(atOnce int) sampler {
		return func() ([]float64, error) {
			each, err := l.read(1<<20/b.part, atOnce)
			return []float64{each}, err
		}
	}
	s, err := inTurn(b.rounds, sampled(1), sampled(underWay))
	if err != nil {
		return nil, err
	}
	name := "reading a cache line of the memory of " + grouped(b.flows) + " flows, "
	return []row{
		{what: name + "one at a time", unit: nanoseconds, ours: s[0][0]},
		{what: fmt.Sprintf("%s%d at a time", name, underWay), unit: nanoseconds, ours: s[1][0]},
	}, nil
}
