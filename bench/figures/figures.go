// Package figures is what the tables of bench/README.md have in common: samples, how they
// are written, the machine that they were taken on, and the place of a table in the page.
package figures

import (
	"math"
	"slices"
	"strconv"
)

// Series are the samples of one figure, one of each round.
type Series []float64

// Median returns the middle one, or the mean of the two in the middle. s must not be empty.
func (s Series) Median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// By divides two series round by round, so that what disturbed the machine in a round
// is in both.
func (s Series) By(other Series) Series {
	out := make(Series, len(s))
	for i := range s {
		out[i] = s[i] / other[i]
	}
	return out
}

// Digits writes a figure with three significant digits, but for whole numbers of more.
func Digits(v float64) string {
	if v == 0 {
		return "0"
	}
	decimals := max(2-int(math.Floor(math.Log10(math.Abs(v)))), 0)
	return strconv.FormatFloat(v, 'f', decimals, 64)
}
