package main

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
)

// side is where a node's neighbour stands: the client is the westernmost, the server the
// easternmost.
type side uint8

const (
	west side = iota
	east
)

func (s side) other() side { return 1 - s }

// segment is what one write of a sender becomes on its way to the neighbour.
type segment struct {
	octets []byte
	paused bool // it does not leave before time passes: its sender waits for an acknowledgement
	joined bool // it is taken right behind the one before
	breath int  // in which it was said: what an actor says before it reads again
	reset  bool // instead of octets: the connection has ended
}

// link joins two neighbours. toward[s] is what is under way to the one that stands on
// side s, the oldest first. Nothing is lost and nothing overtakes.
type link struct{ toward [2][]segment }

// node is an actor of the world.
type node interface {
	// take reads one segment that came from a side.
	take(w *world, from side, s segment)
	// digest tells all that the node's further doings depend on.
	digest(h *maphash.Hash)
}

// world is one run: a chain of nodes, and what is under way between them.
type world struct {
	*chooser
	nodes []node
	links []link // links[i] joins nodes[i] and nodes[i+1]
	judge int    // the node that the truths are asked of
	trace trace

	client *client
	server *server
	wall   *wall // nil: a box stands in its place
	box    *box  // nil: there is none besides

	stage  int // of waits, which comes next
	breath int // how often anybody has read
	// honest: so far the server's side has answered each command once.
	honest   bool
	observes bool                             // mode observe
	story    func(format string, args ...any) // nil: nobody listens
}

// waits are the times that pass when nothing else can happen, in nanoseconds, one after
// the other: past the hold of an answer's first digits, past the other holds and the
// first limit of a server's silence, past its second.
var waits = [...]int64{250e6, 11e9, 51e9}

// say sends octets from a node to its neighbour. Where the neighbour is the one that is
// judged, how they are cut is a choice, and whether they join what was said in one breath
// with them.
func (w *world) say(from node, to side, octets string) {
	i := slices.Index(w.nodes, from)
	l, next := w.beside(i, to)
	if i == w.judge {
		w.trace.left(to, []byte(octets))
	}
	w.tell("%T says %q to the %v", from, octets, to)
	if next != w.judge {
		l.toward[to] = append(l.toward[to], segment{octets: []byte(octets)})
		return
	}
	queue := &l.toward[to]
	if n := len(*queue); n > 0 && (*queue)[n-1].breath == w.breath && !(*queue)[n-1].paused && w.choose(2, false) == 1 {
		tail := &(*queue)[n-1]
		tail.octets = append(slices.Clip(tail.octets), octets...)
		return
	}
	cuts := cutsOf(octets)
	at := 0
	cut := cuts[w.choose(len(cuts), false)]
	for _, end := range append(cut.at, len(octets)) {
		*queue = append(*queue, segment{octets: []byte(octets[at:end]), breath: w.breath, paused: cut.pause && at > 0, joined: cut.joined && at > 0})
		at = end
	}
}

// hangUp ends the connection between a node and its neighbour.
func (w *world) hangUp(from node, to side) {
	l, _ := w.beside(slices.Index(w.nodes, from), to)
	l.toward[to] = append(l.toward[to], segment{reset: true})
}

// beside returns the link from node i to its neighbour on a side, and that one's index.
func (w *world) beside(i int, to side) (l *link, next int) {
	if to == east {
		return &w.links[i], i + 1
	}
	return &w.links[i-1], i - 1
}

// event is a segment that may be taken next.
type event struct {
	node int
	from side
}

// queue returns what waits for an event's node on that side.
func (w *world) queue(e event) *[]segment {
	l, _ := w.beside(e.node, e.from)
	return &l.toward[e.from.other()]
}

