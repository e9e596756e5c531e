//go:build lab

package main

import (
	"context"
	"regexp"
	"slices"
	"testing"
	"time"
)

// decisive are the rows whose every cell is run with the tests.
var decisive = regexp.MustCompile(`^(Postfix|exchange55|clear-after-220|injects-after-220|answers-250|answers-garbage|` +
	`transparent|pix-answers|pix-noop|strip-line|honest, starttls: hide|plain, starttls: require)$`)

func TestTheDecisiveCellsOfTheMatrix(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	chosen := slices.DeleteFunc(rows(), func(r row) bool { return !decisive.MatchString(r.name) })
	cells, err := playAll(ctx, chosen, columns)
	if err != nil {
		t.Fatal(err)
	}
	r := &result{cells: cells}
	for _, f := range r.faults() {
		t.Error(f)
	}
	for _, want := range []struct{ row, column, without, enforce string }{
		{"Postfix", "Postfix may", wordTLS, wordTLS},
		{"transparent", "Postfix encrypt", wordTLS, wordTLS},
		// The failure of 1999 and its cure.
		{"pix-answers", "Postfix may", "deferred", wordClear},
		{"pix-noop", "Postfix may", "deferred", wordClear},
		{"answers-250", "Postfix may", "deferred", wordClear},
		{"answers-garbage", "swaks --tls-optional", wordHung, wordClear},
		// Nothing goes in clear text for a client that demands TLS.
		{"pix-answers", "Postfix encrypt", "deferred", "deferred"},
		{"strip-line", "curl --ssl-reqd", "deferred", "deferred"},
		{"honest, starttls: hide", "Postfix encrypt", wordTLS, "deferred"},
		// What is taken away by the administrator's word.
		{"honest, starttls: hide", "Postfix may", wordTLS, wordClear},
		{"plain, starttls: require", "Postfix may", wordClear, "refused"},
		{"plain, starttls: require", "Go net/smtp", wordClear, "refused"},
		// A client that would believe a forged reply gets no mail out.
		{"injects-after-220", "Postfix may", wordTLS, "deferred"},
	} {
		for s, word := range map[setting]string{without: want.without, observe: want.without, enforce: want.enforce} {
			c := r.find(want.row, want.column, s)
			if c == nil {
				t.Errorf("no cell %s, %s, %s", want.row, want.column, s)
			} else if c.word != word {
				t.Errorf("%s: %s, want %s:\n%s", c.name(), c.word, word, c.told)
			}
		}
	}
}
