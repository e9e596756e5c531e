//go:build lab

package main

import (
	"context"
	"testing"
	"time"
)

func TestServersAreHiddenAndRecoverAndStrippingIsMetAsTheStoriesTell(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	defer cancel()
	all, err := play(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults(all) {
		t.Error(f)
	}
	for _, s := range all {
		if len(s.site.attempts) == 0 {
			t.Errorf("%s: nothing was played", s.title)
		}
	}
}
