package eve

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"keepword/inspect"
	protocol "keepword/inspect/smtp"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// specified returns the line for r as encoding/json writes it.
func specified(e *encoder, r *inspect.FlowRecord) ([]byte, error) {
	stamp := func(ns int64) string {
		return time.Unix(0, ns).In(e.opt.Location).Format("2006-01-02T15:04:05.000000-0700")
	}
	ev := e.common(r.Flow, r.End, "flow")
	ev.Timestamp = stamp(r.End)
	ev.Flow = &flow{
		PktsToServer:  r.ToServer.Packets,
		PktsToClient:  r.ToClient.Packets,
		BytesToServer: r.ToServer.Bytes,
		BytesToClient: r.ToClient.Bytes,
		Start:         stamp(r.Start),
		End:           stamp(r.End),
		Age:           max(0, (r.End-r.Start)/int64(time.Second)),
		State:         string(r.State),
		Reason:        string(r.Reason),
		Alerted:       r.Alerted,
	}
	if r.Reason == inspect.EndClosed {
		ev.Flow.Reason = "timeout"
	}
	if r.Bypassed {
		ev.Flow.Bypassed = &struct{}{}
		ev.Flow.Bypass = "local"
		if slices.Contains(r.Steps, starttls.StepOffloaded) {
			ev.Flow.Bypass = "capture"
		}
	}

	wasSMTP := r.HELO != "" || slices.Contains(r.Steps, starttls.StepAsked)
	ev.AppProto = "smtp"
	if r.Outcome == starttls.OutcomeUpgraded || slices.Contains(r.Steps, starttls.StepServerHello) {
		ev.AppProto = "tls"
		if wasSMTP {
			ev.AppProtoOrig = "smtp"
		}
	}
	if r.TLSVersion != 0 || r.SNI != "" {
		ev.TLS = &tls{Version: TLSVersion(r.TLSVersion), SNI: r.SNI}
		if wasSMTP {
			ev.TLS.FromProto = "smtp"
		}
	}

	envelope := smtp{HELO: r.HELO}
	if !e.opt.HideEnvelope {
		envelope.MailFrom, envelope.RcptTo = r.MailFrom, r.RcptTo
	}
	if envelope.HELO != "" || envelope.MailFrom != "" || len(envelope.RcptTo) > 0 {
		ev.SMTP = &envelope
	}

	ev.Metadata = &metadata{FlowVars: []flowVar{{Outcome: r.Outcome.String()}}}
	for _, s := range r.Steps {
		ev.Metadata.FlowBits = append(ev.Metadata.FlowBits, s.String())
	}
	if r.ReplyCode != 0 {
		ev.Metadata.FlowVars = append(ev.Metadata.FlowVars, flowVar{Reply: replyCode(r.ReplyCode)})
	}
	if len(r.Said) > 0 {
		ev.Metadata.FlowVars = append(ev.Metadata.FlowVars, flowVar{Dialogue: Dialogue(r.Said)})
	}
	return e.line(&ev)
}

// encoded is v as encoding/json writes it, newline included.
func encoded(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return b.String()
}

// anyText is what a sender may have said: often nothing, often an ordinary word, else any
// octets, with those that JSON treats apart more often than chance would have it.
func anyText() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.Just(""), rapid.StringMatching(`<[a-z]{1,8}@[a-z]{1,8}\.example>`), rapid.String(),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		rapid.Map(rapid.SliceOf(rapid.SampledFrom([]string{"\"", "\\", "/", "<", "&", "\x00", "\b", "\t", "\n", "\f", "\r",
			"\x1f", " ", "\x7f", "\x80", "\xc3", "\xc3\xa9", "\xed\xa0\x80", "\xe2\x80", "\u2027", "\u2028", "\u2029", "\ufffd", "\U0001f4e7", "a"})),
			func(parts []string) string { return strings.Join(parts, "") }),
	)
}

func anyAddr() *rapid.Generator[netip.Addr] {
	return rapid.Custom(func(t *rapid.T) netip.Addr {
		var v6 [16]byte
		copy(v6[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "octets"))
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			return netip.Addr{}
		case 1:
			return netip.AddrFrom16(v6).WithZone("eth\"0")
		case 2, 3:
			return netip.AddrFrom16(v6)
		case 4:
			return netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: v6[0], 13: v6[1], 14: v6[2], 15: v6[3]})
		}
		return netip.AddrFrom4([4]byte(v6[:4]))
	})
}

func anySaid() *rapid.Generator[inspect.Said] {
	return rapid.Custom(func(t *rapid.T) inspect.Said {
		return inspect.Said{
			Time: at + rapid.Int64Range(-3e9, 3e9).Draw(t, "time"), Kind: inspect.SaidKind(rapid.IntRange(0, int(inspect.SaidFinding)).Draw(t, "kind")),
			ToServer: rapid.Bool().Draw(t, "to server"), Verb: protocol.Verb(rapid.Uint8().Draw(t, "verb")),
			Code: rapid.IntRange(0, 1<<16).Draw(t, "code"), Version: rapid.Uint16().Draw(t, "version"),
			Finding: verdict.Finding(rapid.Uint8().Draw(t, "finding")), Action: verdict.Action(rapid.Uint8().Draw(t, "action")),
		}
	})
}

