package main

import (
	"cmp"
	"maps"
	"slices"

	"keepword/cmd/keepword/internal/config"
	"keepword/cmd/keepword/internal/control"
	"keepword/cmd/keepword/internal/metrics"
	"keepword/dataplane/nfqueue"
	"keepword/inspect/verdict"
)

// count adds up the counters of every worker in s, which has none yet.
func (d *daemon) count(s *control.Status) {
	s.Flows = make(map[string]uint64)
	s.Sessions = make(map[string]uint64)
	s.Breaker = make(map[string]uint64)
	type findingKey struct{ finding, action string }
	findings := make(map[findingKey]uint64)
	type lossKey struct{ cause, policy string }
	losses := make(map[lossKey]uint64)

	// Where the table is gone, as at the end, the other counters are true all the same.
	if t, err := d.table.Counters(); err == nil {
		s.Table = &control.Table{Queued: t.Queued, Fragments: t.Fragments, Untracked: t.Untracked}
	}
	s.Kernel = d.share.count()
	full := d.cfg.Load().When.QueueFull
	for _, w := range d.workers {
		q, overflows := w.queue(full)
		s.Queues = append(s.Queues, q)
		if overflows > 0 {
			losses[lossKey{"queue_full", string(full)}] += overflows
		}
		stats := w.pipeline.Stats()
		if s.Kernel != nil {
			s.Kernel.Offloaded += uint64(max(0, stats.Offloaded))
		}
		s.Memory.Used += uint64(max(0, stats.Memory))
		s.Memory.Limit += uint64(max(0, stats.MemoryLimit))
		for state, n := range map[string]int64{"opening": stats.Opening, "open": stats.Open, "ended": stats.Ended} {
			s.Flows[state] += uint64(max(0, n))
		}
		for o, n := range stats.Outcomes {
			s.Sessions[o.String()] += n
		}
		for state, n := range stats.Breaker {
			s.Breaker[state.String()] += n
		}
		for _, f := range stats.Findings {
			findings[findingKey{f.Finding.String(), f.Action.String()}] += f.Count
		}
		for _, l := range stats.Lost {
			losses[lossKey{l.Cause, l.Policy}] += l.Count
		}
	}
	if n := d.tableLost.Load(); n > 0 {
		losses[lossKey{"table_gone", string(config.Pass)}] = n
	}
	for _, k := range slices.SortedFunc(maps.Keys(findings), func(a, b findingKey) int {
		return cmp.Or(cmp.Compare(a.finding, b.finding), cmp.Compare(a.action, b.action))
	}) {
		s.Findings = append(s.Findings, control.FindingCount{Finding: k.finding, Action: k.action, Count: findings[k]})
	}
	for _, k := range slices.SortedFunc(maps.Keys(losses), func(a, b lossKey) int {
		return cmp.Or(cmp.Compare(a.cause, b.cause), cmp.Compare(a.policy, b.policy))
	}) {
		s.LostSight = append(s.LostSight, control.LostSight{Cause: k.cause, Policy: k.policy, Count: losses[k]})
	}
}

// queue is the state of one worker's queue, in the kernel and here, and the number of
// packets that met the policy for full queues.
func (w worker) queue(full config.Loss) (q control.Queue, overflows uint64) {
	counted := w.engine.Counters()
	q = control.Queue{Number: w.engine.Queue(), Stale: counted.Stale, Packets: make(map[string]uint64)}
	for k, n := range counted.Verdicts {
		q.Packets[verdict.Kind(k).String()] = n
	}
	// So they are without the kernel's list of queues.
	kernel, err := w.engine.Status()
	if err != nil {
		return q, 0
	}
	q.Depth, q.Dropped, q.UserDropped = uint64(kernel.Depth), kernel.Dropped, kernel.UserDropped
	if full == config.Pass {
		return q, kernel.Overflows
	}
	return q, kernel.Dropped + kernel.UserDropped
}

// count is what the kernel does by itself, nil for nothing; without the sessions.
func (s *share) count() *control.Kernel {
	if s.program == nil {
		if s.connmark {
			return new(control.Kernel)
		}
		return nil
	}
	k := &control.Kernel{Follower: &control.Follower{Interfaces: s.program.Interfaces(), CameUp: make(map[string]uint64)}}
	c, err := s.program.Counts()
	if err != nil {
		k.Follower = nil // the program is being closed
		return k
	}
	f := k.Follower
	f.Followed, f.Silent, f.Passed, f.PassedOctets, f.Dropped = c.Followed, c.Silent, c.Passed, c.PassedOctets, c.Busy
	for _, r := range c.Diverted {
		f.CameUp[r.Name] = r.Count
	}
	return k
}

// latency adds up how long packets took in all workers.
func (d *daemon) latency() *metrics.Histogram {
	h := new(metrics.Histogram)
	for _, bound := range nfqueue.LatencyBounds() {
		h.Bounds = append(h.Bounds, bound.Seconds())
	}
	h.Counts = make([]uint64, len(h.Bounds)+1)
	for _, w := range d.workers {
		l := w.engine.Counters().Latency
		for i, n := range l.Packets {
			h.Counts[i] += n
		}
		h.Sum += l.Sum.Seconds()
	}
	return h
}
