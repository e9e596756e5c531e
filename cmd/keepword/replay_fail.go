package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"keepword/inspect"
	"keepword/inspect/verdict"
)

// failOn is the flag --fail-on: it counts, on their way to the sink next, the findings that
// make a replay fail.
type failOn struct {
	next   inspect.Sink
	any    bool // every finding
	action bool // every one for which there is an action beyond reporting it
	ids    [verdict.Findings]bool
	found  [verdict.Findings]int
}

var (
	_ inspect.Sink = (*failOn)(nil)
	_ pflag.Value  = (*failOn)(nil)
)

// Set reads the flag's list.
func (f *failOn) Set(list string) error {
	for word := range strings.SplitSeq(list, ",") {
		switch id, ok := verdict.ParseFinding(word); {
		case word == "any":
			f.any = true
		case word == "action":
			f.action = true
		case ok:
			f.ids[id] = true
		default:
			return fmt.Errorf("%q is no finding id; docs/findings.md lists them, and any and action stand for several", word)
		}
	}
	return nil
}

// String is the flag's default: nothing.
func (f *failOn) String() string { return "" }

// Type stands for the flag's value where it is explained.
func (f *failOn) Type() string { return "LIST" }

// Finding counts r where it is one of those. What the breaker does follows from findings
// that were counted.
func (f *failOn) Finding(r *inspect.FindingRecord) {
	if !r.Breaker.Changed() && (f.any || f.ids[r.Finding] || f.action && r.Action > verdict.Log) {
		f.found[r.Finding]++
	}
	f.next.Finding(r)
}

// FlowEnd hands r on.
func (f *failOn) FlowEnd(r *inspect.FlowRecord) { f.next.FlowEnd(r) }

// failure says what was found, nil for nothing.
func (f *failOn) failure() error {
	var found []string
	for id, n := range f.found {
		if n > 0 {
			found = append(found, fmt.Sprintf("%d %s", n, verdict.Finding(id)))
		}
	}
	if found == nil {
		return nil
	}
	return fmt.Errorf("found what --fail-on names: %s; docs/findings.md says what to do", strings.Join(found, ", "))
}
