package main

import (
	"strings"
	"testing"

	"keepword/bench/line/load"
)

// sampled makes the results of raw forwarding and one subject in two rounds.
func sampled(w load.Workload, raw, other [2]sample) *results {
	return &results{
		subjects:  []subject{{name: "raw"}, {name: "other"}},
		workloads: []load.Workload{w},
		samples:   [][][]sample{{raw[:]}, {other[:]}},
	}
}

func sessions(n float64) sample {
	return sample{Figures: load.Figures{Seconds: 2, Sessions: n, P50: 50e-6, P99: 100e-6}, used: usage{process: 1e9, machine: 4e9}}
}

func TestAShareIsOfRawForwardingInTheSameRound(t *testing.T) {
	// In the second round the machine was slow for both.
	text := sampled(load.Workloads[0], [2]sample{sessions(2000), sessions(200)}, [2]sample{sessions(1000), sessions(150)}).markdown()
	for _, want := range []string{
		"| other | 0.625 (0.500 – 0.750) |\n| **target of keepword** | **≥ 0.950** |",
		"| raw | 1.00 (1.00 – 1.00) |",
		"| other | 288 /s (75.0 – 500) |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestATargetIsMetByTheMedianOrMissed(t *testing.T) {
	for _, c := range []struct {
		share float64
		want  string
	}{{0.94, "**missed**"}, {0.95, "met"}, {0.96, "met"}} {
		r := sampled(load.Workloads[0], [2]sample{sessions(100), sessions(100)}, [2]sample{sessions(100 * c.share), sessions(100 * c.share)})
		r.subjects[1].name = defaults
		if want := "**≥ 0.950** |\n| " + defaults + " | " + c.want + " |"; !strings.Contains(r.markdown(), want) {
			t.Errorf("%g: no %q in\n%s", c.share, want, r.markdown())
		}
	}
	// A wait is to be short.
	r := sampled(load.Workloads[4], [2]sample{sessions(1), sessions(1)}, [2]sample{sessions(1), sessions(1)})
	r.subjects[1].name = defaults
	for i := range r.samples[1][0] {
		r.samples[1][0][i].P99 *= 1.31
	}
	if want := "| " + defaults + " |  | met |  | **missed** |"; !strings.Contains(r.markdown(), want) {
		t.Errorf("no %q in\n%s", want, r.markdown())
	}
}

func TestProcessorTimeIsForAThousandSessionsAndTheMachinesIsMoreThanRaw(t *testing.T) {
	text := sampled(load.Workloads[0], [2]sample{sessions(2000), sessions(2000)}, [2]sample{sessions(1000), sessions(1000)}).markdown()
	if want := "| other | 1.000 s a thousand sessions | +2.000 s |"; !strings.Contains(text, want) {
		t.Errorf("no %q in\n%s", want, text)
	}
}

func TestAFailedSessionMakesItsCellAndTheComparisonInvalid(t *testing.T) {
	bad := sessions(1000)
	bad.Failed, bad.Failure = 1, "it broke"
	r := sampled(load.Workloads[0], [2]sample{sessions(1), sessions(1)}, [2]sample{sessions(1000), bad})
	if err := r.invalid(); err == nil || !strings.Contains(err.Error(), "it broke") {
		t.Errorf("error %v", err)
	}
	if want := "| other | **invalid**: 1 sessions failed |"; !strings.Contains(r.markdown(), want) {
		t.Errorf("no %q in\n%s", want, r.markdown())
	}
	r = sampled(load.Workloads[0], [2]sample{sessions(1), bad}, [2]sample{sessions(1000), sessions(1000)})
	if want := "| other | **invalid**: nothing to compare with |"; !strings.Contains(r.markdown(), want) {
		t.Errorf("no %q in\n%s", want, r.markdown())
	}
}

func TestWhereTheTablesGoIsNoPartOfTheCommandThatMakesThem(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "5", "-o", "x.md"}, {"-o=x.md", "-rounds", "5"}, {"-rounds", "5"}} {
		if got := strings.Join(without(args, "x.md"), " "); got != "-rounds 5" {
			t.Errorf("%v: %q", args, got)
		}
	}
}
