//go:build lab

package main

import (
	"context"
	"testing"
	"time"

	v "keepword/inspect/verdict"
)

func TestEveryFindingIsMadeAndAnsweredOnAGateway(t *testing.T) {
	for _, mode := range []v.Mode{v.Enforce, v.Observe} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
			defer cancel()
			cases := shippedCases(fixtures(), mode, true)
			faults, err := live(ctx, cases)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range faults {
				t.Error(f)
			}
			t.Logf("%d cases", len(cases))
		})
	}
}
