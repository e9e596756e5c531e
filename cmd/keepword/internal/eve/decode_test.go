package eve

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"keepword/inspect"
	"keepword/inspect/history"
	protocol "keepword/inspect/smtp"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

const ms = int64(time.Millisecond)

// talk is the dialogue of 1999 up to its finding.
func talk() []inspect.Said {
	start := at / ms * ms
	return []inspect.Said{
		{Time: start, Kind: inspect.SaidReply, Code: 220},
		{Time: start + 12*ms, Kind: inspect.SaidCommand, ToServer: true, Verb: protocol.VerbEHLO},
		{Time: start + 14*ms, Kind: inspect.SaidReply, Code: 250},
		{Time: start + 15*ms, Kind: inspect.SaidCommand, ToServer: true, Verb: protocol.VerbSTARTTLS},
		{Time: start + 15*ms, Kind: inspect.SaidReply, Code: 250},
		{Time: start + 15*ms, Kind: inspect.SaidFinding, Finding: verdict.AnsweredForServer, Action: verdict.Correct},
	}
}

func TestADialogueIsOneLineOfWords(t *testing.T) {
	want := "2026-01-02T03:04:05.678Z 220 +12 EHLO +14 250 +15 STARTTLS 250 !answered-for-server=correct"
	if got := Dialogue(talk()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := Dialogue(nil); got != "" {
		t.Errorf("of nothing said: %q", got)
	}
}

// anything is a dialogue of any length of all that can be said.
func anything(r *rand.Rand) []inspect.Said {
	var said []inspect.Said
	now := at / ms * ms
	for range r.IntN(90) {
		now += int64(r.IntN(3)) * int64(r.IntN(100_000)) * ms
		s := inspect.Said{Time: now, Kind: inspect.SaidKind(r.IntN(int(inspect.SaidFinding) + 1))}
		switch s.Kind {
		case inspect.SaidCommand:
			s.ToServer, s.Verb = true, protocol.Verb(r.IntN(int(protocol.VerbBDATLast)+1))
			if s.Verb == protocol.VerbAuthResponse { // has a kind of its own
				s.Verb = protocol.VerbEndOfData
			}
		case inspect.SaidAuthResponse, inspect.SaidClientHello:
			s.ToServer = true
		case inspect.SaidReply:
			s.Code = r.IntN(1000)
		case inspect.SaidServerHello:
			s.Version = uint16(r.Uint32())
		case inspect.SaidAlert:
			s.ToServer = r.IntN(2) == 0
		case inspect.SaidFinding:
			s.Finding = verdict.Finding(1 + r.IntN(int(verdict.Findings)-1))
			s.Action = verdict.Action(r.IntN(int(verdict.Kill) + 1))
		}
		said = append(said, s)
	}
	return said
}

func TestEveryDialogueIsReadAsItWasWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		want := anything(r)
		got, err := ParseDialogue(Dialogue(want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: %v\ngot  %v\nwant %v", Dialogue(want), err, got, want)
		}
	}
}

func TestADialogueThatIsNoneIsRefused(t *testing.T) {
	const start = "2026-01-02T03:04:05.678Z "
	for _, text := range []string{"220 +12 EHLO", start + "+x 220", start + "FROB", start + "!no-such=log", start + "!gap=sing",
		start + "ServerHello=", start + "99999", start + "+-1 220"} {
		if said, err := ParseDialogue(text); err == nil {
			t.Errorf("%q is read as %v", text, said)
		}
	}
}

func TestAnEventIsReadAsItWasWritten(t *testing.T) {
	at := at / 1000 * 1000 // events have microseconds
	f := aFinding()
	f.Time, f.Detail, f.Said = at, "250 OK", talk()
	changed := *f
	changed.Breaker, changed.Action = history.Change{From: history.HalfOpen, To: history.Open}, verdict.Hide
	observed := *f
	observed.Mode, observed.ToServer, observed.Code, observed.Detail, observed.Said = verdict.Observe, true, 0, "", nil
	for _, want := range []*inspect.FindingRecord{f, &changed, &observed} {
		got, err := Decode([]byte(findingLine(t, utc, want)))
		if err != nil || got.Flow != nil {
			t.Fatal(got, err)
		}
		expected := *want
		expected.Flow.Iface, expected.Packet = 0, 0
		if !reflect.DeepEqual(*got.Finding, expected) {
			t.Errorf("got  %+v\nwant %+v", *got.Finding, expected)
		}
	}
	full := aFlow()
	full.Said, full.Bypassed, full.Reason = talk(), true, inspect.EndTimeout
	empty := &inspect.FlowRecord{Flow: endpoints, Start: at, End: at, Outcome: starttls.OutcomeUnknown, State: inspect.FlowNew, Reason: inspect.EndForced}
	for _, version := range []uint16{0x0304, 0x0300, 0x7f1c} {
		full.TLSVersion = version
		for _, want := range []*inspect.FlowRecord{full, empty} {
			got, err := Decode([]byte(flowLine(t, utc, want)))
			if err != nil || got.Finding != nil {
				t.Fatal(got, err)
			}
			expected := *want
			expected.Flow.Iface = 0
			if !reflect.DeepEqual(*got.Flow, expected) {
				t.Errorf("got  %+v\nwant %+v", *got.Flow, expected)
			}
		}
	}
}

func TestEventsOfOthersAreNoRecordsAndNoErrors(t *testing.T) {
	for _, line := range []string{
		`{}`, `{"event_type":"dns","dns":{"version":2}}`, `{"event_type":"stats"}`,
		`{"event_type":"alert","alert":{"signature":"ET","metadata":{"created_at":["2020_01_01"]}}}`,
		`{"event_type":"flow","flow":{"pkts_toserver":1},"metadata":{"flowvars":[{"gid":"1"}]}}`,
		`{"event_type":"alert","smtp":"not an object"}`,
	} {
		if r, err := Decode([]byte(line)); err != nil || r != (Record{}) {
			t.Errorf("%s: %v, %v", line, r, err)
		}
	}
	for _, line := range []string{"", "keepword", `{"event_type":`, "[1,2]"} {
		if _, err := Decode([]byte(line)); !errors.Is(err, ErrNoJSON) {
			t.Errorf("%q: %v", line, err)
		}
	}
	for _, spoiled := range []string{"answered-for-server", "correct", "2026-01-02T", "192.0.2.1"} {
		if _, err := Decode([]byte(strings.ReplaceAll(findingLine(t, utc, aFinding()), spoiled, "nonsense"))); err == nil {
			t.Errorf("an event with nonsense in place of %s is read", spoiled)
		}
	}
}

func TestAChangeOfTheBreakerClaimsNoFindingAgain(t *testing.T) {
	seen := map[int]bool{}
	for _, c := range []history.Change{
		{From: history.Closed, To: history.Open}, {From: history.Open, To: history.HalfOpen}, {From: history.HalfOpen, To: history.Closed},
	} {
		r := aFinding()
		r.Breaker = c
		line := findingLine(t, utc, r)
		for _, want := range []string{`"signature":"Circuit breaker: `, `"breaker":["` + c.From.String() + " to " + c.To.String() + `"]`,
			`"alert":{"action":"allowed"`, `"finding":["answered-for-server"]`} {
			if !strings.Contains(line, want) {
				t.Errorf("%s is missing in %s", want, line)
			}
		}
		if n := changes[c.To].signature; seen[n] || strings.Contains(line, `"signature_id":1990004`) {
			t.Errorf("signature %d is not the change's own: %s", n, line)
		} else {
			seen[n] = true
		}
	}
}
