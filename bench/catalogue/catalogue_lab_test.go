//go:build lab

package main

import (
	"context"
	"testing"
	"time"
)

func TestEveryFindingIsMadeAndAnsweredOnAGateway(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	list, err := liveAll(ctx, fixtures())
	if err != nil {
		t.Fatal(err)
	}
	wantNoFaults(t, list)
}
