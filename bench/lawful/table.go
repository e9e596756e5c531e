package main

import (
	"fmt"
	"slices"
	"strings"

	"keepword/inspect/verdict"
)

// row counts what is of one kind.
type row struct {
	kind                     string
	number, sessions, faulty int
	actions                  int
	judgement
}

// rows counts by kind, in the order in which kinds first come.
func rows(list []judged) (table []row) {
	for _, j := range list {
		at := slices.IndexFunc(table, func(r row) bool { return r.kind == j.kind })
		if at < 0 {
			at = len(table)
			table = append(table, row{kind: j.kind})
		}
		table[at].add(j)
	}
	return table
}

func (r *row) add(j judged) {
	r.number++
	r.sessions += len(j.outcomes)
	r.packets += j.packets
	r.octets += j.octets
	r.waited += j.waited
	r.lowered += j.lowered
	r.halved += j.halved
	r.actions += len(j.judgement.actions)
	if len(j.faults) > 0 {
		r.faulty++
	}
	for f, n := range j.findings {
		r.findings[f] += n
	}
}

// logged lists findings with their numbers.
func logged(findings *[verdict.Findings]uint64) string {
	var list []string
	for f, n := range findings {
		if n > 0 {
			list = append(list, fmt.Sprintf("%v %d", verdict.Finding(f), n))
		}
	}
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// format is the table of what was judged, the findings below it.
func format(list []judged) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-28s %7s %9s %10s %11s %8s %7s %8s %8s %7s\n",
		"", "number", "sessions", "packets", "octets", "actions", "faulty", "waited", "lowered", "halved")
	all := rows(list)
	for _, r := range all {
		fmt.Fprintf(&b, "%-28s %7d %9d %10d %11d %8d %7d %8d %8d %7d\n",
			r.kind, r.number, r.sessions, r.packets, r.octets, r.actions, r.faulty, r.waited, r.lowered, r.halved)
	}
	b.WriteString("\nfindings that were logged, or ended a session:\n")
	for _, r := range all {
		fmt.Fprintf(&b, "%-28s %s\n", r.kind, logged(&r.findings))
	}
	for _, j := range list {
		if j.kind == recordedKind && logged(&j.findings) != "none" {
			fmt.Fprintf(&b, "  %-26s %s\n", j.name, logged(&j.findings))
		}
	}
	return b.String()
}

// tell is what went wrong with one, in few lines.
func (j *judged) tell() string {
	const shown = 3
	var b strings.Builder
	fmt.Fprintf(&b, "FAULT in %s (%s), %d in all:\n", j.name, strings.Join(j.features, "; "), len(j.faults))
	for _, f := range j.faults[:min(len(j.faults), shown)] {
		fmt.Fprintf(&b, "  %s\n", f)
	}
	return b.String()
}

// tellBoundary is a line for each message of the boundary.
func tellBoundary() string {
	var b strings.Builder
	b.WriteString("the boundary: octet by octet these are attacks, whoever wrote them (not counted above):\n")
	for _, d := range boundary() {
		j := judge(d)
		what := "let be"
		if len(j.actions) > 0 {
			what = "ended"
		}
		fmt.Fprintf(&b, "  %-6s %s\n", what, d.name)
	}
	return b.String()
}
