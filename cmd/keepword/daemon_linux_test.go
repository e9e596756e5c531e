package main

import (
	"slices"
	"strings"
	"testing"

	"keepword/cmd/keepword/internal/config"
)

func TestTheShareOfEachWorkerIsNeverMoreThanTheWhole(t *testing.T) {
	cfg := config.Default()
	cfg.Limits = config.Limits{Flows: 3, Memory: 1 << 20, FlowMemory: 1 << 20}
	for n := 1; n <= 8; n++ {
		l := limits(cfg, n)
		if l.Flows < 1 || l.Memory*int64(n) > cfg.Limits.Memory || l.FlowMemory > l.Memory || l.Flows > cfg.Limits.Flows {
			t.Errorf("%d workers: %+v", n, l)
		}
	}
}

func TestEachWordForLostSightIsKnownToInspection(t *testing.T) {
	for _, word := range []config.Loss{config.Pass, config.Drop, config.Kill} {
		if when, ok := whens[word]; !ok || when.String() != string(word) {
			t.Errorf("%s is %s", word, when)
		}
	}
}

func TestEachHookOfTheConfigurationIsKnownToSteering(t *testing.T) {
	cfg := config.Default()
	cfg.Hooks = []config.Hook{config.Forward, config.Input, config.Output}
	cfg.When.DaemonDown = config.Drop
	s := steering(cfg, 3, new(share))
	if len(s.Hooks) != 3 || s.Queues != 3 || s.FirstQueue != 2500 || s.Mark != 0x10000000 || s.Bypass {
		t.Errorf("%+v", s)
	}
	for i, h := range s.Hooks {
		if h.String() != string(cfg.Hooks[i]) {
			t.Errorf("%s became %s", cfg.Hooks[i], h)
		}
	}
}

func TestTheSummaryFitsOneScreenAndSaysWhatADeadDaemonMeans(t *testing.T) {
	cfg := config.Default()
	cfg.Hooks = []config.Hook{config.Forward, config.Input, config.Output}
	for loss, want := range map[config.Loss]string{
		config.Pass: "mail flows on uninspected (when.daemon_down: pass)",
		config.Drop: "mail stops until keepword is back (when.daemon_down: drop)",
	} {
		cfg.When.DaemonDown = loss
		text := summary(cfg, 2, "native", strings.Repeat("off: every packet goes through the queue ", 8))
		lines := strings.Split(strings.TrimSpace(text), "\n")
		if len(lines) > 24 || !slices.ContainsFunc(lines, func(l string) bool { return l == "  killed    "+want }) {
			t.Errorf("%s: %d lines:\n%s", loss, len(lines), text)
		}
		for _, l := range lines {
			if len(l) > 80 {
				t.Errorf("longer than 80 columns: %q", l)
			}
		}
	}
}
