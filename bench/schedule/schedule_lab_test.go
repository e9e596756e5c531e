//go:build lab

package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"keepword/dataplane"
)

// The seeds of the suite. One that was found to violate the property is added here.
const (
	firstSeed = 1
	schedules = 500
	together  = 100
)

// measured notes the longest packet that comes to an inspection.
type measured struct {
	dataplane.Inspector
	longest int
}

// Inspect is dataplane.Inspector's.
func (m *measured) Inspect(b *dataplane.Batch) {
	for i := range b.Packets {
		m.longest = max(m.longest, len(b.Packets[i].Data))
	}
	m.Inspector.Inspect(b)
}

// playSeeds plays the suite's schedules against an inspection.
func playSeeds(t *testing.T, in func(*inspected) dataplane.Inspector, n int, tell func(*Outcome)) *tally {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	g, err := newGround(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	count := newTally()
	err = g.playAll(ctx, firstSeed, n, together, func(o Outcome) {
		tell(&o)
		count.add(&o)
	})
	if err != nil {
		t.Error(err)
	}
	if err := g.close(); err != nil {
		t.Error(err)
	}
	t.Logf("\n%v", count)
	return count
}

func TestWhatBothApplicationsReadIsWhatWasInspected(t *testing.T) {
	var m measured
	count := playSeeds(t, func(read *inspected) dataplane.Inspector {
		m.Inspector = keepword(read)
		return &m
	}, schedules, func(o *Outcome) {
		if o.Violation != "" {
			t.Errorf("%v", o)
		}
	})
	// Else nothing was shown.
	if m.longest < 1<<16-1000 {
		t.Errorf("the longest packet has %d octets", m.longest)
	}
	if count.total.complete < schedules/2 {
		t.Errorf("%d of %d completed", count.total.complete, schedules)
	}
	for name, c := range count.families {
		if c.lawful < 3 || c.complete <= c.lawful {
			t.Errorf("%s: too few of them say anything: %+v", name, *c)
		}
	}
	for _, name := range []string{"policy require", "policy hide", "policy refuse"} {
		if c := count.families[name]; c.edited < c.schedules/10 {
			t.Errorf("%s: too few are edited: %+v", name, *c)
		}
	}
}

// The failing control: without it, schedules that are not hostile enough would pass too.
func TestTheSameSchedulesFindViolationsOfEveryFamilyInANaiveInspection(t *testing.T) {
	count := playSeeds(t, newNaive, schedules/2, func(o *Outcome) {
		// One that overwrites words does harm to lawful mail too.
		if o.Violation != "" && o.Lawful && o.Policy == Auto {
			t.Errorf("a lawful schedule tells nothing: %v", o)
		}
		if !strings.Contains(o.Violation, "was not inspected") {
			o.Violation = "" // a word that it has missed says nothing of the streams
		}
	})
	for name, c := range count.families {
		if c.violations < c.schedules/10 {
			t.Errorf("%s: %d of %d schedules find a violation", name, c.violations, c.schedules)
		}
	}
}