func anyFlow() *rapid.Generator[*inspect.FlowRecord] {
	return rapid.Custom(func(t *rapid.T) *inspect.FlowRecord {
		text, number := anyText(), rapid.Uint64()
		endpoint := rapid.Map(anyAddr(), func(a netip.Addr) netip.AddrPort {
			return netip.AddrPortFrom(a, rapid.Uint16().Draw(t, "port"))
		})
		counts := rapid.Custom(func(t *rapid.T) inspect.Counts {
			return inspect.Counts{Packets: number.Draw(t, "packets"), Bytes: number.Draw(t, "bytes")}
		})
		moment := rapid.OneOf(rapid.Int64(), rapid.Int64Range(at-4e9, at+4e9), rapid.Int64Range(-2e9, 2e9))
		return &inspect.FlowRecord{
			Flow: inspect.Endpoints{ID: number.Draw(t, "id"), Client: endpoint.Draw(t, "client"), Server: endpoint.Draw(t, "server"),
				Iface: rapid.Uint32Range(0, 2).Draw(t, "iface")},
			Start: moment.Draw(t, "start"), End: moment.Draw(t, "end"),
			ToServer: counts.Draw(t, "to server"), ToClient: counts.Draw(t, "to client"),
			State: inspect.FlowState(rapid.OneOf(rapid.Just("closed"), text).Draw(t, "state")),
			Reason: rapid.OneOf(rapid.Just(inspect.EndClosed), rapid.Just(inspect.EndForced),
				rapid.Map(text, func(s string) inspect.EndReason { return inspect.EndReason(s) })).Draw(t, "reason"),
			Alerted: rapid.Bool().Draw(t, "alerted"), Bypassed: rapid.Bool().Draw(t, "bypassed"),
			Steps:     rapid.SliceOfN(rapid.Map(rapid.IntRange(0, int(starttls.Steps)), func(n int) starttls.Step { return starttls.Step(n) }), 0, 8).Draw(t, "steps"),
			Outcome:   starttls.Outcome(rapid.IntRange(0, int(starttls.OutcomeKilled)+1).Draw(t, "outcome")),
			ReplyCode: rapid.OneOf(rapid.Just(0), rapid.IntRange(0, 1<<16)).Draw(t, "reply"),
			HELO:      text.Draw(t, "helo"), MailFrom: text.Draw(t, "from"), RcptTo: rapid.SliceOfN(text, 0, 3).Draw(t, "to"),
			TLSVersion: rapid.OneOf(rapid.Just(uint16(0)), rapid.Uint16Range(0x02ff, 0x0305), rapid.Uint16()).Draw(t, "version"),
			SNI:        text.Draw(t, "sni"), Said: rapid.SliceOfN(anySaid(), 0, 20).Draw(t, "said"),
		}
	})
}

// flowEventsAreAsSpecified compares flow events of one encoder, which remembers seconds,
// with what encoding/json makes of them.
func flowEventsAreAsSpecified(t *rapid.T) {
	lord, err := time.LoadLocation("Australia/Lord_Howe") // half an hour of summer time
	if err != nil {
		lord = time.FixedZone("", -(9*3600 + 30*60))
	}
	opt := Options{
		HideEnvelope: rapid.Bool().Draw(t, "hide"), HideCommunityID: rapid.Bool().Draw(t, "hide id"), Location: rapid.SampledFrom([]*time.Location{time.UTC, lord}).Draw(t, "zone"),
		Interface: rapid.SampledFrom([]func(uint32) string{nil, func(i uint32) string { return []string{"", "eth0", "a\"\xff"}[i] }}).Draw(t, "names"),
	}
	e := newEncoder(opt)
	for _, r := range rapid.SliceOfN(anyFlow(), 1, 3).Draw(t, "flows") {
		want, err := specified(newEncoder(opt), r)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := e.flowEnd(r); !bytes.Equal(got, want) {
			t.Fatalf("got  %swant %s", got, want)
		}
	}
}

func TestAFlowEventIsWhatEncodingJSONMakesOfIt(t *testing.T) {
	rapid.Check(t, flowEventsAreAsSpecified)
}

func FuzzAFlowEventIsWhatEncodingJSONMakesOfIt(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(flowEventsAreAsSpecified))
}

func FuzzAStringIsWhatEncodingJSONMakesOfIt(f *testing.F) {
	f.Add("\x00\x08\x09\x0a\x0c\x0d\x1f \"\\/<>&\x7f\u2027\u2028\u2029\ufffd\xff\xe2\x80 \xed\xa0\x80 é")
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := string(appendString(nil, s))+"\n", encoded(s); got != want {
			t.Errorf("got  %swant %s", got, want)
		}
	})
}

func TestADialogueNeedsNoEscapes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Dialogue(rapid.SliceOfN(anySaid(), 1, 80).Draw(t, "said"))
		if got := encoded(d); got != `"`+d+"\"\n" {
			t.Fatalf("%q becomes %s", d, got)
		}
	})
}

func TestTimesAreWhatPackageTimeMakesOfThem(t *testing.T) {
	for _, zone := range []*time.Location{time.UTC, time.FixedZone("", -(9*3600 + 30*60))} {
		rapid.Check(t, func(t *rapid.T) {
			s := stamps{zone: zone}
			utc := stamps{zone: time.UTC}
			near := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-3e9, 3e9), rapid.Int64Range(at-100e9, at+100e9))
			for _, ns := range rapid.SliceOfN(near, 1, 8).Draw(t, "times") {
				when := time.Unix(0, ns)
				if got, want := string(s.append(nil, ns)), when.In(zone).Format("2006-01-02T15:04:05.000000-0700"); got != want {
					t.Fatalf("got %s, want %s", got, want)
				}
				if got, want := string(utc.appendMillis(nil, when.UnixMilli())), when.UTC().Format("2006-01-02T15:04:05.000Z"); got != want {
					t.Fatalf("got %s, want %s", got, want)
				}
			}
		})
	}
}

func TestAFlowEventIsEncodedWithoutAllocation(t *testing.T) {
	e := newEncoder(utc)
	r := aDelivery()
	if n := testing.AllocsPerRun(200, func() {
		r.Start, r.End = r.Start+ms, r.End+ms
		_, _ = e.flowEnd(r)
	}); n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}
