package starttls

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"keepword/inspect/smtp"
	"keepword/inspect/tlsrecord"
	v "keepword/inspect/verdict"
)

// tellings are what happens in sessions, as tell takes it.
var tellings = []string{
	"greet ****", "greet mx.example", "ehlo mx.example|STARTTLS", "ehlo mx.example|PIPELINING", "ehlo mx.example|XXXXXXXA",
	"ask", "ask param", "ask malformed transaction", "ask x-anonymoustls", "220 go", "250 OK", "354 go", "421 bye", "454 not now",
	"454 too many", "501 no", "554 no", "235", "surplus 250", "surplus 421", "implicit",
	"c hello", "c retry", "c alert", "c data", "c clear", "c ccs", "c sealed-alert",
	"s hello", "s retry", "s alert", "s data", "s clear", "s ccs", "s sealed-alert", "close",
}

// short is what a tale must come to, told by someone who remembers all of it and looks
// only at what matters: no order of events may contradict it.
type short struct {
	happened []string
	steps    []Step // as they first happened
}

func (s *short) add(what string, taken Step, took bool) {
	s.happened = append(s.happened, what)
	if took && !slices.Contains(s.steps, taken) {
		s.steps = append(s.steps, taken)
	}
}

// last returns the place of the last event of a list, -1 where none happened.
func (s *short) last(of ...string) int {
	for i := len(s.happened) - 1; i >= 0; i-- {
		if slices.Contains(of, s.happened[i]) {
			return i
		}
	}
	return -1
}

var asks = []string{"ask", "ask param", "ask malformed transaction", "ask x-anonymoustls"}
var replies = []string{"220 go", "250 OK", "354 go", "421 bye", "454 not now", "454 too many", "501 no", "554 no"}

// The ledger may be told of anything in any order: it says nothing twice that is said
// once a session, its steps stand in the order of their happening, and what it sums up is
// what happened.
func TestTheLedgerSumsUpWhatHappenedInAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := &Ledger{}
		l.Init(0)
		s := &short{}
		failed := 0
		for _, what := range rapid.SliceOfN(rapid.SampledFrom(tellings), 0, 40).Draw(rt, "tale") {
			before := l.State()
			found := tell(t, l, what)
			switch {
			case what == "ehlo mx.example|STARTTLS":
				s.add(what, StepOffered, true)
			case slices.Contains(asks, what):
				s.add(what, StepAsked, true)
			case slices.Contains(replies, what):
				s.add(what, StepAnswered, true)
			case what == "c hello":
				s.add(what, StepClientHello, true)
			case what == "s hello": // before any ClientHello it is nobody's answer
				s.add(what, StepServerHello, before != Answered)
			default:
				s.add(what, 0, false)
			}
			for _, f := range found {
				if f == v.NoFinding || f >= v.Findings {
					rt.Fatalf("%s: finding %d", what, f)
				}
				if f == v.HandshakeFailed {
					failed++
				}
			}
			if !slices.Equal(l.Steps(), s.steps) {
				rt.Fatalf("%q: steps %v, want %v", s.happened, l.Steps(), s.steps)
			}
			switch l.State() {
			case Asked:
				if s.last(asks...) < s.last(replies...) {
					rt.Fatalf("%q: asked, though answered", s.happened)
				}
			case Answered, ClientHello, Begun, Kept:
				if s.last("220 go", "implicit") < 0 {
					rt.Fatalf("%q: %d without a 220", s.happened, l.State())
				}
			}
			if l.State() >= Begun && s.last("s hello") < 0 {
				rt.Fatalf("%q: begun without a ServerHello", s.happened)
			}
			if l.State() == Kept && (s.last("c data", "c ccs") < 0 || s.last("s data", "s ccs") < 0) {
				rt.Fatalf("%q: kept without data of both", s.happened)
			}
			if at := s.last(replies...); at >= 0 && l.ReplyCode() != code(s.happened[at]) {
				rt.Fatalf("%q: reply %d", s.happened, l.ReplyCode())
			}
			if l.Offered() != (s.last("ehlo mx.example|STARTTLS") > s.last("ehlo mx.example|PIPELINING", "ehlo mx.example|XXXXXXXA")) {
				rt.Fatalf("%q: offered %v", s.happened, l.Offered())
			}
			upgraded := slices.Contains(s.steps, StepServerHello)
			for _, killed := range []bool{false, true} {
				got := l.Outcome(killed, false)
				if upgraded != (got == OutcomeUpgraded) || killed && !upgraded && got != OutcomeKilled {
					rt.Fatalf("%q: killed %v, outcome %v", s.happened, killed, got)
				}
			}
			if got := l.Outcome(false, true); !upgraded && got == OutcomeBroken && s.last(replies...) < 0 {
				rt.Fatalf("%q: broken, of a session that nobody saw whole", s.happened)
			}
		}
		if failed > 1 {
			rt.Fatalf("%q: the handshake failed %d times", s.happened, failed)
		}
	})
}

func code(reply string) (n int) {
	for _, c := range reply[:3] {
		n = n*10 + int(c-'0')
	}
	return n
}

// FuzzLedger gives the ledger any text and any codes: it must not fail, and find no more
// than there is room for.
func FuzzLedger(f *testing.F) {
	f.Add([]byte("250-XXXXXXXA\r\n \tstarttls  x"), uint16(250), uint8(3))
	f.Add([]byte("***2**0 too many"), uint16(454), uint8(200))
	f.Add([]byte{}, uint16(65535), uint8(255))
	f.Fuzz(func(t *testing.T, text []byte, code uint16, bits uint8) {
		var l Ledger
		l.Init(code)
		list := []Found{l.Greeting(text)}
		for i := range 3 {
			ev := smtp.ServerEvent{Code: 250, First: i == 0, Final: i == 2, Text: text}
			offer, found := l.EHLOLine(&ev)
			list = append(list, found)
			if offer != (l.Offered() && i > 0) {
				t.Fatalf("line %d: offer %v, offered %v", i, offer, l.Offered())
			}
		}
		list = append(list, l.EHLOEnd(),
			l.Ask(&smtp.ClientEvent{Verb: smtp.VerbSTARTTLS, Line: text, Flags: smtp.CommandFlags(bits)}),
			l.Answer(&smtp.ServerEvent{Code: int(code % 1000), First: true, Final: true, Text: text}),
			l.Surplus(int(code)))
		for i := range 4 {
			ev := tlsrecord.Event(bits >> (2 * i))
			list = append(list, l.ClientRecord(ev), l.ServerRecord(ev, code))
		}
		list = append(list, l.Close())
		for _, found := range list {
			for _, f := range found.List() {
				if f == v.NoFinding || f >= v.Findings {
					t.Fatalf("finding %d", f)
				}
			}
		}
		if o := l.Outcome(bits&1 != 0, bits&2 != 0); o.String() == "invalid" {
			t.Fatalf("outcome %d", o)
		}
	})
}
