//go:build lab

package main

import (
	"maps"
	"runtime"
	"testing"

	"keepword/bench/follow"
	"keepword/inspect/policy"
)

// lend returns programs for the time of a test.
func lend(t *testing.T) chan *follow.Kernel {
	t.Helper()
	programs, err := loadPrograms(runtime.GOMAXPROCS(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unload(programs) })
	return programs
}

func TestTheTruthsHoldWithTheKernelsOwnShare(t *testing.T) {
	programs := lend(t)
	total := new(result)
	for _, part := range []struct {
		depth int
		plays func(s *scene) bool
	}{
		{1, func(*scene) bool { return true }},
		{2, func(s *scene) bool { // those in which the kernel has most to do
			return s.name == "auto" && (s.place == nowhere || s.place == beforeServer && s.share.known && s.share.reads == readLate)
		}},
	} {
		var list []scene
		for _, s := range sharedScenes(programs) {
			if part.plays(&s) {
				list = append(list, s)
			}
		}
		for r := range search(list, part.depth) {
			t.Log(r)
			for _, f := range r.falls {
				t.Errorf("%v: %q", r, f.what)
				again(r.scene, part.depth, f, t.Logf)
			}
			follows := policy.New(r.policy).Rules(serverAddr).Followable
			if k := r.kernel; follows != (k.followed > 0) || follows && (k.inTLS == 0 || k.taken == 0) || k.cameUp == 0 {
				t.Errorf("%v: the kernel has let through %+v", r, k)
			}
			total.add(r)
		}
	}
	for k, n := range total.checks {
		t.Logf("%v: %d checks", truth(k), n)
		if n == 0 {
			t.Errorf("%v was never checked", truth(k))
		}
	}
}

func TestNoRunIsLostWhereRunsMeetWithTheKernelsOwnShare(t *testing.T) {
	programs := lend(t)
	saved := 0
	for _, s := range sharedScenes(programs) {
		if s.name != "auto" {
			continue
		}
		want, all := rests(s, 1, false)
		got, some := rests(s, 1, true)
		if !maps.Equal(got, want) {
			t.Errorf("%s, %s, %v: %d ends of runs where runs meet, %d where they do not", s.name, s.place, s.share.reads, len(got), len(want))
		}
		saved += all - some
	}
	if saved == 0 {
		t.Error("no runs have met")
	}
}
