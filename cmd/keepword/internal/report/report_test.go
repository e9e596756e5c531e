package report

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keepword/cmd/keepword/internal/report/page"
	"keepword/inspect"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

var update = flag.Bool("update", false, "write the golden files")

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano()

func endpoints(id uint64, client, server string) inspect.Endpoints {
	return inspect.Endpoints{ID: id, Client: netip.MustParseAddrPort(client), Server: netip.MustParseAddrPort(server)}
}

// play tells r of a small capture: an upgrade, the failure of 1999, a session whose
// sight was lost, and a finding of a flow without a dialogue.
func play(r *Report, mode verdict.Mode) {
	upgraded := endpoints(1, "192.0.2.1:40000", "198.51.100.2:25")
	r.FlowEnd(&inspect.FlowRecord{
		Flow: upgraded, Start: start, End: start + int64(2500*time.Millisecond), State: inspect.FlowClosed, Reason: inspect.EndClosed,
		Steps:   []starttls.Step{starttls.StepOffered, starttls.StepAsked, starttls.StepAnswered, starttls.StepClientHello, starttls.StepServerHello},
		Outcome: starttls.OutcomeUpgraded, ReplyCode: 220, HELO: "client.example", TLSVersion: 0x0304, SNI: "mx.example.net", Bypassed: true,
	})

	pix := endpoints(2, "[2001:db8:1111:2222:3333:4444:5555:6666]:40001", "[2001:db8:7777:8888:9999:aaaa:bbbb:cccc]:25")
	r.Finding(&inspect.FindingRecord{
		Flow: pix, Time: start + int64(120*time.Millisecond), Finding: verdict.AnsweredForServer, Action: verdict.Correct,
		Mode: mode, Code: 250, Detail: "250 OK \x1b[2J", Reason: "STARTTLS was answered with 250, and only 220 begins TLS",
	})
	outcome, steps := starttls.OutcomeBroken, []starttls.Step{starttls.StepOffered, starttls.StepAsked, starttls.StepAnswered}
	if mode == verdict.Enforce {
		outcome, steps = starttls.OutcomeCorrected, append(steps, starttls.StepCorrected)
	}
	r.FlowEnd(&inspect.FlowRecord{
		Flow: pix, Start: start, End: start + int64(time.Second), Outcome: outcome, Steps: steps, ReplyCode: 250,
		HELO: "evil\x1b[31m.example", MailFrom: "<a@example.org>",
		RcptTo: []string{"<1@x>", "<2@x>", "<3@x>", "<4@x>", "<5@x>", "<6@x>", "<7@x>"},
	})

	r.FlowEnd(&inspect.FlowRecord{Flow: endpoints(3, "192.0.2.1:40002", "198.51.100.2:25"), Start: start, End: start, Outcome: starttls.OutcomeUnknown})
	r.Finding(&inspect.FindingRecord{
		Flow: endpoints(4, "192.0.2.9:1", "198.51.100.2:25"), Time: start, Finding: verdict.BadChecksum,
		Action: verdict.Log, Mode: mode, Reason: "The TCP checksum is wrong",
	})
}

