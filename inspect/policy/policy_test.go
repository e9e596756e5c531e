package policy

import (
	"net/netip"
	"slices"
	"testing"

	v "keepword/inspect/verdict"
)

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func TestTheFirstMatchWins(t *testing.T) {
	p := New(Config{Servers: []Server{
		{Match: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}, Ports: []uint16{587}, StartTLS: Require},
		{Match: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}, StartTLS: Hide},
		{Match: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}, StartTLS: Pass},
		{Ports: []uint16{2525}, StartTLS: Pass},
	}})
	for _, c := range []struct {
		server string
		want   StartTLS
	}{
		{"192.0.2.1:587", Require},
		{"192.0.2.1:25", Hide},
		{"192.0.2.16:587", Hide},
		{"[2001:db8::9]:25", Hide},
		{"[::ffff:192.0.2.1]:587", Require}, // IPv4-mapped
		{"[::ffff:192.0.2.99]:25", Hide},
		{"203.0.113.1:2525", Pass},
		{"[2001:db9::1]:2525", Pass},
		{"203.0.113.1:25", Auto},
	} {
		if got := p.Rules(at(c.server)).StartTLS; got != c.want {
			t.Errorf("%s: %v, want %v", c.server, got, c.want)
		}
	}
}

func TestAPrefixMatchesWhateverItsHostBitsAre(t *testing.T) {
	p := New(Config{Servers: []Server{{Match: []netip.Prefix{netip.MustParsePrefix("192.0.2.77/24")}, StartTLS: Hide}}})
	if got := p.Rules(at("192.0.2.1:25")).StartTLS; got != Hide {
		t.Errorf("%v, want hide", got)
	}
}

func TestTheServersActionsStandOverTheGlobalOnesAndThoseOverTheDefaults(t *testing.T) {
	p := New(Config{
		Actions: map[v.Finding]v.Action{v.AuthInClear: v.Kill, v.OfferRefused: v.Pass},
		Servers: []Server{{Ports: []uint16{587}, Actions: map[v.Finding]v.Action{v.AuthInClear: v.Refuse}}},
	})
	for _, c := range []struct {
		server  string
		finding v.Finding
		want    v.Action
	}{
		{"192.0.2.1:587", v.AuthInClear, v.Refuse},
		{"192.0.2.1:587", v.OfferRefused, v.Pass},
		{"192.0.2.1:25", v.AuthInClear, v.Kill},
		{"192.0.2.1:25", v.OfferRefused, v.Pass},
		{"192.0.2.1:25", v.CommandInjection, Default(v.CommandInjection)},
	} {
		if got := p.Rules(at(c.server)).Action(c.finding); got != c.want {
			t.Errorf("%s, %v: %v, want %v", c.server, c.finding, got, c.want)
		}
	}
}

func TestPassReportsWhatItWouldReportAndDoesNothing(t *testing.T) {
	r := New(Config{Servers: []Server{{StartTLS: Pass, Actions: map[v.Finding]v.Action{v.OfferMasked: v.Pass}}}}).Rules(at("192.0.2.1:25"))
	for f := v.NoFinding + 1; f < v.Findings; f++ {
		want := v.Log
		if f == v.OfferMasked || Default(f) == v.Pass {
			want = v.Pass
		}
		if got := r.Action(f); got != want {
			t.Errorf("%v: %v, want %v", f, got, want)
		}
	}
	if r.EditsCommands {
		t.Error("commands are to be edited")
	}
}

