package main

import (
	"runtime"

	"keepword/bench/figures"
)

// sum adds two series round by round.
func sum(a, b figures.Series) figures.Series {
	out := make(figures.Series, len(a))
	for i := range a {
		out[i] = a[i] + b[i]
	}
	return out
}

// sampler takes one sample of each of its figures.
type sampler func() ([]float64, error)

// inTurn takes as many samples as there are rounds of each sampler, in turn: A B A B.
// The first round is left out: it warms caches and makes memory. The result has the
// samplers' series in their order.
func inTurn(rounds int, samplers ...sampler) ([][]figures.Series, error) {
	all := make([][]figures.Series, len(samplers))
	for round := range rounds + 1 {
		for i, take := range samplers {
			runtime.GC() // one's garbage is not the next one's
			samples, err := take()
			if err != nil {
				return nil, err
			}
			if all[i] == nil {
				all[i] = make([]figures.Series, len(samples))
			}
			for k, f := range samples {
				if round > 0 {
					all[i][k] = append(all[i][k], f)
				}
			}
		}
	}
	return all, nil
}
