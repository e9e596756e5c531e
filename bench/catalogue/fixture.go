package main

import (
	"fmt"
	"strings"

	"keepword/inspect/policy"
	v "keepword/inspect/verdict"
)

// Fixture is the smallest play that provokes a finding.
type Fixture struct {
	Finding v.Finding
	// Variant tells a finding's second fixture from its first.
	Variant string
	// Special is what the code does with this finding otherwise than its action's name
	// says; docs/findings.md says so too.
	Special string
	// Play is what both ends do.
	Play step
	// Next is played behind it where the action is hide: a next session with the server.
	Next step

	// StartTLS is the server's setting.
	StartTLS policy.StartTLS
	// Default is the action where none is set, if it is not the catalogue's.
	Default v.Action
	// Before are the findings that are due before this one, because its play needs them, and
	// the actions that are set for them.
	Before []Report

	// Told says that a client whose connection is ended waits for a reply in clear text, so
	// that it is told 421.
	Told bool
	// Opens says that one such finding opens the circuit breaker.
	Opens bool
	// Refusal is the code that the client gets where its command is refused.
	Refusal string
	// Healed says what is wrong where the action is correct, "" for nothing.
	Healed func(*play) string
	// Lossy says that in mode enforce a segment does not arrive, whatever the action.
	Lossy bool
	// Reports are the actions that events name, where they are not just the one that is
	// set; nil for the rule.
	Reports func(m setting) []v.Action
	// Counted are the actions that are counted, where they are not those of Reports.
	Counted func(m setting) []v.Action
}

// Report is what an event says.
type Report struct {
	Finding v.Finding
	Action  v.Action
}

func (r Report) String() string { return r.Finding.String() + " " + r.Action.String() }

// setting is what a fixture is played under.
type setting struct {
	mode   v.Mode
	action v.Action
	// brief says that time is real, and long pauses are left out.
	brief bool
}

// Name is the fixture's: the finding's id, and the variant.
func (f *Fixture) Name() string {
	if f.Variant == "" {
		return f.Finding.String()
	}
	return f.Finding.String() + " (" + f.Variant + ")"
}

// pinned are the actions that its play needs to be set.
func (f *Fixture) pinned() map[v.Finding]v.Action {
	all := map[v.Finding]v.Action{}
	for _, r := range f.Before {
		all[r.Finding] = r.Action
	}
	return all
}

// fallback is the action where none is set.
func (f *Fixture) fallback() v.Action {
	if f.Default != v.Pass {
		return f.Default
	}
	return policy.Default(f.Finding)
}

// play plays f.
func (f *Fixture) play(p *play, m setting) {
	f.Play(p)
	switch effect := f.effect(m); {
	case effect == v.Hide:
		f.Next(p)
	case effect == v.Kill && m.mode == v.Enforce:
		p.afterwards()
	}
}

// reports returns what events are due for the finding itself.
func (f *Fixture) reports(m setting) []v.Action {
	switch {
	case f.Reports != nil:
		return f.Reports(m)
	case m.action == v.Pass:
		return nil
	}
	return []v.Action{m.action}
}

// effect is the action that is carried out.
func (f *Fixture) effect(m setting) v.Action {
	done := f.reports(m)
	if len(done) == 0 {
		return v.Pass
	}
	return done[len(done)-1]
}

// events returns all events that are due, as they name themselves.
func (f *Fixture) events(m setting) (list []string) {
	for _, r := range f.Before {
		list = append(list, r.String())
	}
	for _, a := range f.reports(m) {
		list = append(list, Report{f.Finding, a}.String())
	}
	return list
}

// changes returns the changes of the circuit breaker that are due.
func (f *Fixture) changes(m setting) []string {
	if f.effect(m) == v.Hide || f.Opens && m.action != v.Pass {
		return []string{opened}
	}
	return nil
}

// counts returns what must be counted, each as often as it must be.
func (f *Fixture) counts(m setting) (list []string) {
	for _, r := range f.Before {
		list = append(list, r.String())
	}
	done := f.reports(m)
	if f.Counted != nil {
		done = f.Counted(m)
	} else if m.action == v.Pass {
		done = []v.Action{v.Pass}
	}
	for _, a := range done {
		list = append(list, Report{f.Finding, a}.String())
	}
	return list
}

// atMostLog is for what is never more than reported.
func atMostLog(m setting) []v.Action {
	if m.action == v.Pass {
		return nil
	}
	return []v.Action{v.Log}
}

// told says that the client got its refusal as the last line, and as many octets as the
// server sent it.
func told(reply string) func(*play) string {
	return func(p *play) string {
		switch {
		case !strings.HasSuffix(p.heard[client], "\n"+reply):
			return fmt.Sprintf("the client heard %q, which does not end in %q", tail(p.heard[client]), reply)
		case len(p.heard[client]) != len(p.said[server]):
			return fmt.Sprintf("the client heard %d octets, the server said %d", len(p.heard[client]), len(p.said[server]))
		}
		return ""
	}
}
