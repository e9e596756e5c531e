package explain

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keepword/cmd/keepword/internal/eve"
	"keepword/cmd/keepword/internal/recent"
	"keepword/cmd/keepword/internal/report/page"
	"keepword/inspect"
	"keepword/inspect/history"
	"keepword/inspect/smtp"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

var update = flag.Bool("update", false, "write the golden files")

var (
	begin = time.Date(2026, 11, 23, 17, 4, 11, 0, time.UTC)
	plain = Options{Location: time.UTC, Unfinished: "not ended"}
)

// session makes one from its dialogue, whose first word, the time, is left out, and whose
// findings are those that the dialogue marks.
func session(t *testing.T, dialogue string, outcome starttls.Outcome, code int, steps ...starttls.Step) recent.Session {
	t.Helper()
	said, err := eve.ParseDialogue(begin.Add(3*time.Millisecond).Format("2006-01-02T15:04:05.000Z") + " " + dialogue)
	if err != nil {
		t.Fatal(err)
	}
	ends := inspect.Endpoints{
		ID: 1234567890123456, Client: netip.MustParseAddrPort("192.0.2.1:40000"), Server: netip.MustParseAddrPort("198.51.100.2:25"),
	}
	s := recent.Session{Flow: &inspect.FlowRecord{
		Flow: ends, Start: begin.UnixNano(), End: begin.Add(3200 * time.Millisecond).UnixNano(), State: inspect.FlowClosed, Reason: inspect.EndTimeout,
		Steps: steps, Outcome: outcome, ReplyCode: code, HELO: "client.example", Said: said,
	}}
	for i, at := range said {
		if at.Kind == inspect.SaidFinding {
			s.Flow.Alerted = true
			s.Findings = append(s.Findings, inspect.FindingRecord{Flow: ends, Time: at.Time, Finding: at.Finding, Action: at.Action, Said: said[:i+1]})
		}
	}
	return s
}

const (
	greets = "220 +12 EHLO +14 250 +15 "
	mail   = "+40 MAIL 250 +41 RCPT 250 +42 DATA 354 +60 end-of-mail-data +75 250 +76 QUIT 221"

	offered, asked, answered = starttls.StepOffered, starttls.StepAsked, starttls.StepAnswered
)

// reasons are what inspection says of the findings, and details what it quotes.
var reasons = map[verdict.Finding][2]string{
	verdict.AnsweredForServer: {"STARTTLS was answered 250, which only an answer to another command can be: a box before the server spoke in its place, and the client would have begun TLS alone", "2.0.0 OK"},
	verdict.OfferRefused:      {"The server offered STARTTLS and then refused it with 554: 5.3.3 secret text. Its TLS last worked on 2026-11-01: the server was changed, or somebody takes TLS away", "5.3.3 secret text"},
	verdict.CommandInjection:  {"The client's side sent octets between STARTTLS and its answer; a careless server would run them inside TLS: \"MAIL FROM:<secret@example.org>\\r\\n\"", "MAIL FROM:<secret@example.org>\r\n"},
	verdict.OfferVanished:     {"The server has offered STARTTLS before, and its EHLO reply does not now: somebody between may have taken it away. It last did on 2026-11-22; all else that it offers is unchanged, as when a box deletes the line", ""},
	verdict.SilenceAfter220:   {"The server said 220 to STARTTLS and has not answered the client's TLS since: a box between may keep it from the server", ""},
	verdict.TLSRequired:       {"The client sent MAIL in clear text to a server that is set to require TLS", "MAIL"},
	verdict.Smuggling:         {"A command stands in mail data, behind octets that careless servers take for its end; they would take what follows for another sender's message: \"secret\\r\\n\"", "secret\r\n"},
	verdict.GreetingMasked:    {"A box masked the server's greeting; clients may use HELO then, and never see an offer of STARTTLS", ""},
	verdict.BareNewline:       {"A line holds a bare CR or LF; servers differ in whether that ends it: \"secret\\n\"", "secret\n"},
}

