package eve

import (
	"slices"
	"sync"

	"keepword/inspect"
	"keepword/inspect/starttls"
)

const (
	// queueLength is how many records wait for the writing goroutine at most. It
	// covers a stall of the disk of about a second at some thousands of sessions a
	// second; they take about 6 MiB.
	queueLength = 8192
	// batchLength is how many records are handed over together at most: few enough for
	// their memory, 100 KiB, to be in the processor's cache when it is used again.
	batchLength = 128
	// keptBatches is how many are kept to be used again: what comes within maxDelay at
	// 50,000 sessions a second. What a stall took beyond that is given back after it.
	keptBatches = 8
)

// queue holds copies of records until the writing goroutine takes them, many at a time:
// to wake it for each would cost the packet path more than the copy. Its memory is used
// again, so that nothing is allocated for a record in the steady state.
type queue struct {
	begun chan struct{} // a record waits, and none did before
	now   chan struct{} // what waits must not wait any longer

	// mu is held for the copying of one record.
	mu      sync.Mutex
	closed  bool
	records int      // put and not yet released
	waiting []*batch // in order, the last being filled
	first   uint64   // the number of waiting[0], as they are counted from the beginning
	sealed  uint64   // batches below that number take no more records
	free    []*batch
}

// batch holds records in order, and what they refer to.
type batch struct {
	isFlow   []bool // of each record: in flows, or else in findings
	flows    []inspect.FlowRecord
	findings []inspect.FindingRecord
	said     []inspect.Said
	steps    []starttls.Step
	rcptTo   []string
}

func newQueue() *queue {
	return &queue{begun: make(chan struct{}, 1), now: make(chan struct{}, 1)}
}

// notify leaves a sign in c, where there is none yet.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// putFlow puts a copy of r, and returns false where there is no room.
func (q *queue) putFlow(r *inspect.FlowRecord) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.room()
	if b == nil {
		return false
	}
	b.isFlow = append(b.isFlow, true)
	b.flows = append(b.flows, *r)
	c := &b.flows[len(b.flows)-1]
	c.Steps = keep(&b.steps, r.Steps)
	c.RcptTo = keep(&b.rcptTo, r.RcptTo)
	c.Said = keep(&b.said, r.Said)
	return true
}

// putFinding puts a copy of r, which will not wait, and returns false where there is no
// room.
func (q *queue) putFinding(r *inspect.FindingRecord) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.room()
	if b == nil {
		return false
	}
	b.isFlow = append(b.isFlow, false)
	b.findings = append(b.findings, *r)
	b.findings[len(b.findings)-1].Said = keep(&b.said, r.Said)
	notify(q.now)
	return true
}

// keep copies s into memory, and returns the copy. Where memory moves, earlier copies
// stay where they are.
func keep[T any](memory *[]T, s []T) []T {
	from := len(*memory)
	*memory = append(*memory, s...)
	return (*memory)[from:]
}

// room returns the batch for the next record, nil where there is none. mu is held.
func (q *queue) room() *batch {
	if q.closed || q.records == queueLength {
		return nil
	}
	q.records++
	n := len(q.waiting)
	if n > 0 && q.first+uint64(n) > q.sealed && len(q.waiting[n-1].isFlow) < batchLength {
		return q.waiting[n-1]
	}
	if n == 0 {
		notify(q.begun)
	} else {
		notify(q.now) // a whole batch waits
	}
	var b *batch
	if last := len(q.free) - 1; last >= 0 {
		b, q.free = q.free[last], q.free[:last]
	} else {
		b = &batch{}
	}
	q.waiting = append(q.waiting, b)
	return b
}

// take appends what waits to b, each to be released, and says whether the queue is closed:
// nothing comes after these then.
func (q *queue) take(b []*batch) (_ []*batch, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.cut(b, len(q.waiting)), q.closed
}

// seal sets what waits apart from what comes, and returns the number that parts them.
func (q *queue) seal() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sealed = q.first + uint64(len(q.waiting))
	return q.sealed
}

// takeSealed is take for what waited when seal returned that number, and waits yet.
func (q *queue) takeSealed(b []*batch, number uint64) []*batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	if number <= q.first {
		return b
	}
	return q.cut(b, int(number-q.first))
}

// cut moves the first n batches that wait to the end of b. mu is held.
func (q *queue) cut(b []*batch, n int) []*batch {
	b = append(b, q.waiting[:n]...)
	q.waiting = slices.Delete(q.waiting, 0, n)
	q.first += uint64(n)
	return b
}

// release gives back a batch that was taken. Until then its records count as waiting.
func (q *queue) release(b *batch) {
	n := len(b.isFlow)
	clear(b.flows) // lets go of the strings
	clear(b.findings)
	clear(b.rcptTo)
	b.isFlow, b.flows, b.findings = b.isFlow[:0], b.flows[:0], b.findings[:0]
	b.said, b.steps, b.rcptTo = b.said[:0], b.steps[:0], b.rcptTo[:0]
	q.mu.Lock()
	defer q.mu.Unlock()
	q.records -= n
	if len(q.free) < keptBatches {
		q.free = append(q.free, b)
	}
}

// length returns how many records have been put and not released.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.records
}

// close refuses whatever comes from now on, and wakes whoever takes what is left.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	notify(q.now)
}
