package eve

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"keepword/inspect"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

var endpoints = inspect.Endpoints{
	ID:     42,
	Client: netip.MustParseAddrPort("192.0.2.1:40000"),
	Server: netip.MustParseAddrPort("198.51.100.2:25"),
	Iface:  3,
}

// at is 2026-01-02T03:04:05.678901 UTC.
var at = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC).UnixNano()

func aFinding() *inspect.FindingRecord {
	return &inspect.FindingRecord{
		Flow: endpoints, Time: at, Finding: verdict.AnsweredForServer, Action: verdict.Correct,
		Mode: verdict.Enforce, Packet: verdict.Replace, Code: 250, Reason: "250 is no answer to STARTTLS.",
	}
}

func aFlow() *inspect.FlowRecord {
	return &inspect.FlowRecord{
		Flow: endpoints, Start: at - int64(2500*time.Millisecond), End: at,
		ToServer: inspect.Counts{Packets: 7, Bytes: 900}, ToClient: inspect.Counts{Packets: 6, Bytes: 1200},
		State: inspect.FlowClosed, Reason: inspect.EndClosed, Alerted: true,
		Steps:   []starttls.Step{starttls.StepOffered, starttls.StepAsked, starttls.StepAnswered, starttls.StepClientHello, starttls.StepServerHello},
		Outcome: starttls.OutcomeUpgraded, ReplyCode: 220,
		HELO: "client.example", MailFrom: "<a@example.org>", RcptTo: []string{"<b@example.net>"},
		TLSVersion: 0x0304, SNI: "mx.example.net",
	}
}

var utc = Options{Location: time.UTC, Interface: func(uint32) string { return "eth0" }}

