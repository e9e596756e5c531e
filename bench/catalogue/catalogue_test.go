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
