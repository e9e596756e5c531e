package main

import (
	"os/exec"
	"strings"
	"testing"
)

func TestEventsAreCounted(t *testing.T) {
	got, err := count(strings.NewReader(`{"event_type":"alert"}
{"event_type":"flow","app_proto":"tls","metadata":{"flowvars":[{"starttls.outcome":"upgraded"},{"starttls.reply":"220"}]}}
{"event_type":"flow","app_proto":"smtp"}
{"event_type":"smtp"}
`))
	if err != nil || got.findings != 1 || got.protocols["tls"] != 1 || got.protocols["smtp"] != 1 || len(got.outcomes) != 1 || got.outcomes["upgraded"] != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := count(strings.NewReader("no event\n")); err == nil {
		t.Error("what is no event was counted")
	}
}

func TestThePeakOfMemoryIsTheKernelsOwn(t *testing.T) {
	if got := highWater("Name:\tx\nVmPeak:\t  9000 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"); got != 2<<20 {
		t.Errorf("2048 kB are %d octets", got)
	}
	sleep := program{"sleep", func(string) *exec.Cmd { return exec.Command("sleep", "0.1") }}
	c, err := measure(sleep, "")
	if err != nil || c.peak < 100<<10 || c.peak > 100<<20 || c.wall.Milliseconds() < 100 {
		t.Errorf("sleeping costs %+v, %v", c, err)
	}
}

func TestAProgramThatFailsIsNotMeasured(t *testing.T) {
	failing := program{"failing", func(string) *exec.Cmd { return exec.Command("sh", "-c", "echo because >&2; exit 1") }}
	if _, err := measure(failing, ""); err == nil || !strings.Contains(err.Error(), "because") {
		t.Errorf("the error is %v", err)
	}
}