func findingLine(t *testing.T, opt Options, r *inspect.FindingRecord) string {
	t.Helper()
	line, err := newEncoder(opt).finding(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(line)
}

func flowLine(t *testing.T, opt Options, r *inspect.FlowRecord) string {
	t.Helper()
	line, err := newEncoder(opt).flowEnd(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(line)
}

func TestAFindingIsOneAlertLine(t *testing.T) {
	want := `{"timestamp":"2026-01-02T03:04:05.678901+0000","flow_id":42,"in_iface":"eth0","event_type":"alert",` +
		`"src_ip":"192.0.2.1","src_port":40000,"dest_ip":"198.51.100.2","dest_port":25,"proto":"TCP","ip_v":4,` +
		`"pkt_src":"wire/pcap","community_id":"` + CommunityID(endpoints.Client, endpoints.Server) + `","direction":"to_client",` +
		`"alert":{"action":"blocked","gid":1,"signature_id":1990004,"rev":1,` +
		`"signature":"STARTTLS answered with a success that does not begin TLS","category":"STARTTLS promise","severity":1,` +
		`"metadata":{"finding":["answered-for-server"],"action":["correct"],"mode":["enforce"],` +
		`"reason":["250 is no answer to STARTTLS."],"rfc":["RFC 3207 section 4","RFC 5321 section 4.2"],"reply":["250"]}},` +
		`"verdict":{"action":"alert"}}` + "\n"
	if got := findingLine(t, utc, aFinding()); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestAnUpgradedSessionIsOneFlowLine(t *testing.T) {
	want := `{"timestamp":"2026-01-02T03:04:05.678901+0000","flow_id":42,"in_iface":"eth0","event_type":"flow",` +
		`"src_ip":"192.0.2.1","src_port":40000,"dest_ip":"198.51.100.2","dest_port":25,"proto":"TCP","ip_v":4,` +
		`"pkt_src":"wire/pcap","community_id":"` + CommunityID(endpoints.Client, endpoints.Server) + `",` +
		`"app_proto":"tls","app_proto_orig":"smtp",` +
		`"flow":{"pkts_toserver":7,"pkts_toclient":6,"bytes_toserver":900,"bytes_toclient":1200,` +
		`"start":"2026-01-02T03:04:03.178901+0000","end":"2026-01-02T03:04:05.678901+0000","age":2,` +
		`"state":"closed","reason":"timeout","alerted":true},` +
		`"smtp":{"helo":"client.example","mail_from":"<a@example.org>","rcpt_to":["<b@example.net>"]},` +
		`"tls":{"version":"TLS 1.3","sni":"mx.example.net","from_proto":"smtp"},` +
		`"metadata":{"flowbits":["starttls.offered","starttls.asked","starttls.answered","tls.clienthello","tls.serverhello"],` +
		`"flowvars":[{"starttls.outcome":"upgraded"},{"starttls.reply":"220"}]}}` + "\n"
	if got := flowLine(t, utc, aFlow()); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestAnAlertIsBlockedOnlyWhereSomethingWasDone(t *testing.T) {
	for _, c := range []struct {
		action verdict.Action
		mode   verdict.Mode
		packet verdict.Kind
		alert  string
		packed string
	}{
		{verdict.Log, verdict.Enforce, verdict.Accept, "allowed", "alert"},
		{verdict.Pass, verdict.Enforce, verdict.Accept, "allowed", "pass"},
		{verdict.Delay, verdict.Enforce, verdict.Hold, "allowed", "alert"},
		{verdict.Kill, verdict.Enforce, verdict.Accept, "blocked", "alert"},
		{verdict.Kill, verdict.Enforce, verdict.Drop, "blocked", "drop"},
		{verdict.Refuse, verdict.Enforce, verdict.Replace, "blocked", "alert"},
		{verdict.Correct, verdict.Enforce, verdict.Hold, "blocked", "alert"},
		{verdict.Hide, verdict.Enforce, verdict.Replace, "blocked", "alert"},
		{verdict.Hide, verdict.Enforce, verdict.Accept, "allowed", "alert"},
		{verdict.Log, verdict.Enforce, verdict.Drop, "blocked", "drop"},
		{verdict.Kill, verdict.Observe, verdict.Accept, "allowed", "alert"},
		{verdict.Correct, verdict.Observe, verdict.Accept, "allowed", "alert"},
	} {
		r := &inspect.FindingRecord{Action: c.action, Mode: c.mode, Packet: c.packet}
		if got := allowedOrBlocked(r); got != c.alert {
			t.Errorf("%v %v %v: alert.action is %s, want %s", c.action, c.mode, c.packet, got, c.alert)
		}
		if got := packetVerdict(r); got != c.packed {
			t.Errorf("%v %v %v: verdict.action is %s, want %s", c.action, c.mode, c.packet, got, c.packed)
		}
	}
}

func TestOctetsOfTheWireGiveValidJSONOnOneLine(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	r := aFinding()
	r.Detail = string(every)
	f := aFlow()
	f.HELO, f.MailFrom, f.SNI = string(every), "\xff\xfe\r\n", "\x00\u2028"
	f.RcptTo = []string{string(every), "</script>"}
	for _, line := range []string{findingLine(t, utc, r), flowLine(t, utc, f)} {
		if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
			t.Errorf("not one line: %q", line)
		}
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %q", line)
		}
		for _, c := range []byte(strings.TrimSuffix(line, "\n")) {
			if c < 0x20 {
				t.Fatalf("a control character in %q", line)
			}
		}
	}
}

func TestTheEnvelopeCanBeSwitchedOff(t *testing.T) {
	opt := utc
	opt.HideEnvelope = true
	line := flowLine(t, opt, aFlow())
	if strings.Contains(line, "example.org") || strings.Contains(line, "b@example.net") || strings.Contains(line, "rcpt_to") {
		t.Errorf("the envelope shows: %s", line)
	}
	if !strings.Contains(line, `"smtp":{"helo":"client.example"}`) {
		t.Errorf("the name of the client is gone: %s", line)
	}
}

func TestWhatWasNotSeenIsLeftOut(t *testing.T) {
	f := &inspect.FlowRecord{Flow: endpoints, Start: at, End: at, State: inspect.FlowNew, Reason: inspect.EndShutdown, Outcome: starttls.OutcomeNotOffered}
	f.Flow.Iface = 0
	line := flowLine(t, utc, f)
	for _, key := range []string{"in_iface", "smtp\":{", "tls\":{", "flowbits", "starttls.reply", "bypass", "app_proto_orig"} {
		if strings.Contains(line, key) {
			t.Errorf("%s is there: %s", key, line)
		}
	}
	if !strings.Contains(line, `"app_proto":"smtp"`) || !strings.Contains(line, `"starttls.outcome":"not-offered"`) {
		t.Errorf("incomplete: %s", line)
	}
}

func TestABypassedFlowSaysWhoTookIt(t *testing.T) {
	f := aFlow()
	f.Bypassed = true
	if line := flowLine(t, utc, f); !strings.Contains(line, `"bypass":"local","bypassed":{}`) {
		t.Errorf("%s", line)
	}
	f.Steps = append(f.Steps, starttls.StepOffloaded)
	if line := flowLine(t, utc, f); !strings.Contains(line, `"bypass":"capture","bypassed":{}`) {
		t.Errorf("%s", line)
	}
}

func TestTLSFromTheFirstOctetWasNeverSMTP(t *testing.T) {
	f := aFlow()
	f.HELO, f.MailFrom, f.RcptTo = "", "", nil
	f.Steps = []starttls.Step{starttls.StepClientHello, starttls.StepServerHello}
	line := flowLine(t, utc, f)
	if !strings.Contains(line, `"app_proto":"tls"`) || strings.Contains(line, "app_proto_orig") || strings.Contains(line, "from_proto") {
		t.Errorf("%s", line)
	}
}

func TestFlowIDsArePositiveAndExactInFloatingPoint(t *testing.T) {
	for _, id := range []uint64{1, 42, 1<<53 - 1, 1 << 53, 1 << 63, ^uint64(0)} {
		got := FlowID(id)
		if got <= 0 || int64(float64(got)) != got || got > 1<<53-1 {
			t.Errorf("FlowID(%#x) = %d", id, got)
		}
	}
	if FlowID(42) != 42 {
		t.Error("a short id changed")
	}
}

// The vectors are those that the Community ID specification publishes for TCP.
func TestCommunityIDsAreThoseOfTheSpecification(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"128.232.110.120:34855", "66.35.250.204:80", "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{"[::ffff:128.232.110.120]:34855", "66.35.250.204:80", "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{"[2607:f8b0:400c:c03::1a]:25", "[2001:470:e5bf:dead:4957:2174:e82c:4887]:63943", "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="},
	} {
		a, b := netip.MustParseAddrPort(c.a), netip.MustParseAddrPort(c.b)
		for _, got := range []string{CommunityID(a, b), CommunityID(b, a)} {
			if got != c.want {
				t.Errorf("%s, %s: %s, want %s", c.a, c.b, got, c.want)
			}
		}
	}
}

func TestInterfaceNamesAreRememberedForAMinute(t *testing.T) {
	now := time.Unix(0, 0)
	var asked []uint32
	name := cachedNames(func(i uint32) string { asked = append(asked, i); return "eth" }, func() time.Time { return now })
	name(1)
	name(1)
	name(2)
	now = now.Add(2 * nameLifetime)
	name(1)
	if !slices.Equal(asked, []uint32{1, 2, 1}) {
		t.Errorf("asked for %v", asked)
	}
}

func TestAStreamWritesInOrderAndKeepsItsFirstError(t *testing.T) {
	var out bytes.Buffer
	s := NewStream(&out, utc)
	s.Finding(aFinding())
	s.FlowEnd(aFlow())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if want := findingLine(t, utc, aFinding()) + flowLine(t, utc, aFlow()); out.String() != want {
		t.Errorf("got %s", out.String())
	}

	s = NewStream(&faultyFile{limit: 10}, utc)
	for range 100 {
		s.Finding(aFinding())
	}
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), errFull.Error()) {
		t.Errorf("the error was lost: %v", err)
	}
}
