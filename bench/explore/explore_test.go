package main

import (
	"slices"
	"testing"
)

func TestTheTruthsHoldInEveryRun(t *testing.T) {
	depth := 2
	if raceIsOn {
		depth = 1
	}
	total := &result{depth: depth, known: map[string]int{}}
	for r := range search(scenes(), depth) {
		t.Log(r)
		for _, f := range r.falls {
			t.Errorf("%s, %s: %q", r.name, r.place, f.what)
			again(r.scene, depth, f, t.Logf)
		}
		total.add(r)
	}
	for k, n := range total.checks {
		t.Logf("%v: %d checks", truth(k), n)
		if n == 0 {
			t.Errorf("%v was never checked", truth(k))
		}
	}
	for _, k := range known {
		if k.depth <= depth && total.known[k.name] == 0 {
			t.Errorf("%q is not to be seen any more: take it out of known.go", k.name)
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
