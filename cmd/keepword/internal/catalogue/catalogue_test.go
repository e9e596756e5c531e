package catalogue

import (
	"regexp"
	"strings"
	"testing"

	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// longestLine is as much as keepword explain has room for in a line.
const longestLine = 100

// every calls f for each finding.
func every(f func(verdict.Finding, Entry)) {
	for v := verdict.NoFinding + 1; v < verdict.Findings; v++ {
		f(v, Of(v))
	}
}

func TestEveryFindingHasItsNumbers(t *testing.T) {
	seen := make(map[int]verdict.Finding)
	every(func(f verdict.Finding, e Entry) {
		if e.Category == "" || e.Rev < 1 || e.Severity < severe || e.Severity > notable {
			t.Errorf("%v: %+v", f, e)
		}
		if e.Signature <= signatureBase || e.Signature > 1_999_999 {
			t.Errorf("%v: signature_id %d is outside our range", f, e.Signature)
		}
		if other, dup := seen[e.Signature]; dup {
			t.Errorf("%v and %v share signature_id %d", f, other, e.Signature)
		}
		seen[e.Signature] = f
	})
	for _, f := range []verdict.Finding{verdict.NoFinding, verdict.Findings} {
		if e := Of(f); e.Signature != 0 {
			t.Errorf("%d, which is no finding, has an entry: %+v", f, e)
		}
	}
}

// Dashboards and suppression lists refer to these numbers.
func TestSignatureNumbersNeverMove(t *testing.T) {
	for f, want := range map[verdict.Finding]int{
		verdict.OfferRefused: 1990001, verdict.AnsweredForServer: 1990004, verdict.CommandInjection: 1990026,
		verdict.ResponseInjection: 1990028, verdict.Smuggling: 1990031, verdict.OverlapConflict: 1990040, verdict.MemoryLimit: 1990050,
	} {
		if got := Of(f).Signature; got != want {
			t.Errorf("%v is %d, was %d", f, got, want)
		}
	}
}

func TestEveryFindingStandsInOnePlace(t *testing.T) {
	places := make(map[verdict.Finding]int)
	for _, s := range sections {
		for _, part := range s.entries {
			for f := range part {
				places[f]++
			}
		}
	}
	every(func(f verdict.Finding, _ Entry) {
		if places[f] != 1 {
			t.Errorf("%v has %d entries", f, places[f])
		}
	})
}

func TestEveryTextIsOneParagraph(t *testing.T) {
	every(func(f verdict.Finding, e Entry) {
		for name, text := range map[string]string{
			"Rule": e.Rule, "Wire": e.Wire, "Why": e.Why, "Who": e.Who, "Default": e.Default, "Advice": e.Advice, "Next": e.Next,
		} {
			if !strings.HasSuffix(strings.TrimSuffix(text, ")"), ".") {
				t.Errorf("%v: %s does not end: %q", f, name, text)
			}
			if strings.ContainsAny(text, "\n\r\t|<") || strings.Contains(text, "  ") {
				t.Errorf("%v: %s has what a page or a terminal would show otherwise: %q", f, name, text)
			}
			if strings.Count(text, "`")%2 != 0 {
				t.Errorf("%v: %s has a backquote that does not end: %q", f, name, text)
			}
		}
	})
}

func TestWhatATerminalShowsIsShortAndPlain(t *testing.T) {
	every(func(f verdict.Finding, e Entry) {
		for _, text := range []string{e.Title, e.Rule, e.Next} {
			if text == "" || len(text) > longestLine || strings.Contains(text, "`") {
				t.Errorf("%v: %d octets: %q", f, len(text), text)
			}
		}
		if len(e.Title) > 60 {
			t.Errorf("%v: the title has %d octets, and dashboards cut it", f, len(e.Title))
		}
	})
}

func TestRFCsAreNamedBySection(t *testing.T) {
	form := regexp.MustCompile(`^RFC \d+ (section \d+(\.\d+)*|appendix [A-Z](\.\d+)*)$`)
	every(func(f verdict.Finding, e Entry) {
		if len(e.RFC) == 0 {
			t.Errorf("%v is judged by nothing", f)
		}
		for _, r := range e.RFC {
			if !form.MatchString(r) {
				t.Errorf("%v: %q", f, r)
			}
		}
	})
}

func TestDefaultsAreToldAsThePolicyHasThem(t *testing.T) {
	opening := map[verdict.Action][]string{
		verdict.Pass:    {"Lets it through and says nothing"},
		verdict.Log:     {"Reports it", "Drops the packet"}, // a packet of no session has nobody to report it about
		verdict.Correct: {"Corrects it", "Corrects the reply"},
		verdict.Refuse:  {"Refuses the command"},
		verdict.Delay:   {"Holds it back"},
		verdict.Kill:    {"Ends the connection"},
	}
	every(func(f verdict.Finding, e Entry) {
		for _, o := range opening[policy.Default(f)] {
			if strings.HasPrefix(e.Default, o) {
				return
			}
		}
		t.Errorf("%v: the default is %v, and the catalogue says %q", f, policy.Default(f), e.Default)
	})
}
