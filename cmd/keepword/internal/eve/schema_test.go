package eve

import (
	"testing"

	"keepword/cmd/keepword/internal/eve/schema"
	"keepword/inspect"
	"keepword/inspect/history"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

func TestEveryEventIsValidAgainstSuricatasSchema(t *testing.T) {
	events := schema.Get(t)
	checked := 0
	check := func(line string) {
		if err := events.Check([]byte(line)); err != nil {
			t.Errorf("%v\n%s", err, line)
		}
		checked++
	}
	for _, opt := range []Options{utc, {HideEnvelope: true, HideCommunityID: true}} {
		for f := verdict.NoFinding + 1; f < verdict.Findings; f++ {
			for _, kind := range []verdict.Kind{verdict.Accept, verdict.Replace, verdict.Drop, verdict.Hold} {
				r := aFinding()
				r.Finding, r.Packet, r.Detail, r.Code, r.Said = f, kind, "\xff\x00detail", int(f)*10, talk()
				check(findingLine(t, opt, r))
				r.Breaker = history.Change{To: history.Open}
				check(findingLine(t, opt, r))
			}
		}
		for o := starttls.OutcomeUnknown; o <= starttls.OutcomeKilled; o++ {
			full := aFlow()
			full.Outcome, full.Bypassed, full.Said = o, true, talk()
			check(flowLine(t, opt, full))
			empty := &inspect.FlowRecord{Flow: endpoints, Outcome: o, State: inspect.FlowNew, Reason: inspect.EndForced}
			check(flowLine(t, opt, empty))
		}
	}
	t.Logf("%d events checked, of every finding, verdict and outcome", checked)
}

func TestTheSchemaRefusesWhatIsNoEvent(t *testing.T) {
	events := schema.Get(t)
	for _, line := range []string{
		"", "{", "[]", "{}",
		`{"timestamp":"1970-01-01T00:00:00.000000+0000","event_type":1.5}`,
		`{"timestamp":"1970-01-01T00:00:00.000000+0000","event_type":"flow","nonsense":true}`,
		`{"timestamp":"yesterday","event_type":"flow"}`,
	} {
		if events.Check([]byte(line)) == nil {
			t.Errorf("%s is taken for an event", line)
		}
	}
}
