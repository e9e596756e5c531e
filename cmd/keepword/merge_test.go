package main

import (
	"slices"
	"testing"

	"keepword/cmd/keepword/internal/config"
	"keepword/inspect/verdict"
)

func TestAReloadKeepsWhatCannotChangeWhileRunning(t *testing.T) {
	old, next := config.Default(), config.Default()
	// Everything is different.
	next.Mode = verdict.Observe
	next.Ports = []uint16{2525}
	next.Actions = map[verdict.Finding]verdict.Action{verdict.Smuggling: verdict.Log}
	next.Servers = []config.Server{{Ports: []uint16{2525}}}
	next.TLSMinimum = 0x0303
	next.Hooks = []config.Hook{config.Input}
	next.Interfaces = []string{"eth0"}
	next.Queues = config.Queues{First: 1, Count: 1}
	next.Mark = 1
	next.Engine = config.EnginePortable
	next.Offload = config.OffloadOff
	next.When.Midstream = config.Drop
	next.Limits.Flows = 1
	next.History = config.History{Breaker: config.Breaker{Failures: 7}}
	next.Events.Path = "-"
	next.Metrics.Listen = ""
	next.Control.Socket = ""

	merged, fixed := merge(old, next)
	want := []string{"hooks", "interfaces", "queues", "mark", "engine", "offload", "when", "limits", "history.path", "events", "metrics", "control"}
	if !slices.Equal(fixed, want) {
		t.Errorf("said to be fixed: %v\nwant: %v", fixed, want)
	}
	if merged.Mode != verdict.Observe || merged.Ports[0] != 2525 || len(merged.Servers) != 1 || merged.TLSMinimum != 0x0303 ||
		merged.Actions[verdict.Smuggling] != verdict.Log || merged.History.Breaker.Failures != 7 {
		t.Errorf("what can change has not: %+v", merged)
	}
	// Put back what can change, and nothing of next is left.
	rest, fixed := merge(old, merged)
	if len(fixed) != 0 || rest.Queues != old.Queues || rest.Mark != old.Mark || rest.When != old.When || rest.Events != old.Events {
		t.Errorf("what can't change has changed: %v, %+v", fixed, rest)
	}
	if next.Mark != 1 || old.Mark == 1 {
		t.Error("merge has altered its arguments")
	}
}

func TestAReloadOfTheSameFileChangesNothing(t *testing.T) {
	if _, fixed := merge(config.Default(), config.Default()); len(fixed) != 0 {
		t.Errorf("changed: %v", fixed)
	}
}
