package main

import (
	"fmt"
	"hash/maphash"
	"iter"
	"runtime"

	"keepword/dataplane"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// place is where a middlebox stands.
type place uint8

const (
	nowhere place = iota
	beforeServer
	beforeClient
)

// String returns the place as a reader sees the chain.
func (p place) String() string {
	return [...]string{"client-keepword-server", "client-keepword-box-server", "client-box-keepword-server"}[p]
}

// scene is what one search is about.
type scene struct {
	name   string
	place  place
	policy policy.Config
	// control changes what the Pipeline's engine sees of it; nil: nothing does.
	control func(dataplane.Inspector) dataplane.Inspector
	// share is the kernel's own; nil: there is none.
	share *share
	// instead stands in keepword's place; nil: keepword does.
	instead func(line string) deed
}

// policies are those of mode enforce that differ in what they let keepword do.
var policies = []struct {
	name string
	policy.Config
}{
	{"auto", policy.Config{}},
	{"require", policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}},
	{"hide", policy.Config{Servers: []policy.Server{{StartTLS: policy.Hide}}}},
	{"refuse", policy.Config{Actions: map[verdict.Finding]verdict.Action{
		verdict.AuthInClear: verdict.Refuse, verdict.STARTTLSNotOffered: verdict.Refuse,
		verdict.STARTTLSWithParameter: verdict.Refuse, verdict.STARTTLSMalformed: verdict.Refuse,
	}}},
	{"observe", policy.Config{Mode: verdict.Observe}},
}

// scenes returns each policy in each place.
func scenes() (list []scene) {
	for _, p := range policies {
		for _, at := range []place{nowhere, beforeServer, beforeClient} {
			list = append(list, scene{name: p.name, place: at, policy: p.Config})
		}
	}
	return list
}

// fall is a truth that fell, with the choices that lead there.
type fall struct {
	what []string
	path []pick
}

// result is what a search has found.
type result struct {
	scene
	depth      int
	executions int // runs
	states     int // that differ
	rests      int // judged
	checks     [truths]int
	fallen     [truths]int
	falls      []fall // the first of them
	kernel     tally
}

// maxFalls are kept of a search, each with what it takes to see it again.
const maxFalls = 5

// explore plays all runs of a scene with at most depth departures, until enough returns
// true.
func explore(s scene, depth int, enough func(*result) bool) *result {
	r := &result{scene: s, depth: depth}
	c, e := &chooser{depth: depth}, newEngine(&s)
	defer e.close()
	var h maphash.Hash
	h.SetSeed(seed)
	states := map[uint64]uint8{} // 1 + the most departures that were left in it
	for more := true; more; more = c.advance() {
		w := s.begin(c, e)
		r.executions++
		w.run(r, func() bool {
			d := w.digest(&h)
			left := uint8(c.left() + 1)
			if states[d] >= left {
				return false
			}
			states[d] = left
			return true
		})
		if enough(r) {
			break
		}
	}
	r.states, r.kernel = len(states), e.tally()
	return r
}

// search explores scenes, as many at a time as there are processors, and gives each result
// as it comes.
func search(list []scene, depth int) iter.Seq[*result] {
	return func(yield func(*result) bool) {
		todo, done := make(chan scene, len(list)), make(chan *result, len(list))
		for _, s := range list {
			todo <- s
		}
		close(todo)
		for range min(runtime.GOMAXPROCS(0), len(list)) {
			go func() {
				for s := range todo {
					done <- explore(s, depth, func(r *result) bool { return len(r.falls) == maxFalls })
				}
			}()
		}
		for range list {
			if !yield(<-done) {
				return
			}
		}
	}
}

// run lets the world come to rest and judges each of its rests. It stops where fresh says
// that the world has been there before.
func (w *world) run(r *result, fresh func() bool) {
	w.server.greet(w)
	for {
		list := w.events()
		if len(list) > 0 {
			if w.isNew() && !fresh() {
				return
			}
			w.happen(list[w.choose(len(list), true)])
			continue
		}
		if w.wall.catchUp(w) {
			continue
		}
		more := w.stage < len(waits)
		v := w.check(!more)
		r.rests++
		for t, n := range v.checks {
			r.checks[t] += n
		}
		if len(v.fallen) > 0 {
			for _, sentence := range v.fallen {
				r.fallen[about(sentence)]++
			}
			if len(r.falls) < maxFalls {
				r.falls = append(r.falls, fall{v.fallen, w.path()})
			}
			return
		}
		if !more {
			return
		}
		w.pass()
	}
}

// begin sets the world up, before anything is said.
func (s *scene) begin(c *chooser, e *engine) *world {
	w := &world{chooser: c, honest: true, judge: 1,
		client: &client{waits: []string{""}}, server: &server{}}
	w.observes = s.policy.Mode == verdict.Observe
	var judged node
	if s.instead != nil {
		judged = &box{waits: []string{""}, fixed: s.instead}
	}
	if s.place != nowhere {
		w.box = &box{waits: []string{""}}
	}
	n := 3
	if s.place != nowhere {
		n = 4
	}
	w.links = make([]link, n-1)
	w.nodes = make([]node, n)
	w.nodes[0], w.nodes[n-1] = w.client, w.server
	switch s.place {
	case beforeServer:
		w.nodes[2] = w.box
	case beforeClient:
		w.judge = 2
		w.nodes[1] = w.box
	}
	if judged == nil {
		w.wall = e.connect(w)
		judged = w.wall
	}
	w.nodes[w.judge] = judged
	return w
}

// again plays one run and tells its story.
func again(s scene, depth int, f fall, story func(format string, args ...any)) *result {
	e := newEngine(&s)
	defer e.close()
	w := s.begin(&chooser{depth: depth, picks: f.path}, e)
	w.story = story
	r := &result{}
	w.run(r, func() bool { return true })
	return r
}

// add adds another search's numbers.
func (r *result) add(o *result) {
	r.executions += o.executions
	r.states += o.states
	r.rests += o.rests
	r.kernel.add(o.kernel)
	for t := range truths {
		r.checks[t] += o.checks[t]
		r.fallen[t] += o.fallen[t]
	}
}

// String is a line of the table.
func (r *result) String() string {
	chain := r.place.String()
	if r.name == "" {
		chain = "all"
	}
	text := fmt.Sprintf("%-8s %-27s %5d %10d %10d %9d", r.name, chain, r.depth, r.executions, r.states, r.rests)
	if r.kernel != (tally{}) {
		text += " " + r.kernel.String()
	}
	if r.share != nil {
		text += " " + r.share.String()
	}
	return text
}
