package nfqueue

import (
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"keepword/dataplane"
	"keepword/inspect/verdict"
)

// fast is a queue as the fast engine reaches it: one system call for what has come, and
// one for all verdicts on it.
type fast struct {
	*conn
	number  uint16
	out     *verdicts
	waiting *waiting
	counted *counters

	// waking keeps the descriptor that wakes a sleeping thread from being closed
	// while somebody uses it.
	waking sync.Mutex
	closed bool
}

// openFast takes the queue that cfg names.
func openFast(cfg *Config, w *waiting, c *counters) (*fast, error) {
	s, err := openConn(cfg.Buffer)
	if err != nil {
		return nil, err
	}
	q := newFast(s, cfg.Queue, w, c)
	if cfg.Follower != nil {
		s.sleep.follow(cfg.Follower)
	}
	if err := s.bind(cfg); err != nil {
		_ = q.close()
		return nil, refusal(cfg.Queue, err)
	}
	if err := s.startCopying(cfg.Queue); err != nil {
		_ = q.close()
		return nil, err
	}
	return q, nil
}

func newFast(s *conn, number uint16, w *waiting, c *counters) *fast {
	s.in = newReceiver()
	return &fast{conn: s, number: number, out: newVerdicts(number, s.limit), waiting: w, counted: c}
}

// receive implements queue.
func (q *fast) receive(b *dataplane.Batch) (tick bool, err error) {
	n, err := q.in.receive(q.fd)
	if n == 0 && err == nil {
		if tick, err = q.sleep.sleep(); tick || err != nil {
			return tick, err
		}
		n, err = q.in.receive(q.fd)
	}
	if err != nil {
		return false, q.counted.survive(err)
	}
	for i := range n {
		if err := q.read(q.in.message(i), b); err != nil {
			return false, err
		}
	}
	return false, nil
}

// read takes the packets of what was received into b. The error is what the kernel says
// of an earlier verdict, where that is no reason to go on.
func (q *fast) read(datagram []byte, b *dataplane.Batch) error {
	for {
		m, rest, ok := nextMessage(datagram)
		if !ok {
			return nil
		}
		datagram = rest
		switch m.kind {
		case typePacket:
			q.readPacket(&m, b)
		case unix.NLMSG_ERROR:
			if errno, ok := m.errno(); ok && errno != 0 {
				if err := q.counted.survive(errno); err != nil {
					return err
				}
			}
		}
	}
}

func (q *fast) readPacket(m *message, b *dataplane.Batch) {
	b.Packets = append(b.Packets, dataplane.Packet{})
	last := len(b.Packets) - 1
	p := &b.Packets[last]
	got := m.packet(q.number, p)
	if got == readNothing {
		q.counted.malformed.Add(1)
		q.waiting.unsure = true
		b.Packets = b.Packets[:last]
		return
	}
	q.counted.received.Add(1)
	q.waiting.receive(p.ID)
	switch got {
	case readCut:
		q.counted.truncated.Add(1)
	case readID:
		// Nobody could inspect it, and without a verdict it would wait for ever.
		q.counted.malformed.Add(1)
		q.decide(decision{id: p.ID, kind: verdict.Drop})
		b.Packets = b.Packets[:last]
	}
}

// decide implements queue.
func (q *fast) decide(d decision) {
	if d.kind == verdict.Replace && len(d.data) > maxPayload {
		q.counted.verdictErrors.Add(1)
		d.kind = verdict.Drop
	}
	if !q.out.room(&d) {
		q.flush()
	}
	if d.kind == verdict.Accept && !d.marked && !d.single && q.waiting.noneUpTo(d.id) {
		q.out.accept(d.id)
		return
	}
	q.out.add(&d)
}

// flush implements queue.
func (q *fast) flush() {
	if len(q.out.ids) > 0 {
		if err := q.send(q.out.finish()); err == nil {
			q.counted.decide(&q.out.kinds)
		} else {
			n := uint64(len(q.out.ids))
			q.counted.verdictErrors.Add(n)
			q.counted.verdicts[verdict.Drop].Add(n)
			q.waiting.unsent = append(q.waiting.unsent, q.out.ids...)
		}
		q.out.reset()
	}
	q.dropUnsent()
}

// dropUnsent drops the packets whose verdicts could not be sent. Where that fails too, the
// next flush tries again.
func (q *fast) dropUnsent() {
	for len(q.waiting.unsent) > 0 {
		n := min(len(q.waiting.unsent), maxMessages)
		for _, id := range q.waiting.unsent[:n] {
			q.out.add(&decision{id: id, kind: verdict.Drop})
		}
		err := q.send(q.out.finish())
		q.out.reset()
		if err != nil {
			return
		}
		q.waiting.unsent = slices.Delete(q.waiting.unsent, 0, n)
	}
}

// wake implements queue.
func (q *fast) wake() {
	q.waking.Lock()
	defer q.waking.Unlock()
	if !q.closed {
		q.sleep.wake()
	}
}

// close implements queue.
func (q *fast) close() error {
	q.waking.Lock()
	defer q.waking.Unlock()
	q.closed = true
	return q.conn.close()
}
