package store

import (
	"encoding/json"
	"math"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"keepword/inspect/history"
)

func aRecord() history.Record {
	return history.Record{
		First: start, Last: start + 5*second + 7,
		Offer:   history.Offer{Time: start + 1, Others: 0xfedcba98},
		Missing: start + 2,
		Refusal: history.Refusal{Time: start + 3, Kind: history.Refused, Code: 554, Text: "5.7.0 no <é> \"security\" \\"},
		Promise: history.Promise{
			Worked: start + 4, Version: 0x0304, Since: start + 5, State: history.HalfOpen, Tried: start + 6, Failures: 3, Lasting: 2,
		},
	}
}

func TestAnEntryReadsWell(t *testing.T) {
	got, err := json.Marshal(Entry{netip.MustParseAddrPort("[2001:db8::25]:25"), aRecord()})
	const want = `{"server":"[2001:db8::25]:25","first_seen":"2023-11-14T22:13:20Z","last_seen":"2023-11-14T22:13:25.000000007Z",` +
		`"last_offer":{"time":"2023-11-14T22:13:20.000000001Z","others":4275878552},"last_without_offer":"2023-11-14T22:13:20.000000002Z",` +
		`"last_handshake":{"time":"2023-11-14T22:13:20.000000004Z","tls":"1.3"},` +
		`"last_refusal":{"time":"2023-11-14T22:13:20.000000003Z","kind":"refused","code":554,"text":"5.7.0 no \u003cé\u003e \"security\" \\"},` +
		`"failures":3,"failures_lasting":2,` +
		`"breaker":{"state":"half-open","since":"2023-11-14T22:13:20.000000005Z","trial":"2023-11-14T22:13:20.000000006Z"}}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}

func TestAnyEntryIsReadBackAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		when := rapid.Int64Range(1, math.MaxInt64)
		never := rapid.OneOf(rapid.Just(int64(0)), when)
		address := rapid.OneOf(
			rapid.Map(rapid.SliceOfN(rapid.Byte(), 4, 4), func(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b)) }),
			rapid.Map(rapid.SliceOfN(rapid.Byte(), 16, 16), func(b []byte) netip.Addr { return netip.AddrFrom16([16]byte(b)) }),
		).Filter(func(a netip.Addr) bool { return !a.Is4In6() }).Draw(t, "address")
		var r history.Record
		r.First = when.Draw(t, "first")
		r.Last = rapid.Int64Range(r.First, math.MaxInt64).Draw(t, "last")
		r.Missing = never.Draw(t, "missing")
		if r.Offer.Time = never.Draw(t, "offer"); r.Offer.Time != 0 {
			r.Offer.Others = rapid.Uint32().Draw(t, "others")
		}
		if r.Refusal.Time = never.Draw(t, "refusal"); r.Refusal.Time != 0 {
			r.Refusal.Kind = history.Kind(rapid.IntRange(int(history.RefusedForNow), int(history.Deaf)).Draw(t, "kind"))
			r.Refusal.Code = rapid.IntRange(0, 999).Draw(t, "code")
			r.Refusal.Text = string(rapid.SliceOfN(rapid.Byte(), 0, history.MaxText).Draw(t, "text"))
		}
		p := &r.Promise
		if p.Worked = never.Draw(t, "worked"); p.Worked != 0 {
			p.Version = rapid.Uint16().Draw(t, "version")
		}
		p.State = history.State(rapid.IntRange(0, 2).Draw(t, "state"))
		p.Since = when.Draw(t, "since")
		p.Tried = never.Draw(t, "tried")
		p.Failures = rapid.Uint16().Draw(t, "failures")
		p.Lasting = rapid.Uint16Range(0, p.Failures).Draw(t, "lasting")
		want := Entry{netip.AddrPortFrom(address, rapid.Uint16Range(1, math.MaxUint16).Draw(t, "port")), r}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		want.Record.Refusal.Text = plain(r.Refusal.Text)
		var got Entry
		if err := json.Unmarshal(text, &got); err != nil || got != want {
			t.Fatalf("%s: %v\n%+v\n%+v", text, err, got, want)
		}
		if len(want.Record.Refusal.Text) > history.MaxText {
			t.Fatal("a text became longer")
		}
	})
}

func TestWhatIsNoEntryIsRefusedWithItsReason(t *testing.T) {
	good, err := json.Marshal(Entry{server(1), aRecord()})
	if err != nil {
		t.Fatal(err)
	}
	change := func(old, new string) string {
		if !strings.Contains(string(good), old) {
			t.Fatalf("no %s in %s", old, good)
		}
		return strings.Replace(string(good), old, new, 1)
	}
	for _, c := range []struct{ text, want string }{
		{``, "it is empty"},
		{`null`, "server"},
		{`[]`, "array"},
		{string(good) + ` {}`, "something behind the object"},
		{change(`"failures":3`, `"failures":-3`), "failures can't be a number -3"},
		{change(`"failures":3`, `"failures":70000`), "failures can't be"},
		{change(`"failures":3`, `"failurs":3`), `unknown field "failurs"`},
		{change(`"failures":3`, `"failures":1`), "failures_lasting is more than failures"},
		{change(`10.0.0.1:25`, `10.0.0.1`), "no address with a port"},
		{change(`10.0.0.1:25`, `10.0.0.1:0`), "no address with a port"},
		{change(`10.0.0.1:25`, `10.0.0.1:025`), "no address with a port"},
		{change(`10.0.0.1:25`, `[::ffff:10.0.0.1]:25`), "no address with a port"},
		{change(`10.0.0.1:25`, `[fe80::1%eth0]:25`), "no address with a port"},
		{change(`"first_seen":"2023`, `"first_seen":"2024`), "before first_seen"},
		{change(`"first_seen":"2023-11-14T22:13:20Z",`, ``), "first_seen is missing"},
		{change(`"first_seen":"2023-11-14`, `"first_seen":"1923-11-14`), "outside of 1970 to 2262"},
		{change(`"last_seen":"2023-11-14`, `"last_seen":"2323-11-14`), "outside of 1970 to 2262"},
		{change(`"first_seen":"2023-11-14T22:13:20Z"`, `"first_seen":1700000000`), "1700000000 is no time"},
		{change(`"tls":"1.3"`, `"tls":"1.4"`), `last_handshake.tls: unknown TLS version "1.4"`},
		{change(`"tls":"1.3"`, `"tls":"0x304"`), "unknown TLS version"},
		{change(`"kind":"refused"`, `"kind":"worked"`), `last_refusal.kind: "worked" is none`},
		{change(`"code":554`, `"code":5540`), "last_refusal.code: 5540 is none"},
		{change(`5.7.0 no`, `5.7.0\u001b`), "last_refusal.text"},
		{change(`5.7.0 no`, strings.Repeat("x", history.MaxText)), "last_refusal.text"},
		{change(`"state":"half-open"`, `"state":"ajar"`), `breaker.state: "ajar" is none`},
		{change(`,"since":"2023-11-14T22:13:20.000000005Z"`, ``), "breaker.since is missing"},
	} {
		var e Entry
		if err := e.UnmarshalJSON([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.text, err, c.want)
		}
	}
}
