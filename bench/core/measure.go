package main

import (
	"runtime"
	"slices"
)

// series are the samples of one figure, one of each round.
type series []float64

func (s series) median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// by divides two series round by round, so that what disturbed the machine in a round
// is in both.
func (s series) by(other series) series {
	out := make(series, len(s))
	for i := range s {
		out[i] = s[i] / other[i]
	}
	return out
}

func (s series) plus(other series) series {
	out := make(series, len(s))
	for i := range s {
		out[i] = s[i] + other[i]
	}
	return out
}

// sampler takes one sample of each of its figures.
type sampler func() ([]float64, error)

// inTurn takes as many samples as there are rounds of each sampler, in turn: A B A B.
// The first round is left out: it warms caches and makes memory. The result has the
// samplers' series in their order.
func inTurn(rounds int, samplers ...sampler) ([][]series, error) {
	all := make([][]series, len(samplers))
	for round := range rounds + 1 {
		for i, take := range samplers {
			runtime.GC() // one's garbage is not the next one's
			figures, err := take()
			if err != nil {
				return nil, err
			}
			if all[i] == nil {
				all[i] = make([]series, len(figures))
			}
			for k, f := range figures {
				if round > 0 {
					all[i][k] = append(all[i][k], f)
				}
			}
		}
	}
	return all, nil
}
