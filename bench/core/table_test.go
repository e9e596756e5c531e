package main

import (
	"os"
	"strings"
	"testing"

	"keepword/bench/figures"
)

func TestARowSaysWhetherItsTargetIsMet(t *testing.T) {
	for _, c := range []struct {
		row  row
		want string
	}{
		{row{what: "a", unit: nanoseconds, target: atMost(100), ours: figures.Series{90, 99, 200}, by: "b", base: figures.Series{900, 990, 2000}}, "| a | ≤ 100 ns | 99.0 ns | 90.0 ns – 200 ns | b 990 ns | 900 ns – 2.00 µs | 10.0 | met |"},
		{row{what: "a", unit: nanoseconds, target: atMost(100), ours: figures.Series{101}}, "| a | ≤ 100 ns | 101 ns | 101 ns – 101 ns |  |  |  | **missed** |"},
		{row{what: "a", unit: gigaoctets, target: atLeast(10), ours: figures.Series{9, 11}, by: "b", base: figures.Series{18, 22}}, "| a | ≥ 10.0 GB/s | 10.0 GB/s | 9.00 GB/s – 11.0 GB/s | b 20.0 GB/s | 18.0 GB/s – 22.0 GB/s | 0.500 | met |"},
		{row{what: "a", unit: perSecond, target: atLeastTimes(10), ours: figures.Series{9e6}, by: "b", base: figures.Series{1e6}}, "| a | ≥ 10.0 × baseline | 9.00 M/s | 9.00 M/s – 9.00 M/s | b 1.00 M/s | 1.00 M/s – 1.00 M/s | 9.00 | **missed** |"},
		{row{what: "a", unit: times, target: atMost(0), ours: figures.Series{0, 0}}, "| a | ≤ 0 | 0 | 0 – 0 |  |  |  | met |"},
		{row{what: "a", unit: octetsUnit, ours: figures.Series{3 << 20}, by: "b", base: figures.Series{700}}, "| a |  | 3 MiB | 3 MiB – 3 MiB | b 700 octets | 700 octets – 700 octets | 0.000223 |  |"},
	} {
		if got := strings.Join(strings.Split(markdown([]row{c.row}), "\n")[2:3], ""); got != c.want {
			t.Errorf("\n%s, want\n%s", got, c.want)
		}
	}
}

func TestSamplesAreTakenInTurnAndTheFirstRoundIsLeftOut(t *testing.T) {
	order := ""
	sampled := func(name string) sampler {
		n := 0.0
		return func() ([]float64, error) { order += name; n++; return []float64{n}, nil }
	}
	s, err := inTurn(3, sampled("A"), sampled("B"))
	if err != nil || order != "ABABABAB" {
		t.Errorf("taken in the order %s, %v", order, err)
	}
	if got := s[1][0]; len(got) != 3 || got.Median() != 3 {
		t.Errorf("samples %v", got)
	}
}

// The row about resident memory runs this command, which in a test is the test's own.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-"+idleFlag {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestEveryRowIsFilled(t *testing.T) {
	b, err := newBench(1, 1000, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	b.part = 32
	rows, err := b.all()
	if err != nil {
		t.Fatal(err)
	}
	table := markdown(rows)
	for _, want := range []string{"in-order segment of 1 octet", "STARTTLS dialogue", "mail data scanned", "capture of", "state of an idle flow", "resident memory", "cost a packet", "reading a cache line", "two workers to one", "allocations of a segment"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table has no row about %q", want)
		}
	}
	if strings.Contains(table, "NaN") || strings.Contains(table, "Inf") {
		t.Errorf("a figure is missing:\n%s", table)
	}
}
