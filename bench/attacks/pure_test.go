package main

import "testing"

func TestNoKnownAttackSucceedsInAnyCut(t *testing.T) {
	tallies := playPure(fixtures())
	control := map[*class]int{}
	for _, y := range tallies {
		control[y.class] += y.harmed[logging]
		for _, fault := range y.faults {
			t.Error(fault)
		}
	}
	// The failing control, for classes of which not every fixture must do harm.
	for class, harmed := range control {
		if harmed == 0 {
			t.Errorf("%s: the control does not succeed in a single cell", class.name)
		}
	}
	t.Log((&result{tallies: tallies}).sum())
}

func TestEveryCutIsMadeOnceAndLosesNoOctet(t *testing.T) {
	const text = "STARTTLS\r\nRSET\r\n"
	seen := map[string]bool{}
	for _, c := range cuts(0, len(text), 0) {
		form, whole := "", ""
		for _, segment := range c.segments([]byte(text)) {
			form += string(segment) + "|"
			whole += string(segment)
			if len(segment) == 0 {
				t.Errorf("%v: an empty segment", c)
			}
		}
		if whole != text || seen[form] {
			t.Errorf("%v: %q, seen before: %v", c, form, seen[form])
		}
		seen[form] = true
	}
	const n = len(text)
	if want := 1 + (n - 1) + (n-1)*(n-2)/2 + 1; len(seen) != want { // one, two, three segments; single octets
		t.Errorf("%d cuts, want %d", len(seen), want)
	}
}