// events returns what may happen next, in the orders that make a difference. A node that
// has something to read while nothing is under way beyond its other neighbour will hear
// nothing from there before it has read: whatever else happens, happens the same before
// and after, so its reading is returned alone. That is always so for the client and the
// server, who have one neighbour. Where a node may hear either neighbour first, both are
// returned, with what others may do meanwhile. Segments that are joined come one right
// behind the other.
func (w *world) events() (list []event) {
	for _, from := range []side{west, east} {
		if e := (event{w.judge, from}); w.ready(e) && (*w.queue(e))[0].joined {
			return []event{e}
		}
	}
	for i := range w.nodes {
		fromWest, fromEast := i > 0 && w.ready(event{i, west}), i < len(w.links) && w.ready(event{i, east})
		switch {
		case fromWest && !w.isBusy(i, len(w.links)):
			return []event{{i, west}}
		case fromEast && !w.isBusy(0, i):
			return []event{{i, east}}
		}
		if fromWest {
			list = append(list, event{i, west})
		}
		if fromEast {
			list = append(list, event{i, east})
		}
	}
	return list
}

// isBusy says that something is under way on the links from one up to another.
func (w *world) isBusy(from, to int) bool {
	for _, l := range w.links[from:to] {
		for _, q := range l.toward {
			if len(q) > 0 && !q[0].paused {
				return true
			}
		}
	}
	return false
}

func (w *world) ready(e event) bool {
	q := *w.queue(e)
	return len(q) > 0 && !q[0].paused
}

// happen lets an event happen.
func (w *world) happen(e event) {
	q := w.queue(e)
	s := (*q)[0]
	*q = (*q)[1:]
	w.stage = 0
	w.breath++
	if e.node == w.judge {
		w.trace.entered(e.from, s.octets)
	}
	w.tell("%T takes %q from the %v", w.nodes[e.node], s.octets, e.from)
	w.nodes[e.node].take(w, e.from, s)
}

// pass lets time pass to the next of waits, and returns false when none is left.
func (w *world) pass() bool {
	if w.stage == len(waits) {
		return false
	}
	wait := waits[w.stage]
	w.stage++
	w.tell("%d ms pass", wait/1e6)
	for i := range w.links {
		for _, q := range w.links[i].toward {
			if len(q) > 0 {
				q[0].paused = false
			}
		}
	}
	w.trace.passed(w.stage)
	if w.wall != nil {
		w.wall.wait(w, wait)
	}
	return true
}

// digest is the fingerprint of all that can still make a difference.
//
// Keepword is a function of what it is given, in its order, with its times: it has no
// clock, no chance and no other input. So two runs in which the wall was given the same
// packets in the same order have it in the same state, and what it let through, held and
// altered is the same too; a digest of that input stands for its state, and for the
// traces by which the truths are judged. The order in which other nodes acted is not a
// part of it: runs that differ in nothing else meet here and go on as one. With the kernel's
// own program the same holds: when its log is read, and what waits meanwhile, is a part of the
// input (world.chance).
func (w *world) digest(h *maphash.Hash) uint64 {
	h.Reset()
	writeInts(h, int64(w.stage), int64(btoi(w.honest)), int64(w.trace.input))
	for _, n := range w.nodes {
		n.digest(h)
	}
	for i := range w.links {
		for _, q := range w.links[i].toward {
			writeInts(h, int64(len(q)))
			for _, s := range q {
				writeInts(h, int64(btoi(s.paused)), int64(btoi(s.joined)), int64(btoi(s.reset)))
				writeOctets(h, s.octets)
			}
		}
	}
	return h.Sum64()
}

func (w *world) tell(format string, args ...any) {
	if w.story != nil {
		w.story(format, args...)
	}
}

// String returns the side's name.
func (s side) String() string { return [...]string{"west", "east"}[s] }

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func writeInts(h *maphash.Hash, list ...int64) {
	var b [8]byte
	for _, n := range list {
		binary.LittleEndian.PutUint64(b[:], uint64(n))
		h.Write(b[:])
	}
}

// writeOctets writes octets so that what follows can't be taken for more of them.
func writeOctets(h *maphash.Hash, b []byte) {
	writeInts(h, int64(len(b)))
	h.Write(b)
}
