package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// compare treats netip's values as values, and an absent list as an empty one.
var compare = cmp.Options{
	cmpopts.EquateComparable(netip.Prefix{}),
	cmpopts.EquateEmpty(),
}

func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return c
}

func TestAnEmptyFileIsAValidConfiguration(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing but a comment\n", "---\n", "---\n...\n", "\xef\xbb\xbf", "{}", "---\n# a\n"} {
		if diff := cmp.Diff(Default(), parse(t, text), compare); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestTheShippedFileNamesEveryKeyWithItsDefault(t *testing.T) {
	data, err := os.ReadFile("../../../../packaging/keepword.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), parse(t, string(data)), compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// An absent key has its default too: that each is there must be seen apart.
	for _, key := range []string{"mode", "ports", "hooks", "interfaces", "queues", "mark", "engine", "offload",
		"when", "limits", "actions", "servers", "tls_minimum", "history", "events", "metrics", "control",
		"  daemon_down", "  queue_full", "  memory_full", "  midstream"} {
		if !strings.Contains(string(data), "\n"+key+":") {
			t.Errorf("packaging/keepword.yaml lacks the key %q", key)
		}
	}
}

func TestHalfOfAMappingLeavesTheOtherHalfAtItsDefault(t *testing.T) {
	c := parse(t, "queues: {count: 3}\nwhen: {midstream: drop}\nhistory: {breaker: {retry: 90m}}\n")
	want := Default()
	want.Queues.Count = 3
	want.When.Midstream = Drop
	want.History.Breaker.Retry = 90 * time.Minute
	if diff := cmp.Diff(want, c, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

const everything = `mode: observe
ports: [2525]
hooks: [input, output]
interfaces: [eth0, wan.7]
queues: {first: 65000, count: 536}
mark: 0x3
engine: portable
offload: off
when: {daemon_down: drop, queue_full: drop, memory_full: pass, midstream: kill}
limits: {flows: 10, memory: 1048576, flow_memory: "4 KiB"}
actions:
  auth-in-clear: refuse
  smuggling: log
servers:
- match: [192.0.2.0/24, "2001:db8::/32"]
  ports: [2525]
  starttls: require
  actions: {offer-masked: kill}
- match:
  - 198.51.100.7
  starttls: hide
tls_minimum: "1.2"
history: {path: "", breaker: {failures: 9, retry: 1h}}
events: {path: "-", envelope: false, addresses: prefix}
metrics: {listen: ""}
control: {socket: ""}
`

func TestEveryKeyIsRead(t *testing.T) {
	want := &Config{
		Mode:       verdict.Observe,
		Ports:      []uint16{2525},
		Hooks:      []Hook{Input, Output},
		Interfaces: []string{"eth0", "wan.7"},
		Queues:     Queues{First: 65000, Count: 536},
		Mark:       3,
		Engine:     EnginePortable,
		Offload:    OffloadOff,
		When:       When{DaemonDown: Drop, QueueFull: Drop, MemoryFull: Pass, Midstream: Kill},
		Limits:     Limits{Flows: 10, Memory: 1 << 20, FlowMemory: 4096},
		Actions: map[verdict.Finding]verdict.Action{
			verdict.CommandInjection: verdict.Kill,
			verdict.AuthInClear:      verdict.Refuse,
			verdict.Smuggling:        verdict.Log,
		},
		Servers: []Server{{
			Match:    []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")},
			Ports:    []uint16{2525},
			StartTLS: policy.Require,
			Actions:  map[verdict.Finding]verdict.Action{verdict.OfferMasked: verdict.Kill},
		}, {
			Match:    []netip.Prefix{netip.MustParsePrefix("198.51.100.7/32")},
			StartTLS: policy.Hide,
		}},
		TLSMinimum: 0x0303,
		History:    History{Breaker: Breaker{Failures: 9, Retry: time.Hour}},
		Events:     Events{Path: "-", Addresses: AddressesPrefix},
	}
	if diff := cmp.Diff(want, parse(t, everything), compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestABreakerThatNeverOpensIsAllowed(t *testing.T) {
	if b := parse(t, "history: {breaker: {failures: 0}}\n").History.Breaker; b.Failures != 0 || b.Retry != 24*time.Hour {
		t.Errorf("%+v", b)
	}
}

func TestThePolicyCarriesWhatTheFileSays(t *testing.T) {
	p := policy.New(parse(t, everything).Policy())
	known := p.Rules(netip.MustParseAddrPort("192.0.2.9:2525"))
	if known.StartTLS != policy.Require || known.Action(verdict.OfferMasked) != verdict.Kill {
		t.Errorf("a server of the first entry: starttls %s, offer-masked %s", known.StartTLS, known.Action(verdict.OfferMasked))
	}
	other := p.Rules(netip.MustParseAddrPort("203.0.113.1:2525"))
	if other.Mode != verdict.Observe || other.MinTLS != 0x0303 || other.Action(verdict.Smuggling) != verdict.Log {
		t.Errorf("any other server: mode %s, tls %#x, smuggling %s", other.Mode, other.MinTLS, other.Action(verdict.Smuggling))
	}
}

func TestEveryActionThatMakesSenseIsAccepted(t *testing.T) {
	for f := verdict.NoFinding + 1; f < verdict.Findings; f++ {
		for _, a := range policy.Allowed(f) {
			c := parse(t, fmt.Sprintf("actions: {%s: %s}", f, a))
			if got, ok := c.Actions[f]; !ok || got != a {
				t.Errorf("%s: %s read as %s", f, a, got)
			}
		}
	}
}

func TestDefaultsAreNotSharedBetweenConfigurations(t *testing.T) {
	a := Default()
	a.Ports[0], a.Hooks[0] = 1, Output
	a.Actions[verdict.Smuggling] = verdict.Pass
	if reflect.DeepEqual(a, Default()) || Default().Ports[0] != 25 || len(Default().Actions) != 1 {
		t.Error("a change of one configuration shows in the next")
	}
}

func TestAFileThatCannotBeReadIsNamed(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "none.yaml"): "no such file",
		dir:                             "is a directory: name a file in it",
	} {
		_, err := Load(path)
		if err == nil || err.Error() != path+": "+want {
			t.Errorf("Load(%q): %v", path, err)
		}
		var list Errors
		if !errors.As(err, &list) || list[0].Excerpt() != "" {
			t.Errorf("Load(%q): no Errors without an excerpt: %#v", path, err)
		}
	}
}

func TestAFileOnDiskIsReadLikeItsText(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keepword.yaml")
	if err := os.WriteFile(path, []byte(everything), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(parse(t, everything), got, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnOversizedFileIsRefusedUnread(t *testing.T) {
	_, err := Parse("big.yaml", make([]byte, MaxSize+1))
	if err == nil || !strings.HasPrefix(err.Error(), "big.yaml: larger than 1048576 octets") {
		t.Errorf("got %v", err)
	}
}
