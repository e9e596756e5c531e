package main

import (
	"testing"

	"keepword/bench/traffic"
)

// segments sends one segment of mail data after another, on many connections, each with
// the acknowledgement that follows.
type segments struct {
	*gateway
	data step
	ack  step
}

// bulk is a segment so long that no more than eight are handed over at once: what
// offload puts together (GSO) is of few connections.
const bulk = 32768

func newSegments(s subject, octets int) *segments {
	g := &segments{gateway: newGateway(s, batchSize), data: say(client, string(traffic.TextMail(octets))), ack: ack(server)}
	if octets >= bulk {
		g.connections.next = g.next[:8]
	}
	g.play(0, len(g.next), opening, introduction, envelope, []step{ack(client)})
	return g
}

// run sends at least n segments and as many acknowledgements, and returns what one of
// each takes in nanoseconds.
func (s *segments) run(n int) (segment, ack float64) {
	flows := len(s.next)
	sent := 0
	for ; sent < n; sent += flows {
		for i := range flows {
			s.put(i, &s.data)
		}
		segment += s.took()
		for i := range flows {
			s.put(i, &s.ack)
		}
		ack += s.took()
	}
	return segment / float64(sent), ack / float64(sent)
}

// allocations returns how many a segment and its acknowledgement make.
func (s *segments) allocations() float64 {
	s.run(1000)
	return testing.AllocsPerRun(100, func() { s.run(1) }) / float64(len(s.next))
}
