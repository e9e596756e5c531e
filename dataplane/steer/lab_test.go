//go:build lab

package steer

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"keepword/dataplane/internal/netns"
)

var labConfig = Config{
	Ports: []uint16{25, 587, 25}, Hooks: []Hook{Forward, Input, Output},
	FirstQueue: 2500, Queues: 2, Mark: 0x10000000, Bypass: true,
}

// open makes the table in h and removes it when the test ends.
func open(t *testing.T, h *netns.Host, cfg Config) *Table {
	t.Helper()
	var table *Table
	h.Do(func() (err error) {
		table, err = Open(cfg)
		return err
	})
	t.Cleanup(func() { h.Do(table.Close) })
	return table
}

func TestTheTableDivertsTheInspectedPortsAtEachHook(t *testing.T) {
	h := netns.New(t)
	open(t, h, labConfig)
	got := h.Run("nft", "list", "ruleset")
	for _, want := range []string{
		"table inet keepword {",
		"elements = { 25, 587 }",
		"type filter hook forward priority filter + 10; policy accept;",
		"type filter hook input priority filter + 10; policy accept;",
		"type filter hook output priority filter + 10; policy accept;",
		"meta mark & 0x10000000 == 0x10000000 return",
		"iiftype loopback return",
		"tcp dport @ports goto divert-to-server",
		"tcp sport @ports goto divert-to-client",
		"th sport != @ports th sport & 126 vmap @slots-2500-2",
		"th dport & 126 vmap @slots-2500-2",
		"ct state untracked counter name \"untracked\"",
		"ip frag-off & 16383 != 0 counter name \"fragments\" drop",
		"exthdr frag exists counter name \"fragments\" drop",
		"counter name \"queued\"",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

func TestCloseLeavesNothingBehindAndMayBeCalledAgain(t *testing.T) {
	h := netns.New(t)
	table := open(t, h, labConfig)
	for range 2 {
		h.Do(table.Close)
		if got := h.Run("nft", "list", "ruleset"); got != "" {
			t.Fatalf("left behind:\n%s", got)
		}
	}
}

func TestCloseOfATableThatSomebodyElseDeletedIsNoError(t *testing.T) {
	h := netns.New(t)
	table := open(t, h, labConfig)
	h.Run("nft", "flush", "ruleset")
	h.Do(table.StopDiverting)
	h.Do(table.Close)
}

func TestStopDivertingEmptiesTheHooks(t *testing.T) {
	h := netns.New(t)
	table := open(t, h, labConfig)
	h.Do(table.StopDiverting)
	for _, hook := range labConfig.Hooks {
		if got := h.Run("nft", "list chain inet keepword "+hook.String()); strings.Contains(got, "goto") {
			t.Errorf("still diverting:\n%s", got)
		}
	}
}

func TestUpdateReplacesThePorts(t *testing.T) {
	h := netns.New(t)
	table := open(t, h, labConfig)
	h.Do(func() error { return table.Update(2525, 25) })
	got := h.Run("nft", "list", "set", "inet", "keepword", "ports")
	if !strings.Contains(got, "elements = { 25, 2525 }") {
		t.Errorf("after an update:\n%s", got)
	}
	err := h.Try(func() error { return table.Update() })
	if !errors.Is(err, ErrConfig) {
		t.Errorf("no ports: %v, want ErrConfig", err)
	}
	if h.Run("nft", "list", "set", "inet", "keepword", "ports") != got {
		t.Error("a refused update changed the set")
	}
}

func TestOpenTakesOverTheTableOfAKilledInstance(t *testing.T) {
	h := netns.New(t)
	open(t, h, labConfig)
	before := chainHandles(h)
	cfg := labConfig
	cfg.Ports, cfg.Hooks, cfg.Bypass = []uint16{2525}, []Hook{Forward, Input}, false
	open(t, h, cfg)
	got := h.Run("nft", "list", "ruleset")
	// One rule for each queue, and the last one in each direction.
	if strings.Count(got, "queue to")+strings.Count(got, "NFQUEUE") != 4 || strings.Count(got, "tcp dport @ports") != 2 ||
		!strings.Contains(got, "elements = { 2525 }") || strings.Contains(got, "iiftype") {
		t.Errorf("after taking over:\n%s", got)
	}
	if after := chainHandles(h); after != before {
		t.Errorf("base chains were made anew: handles %s, were %s", after, before)
	}
}

// chainHandles returns the handles of the chains: they change when a chain is deleted
// and made anew.
func chainHandles(h *netns.Host) string {
	var handles []string
	for line := range strings.Lines(h.Run("nft", "-a", "list", "chains", "inet")) {
		if strings.Contains(line, "chain") {
			handles = append(handles, strings.TrimSpace(line))
		}
	}
	return strings.Join(handles, "; ")
}

func TestOpenReplacesATableThatAnotherVersionHungElsewhere(t *testing.T) {
	h := netns.New(t)
	h.Run("nft", "add table inet keepword; add chain inet keepword "+markerChain+
		"; add chain inet keepword forward { type filter hook forward priority -20; }")
	open(t, h, labConfig)
	if got := h.Run("nft", "list", "ruleset"); strings.Contains(got, "-20") || !strings.Contains(got, "hook forward priority filter + 10") {
		t.Errorf("after replacing:\n%s", got)
	}
}

func TestWhatSomebodyDeletedIsRestored(t *testing.T) {
	h := netns.New(t)
	table := open(t, h, labConfig)
	want := h.Run("nft", "list", "ruleset")
	for _, damage := range []string{
		"flush ruleset",
		"flush chain inet keepword forward",
		"flush chain inet keepword divert-to-client",
		"flush chain inet keepword queue-2501",
		"delete chain inet keepword output",
	} {
		h.Run("nft", damage)
		for _, again := range []bool{true, false} {
			var restored bool
			h.Do(func() (err error) {
				restored, err = table.Restore()
				return err
			})
			if restored != again {
				t.Errorf("%s: restored %t, want %t", damage, restored, again)
			}
		}
		if got := h.Run("nft", "list", "ruleset"); len(got) != len(want) { // in what order chains come differs
			t.Fatalf("after %s and a restore:\n%s\nwant\n%s", damage, got, want)
		}
	}
}

func TestTheQueuesOfATableThatIsThereAreFound(t *testing.T) {
	h := netns.New(t)
	queues := func() (q []uint16) {
		h.Do(func() (err error) {
			q, err = Queues(DefaultName)
			return err
		})
		return q
	}
	if q := queues(); q != nil {
		t.Errorf("without a table: %v", q)
	}
	table := open(t, h, labConfig)
	if q := queues(); !slices.Equal(q, []uint16{2500, 2501}) {
		t.Errorf("got %v, want 2500 and 2501", q)
	}
	h.Do(table.Close)
	h.Run("nft", "add table inet keepword; add chain inet keepword theirs")
	if q := queues(); q != nil {
		t.Errorf("of somebody else's table: %v", q)
	}
}

func TestATableOfSomebodyElseIsLeftAlone(t *testing.T) {
	h := netns.New(t)
	h.Run("nft", "add table inet keepword; add chain inet keepword theirs")
	before := h.Run("nft", "list", "ruleset")
	err := h.Try(func() error { _, err := Open(labConfig); return err })
	if !errors.Is(err, ErrForeignTable) || !strings.Contains(err.Error(), "nft delete table inet keepword") {
		t.Errorf("got %v", err)
	}
	if h.Run("nft", "list", "ruleset") != before {
		t.Error("the table was changed")
	}
}

func TestOfATableThatIsGoneThereAreNoCounters(t *testing.T) {
	h := netns.New(t)
	table := open(t, h, labConfig)
	read := func() error { _, err := table.Counters(); return err }
	h.Do(read)
	h.Run("nft", "flush", "ruleset")
	if err := h.Try(read); !errors.Is(err, unix.ENOENT) {
		t.Errorf("counters of a table that is gone: %v", err)
	}
}
