//go:build lab

package main

import (
	"context"
	"testing"
	"time"

	"keepword/dataplane"
)

// The seeds of the suite. One that was found to violate the property is added here.
const (
	firstSeed = 1
	schedules = 400
	together  = 100
)

// playSeeds plays the suite's schedules against an inspection.
func playSeeds(t *testing.T, in func(*inspected) dataplane.Inspector, n int) (*tally, []Outcome) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	g, err := newGround(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	count := &tally{began: time.Now()}
	var violations []Outcome
	err = g.playAll(ctx, firstSeed, n, together, func(o Outcome) {
		count.add(&o)
		if o.Violation != "" {
			violations = append(violations, o)
		}
	})
	if err != nil {
		t.Error(err)
	}
	if err := g.close(); err != nil {
		t.Error(err)
	}
	t.Log(count)
	return count, violations
}

func TestWhatTheServerReadsIsWhatWasInspected(t *testing.T) {
	count, violations := playSeeds(t, keepword, schedules)
	for i := range violations {
		t.Errorf("%v", &violations[i])
	}
	// Else nothing was shown.
	if count.lawful < schedules/10 || count.complete < schedules/2 {
		t.Errorf("too few of them say anything: %v", count)
	}
}

// The failing control: without it, schedules that are not hostile enough would pass too.
func TestTheSameSchedulesFindViolationsInANaiveInspection(t *testing.T) {
	count, violations := playSeeds(t, newNaive, schedules/2)
	if len(violations) < count.schedules/10 {
		t.Errorf("%d of %d schedules find a violation", len(violations), count.schedules)
	}
	for i := range violations {
		if violations[i].Lawful {
			t.Errorf("a lawful schedule tells nothing: %v", &violations[i])
		}
	}
}
