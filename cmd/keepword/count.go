package main

import (

	"keepword/cmd/keepword/internal/control"
	"keepword/inspect/verdict"
)

// count adds up the counters of every worker in s.
func (d *daemon) count(s *control.Status) {
	for _, w := range d.workers {
		s.Queues = append(s.Queues, w.queue())
	}
}

// queue is the state of one worker's queue, in the kernel and here.
func (w worker) queue() control.Queue {
	counted := w.engine.Counters()
	q := control.Queue{Number: w.engine.Queue(), Stale: counted.Stale, Packets: make(map[string]uint64)}
	// Without the kernel's table (it is readable as long as the engine is open) the
	// other counters are true all the same.
	if kernel, err := w.engine.Status(); err == nil {
		q.Depth, q.Dropped, q.UserDropped = uint64(kernel.Depth), kernel.Dropped, kernel.UserDropped
	}
	for k, n := range counted.Verdicts {
		q.Packets[verdict.Kind(k).String()] = n
	}
	return q
}
