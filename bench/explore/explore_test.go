package main

import (
	"hash/maphash"
	"maps"
	"slices"
	"testing"
)

func TestTheTruthsHoldInEveryRun(t *testing.T) {
	depth := 2
	if raceIsOn {
		depth = 1
	}
	total := &result{depth: depth}
	for r := range search(scenes(), depth) {
		t.Log(r)
		for _, f := range r.falls {
			t.Errorf("%s, %s: %q", r.name, r.place, f.what)
			again(r.scene, depth, f, t.Logf)
		}
		total.add(r)
	}
	for k, n := range total.checks[:OneMind] {
		t.Logf("%v: %d checks", truth(k), n)
		if n == 0 {
			t.Errorf("%v was never checked", truth(k))
		}
	}
}

func TestEveryRunWithinTheDepthIsPlayedOnce(t *testing.T) {
	// Three places to depart in two ways each, with a free choice behind the first.
	play := func(c *chooser) (taken []int) {
		a := c.choose(3, false)
		b := c.choose(2, true)
		return []int{a, b, c.choose(3, false), c.choose(3, false)}
	}
	for depth, want := range []int{2 * 1, 2 * (1 + 6), 2 * (1 + 6 + 12), 2 * 27} {
		var runs [][]int
		c := &chooser{depth: depth}
		for more := true; more; more = c.advance() {
			runs = append(runs, play(c))
		}
		slices.SortFunc(runs, slices.Compare)
		if unlike := len(slices.CompactFunc(runs, slices.Equal)); len(runs) != want || unlike != want {
			t.Errorf("depth %d: %d runs, %d of them unlike; want %d", depth, len(runs), unlike, want)
		}
	}
}

// rest is what a run has come to.
type rest struct {
	input                  uint64
	believes, begun, ended bool
}

// rests plays all runs of a scene, and returns what those have come to that were played to
// their end. merged says that a run ends where another one has been.
func rests(s scene, depth int, merged bool) (all map[rest]bool, runs int) {
	all = map[rest]bool{}
	c, e := &chooser{depth: depth}, newEngine(&s)
	defer e.close()
	seen := map[uint64]int{}
	var h maphash.Hash
	h.SetSeed(seed)
	for more := true; more; more = c.advance() {
		w := s.begin(c, e)
		runs++
		w.run(&result{}, func() bool {
			d := w.digest(&h)
			if merged && seen[d] > c.left() {
				return false
			}
			seen[d] = c.left() + 1
			return true
		})
		if w.stage == len(waits) {
			all[rest{w.trace.input, w.client.believes, w.server.isTLS, w.client.ended}] = true
		}
	}
	return all, runs
}

func TestNoRunIsLostWhereRunsMeet(t *testing.T) {
	saved := 0
	for _, s := range scenes() {
		want, all := rests(s, 1, false)
		got, some := rests(s, 1, true)
		if !maps.Equal(got, want) {
			t.Errorf("%s, %s: %d ends of runs where runs meet, %d where they do not", s.name, s.place, len(got), len(want))
		}
		saved += all - some
	}
	if saved == 0 {
		t.Error("no runs have met")
	}
}

func TestOnlyOrdersThatMakeNoDifferenceAreLeftOut(t *testing.T) {
	for _, s := range scenes()[:6] {
		c, e := &chooser{depth: 1}, newEngine(&s)
		defer e.close()
		got, seen := map[rest]bool{}, map[uint64]int{}
		var h maphash.Hash
		h.SetSeed(seed)
		orders := 0
		for more := true; more; more = c.advance() {
			w := s.begin(c, e)
			orders++
			if playAnyOrder(w, seen, &h) {
				got[rest{w.trace.input, w.client.believes, w.server.isTLS, w.client.ended}] = true
			}
		}
		want, runs := rests(s, 1, true)
		if !maps.Equal(got, want) {
			t.Errorf("%s, %s: %d ends of runs in %d orders, %d in those that are played", s.name, s.place, len(got), orders, len(want))
		}
		if orders <= runs {
			t.Errorf("%s, %s: %d orders, %d runs: nothing was left out", s.name, s.place, orders, runs)
		}
	}
}

// playAnyOrder plays a run in which whoever can do something may do it next. It returns
// false where it stopped because another run has been there.
func playAnyOrder(w *world, seen map[uint64]int, h *maphash.Hash) bool {
	w.server.greet(w)
	for {
		var list []event
		for i := range w.nodes {
			for _, from := range []side{west, east} {
				if from == west && i == 0 || from == east && i == len(w.links) {
					continue
				}
				if e := (event{i, from}); w.ready(e) {
					list = append(list, e)
				}
			}
		}
		for _, e := range list {
			if (*w.queue(e))[0].joined {
				list = []event{e}
			}
		}
		if len(list) == 0 {
			if !w.pass() {
				return true
			}
			continue
		}
		if w.isNew() {
			d := w.digest(h)
			if seen[d] > w.left() {
				return false
			}
			seen[d] = w.left() + 1
		}
		w.happen(list[w.choose(len(list), true)])
	}
}

func TestARunIsPlayedAgainAsItWas(t *testing.T) {
	s := controls[0].scene
	r := explore(s, 1, func(r *result) bool { return len(r.falls) == 2 })
	for _, f := range r.falls {
		story := 0
		got := again(s, 1, f, func(string, ...any) { story++ })
		if len(got.falls) != 1 || !slices.Equal(got.falls[0].what, f.what) || story == 0 {
			t.Errorf("%q became %v", f.what, got.falls)
		}
	}
	if len(r.falls) == 0 {
		t.Error("nothing fell")
	}
}

func TestOctetsAreCutInEachPlaceThatMatters(t *testing.T) {
	for _, c := range []struct {
		octets string
		want   []int
	}{
		{"220 go\r\n", []int{1, 2, 6, 7}},
		{"STARTTLS\r\n", []int{1, 2, 5, 8, 9}},
		{"250-a\r\n250 STARTTLS\r\n", []int{1, 2, 7, 16, 19, 20}},
		{"2", nil},
	} {
		var got []int
		for _, cut := range cutsOf(c.octets) {
			if len(cut.at) == 1 && !cut.pause && !cut.joined {
				got = append(got, cut.at[0])
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q is cut at %d, want %d", c.octets, got, c.want)
		}
	}
}