// sessions are those of the golden texts.
func sessions(t *testing.T) map[string]recent.Session {
	all := map[string]recent.Session{
		"answered-for-server": session(t, greets+"STARTTLS +18 250 !answered-for-server=correct +20 MAIL 250 +21 RCPT 250 +22 QUIT 221",
			starttls.OutcomeCorrected, 250, offered, asked, answered, starttls.StepCorrected),
		"offer-refused":     session(t, greets+"STARTTLS +16 554 !offer-refused=log "+mail, starttls.OutcomeRefused, 554, offered, asked, answered),
		"command-injection": session(t, greets+"STARTTLS !command-injection=kill", starttls.OutcomeKilled, 0, offered, asked),
		"offer-vanished":    session(t, "220 +12 EHLO +14 250 !offer-vanished=log "+mail, starttls.OutcomeNotOffered, 0),
		"silence-after-220": session(t, greets+"STARTTLS +17 220 +18 ClientHello +10018 !silence-after-220=log +60018 !silence-after-220=kill",
			starttls.OutcomeKilled, 220, offered, asked, answered, starttls.StepClientHello),
		"tls-required": session(t, greets+"MAIL !tls-required=refuse +17 250 +18 RCPT +19 503 +20 QUIT 221", starttls.OutcomeNotAsked, 0, offered),
		"upgraded": session(t, greets+"STARTTLS +17 220 +18 ClientHello +20 ServerHello=0304 +24 protected", starttls.OutcomeUpgraded, 220,
			offered, asked, answered, starttls.StepClientHello, starttls.StepServerHello),
		"not-offered": session(t, greets+mail, starttls.OutcomeNotOffered, 0),
		// Of 40 commands the finding stands in the middle.
		"long": session(t, "220 !greeting-masked=log +12 HELO 250 !bare-newline=log "+strings.Repeat("RSET 250 ", 18)+
			"+50 MAIL +51 RCPT +52 250 250 DATA 354 !smuggling=kill +99 NOOP 250 +100 NOOP 250", starttls.OutcomeKilled, 0),
	}
	for _, s := range all {
		if s.Flow.Outcome == starttls.OutcomeUpgraded {
			s.Flow.TLSVersion = 0x0304
		}
		for i := range s.Findings {
			s.Findings[i].Reason, s.Findings[i].Detail = reasons[s.Findings[i].Finding][0], reasons[s.Findings[i].Finding][1]
		}
	}
	open := all["silence-after-220"]
	open.Flow, open.Findings = nil, open.Findings[:1]
	all["open"] = open
	opened := all["offer-refused"]
	changed := opened.Findings[0]
	changed.Breaker, changed.Action = history.Change{From: history.Closed, To: history.Open}, verdict.Hide
	changed.Reason = "The server's STARTTLS came to nothing 2 times in a row: its offer is hidden from new sessions, so that mail goes on in clear text, until one may try again on 2026-11-24"
	opened.Findings = append(opened.Findings[:1:1], changed)
	all["breaker"] = opened
	return all
}

func written(t *testing.T, s recent.Session, opt Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, s, opt); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", path, got)
	}
}

func TestAnExplanationReadsWellAndFitsOnAScreen(t *testing.T) {
	for name, s := range sessions(t) {
		got := written(t, s, plain)
		golden(t, name, got)
		if n := strings.Count(got, "\n"); n > screen {
			t.Errorf("%s has %d lines", name, n)
		}
	}
	all := plain
	all.Addresses, all.Content, all.Color = true, true, true
	golden(t, "everything", written(t, sessions(t)["offer-refused"], all))
}

func TestNoAddressAndNoContentIsToldUnlessAskedFor(t *testing.T) {
	for name, s := range sessions(t) {
		if s.Flow != nil {
			s.Flow.MailFrom, s.Flow.RcptTo, s.Flow.SNI = "<secret@example.org>", []string{"<secret2@example.org>"}, "secret.example.net"
		}
		got := written(t, s, plain)
		for _, word := range []string{"secret", "192.0.2.1", "198.51.100.2", "client.example"} {
			if strings.Contains(got, word) {
				t.Errorf("%s tells %s:\n%s", name, word, got)
			}
		}
		opt := plain
		opt.Content = true
		if got := written(t, s, opt); s.Flow != nil && !strings.Contains(got, "secret@example.org") || strings.Contains(got, "192.0.2.1") {
			t.Errorf("%s with content, without addresses:\n%s", name, got)
		}
	}
}

func TestNoTextOfOurOwnIsCut(t *testing.T) {
	uncut := func(what, got string) {
		for line := range strings.Lines(got) {
			if !strings.HasPrefix(line, "Also") && strings.HasSuffix(line, " ...\n") {
				t.Errorf("%s: %s", what, line)
			}
		}
	}
	for f := verdict.NoFinding + 1; f < verdict.Findings; f++ {
		for a := range deeds {
			for _, m := range []verdict.Mode{verdict.Observe, verdict.Enforce} {
				s := session(t, greets+"QUIT 221", starttls.OutcomeNotAsked, 0, offered)
				s.Findings = []inspect.FindingRecord{{Flow: s.Flow.Flow, Time: begin.UnixNano(), Finding: f, Action: a, Mode: m}}
				uncut(f.String()+" "+a.String()+" "+m.String(), written(t, s, plain))
			}
		}
	}
	for o := range outcomes {
		uncut(o.String(), written(t, session(t, greets+"QUIT 221", o, 220, offered, asked, answered), plain))
	}
}