func written(t *testing.T, opt Options, mode verdict.Mode) string {
	t.Helper()
	var b bytes.Buffer
	opt.Location = time.UTC
	r := New(&b, opt)
	play(r, mode)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTheReportReadsWell(t *testing.T) {
	for name, got := range map[string]string{
		"observe.txt":  written(t, Options{}, verdict.Observe),
		"enforce.txt":  written(t, Options{}, verdict.Enforce),
		"envelope.txt": written(t, Options{HideEnvelope: true}, verdict.Observe),
		"colour.txt":   written(t, Options{Color: true}, verdict.Observe),
	} {
		path := filepath.Join("testdata", name)
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
}

func TestNoLineIsWiderThanEightyColumnsOrSteersTheTerminal(t *testing.T) {
	var b bytes.Buffer
	r := New(&b, Options{Location: time.UTC})
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	wide := strings.Repeat("w", 300)
	for f := verdict.NoFinding + 1; f < verdict.Findings; f++ {
		for a := verdict.Pass; a <= verdict.Kill; a++ {
			flow := endpoints(uint64(f), "192.0.2.1:1", "198.51.100.2:25")
			r.Finding(&inspect.FindingRecord{Flow: flow, Time: start + 1<<50, Finding: f, Action: a, Mode: verdict.Observe,
				Detail: string(every[:128]), Reason: string(every)})
		}
		for o := starttls.OutcomeUnknown; o <= starttls.OutcomeKilled; o++ {
			r.FlowEnd(&inspect.FlowRecord{Flow: endpoints(uint64(f), "192.0.2.1:1", "198.51.100.2:25"), Start: start, End: start + 1<<50,
				Outcome: o, HELO: string(every), MailFrom: wide, RcptTo: []string{string(every)}, SNI: wide, TLSVersion: 0x7f1c,
				Steps: []starttls.Step{starttls.StepClientHello, starttls.StepServerHello}})
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSuffix(line, "\n")
		if len(line) > page.Width {
			t.Errorf("%d columns: %q", len(line), line)
		}
		for _, c := range []byte(line) {
			if c < ' ' || c > '~' {
				t.Fatalf("octet %#x in %q", c, line)
			}
		}
	}
}

func TestEveryOutcomeAndActionHasItsWords(t *testing.T) {
	for o := starttls.OutcomeUnknown; o <= starttls.OutcomeKilled; o++ {
		if outcomes[o] == "" {
			t.Errorf("outcome %v has none", o)
		}
	}
	for a := verdict.Pass; a.String() != "invalid"; a++ {
		if consequences[a] == "" {
			t.Errorf("action %v has none", a)
		}
	}
}

func TestASessionWithCountlessFindingsShowsSomeAndCountsAll(t *testing.T) {
	var b bytes.Buffer
	r := New(&b, Options{Location: time.UTC})
	flow := endpoints(1, "192.0.2.1:1", "198.51.100.2:25")
	const found = maxFindings + 7
	for range found {
		r.Finding(&inspect.FindingRecord{Flow: flow, Finding: verdict.BareNewline, Action: verdict.Log})
	}
	r.FlowEnd(&inspect.FlowRecord{Flow: flow, Outcome: starttls.OutcomeNotOffered})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "finding   bare-newline"); n != maxFindings {
		t.Errorf("%d shown, want %d", n, maxFindings)
	}
	for _, want := range []string{"7 more findings are not shown", fmt.Sprintf("%d findings.", found), fmt.Sprintf("%d bare-newline", found)} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestWhatIsKeptIsBoundedAndWhatIsLeftOutIsCounted(t *testing.T) {
	var b bytes.Buffer
	r := New(&b, Options{Location: time.UTC})
	client := netip.MustParseAddrPort("192.0.2.1:1")
	server := netip.MustParseAddr("10.0.0.0")
	const flows = maxFlows + 10
	for i := range flows {
		server = server.Next()
		r.Finding(&inspect.FindingRecord{Finding: verdict.BadHeader, Flow: inspect.Endpoints{ID: uint64(i) + 1, Client: client, Server: netip.AddrPortFrom(server, 25)}})
	}
	if len(r.pending) > maxFlows || len(r.order) > maxFlows || len(r.servers.known) > maxServers {
		t.Errorf("%d flows and %d servers are kept", len(r.pending), len(r.servers.known))
	}
	r.pending, r.order = nil, nil // their blocks are not the matter here
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"10 findings", fmt.Sprintf("%d findings.", flows), "other servers", fmt.Sprintf("%d bad-header", flows-maxServers)} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestALongCaptureDoesNotGrowTheListOfFlows(t *testing.T) {
	r := New(&bytes.Buffer{}, Options{})
	for i := range uint64(5000) {
		flow := endpoints(i+1, "192.0.2.1:1", "198.51.100.2:25")
		r.Finding(&inspect.FindingRecord{Flow: flow, Finding: verdict.BareNewline})
		r.FlowEnd(&inspect.FlowRecord{Flow: flow})
	}
	if len(r.order) > 64 || len(r.pending) > 0 {
		t.Errorf("%d flows listed, %d pending after all have ended", len(r.order), len(r.pending))
	}
}

type brokenPipe struct{}

var errBroken = errors.New("broken pipe")

func (brokenPipe) Write([]byte) (int, error) { return 0, errBroken }

func TestTheFirstErrorIsReturnedAtTheEnd(t *testing.T) {
	r := New(brokenPipe{}, Options{})
	play(r, verdict.Observe)
	if err := r.Close(); !errors.Is(err, errBroken) {
		t.Errorf("%v", err)
	}
}
