package verdict

import (
	"regexp"
	"testing"
)

func TestEveryFindingHasAnIDOfItsOwn(t *testing.T) {
	form := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	seen := map[string]Finding{}
	for f := NoFinding + 1; f < Findings; f++ {
		id := f.String()
		if !form.MatchString(id) {
			t.Errorf("finding %d has the id %q", f, id)
		}
		if other, ok := seen[id]; ok {
			t.Errorf("findings %d and %d are both %q", f, other, id)
		}
		seen[id] = f
		if got, ok := ParseFinding(id); got != f || !ok {
			t.Errorf("%q is read as %d, %v", id, got, ok)
		}
	}
	for _, id := range []string{"", "invalid", "Offer-Refused", "offer-refused "} {
		if f, ok := ParseFinding(id); ok {
			t.Errorf("%q is read as %v", id, f)
		}
	}
	if got := Findings.String(); got != "invalid" {
		t.Errorf("a number that is no finding is %q", got)
	}
}

func TestEveryActionIsReadByItsName(t *testing.T) {
	for a := Pass; a < actions; a++ {
		if got, ok := ParseAction(a.String()); got != a || !ok {
			t.Errorf("%q is read as %v, %v", a.String(), got, ok)
		}
	}
	if a, ok := ParseAction("Kill"); ok {
		t.Errorf("a name in another case is read as %v", a)
	}
	if a, ok := ParseAction("hold"); a != Delay || !ok {
		t.Errorf("hold is read as %v", a)
	}
	if got := actions.String(); got != "invalid" {
		t.Errorf("a number that is no action is %q", got)
	}
}

func TestEveryKindHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for k := None; k <= kinds; k++ {
		if seen[k.String()] || k.String() == "" {
			t.Errorf("kind %d is %q", k, k.String())
		}
		seen[k.String()] = true
	}
}
