package main

import "testing"

func TestEveryActionOfEveryFindingDoesWhatItsNameSays(t *testing.T) {
	cases := pureCases(fixtures())
	for _, c := range cases {
		for _, fault := range c.play() {
			t.Error(fault)
		}
	}
	t.Logf("%d cases", len(cases))
}

func TestReplayReportsEveryFindingWithItsActionAndItsNumber(t *testing.T) {
	dir := t.TempDir()
	program, err := build(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, run := range replayRuns(fixtures()) {
		n += len(run)
		faults, err := replay(program, dir, run)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range faults {
			t.Error(fault)
		}
	}
	t.Logf("%d cases", n)
}
