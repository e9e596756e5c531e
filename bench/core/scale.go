package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
)

// few is a number of connections whose state the nearest caches hold.
const few = 1000

// spread has the rows about what a packet costs with more and more connections open.
func (b *bench) spread() (rows []row, err error) {
	var counts []int
	for n := few; n < b.flows; n *= 10 {
		counts = append(counts, n)
	}
	counts = append(counts, b.flows)
	sampled := func(s *spread) sampler {
		return func() ([]float64, error) { return []float64{s.run(samplePackets / b.part)}, s.check(s.octets) }
	}
	var samplers []sampler
	for _, n := range counts {
		samplers = append(samplers, sampled(newSpread(newKeepword(n), n)), sampled(newSpread(newBaseline(), n)))
	}
	s, err := inTurn(b.rounds, samplers...)
	if err != nil {
		return nil, err
	}
	for i, n := range counts {
		rows = append(rows, row{what: "a packet at " + grouped(n) + " flows", unit: nanoseconds, ours: s[2*i][0], by: byGopacket, base: s[2*i+1][0]})
	}
	least, most := rows[0], rows[len(rows)-1]
	return append(rows, row{
		what: "cost a packet, " + grouped(b.flows) + " flows to " + grouped(counts[0]), unit: times, target: atMost(1.5),
		ours: most.ours.By(least.ours), by: byGopacket, base: most.base.By(least.base),
	}), nil
}

// workers has the rows about two workers that run at once: what both read in a second of
// their own threads' time, beside what one reads alone.
func (b *bench) workers() (rows []row, err error) {
	r := record(recordedSession, b.modern, false)
	each := max(b.flows/10, few)
	for _, load := range []struct {
		name   string
		worker func() (run func() float64, check func() error)
	}{
		{fmt.Sprintf("capture of %d sessions", r.sessions), func() (func() float64, func() error) {
			p := newReplays(newKeepword(recordedSession), r)
			return func() float64 { return p.run(samplePackets / b.part) }, func() error { return p.check(p.gateway.octets) }
		}},
		{"packets on " + grouped(each) + " flows a worker", func() (func() float64, func() error) {
			p := newSpread(newKeepword(each), each)
			return func() float64 { return p.run(samplePackets / b.part) }, func() error { return p.check(p.octets) }
		}},
	} {
		first, checkFirst := load.worker()
		second, checkSecond := load.worker()
		s, err := inTurn(b.rounds,
			func() ([]float64, error) { return []float64{together(first)}, checkFirst() },
			func() ([]float64, error) { return []float64{together(first, second)}, checkSecond() })
		if err != nil {
			return nil, err
		}
		one, two := s[0][0], s[1][0]
		rows = append(rows,
			row{what: load.name + ", one worker", unit: perSecond, ours: one},
			row{what: load.name + ", two workers at once", unit: perSecond, ours: two},
			row{what: load.name + ", two workers to one", unit: times, ours: two.By(one)})
	}
	return rows, nil
}

// together has workers run at the same time, each in a thread of its own, and returns how
// many packets they read in a second together. A run returns nanoseconds a packet.
func together(runs ...func() float64) (packets float64) {
	each := make([]float64, len(runs))
	var running sync.WaitGroup
	for i, run := range runs {
		running.Go(func() { each[i] = run() })
	}
	running.Wait()
	for _, nanoseconds := range each {
		packets += 1e9 / nanoseconds
	}
	return packets
}

// idleFlag has this command open so many sessions, leave them idle and tell its memory.
const idleFlag = "idle"

// resident has the row about the memory of a process with many idle sessions and nothing
// else: this command is run for it with idleFlag.
func (b *bench) resident() ([]row, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s, err := inTurn(b.rounds, func() ([]float64, error) {
		out, err := exec.Command(self, "-"+idleFlag, strconv.Itoa(b.flows)).Output()
		if err != nil {
			return nil, fmt.Errorf("%s -%s: %w", self, idleFlag, err)
		}
		var octets float64
		_, err = fmt.Sscan(string(out), &octets)
		return []float64{octets}, err
	})
	if err != nil {
		return nil, err
	}
	return []row{{what: "resident memory of a process with " + grouped(b.flows) + " idle sessions, EHLO answered", unit: octetsUnit, target: atMost(1 << 30), ours: s[0][0]}}, nil
}

// idle opens sessions up to the acknowledged reply to EHLO, and tells how much memory this
// process then has.
func idle(flows int, out io.Writer) error {
	k := newKeepword(flows)
	g := newGateway(k, flows)
	g.play(0, flows, opening, introduction, []step{ack(client)})
	g.tick()
	if err := g.check(g.octets); err != nil {
		return err
	}
	if s := k.Stats(); int(s.Open) != flows {
		return fmt.Errorf("%d sessions were opened and %d are known", flows, s.Open)
	}
	statm, err := os.ReadFile("/proc/self/statm") // proc_pid_statm(5): size, resident, ... in pages
	if err != nil {
		return err
	}
	var size, pages int
	if _, err := fmt.Sscan(string(statm), &size, &pages); err != nil {
		return fmt.Errorf("/proc/self/statm: %w", err)
	}
	_, err = fmt.Fprintf(out, "%d octets are resident with %s idle sessions\n", pages*os.Getpagesize(), grouped(flows))
	return err
}
