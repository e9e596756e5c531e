package main

import (
	"fmt"
	"time"

	"keepword/bench/follow"
	"keepword/dataplane"
	"keepword/dataplane/offload"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// share is the kernel's own share in a scene: each packet goes through the program first, and
// only what that does not exempt comes up. Inspection reads in arrears what the program has let
// through.
type share struct {
	// programs are lent to one search each.
	programs chan *follow.Kernel
	reads    reading
	// known says that the server's dialogues are followed from their greeting on, if inspection
	// grants that after a plain one. Otherwise all is granted in the run, or nothing.
	known bool
	// bend, where it is not nil, changes the gateway of each run: a control.
	bend func(*follow.Gateway)
}

// reading is when the gateway reads the program's log where nothing has come up.
type reading uint8

const (
	// readAtOnce: behind each packet.
	readAtOnce reading = iota
	// readLate: not before time passes (dataplane.TickInterval). To read it behind a packet is
	// a departure.
	readLate
)

// String says what distinguishes the share from others.
func (s *share) String() string {
	server, reads := "unknown", "at once"
	if s.known {
		server = "known"
	}
	if s.reads == readLate {
		reads = "late"
	}
	return fmt.Sprintf("server %s, log read %s", server, reads)
}

// loadPrograms loads so many programs, which unload closes.
func loadPrograms(n int) (chan *follow.Kernel, error) {
	window := newPipeline(&scene{share: &share{}}).Window()
	list := make(chan *follow.Kernel, n)
	for range n {
		k, err := follow.NewKernel(window, serverAddr.Port())
		if err != nil {
			unload(list)
			return nil, fmt.Errorf("load the kernel's program: %w", err)
		}
		list <- k
	}
	return list, nil
}

// unload closes programs, none of which is lent any more.
func unload(list chan *follow.Kernel) {
	for len(list) > 0 {
		_ = (<-list).Close() // with the process at the latest
	}
}

// sharedScenes returns each policy in each place with the kernel's own share, for both readings
// of the log: with a server that is known, where it can be, and with one that is not.
func sharedScenes(programs chan *follow.Kernel) (list []scene) {
	for _, s := range scenes() {
		for _, reads := range []reading{readAtOnce, readLate} {
			for _, known := range []bool{true, false} {
				if !known || policy.New(s.policy).Rules(serverAddr).Followable {
					s.share = &share{programs: programs, reads: reads, known: known}
					list = append(list, s)
				}
			}
		}
	}
	return list
}

// kernel is the share of an engine.
type kernel struct {
	*share
	*follow.Kernel
	policy *policy.Policy
	grants []dataplane.Grant // that make the server known
	before offload.Counts    // of what was lent
}

// borrow takes a program.
func (e *engine) borrow(s *scene) {
	straight := *s.share
	straight.bend = nil
	e.kernel = &kernel{share: &straight, Kernel: <-s.share.programs, policy: policy.New(s.policy)}
	if s.share.known {
		if e.kernel.grants = e.getToKnow(); len(e.kernel.grants) == 0 {
			panic("inspection grants nothing after a plain dialogue")
		}
	}
	e.kernel.share, e.kernel.before = s.share, e.kernel.counts()
}

// getToKnow plays a plain dialogue, and returns what inspection grants of its server.
func (e *engine) getToKnow() []dataplane.Grant {
	s := scene{}
	w := s.begin(&chooser{}, e)
	for _, said := range []struct {
		from   side
		octets string
	}{
		{east, greetings[0]}, {west, ehlo}, {east, "250-mx.example\r\n250 HELP\r\n"}, {west, mail}, {east, "250 2.0.0 Ok\r\n"},
	} {
		w.wall.take(w, said.from, segment{octets: []byte(said.octets)})
	}
	w.wall.inspect(w, nil)
	return w.wall.granted
}

// close gives the program back.
func (e *engine) close() {
	if e.kernel != nil {
		e.kernel.programs <- e.kernel.Kernel
	}
}

// counts returns the program's counters.
func (k *kernel) counts() offload.Counts {
	c, err := k.Counts()
	if err != nil {
		panic(err) // it was closed while it was lent
	}
	return c
}

// tally is what has become of packets in a search: those that the kernel has let through, in
// dialogues and in TLS, and those that came up; and how often it took a grant up.
type tally struct{ followed, inTLS, cameUp, taken uint64 }

func (t *tally) add(o tally) {
	t.followed += o.followed
	t.inTLS += o.inTLS
	t.cameUp += o.cameUp
	t.taken += o.taken
}

// String is the end of a line of the table.
func (t tally) String() string {
	return fmt.Sprintf("%9d %9d %9d %9d", t.followed, t.inTLS, t.cameUp, t.taken)
}

// tally returns what has happened since the program was borrowed.
func (e *engine) tally() (t tally) {
	if e.kernel == nil {
		return t
	}
	was, is := e.kernel.before, e.kernel.counts()
	for i, d := range is.Diverted {
		t.cameUp += d.Count - was.Diverted[i].Count
	}
	t.followed, t.inTLS, t.taken = is.Followed-was.Followed, is.Passed-was.Passed, is.Taken-was.Taken
	return t
}

// join puts a gateway around the wall, of which all is as it was before any run: neither the
// program nor inspection knows of a connection, and of the server no more than is granted.
func (l *wall) join(w *world) {
	k := l.kernel
	var left dataplane.Batch
	for k.Follower().Fill(&left, 1) { // what the run before has not read
		left.Reset(0)
	}
	l.gateway = follow.NewGateway(k.Kernel, overseer{l.in, l}, func(pkt []byte) { l.deliver(w, pkt) })
	l.gateway.Meanwhile = func() { l.meanwhile(w) }
	if k.bend != nil {
		k.bend(l.gateway)
	}
	l.pipeline.SetPolicy(k.policy) // which makes void what was granted
	l.gateway.WakeUp(l.now)
	k.Follower().Grant(append([]dataplane.Grant{{Kind: dataplane.GrantForget, Client: clientAddr, Server: serverAddr}}, k.grants...))
}

// overseer tells a wall what comes of packets in its gateway.
type overseer struct {
	dataplane.Inspector
	wall *wall
}

// Inspect is dataplane.Inspector's.
func (o overseer) Inspect(b *dataplane.Batch) {
	o.Inspector.Inspect(b)
	l := o.wall
	l.touched = l.touched || len(b.Released)+len(b.Injected) > 0
	for i := range b.Packets {
		l.touched = l.touched || b.Packets[i].Passed == nil && b.Packets[i].Verdict != verdict.Accept
	}
	for _, g := range b.Grants {
		if g.Kind == dataplane.GrantServer {
			l.granted = append(l.granted, g)
		}
	}
}

// steer takes a packet through the gateway, or with none lets the timers run. That what has come
// up waits until the next packet has come is a departure.
func (l *wall) steer(w *world, pkt []byte) {
	if pkt != nil {
		if _, err := l.gateway.Take(pkt); err != nil {
			panic(err)
		}
		comesUp := l.gateway.Queued() > 0
		switch {
		case l.isAwake:
			return // whoever has woken the gateway up goes on with it
		case comesUp && l.isOpen && !l.isSlow:
			if l.isSlow = w.chance(); l.isSlow {
				return
			}
		case !comesUp && l.kernel.reads == readLate && !(l.isOpen && w.chance()):
			return
		}
	}
	l.isSlow = false
	l.isAwake = true
	for wakes := true; wakes; wakes = l.gateway.Queued() > 0 {
		l.gateway.Skew = l.now - time.Now().UnixNano()
		l.gateway.WakeUp(l.now)
	}
	l.isAwake = false
}

// meanwhile is between two steps of the gateway's. That another packet comes then is a departure.
func (l *wall) meanwhile(w *world) {
	if !l.isOpen {
		return
	}
	for _, from := range []side{west, east} {
		if e := (event{w.judge, from}); w.ready(e) && w.chance() {
			w.happen(e)
		}
	}
}

// catchUp has inspected what waits for it, and returns whether anything came of that.
func (l *wall) catchUp(w *world) bool {
	if l == nil || l.gateway == nil {
		return false
	}
	l.inspect(w, nil)
	return len(w.events()) > 0
}

// chance is a choice about when the gateway does what it has to do. Any but false is a
// departure.
func (w *world) chance() bool {
	n := w.choose(2, false)
	w.trace.mix(3<<32, uint64(n)) // it is no octet, and a part of the input all the same
	return n == 1
}
