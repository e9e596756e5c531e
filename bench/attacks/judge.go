package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"keepword/inspect/verdict"
)

// fixtures are all known attacks.
func fixtures() []*fixture {
	return slices.Concat(injections(), forgeries(), spellings(), advances(), strips(), smugglings())
}

// faults says what is not as it must be in a cell.
func (o *outcome) faults() (faults []string) {
	add := func(what string) {
		if what != "" {
			faults = append(faults, what)
		}
	}
	add(o.road.fault)
	if len(o.road.held) > 0 {
		add(fmt.Sprintf("%d packets are held at the end", len(o.road.held)))
	}
	if o.setting != enforcing {
		add(o.altered())
		return faults
	}
	add(o.invented())
	add(o.class.holds(o))
	if o.class.hurts {
		add(o.class.harm(o))
	}
	add(o.unreported())
	return faults
}

// altered says where the octets that arrived are not those that were sent.
func (o *outcome) altered() string {
	c, s := o.road.client, o.road.server
	switch {
	case o.road.killed:
		return "the connection was reset"
	case !bytes.Equal(c.sent, s.got):
		return fmt.Sprintf("the client sent %q, the server received %q", c.sent, s.got)
	case !bytes.Equal(s.sent, c.got):
		return fmt.Sprintf("the server sent %q, the client received %q", s.sent, c.got)
	}
	return ""
}

// invented says where the client received a positive word that was not sent to it at
// that place (T1).
func (o *outcome) invented() string {
	got, sent := o.road.client.got, o.road.server.sent
	for at := 0; at < len(got); {
		end := len(got)
		if i := bytes.IndexByte(got[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		line := got[at:end]
		if line[0] == handshakeRecord {
			break
		}
		if !bytes.HasPrefix(sent[min(at, len(sent)):], line) && line[0] != '4' && line[0] != '5' {
			return fmt.Sprintf("the client received %q, which nobody sent", line)
		}
		at = end
	}
	return ""
}

// unreported says that a finding that is due is missing, or that another one acted.
func (o *outcome) unreported() string {
	due := slices.Concat(o.fixture.findings, o.learned)
	if len(due) == 0 {
		return ""
	}
	reported := false
	for _, f := range o.findings {
		isDue := slices.Contains(due, f.finding)
		reported = reported || isDue
		if f.acts() && !isDue && !reported {
			return fmt.Sprintf("%v acted, none of %v", f.finding, due)
		}
	}
	if !reported {
		return fmt.Sprintf("reported %v, none of %v", o.findings, due)
	}
	for _, f := range o.learned {
		known := slices.ContainsFunc(o.findings, func(found found) bool { return found.finding == f })
		if !known && !o.require { // else another one may have ended the session before
			return fmt.Sprintf("reported %v, without %v", o.findings, f)
		}
	}
	return ""
}

// differs compares what was reported while observing with what was reported while
// enforcing, up to the first finding that had consequences. Where that came too late to
// alter anything, the connection was ended instead, which an observer does not foresee.
func differs(enforced, observed *outcome) string {
	for i, f := range enforced.findings {
		same := i < len(observed.findings) && observed.findings[i].finding == f.finding
		if !same || observed.findings[i] != f && !(f.action == verdict.Kill && observed.findings[i].acts()) {
			return fmt.Sprintf("enforcing reports %v, observing %v", enforced.findings, observed.findings)
		}
		if f.acts() {
			break
		}
	}
	return ""
}

// String returns a finding as events have it.
func (f found) String() string { return f.finding.String() + " " + f.action.String() }

// String describes the cell.
func (c *cell) String() string {
	setting := [settings]string{"enforce", "observe", "log"}[c.setting]
	order := "client first"
	if c.serverFirst {
		order = "server first"
	}
	peers := "careful"
	if c.careless {
		peers = "careless"
	}
	require := ""
	if c.require {
		require = ", require"
	}
	return fmt.Sprintf("%s: %s (%s%s), %s, cut %v, %s, %s peers", c.class.name, c.fixture.name, c.hostile, require, setting, c.cut, order, peers)
}

// tally sums up a fixture's cells.
type tally struct {
	*fixture
	cells    [settings]int
	harmed   [settings]int // of which the attack succeeded
	findings map[verdict.Finding]bool
	faults   []string // at most maxFaults
	faulty   int
}

const maxFaults = 3

func (t *tally) fault(c *cell, what string) {
	t.faulty++
	if len(t.faults) < maxFaults {
		t.faults = append(t.faults, c.String()+": "+what)
	}
}

// judge plays a fixture: enforcing in every cut and order, observing in every cut into two,
// and the failing control whole and octet by octet.
func (p *player) judge(f *fixture) *tally {
	t := &tally{fixture: f, findings: map[verdict.Finding]bool{}}
	for _, k := range cuts(f.cold, len(f.client[f.cutAt]+f.server[f.cutAt]), f.hot) {
		plain := k == cut{} || k == everywhere
		for _, serverFirst := range []bool{false, true} {
			for _, careless := range []bool{true, false} {
				c := cell{fixture: f, cut: k, serverFirst: serverFirst, careless: careless}
				if !careless && !plain {
					continue // the careless see more
				}
				enforced := p.play(&c, t)
				for _, found := range enforced.findings {
					t.findings[found.finding] = true
				}
				if plain || k.first == 0 {
					c := c
					c.setting = observing
					if what := differs(enforced, p.play(&c, t)); what != "" && !f.held {
						t.fault(&c, what)
					}
				}
				if plain && careless {
					c := c
					c.setting = logging
					p.play(&c, t)
				}
			}
		}
	}
	if !f.harmless && t.harmed[logging] == 0 {
		t.fault(&cell{fixture: f, setting: logging}, "no cell does harm: the fixture proves nothing")
	}
	if f.shortfall != "" {
		known := t.harmed[enforcing] > 0
		t.faults, t.faulty = nil, 0
		if !known {
			t.fault(&cell{fixture: f}, "it fails now: take its shortfall away")
		}
	}
	return t
}

// play plays a cell and adds it to the tally.
func (p *player) play(c *cell, t *tally) *outcome {
	o := p.session(c)
	t.cells[c.setting]++
	if c.class.harm(o) != "" {
		t.harmed[c.setting]++
	}
	for _, what := range o.faults() {
		t.fault(c, what)
	}
	return o
}

// names lists findings.
func names(findings map[verdict.Finding]bool) string {
	var all []string
	for f := range findings {
		all = append(all, f.String())
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
