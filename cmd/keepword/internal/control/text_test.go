package control

import (
	"bytes"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keepword/cmd/keepword/internal/report/page"
)

var update = flag.Bool("update", false, "write the golden files")

func aStatus() *Status {
	return &Status{
		Version: "1.2.3", PID: 4711, Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Mode: "enforce", Ports: []uint16{25, 587}, Hooks: []string{"forward", "input"},
		Engine: "portable", Expression: "compat", Offload: "off",
		ConfigPath: "/etc/keepword/keepword.yaml",
		Reload:     &Reload{Time: time.Date(2026, 1, 2, 4, 0, 0, 0, time.UTC), Error: "keepword.yaml:3:1: unknown key \"modes\"; did you mean mode?"},
		Table:      &Table{Queued: 1530, Fragments: 2, Untracked: 3},
		Kernel: &Kernel{Offloaded: 17, Follower: &Follower{
			Interfaces: 2, Followed: 100, Silent: 200, Passed: 300, PassedOctets: 30 << 20, Dropped: 4, CameUp: map[string]uint64{"words": 7, "order": 5, "large": 0},
		}},
		Queues: []Queue{
			{Number: 2500, Depth: 3, Dropped: 1, Stale: 2, Packets: map[string]uint64{"accept": 1000, "drop": 4}},
			{Number: 2501, UserDropped: 7, Packets: map[string]uint64{"accept": 500, "replace": 9}},
		},
		Flows:     map[string]uint64{"established": 12, "new": 1},
		Sessions:  map[string]uint64{"upgraded": 300, "corrected": 2},
		Findings:  []FindingCount{{Finding: "answered-for-server", Action: "correct", Count: 2}, {Finding: "plaintext-from-server-after-220", Action: "kill", Count: 11}},
		LostSight: []LostSight{{Cause: "queue_full", Policy: "pass", Count: 1}},
		Memory:    Memory{Used: 12 << 20, Limit: 512 << 20},
		Events:    Events{Dropped: 5, WriteErrors: 1},
		History: History{Entries: 1234, Open: 3, Store: "not written", WriteErrors: 2, Skipped: 1,
			Reason: "history /var/lib/keepword/history.db: write /var/lib/keepword/history.db: no space left on device"},
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
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

func render(t *testing.T, s *Status, now time.Time) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.WriteText(&b, now); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTheStatusReadsWell(t *testing.T) {
	golden(t, "status.txt", render(t, aStatus(), time.Date(2026, 1, 4, 5, 4, 5, 0, time.UTC)))
}

func TestAFreshDaemonsStatusReadsWell(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 7, 0, time.UTC)
	golden(t, "fresh.txt", render(t, &Status{
		Version: "1.2.3", PID: 1, Started: now.Add(-2 * time.Second), Mode: "observe", Ports: []uint16{25}, Hooks: []string{"forward"},
		Engine: "portable", Expression: "native", Offload: "off", Memory: Memory{Limit: 512 << 20}, History: History{Store: "ok"},
	}, now))
}

func TestNoLineOfTheStatusIsWiderThanEightyColumnsOrHoldsAControlCharacter(t *testing.T) {
	s := aStatus()
	s.ConfigPath = strings.Repeat("/long", 40)
	s.Reload.Error = "bad \x1b[31m key \u00e9\n" + strings.Repeat("word ", 60)
	s.Offload = strings.Repeat("unbroken", 30)
	s.Table = &Table{Queued: math.MaxUint64, Fragments: math.MaxUint64, Untracked: math.MaxUint64}
	s.Kernel = &Kernel{Offloaded: math.MaxUint64, Follower: &Follower{Followed: math.MaxUint64, CameUp: map[string]uint64{strings.Repeat("x", 100): 1}}}
	s.Queues[0] = Queue{Number: math.MaxUint16, Depth: 1 << 40, Dropped: 1 << 40, UserDropped: 1 << 40, Stale: 1 << 40}
	for line := range strings.Lines(render(t, s, s.Started)) {
		line = strings.TrimSuffix(line, "\n")
		if len(line) > page.Width {
			t.Errorf("%d columns: %q", len(line), line)
		}
		for _, c := range []byte(line) {
			if c < ' ' || c > '~' {
				t.Errorf("octet %#x in %q", c, line)
			}
		}
	}
}