func TestEditsCommandsWhereAnyCommandMayBeRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		want   bool
	}{
		{"the defaults", Config{}, false},
		{"require", Config{Servers: []Server{{StartTLS: Require}}}, true},
		{"hide", Config{Servers: []Server{{StartTLS: Hide}}}, true},
		{"AUTH refused", Config{Actions: map[v.Finding]v.Action{v.AuthInClear: v.Refuse}}, true},
		{"STARTTLS refused where not offered", Config{Actions: map[v.Finding]v.Action{v.STARTTLSNotOffered: v.Refuse}}, true},
		{"AUTH refused and then passed", Config{
			Actions: map[v.Finding]v.Action{v.AuthInClear: v.Refuse},
			Servers: []Server{{Actions: map[v.Finding]v.Action{v.AuthInClear: v.Log}}},
		}, false},
	} {
		if got := New(c.config).Rules(at("192.0.2.1:25")).EditsCommands; got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestThePolicyDoesNotShareTheConfiguration(t *testing.T) {
	ports := []uint16{587}
	p := New(Config{Servers: []Server{{Ports: ports, StartTLS: Require}}})
	ports[0] = 25
	if got := p.Rules(at("192.0.2.1:587")).StartTLS; got != Require {
		t.Errorf("%v after the caller's slice changed", got)
	}
	Allowed(v.OfferRefused)[0] = v.Kill
	if got := Default(v.OfferRefused); got != v.Log {
		t.Errorf("the default became %v", got)
	}
}

func TestEveryFindingHasARowWhoseFirstIsTheDefault(t *testing.T) {
	for f := v.NoFinding + 1; f < v.Findings; f++ {
		allowed := Allowed(f)
		if len(allowed) == 0 {
			t.Errorf("%v has no row", f)
			continue
		}
		if allowed[0] != Default(f) {
			t.Errorf("%v: the default %v is not the first allowed, %v", f, Default(f), allowed[0])
		}
		sorted := slices.Clone(allowed)
		slices.Sort(sorted)
		if len(slices.Compact(sorted)) != len(allowed) {
			t.Errorf("%v: %v has an action twice", f, allowed)
		}
	}
}

// The catalogue's defaults that do more than report.
func TestTheDefaultsThatActAreThoseOfTheCatalogue(t *testing.T) {
	want := map[v.Finding]v.Action{
		v.AnsweredForServer: v.Correct, v.UnfitAnswer: v.Correct, v.SurplusReply: v.Kill,
		v.PlaintextFromClientAfter220: v.Kill, v.PlaintextFromServerAfter220: v.Kill,
		v.SilenceAfter220: v.Kill, v.PlaintextAfterTLS: v.Kill, v.TLSRequired: v.Refuse,
		v.CommandInjection: v.Kill, v.EarlyClientHello: v.Delay, v.ResponseInjection: v.Kill,
		v.Smuggling: v.Kill, v.SmugglingConfirmed: v.Kill, v.BDATMalformed: v.Kill,
		v.OverlapConflict: v.Correct, v.UrgentData: v.Correct, v.TooManyHoles: v.Kill, v.MemoryLimit: v.Kill,
	}
	for f := v.NoFinding + 1; f < v.Findings; f++ {
		if got := Default(f); got > v.Log && got != want[f] || want[f] > v.Log && got != want[f] {
			t.Errorf("%v: %v, want %v", f, got, want[f])
		}
	}
}

func TestTheNamesOfStartTLSAreReadAsTheyAreWritten(t *testing.T) {
	for _, s := range []StartTLS{Auto, Require, Hide, Pass} {
		if got, ok := ParseStartTLS(s.String()); got != s || !ok {
			t.Errorf("%q is read as %v, %v", s.String(), got, ok)
		}
	}
	if _, ok := ParseStartTLS("Hide"); ok {
		t.Error("a name in another case was taken")
	}
}

func TestAPrefixOfMappedAddressesIsOneOfIPv4(t *testing.T) {
	p := New(Config{Servers: []Server{{Match: []netip.Prefix{netip.MustParsePrefix("::ffff:192.0.2.0/120")}, StartTLS: Require}}})
	for addr, want := range map[string]StartTLS{"192.0.2.77": Require, "::ffff:192.0.2.77": Require, "192.0.3.1": Auto, "2001:db8::1": Auto} {
		if got := p.Rules(netip.AddrPortFrom(netip.MustParseAddr(addr), 25)).StartTLS; got != want {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	}
}
