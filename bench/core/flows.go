package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"

	"keepword/bench/traffic"
)

// held returns the octets of heap that are in use.
func held() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools let go of in the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// state is what connections cost while nothing happens on them, in octets.
type state struct {
	each  float64 // of one connection
	total float64 // of all, and of what is there before the first
}

// memory brings so many connections through steps, and measures by how much the heap
// has grown.
func memory(fresh func(flows int) subject, flows int, steps ...[]step) (state, error) {
	g := newGateway(nil, flows)
	before := held()
	g.subject = fresh(flows)
	g.play(0, batchSize, steps...) // makes the buffers that all share
	empty := held()
	g.play(batchSize, flows, steps...)
	full := held()
	err := g.check(g.octets)
	if k, ok := g.subject.(keepword); ok && err == nil {
		g.tick()
		if s := k.Stats(); int(s.Open+s.Opening) != flows {
			err = fmt.Errorf("%d connections were opened and %d are known", flows, s.Open+s.Opening)
		}
	}
	runtime.KeepAlive(g)
	return state{float64(full-empty) / float64(flows-batchSize), float64(full - before)}, err
}

// spread sends mail data on connections drawn at random from many, so that each packet
// meets a state that was last used long ago.
type spread struct {
	*gateway
	data, ack step
	random    *rand.Rand
	// waiting are the connections with a segment that is not acknowledged yet: always
	// one of sixteen.
	waiting   []int
	isWaiting []bool
}

const inFlight = 16

func newSpread(s subject, flows int) *spread {
	p := &spread{
		gateway: newGateway(s, flows), random: traffic.Chance(5), isWaiting: make([]bool, flows),
		data: say(client, string(traffic.TextMail(100))), ack: ack(server),
	}
	p.play(0, flows, opening, introduction, envelope, []step{ack(client)})
	for range flows / inFlight {
		p.send()
	}
	p.took()
	return p
}

// send puts a segment on a connection that waits for no acknowledgement.
func (p *spread) send() {
	i := p.random.IntN(len(p.isWaiting))
	for p.isWaiting[i] {
		i = p.random.IntN(len(p.isWaiting))
	}
	p.isWaiting[i] = true
	p.waiting = append(p.waiting, i)
	p.put(i, &p.data)
}

// acknowledge puts the acknowledgement on one that does.
func (p *spread) acknowledge() {
	k := p.random.IntN(len(p.waiting))
	i := p.waiting[k]
	p.waiting[k] = p.waiting[len(p.waiting)-1]
	p.waiting = p.waiting[:len(p.waiting)-1]
	p.isWaiting[i] = false
	p.put(i, &p.ack)
}

// run sends at least n packets and returns what one takes in nanoseconds.
func (p *spread) run(n int) (each float64) {
	for sent := 0; sent < n; sent += 2 {
		p.send()
		p.acknowledge()
	}
	return p.took() / float64(n)
}
