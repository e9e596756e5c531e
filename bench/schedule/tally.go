package main

import (
	"fmt"
	"strings"
	"time"
)

// tally counts outcomes, of all schedules and of each family.
type tally struct {
	began    time.Time
	total    count
	families map[string]*count
}

// count counts the outcomes of some schedules.
type count struct {
	schedules, lawful, complete, reset, stalled, edited, violations int
}

func newTally() *tally {
	t := &tally{began: time.Now(), families: map[string]*count{}}
	for _, f := range families {
		t.families[f.name] = new(count)
	}
	return t
}

// families are the kinds of schedules that are counted apart. A schedule is in several.
var families = []struct {
	name string
	has  func(*Schedule) bool
}{
	{"packets of the client", func(s *Schedule) bool { return s.Side == ClientSide }},
	{"packets of the server", func(s *Schedule) bool { return s.Side == ServerSide }},
	{"policy auto", func(s *Schedule) bool { return s.Policy == Auto }},
	{"policy require", func(s *Schedule) bool { return s.Policy == Require }},
	{"policy hide", func(s *Schedule) bool { return s.Policy == Hide }},
	{"policy refuse", func(s *Schedule) bool { return s.Policy == Refuse }},
	{"TLS", func(s *Schedule) bool { return s.TLS }},
	{"packets of 64 KiB", func(s *Schedule) bool { return s.Large }},
}

func (t *tally) add(o *Outcome) {
	t.total.add(o)
	for _, f := range families {
		if f.has(o.Schedule) {
			t.families[f.name].add(o)
		}
	}
}

func (c *count) add(o *Outcome) {
	c.schedules++
	if o.Lawful {
		c.lawful++
	}
	if o.Edited {
		c.edited++
	}
	switch {
	case o.Complete:
		c.complete++
	case o.Reset:
		c.reset++
	default:
		c.stalled++
	}
	if o.Violation != "" {
		c.violations++
	}
}

// String is the tally as a table.
func (t *tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-22s %9s %7s %9s %6s %7s %7s %10s\n", "", "schedules", "lawful", "completed", "ended", "stopped", "edited", "violations")
	row := func(name string, c *count) {
		fmt.Fprintf(&b, "%-22s %9d %7d %9d %6d %7d %7d %10d\n", name, c.schedules, c.lawful, c.complete, c.reset, c.stalled, c.edited, c.violations)
	}
	for _, f := range families {
		row(f.name, t.families[f.name])
	}
	row("all", &t.total)
	took := time.Since(t.began)
	fmt.Fprintf(&b, "%.0f s, %.0f schedules a second\n", took.Seconds(), float64(t.total.schedules)/took.Seconds())
	return b.String()
}
