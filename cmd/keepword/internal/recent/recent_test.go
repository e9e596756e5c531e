package recent

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"keepword/inspect"
	"keepword/inspect/smtp"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// nobody is a Sink that keeps nothing.
type nobody struct{ findings, flows int }

func (n *nobody) Finding(*inspect.FindingRecord) { n.findings++ }
func (n *nobody) FlowEnd(*inspect.FlowRecord)    { n.flows++ }

var ends = inspect.Endpoints{Client: netip.MustParseAddrPort("192.0.2.1:40000"), Server: netip.MustParseAddrPort("198.51.100.2:25")}

// upgraded is the end of a session with all that one usually has.
func upgraded(id uint64) *inspect.FlowRecord {
	f := ends
	f.ID = id
	start := time.Now().Add(time.Hour).UnixNano()
	said := []inspect.Said{{Kind: inspect.SaidReply, Code: 220}, {Kind: inspect.SaidCommand, Verb: smtp.VerbEHLO}, {Kind: inspect.SaidReply, Code: 250},
		{Kind: inspect.SaidCommand, Verb: smtp.VerbSTARTTLS}, {Kind: inspect.SaidReply, Code: 220}, {Kind: inspect.SaidClientHello},
		{Kind: inspect.SaidServerHello, Version: 0x0304}, {Kind: inspect.SaidProtected}}
	return &inspect.FlowRecord{
		Flow: f, Start: start, End: start + int64(time.Second), Outcome: starttls.OutcomeUpgraded, ReplyCode: 220,
		Steps: []starttls.Step{starttls.StepOffered, starttls.StepAsked, starttls.StepAnswered, starttls.StepClientHello, starttls.StepServerHello},
		HELO:  "client.example", Said: said, TLSVersion: 0x0304,
	}
}

func finding(id uint64, f verdict.Finding) *inspect.FindingRecord {
	r := inspect.FindingRecord{Flow: ends, Finding: f, Time: time.Now().Add(time.Hour).UnixNano(), Said: []inspect.Said{{Kind: inspect.SaidReply, Code: 220}}}
	r.Flow.ID = id
	return &r
}

func is(id uint64) func(uint64) bool { return func(have uint64) bool { return have == id } }

func TestASessionIsKeptWithItsFindings(t *testing.T) {
	var next nobody
	s := New(4, &next)
	s.Finding(finding(7, verdict.OfferRefused))
	open, ok := s.Find(is(7))
	if !ok || open.Flow != nil || len(open.Findings) != 1 || len(open.Findings[0].Said) != 1 {
		t.Fatalf("of an open session: %+v, %v", open, ok)
	}
	s.Finding(finding(7, verdict.Gap))
	want := upgraded(7)
	lent := *want
	lent.Said = append([]inspect.Said(nil), want.Said...)
	lent.Steps = append([]starttls.Step(nil), want.Steps...)
	lent.RcptTo = []string{"<a@example.org>"}
	s.FlowEnd(&lent)
	clear(lent.Said) // as whoever has lent them will
	clear(lent.Steps)
	clear(lent.RcptTo)
	got, ok := s.Find(is(7))
	want.RcptTo = []string{"<a@example.org>"}
	if !ok || !reflect.DeepEqual(got.Flow, want) {
		t.Errorf("got  %+v\nwant %+v", got.Flow, want)
	}
	if len(got.Findings) != 2 || got.Findings[0].Finding != verdict.OfferRefused || got.Findings[1].Finding != verdict.Gap {
		t.Errorf("findings %+v", got.Findings)
	}
	if next.findings != 2 || next.flows != 1 {
		t.Errorf("handed on: %+v", next)
	}
	if len(s.open) != 0 {
		t.Errorf("%d flows are open", len(s.open))
	}
}

func TestTheOldestSessionMakesRoomForTheNext(t *testing.T) {
	s := New(3, &nobody{})
	born := s.Since()
	s.Finding(finding(1, verdict.Gap)) // and it never ends
	for id := uint64(2); id <= 3; id++ {
		s.FlowEnd(upgraded(id))
	}
	if s.Since() != born {
		t.Error("nothing was forgotten yet")
	}
	s.FlowEnd(upgraded(4))
	if _, ok := s.Find(is(1)); ok || len(s.open) != 0 {
		t.Errorf("the first is still there; %d are open", len(s.open))
	}
	if s.Since() == born {
		t.Error("a session was forgotten, and Since has not moved")
	}
	s.FlowEnd(upgraded(1)) // it ends, after all
	got, ok := s.Find(is(1))
	if !ok || len(got.Findings) != 0 || got.Flow == nil {
		t.Errorf("%+v, %v", got, ok)
	}
	for _, id := range []uint64{3, 4} {
		if got, ok := s.Find(is(id)); !ok || len(got.Findings) != 0 {
			t.Errorf("%d: %+v, %v", id, got, ok)
		}
	}
	if _, ok := s.Find(is(2)); ok {
		t.Error("four sessions are kept in three places")
	}
	var order []uint64
	s.Each(func(id uint64, session Session) bool {
		order = append(order, id)
		return id != 4
	})
	if !slices.Equal(order, []uint64{3, 4}) {
		t.Errorf("up to the fourth, the oldest first: %v", order)
	}
}

func TestWhatIsKeptOfASessionIsBounded(t *testing.T) {
	s := New(2, &nobody{})
	for range 10_000 {
		s.Finding(finding(5, verdict.BareNewline))
	}
	for id := range uint64(10_000) {
		s.Finding(finding(100+id, verdict.BadChecksum))
	}
	if len(s.open) > 2 {
		t.Errorf("%d open flows in two places", len(s.open))
	}
	s.Finding(finding(5, verdict.BareNewline))
	for range 100 {
		s.Finding(finding(5, verdict.BareNewline))
	}
	if got, _ := s.Find(is(5)); len(got.Findings) != maxFindings {
		t.Errorf("%d findings of one session", len(got.Findings))
	}
}

func TestAnOrdinarySessionIsKeptWithoutAllocation(t *testing.T) {
	s := New(64, &nobody{})
	r := upgraded(1)
	r.RcptTo = []string{"<a@example.org>", "<b@example.org>"}
	for range 64 {
		s.FlowEnd(r)
	}
	if n := testing.AllocsPerRun(200, func() { s.FlowEnd(r) }); n != 0 {
		t.Errorf("%v allocations a session", n)
	}
}

// What it costs the packet path to keep an ordinary session.
func BenchmarkSession(b *testing.B) {
	s := New(4096, &nobody{})
	r := upgraded(1)
	for b.Loop() {
		r.Flow.ID++
		s.FlowEnd(r)
	}
}

// The same with one finding.
func BenchmarkSessionWithAFinding(b *testing.B) {
	s := New(4096, &nobody{})
	r, f := upgraded(1), finding(1, verdict.OfferRefused)
	for b.Loop() {
		r.Flow.ID++
		f.Flow.ID = r.Flow.ID
		s.Finding(f)
		s.FlowEnd(r)
	}
}
