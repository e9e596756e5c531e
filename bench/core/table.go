package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"keepword/bench/figures"
)

// unit is what a figure counts.
type unit uint8

const (
	nanoseconds unit = iota
	gigaoctets       // 10^9 octets a second
	perSecond        // packets
	octetsUnit
	times
	number
)

// text writes a figure with three significant digits, but for whole octets.
func (u unit) text(v float64) string {
	switch u {
	case nanoseconds:
		if v >= 1000 {
			return figures.Digits(v/1000) + " µs"
		}
		return figures.Digits(v) + " ns"
	case gigaoctets:
		return figures.Digits(v) + " GB/s"
	case perSecond:
		return figures.Digits(v/1e6) + " M/s"
	case octetsUnit:
		if v >= 1<<20 {
			return fmt.Sprintf("%.0f MiB", v/(1<<20))
		}
		return fmt.Sprintf("%.0f octets", v)
	}
	return figures.Digits(v)
}

// moreIsBetter says that a larger figure is the better one.
func (u unit) moreIsBetter() bool { return u == gigaoctets || u == perSecond }

// grouped writes a whole number with commas.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// target is a line of the plan. The zero target asks for nothing.
type target struct {
	limit float64
	kind  kind
}

type kind uint8

const (
	none kind = iota
	most
	least
	leastTimes // the baseline's figure
)

func atMost(v float64) target       { return target{v, most} }
func atLeast(v float64) target      { return target{v, least} }
func atLeastTimes(v float64) target { return target{v, leastTimes} }

// row is a line of the table: one figure, and the baseline's beside it.
type row struct {
	what   string
	unit   unit
	target target
	ours   figures.Series
	by     string // the baseline's name; empty: there is none
	base   figures.Series
}

// faster is how many times better than the baseline, round by round.
func (r *row) faster() figures.Series {
	if r.unit.moreIsBetter() {
		return r.ours.By(r.base)
	}
	return r.base.By(r.ours)
}

// met says whether the median is within the target.
func (r *row) met() bool {
	switch r.target.kind {
	case most:
		return r.ours.Median() <= r.target.limit
	case least:
		return r.ours.Median() >= r.target.limit
	case leastTimes:
		return r.faster().Median() >= r.target.limit
	}
	return true
}

func (r *row) cells() []string {
	cells := make([]string, 8)
	cells[0] = r.what
	switch r.target.kind {
	case most:
		cells[1] = "≤ " + r.unit.text(r.target.limit)
	case least:
		cells[1] = "≥ " + r.unit.text(r.target.limit)
	case leastTimes:
		cells[1] = "≥ " + figures.Digits(r.target.limit) + " × baseline"
	}
	cells[2], cells[3] = r.unit.figure(r.ours)
	if r.by != "" {
		cells[4], cells[5] = r.unit.figure(r.base)
		cells[4] = r.by + " " + cells[4]
		if f := r.faster().Median(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			cells[6] = figures.Digits(f)
		}
	}
	if r.target.kind != none {
		cells[7] = "**missed**"
		if r.met() {
			cells[7] = "met"
		}
	}
	return cells
}

// figure writes a series as its median and its spread.
func (u unit) figure(s figures.Series) (median, spread string) {
	return u.text(s.Median()), u.text(slices.Min(s)) + " – " + u.text(slices.Max(s))
}

// markdown writes the table.
func markdown(rows []row) string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line([]string{"benchmark", "target", "keepword", "spread", "baseline", "spread", "times better", ""})
	line([]string{"---", "---", "---:", "---", "---:", "---", "---:", "---"})
	for i := range rows {
		line(rows[i].cells())
	}
	return b.String()
}