func TestAQuotationThatAnEventHasAlteredIsWithheldToo(t *testing.T) {
	s := sessions(t)["command-injection"]
	s.Findings[0].Detail = "MAIL FROM:<secret@example.org>\uFFFD"
	if got := written(t, s, plain); strings.Contains(got, "secret") || !strings.Contains(got, "run them inside TLS.") {
		t.Error(got)
	}
}

// What comes out of events is what the daemon tells: its answer is events.
func TestAnExplanationFromEventsIsTheSame(t *testing.T) {
	everything := Options{Location: time.UTC, Addresses: true, Content: true}
	for name, s := range sessions(t) {
		var events bytes.Buffer
		out := eve.NewStream(&events, eve.Options{Location: time.UTC})
		for i := range s.Findings {
			out.Finding(&s.Findings[i])
		}
		if s.Flow != nil {
			out.FlowEnd(s.Flow)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		kept := recent.New(1, nobody{})
		if err := ReadEvents(&events, 1234567890123456, kept); err != nil {
			t.Fatal(err)
		}
		got, ok := kept.Find(func(uint64) bool { return true })
		if !ok {
			t.Fatalf("%s: no session in its events", name)
		}
		for _, opt := range []Options{plain, everything} {
			if a, b := written(t, s, opt), written(t, got, opt); a != b {
				t.Errorf("%s differs. Directly:\n%sFrom events:\n%s", name, a, b)
			}
		}
	}
}

type nobody struct{}

func (nobody) Finding(*inspect.FindingRecord) {}
func (nobody) FlowEnd(*inspect.FlowRecord)    {}

func TestAnExplanationNeverExceedsItsLinesAndColumns(t *testing.T) {
	const most = 40
	r := rand.New(rand.NewPCG(3, 4))
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for range 3000 {
		s := anySession(r, string(every))
		for _, opt := range []Options{plain, {Location: time.UTC, Addresses: true, Content: true, Unfinished: "not ended"}} {
			got := written(t, s, opt)
			if n := strings.Count(got, "\n"); n > most {
				t.Fatalf("%d lines:\n%s", n, got)
			}
			for line := range strings.Lines(got) {
				line = strings.TrimSuffix(line, "\n")
				if len(line) > page.Width || strings.ContainsFunc(line, func(c rune) bool { return c < ' ' || c > '~' }) {
					t.Fatalf("%d columns: %q", len(line), line)
				}
			}
		}
	}
}

// anySession is any session that inspection could tell of, and some that it could not.
func anySession(r *rand.Rand, wire string) (s recent.Session) {
	ends := inspect.Endpoints{ID: r.Uint64() | 1, Client: netip.MustParseAddrPort("[2001:db8:1111:2222:3333:4444:5555:6666]:40001"),
		Server: netip.MustParseAddrPort("[2001:db8:7777:8888:9999:aaaa:bbbb:cccc]:65535")}
	now := begin.UnixNano()
	finding := func() verdict.Finding { return verdict.Finding(1 + r.IntN(int(verdict.Findings)-1)) }
	var said []inspect.Said
	for range r.IntN(81) {
		now += r.Int64N(1 + int64(1)<<r.IntN(50))
		at := inspect.Said{Time: now, Kind: inspect.SaidKind(r.IntN(int(inspect.SaidFinding) + 1)), Verb: smtp.Verb(r.IntN(int(smtp.VerbBDATLast) + 1)),
			Code: r.IntN(1000), ToServer: r.IntN(2) == 0, Version: uint16(r.Uint32()), Action: verdict.Action(r.IntN(int(verdict.Kill) + 1))}
		if at.Kind == inspect.SaidFinding {
			at.Finding = finding()
		}
		said = append(said, at)
	}
	for range r.IntN(12) {
		s.Findings = append(s.Findings, inspect.FindingRecord{Flow: ends, Time: now, Finding: finding(), Action: verdict.Action(r.IntN(int(verdict.Kill) + 1)),
			Mode: verdict.Mode(r.IntN(2)), Reason: strings.Repeat(wire, r.IntN(3)), Detail: wire, Breaker: history.Change{To: history.State(r.IntN(3))}})
	}
	if n := len(s.Findings); n > 0 {
		s.Findings[n-1].Said = said
		if r.IntN(3) == 0 {
			return s
		}
	}
	f := &inspect.FlowRecord{Flow: ends, Start: begin.UnixNano(), End: now, Said: said, HELO: wire, MailFrom: wire, RcptTo: []string{wire, wire}, SNI: wire,
		Outcome: starttls.Outcome(r.IntN(int(starttls.OutcomeKilled) + 1)), ReplyCode: r.IntN(1000), TLSVersion: uint16(r.Uint32())}
	for _, step := range r.Perm(int(starttls.Steps))[:r.IntN(int(starttls.Steps)+1)] {
		f.Steps = append(f.Steps, starttls.Step(step))
	}
	s.Flow = f
	return s
}
