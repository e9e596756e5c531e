package main

import (
	"fmt"
	"slices"
	"testing"

	"keepword/inspect/policy"
	v "keepword/inspect/verdict"
)

// wantNoFaults fails for each fault of a list that is not empty.
func wantNoFaults(t *testing.T, list []outcome) {
	t.Helper()
	for _, o := range list {
		for _, f := range o.faults {
			t.Errorf("%s: %s", o.name, f)
		}
	}
	if t.Logf("%d cases", len(list)); len(list) == 0 {
		t.Error("nothing was played")
	}
}

func TestEveryActionOfEveryFindingDoesWhatItsNameSays(t *testing.T) {
	wantNoFaults(t, pureAll(fixtures()))
}

func TestReplayReportsEveryFindingWithItsActionAndItsNumber(t *testing.T) {
	list, err := replayAll(fixtures())
	if err != nil {
		t.Fatal(err)
	}
	wantNoFaults(t, list)
}

func TestEveryFindingHasAFixtureAndANumberOfItsOwn(t *testing.T) {
	numbers := map[int]string{}
	for f := v.NoFinding + 1; f < v.Findings; f++ {
		if !slices.ContainsFunc(fixtures(), func(x *Fixture) bool { return x.Finding == f }) {
			t.Errorf("%v has no fixture", f)
		}
		n := signatures[f.String()]
		if n == 0 || numbers[n] != "" {
			t.Errorf("%v has the number %d, and so has %q", f, n, numbers[n])
		}
		numbers[n] = f.String()
	}
	if len(signatures) != int(v.Findings)-1 {
		t.Errorf("signatures.txt has %d lines for %d findings", len(signatures), v.Findings-1)
	}
}

// The failing control: a judge that lets everything pass would be none.
func TestAFixtureThatIsPlayedUnderAnotherPolicyIsFoundOut(t *testing.T) {
	for _, f := range fixtures() {
		for _, a := range policy.Allowed(f.Finding) {
			m := setting{mode: v.Enforce, action: a}
			expected := fmt.Sprint(f.events(m), f.effect(m))
			for _, other := range policy.Allowed(f.Finding) {
				c := pureCase{f, setting{mode: v.Enforce, action: other}, everywhere, false}
				if fmt.Sprint(f.events(c.setting), f.effect(c.setting)) == expected {
					continue // these two are to look alike
				}
				if faults := c.playWith(pureServers[false][0], m); len(faults) == 0 {
					t.Errorf("%s: %v is set, and passes for %v", f.Name(), other, a)
				}
			}
		}
	}
}

// Another: what arrives otherwise than it was sent is told by octets, not by events.
func TestAnAlteredOctetIsFoundOut(t *testing.T) {
	for _, f := range fixtures() {
		m := setting{mode: v.Observe, action: v.Log}
		port := uint16(40000)
		w := &spoiler{}
		p := start(w, pureServers[false][0].Prev(), pureServers[false][0], func() uint16 { port++; return port })
		f.Play(p)
		if w.spoilt && len(judge(f, m, p)) == 0 {
			t.Errorf("%s: an altered segment passes", f.Name())
		}
		if !w.spoilt {
			t.Errorf("%s: nothing was said", f.Name())
		}
	}
}

// spoiler is a wire that alters the first octet that is said.
type spoiler struct {
	tape
	spoilt bool
}

func (s *spoiler) carry(from side, pkt []byte) {
	pkt = slices.Clone(pkt)
	if body := payload(transport(pkt)); body != "" && !s.spoilt {
		s.spoilt = true
		pkt[len(pkt)-len(body)] ^= 'a' ^ 'A'
	}
	s.arrive(from.other(), pkt)
}
