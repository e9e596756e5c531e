package main

import (
	"fmt"
	"io"
	"strings"

	"keepword/inspect/policy"
	v "keepword/inspect/verdict"
)

// result is a whole run.
type result struct {
	fixtures           []*Fixture
	pure, replay, live []outcome
}

// write writes the run as a document.
func (r *result) write(w io.Writer) {
	fmt.Fprint(w, `# Findings, tested

Made by `+"`go run ./bench/catalogue -o docs/findings-tested.md`"+` (root). For each finding
`+"`bench/catalogue`"+` has the smallest play that provokes it, of packets of both ends. A number
is how many cases went as they must; where not all did, it says of how many.

- **inspection**: the play goes through package inspect, under each action of the catalogue,
  set nowhere, for all servers, and for one server while another's connection keeps the
  default; in enforce and observe, over IPv4 and IPv6. The finding is reported as often as it
  must be, with that action and mode, and counted exactly; `+"`pass`"+` is counted and not reported.
  In observe each packet is accepted at once and unaltered, and none is sent. In enforce the
  action is carried out: killed, both ends are reset, the client has its 421 where it waits for
  a reply, the last packet and what follows does not arrive; corrected and refused, what both
  ends hear, in the same length; held, the time; hidden, the breaker's event and the next session's EHLO reply;
  with log and pass every packet arrives as it was sent.
- **replay**: the play is a capture for `+"`keepword replay`"+`, with and without `+"`--inline`"+`, the
  action again set in all places. The event has the id, the number, the action, the mode and a
  reason that is a sentence.
- **observe** and **enforce**: the play is raw packets on both sides of a gateway that runs
  `+"`keepword run`"+`, all cases at once, the action set nowhere and for the server. What arrives,
  the events and the counters of the metrics must be as above.

| finding | signature_id | actions | inspection | replay | observe | enforce |
|---|---|---|---|---|---|---|
`)
	for f := v.NoFinding + 1; f < v.Findings; f++ {
		var actions []string
		for _, a := range policy.Allowed(f) {
			actions = append(actions, a.String())
		}
		fmt.Fprintf(w, "| `%v` | %d | %s | %s | %s | %s | %s |\n", f, signatures[f.String()], strings.Join(actions, ", "),
			tally(r.pure, func(o *outcome) bool { return o.finding == f }),
			tally(r.replay, func(o *outcome) bool { return o.finding == f }),
			tally(r.live, func(o *outcome) bool { return o.finding == f && o.mode == v.Observe }),
			tally(r.live, func(o *outcome) bool { return o.finding == f && o.mode == v.Enforce }))
	}
	all := func(*outcome) bool { return true }
	in := func(m v.Mode) func(*outcome) bool { return func(o *outcome) bool { return o.mode == m } }
	fmt.Fprintf(w, "| all | | | %s | %s | %s | %s |\n\n", tally(r.pure, all), tally(r.replay, all), tally(r.live, in(v.Observe)), tally(r.live, in(v.Enforce)))
	fmt.Fprint(w, "What the tests expect otherwise than an action's name says, as [findings.md](findings.md) does:\n\n")
	for _, f := range r.fixtures {
		if f.Special != "" {
			fmt.Fprintf(w, "- %s: %s.\n", f.Name(), f.Special)
		}
	}
}

// tally counts the cases that are of a kind.
func tally(list []outcome, of func(*outcome) bool) string {
	good, n := 0, 0
	for i := range list {
		if o := &list[i]; of(o) {
			n++
			if len(o.faults) == 0 {
				good++
			}
		}
	}
	if good < n {
		return fmt.Sprintf("%d of %d", good, n)
	}
	return fmt.Sprint(n)
}
