//go:build lab

package main

import (
	"context"
	"testing"
	"time"
)

// liveTime bounds the recording of all scenarios: 20 s on a quiet machine with two processors.
const liveTime = 60 * time.Second

func TestNothingIsDoneToSessionsThatAreRecordedNow(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), liveTime)
	defer cancel()
	dir := t.TempDir()
	if err := recordAll(ctx, dir, t.Output()); err != nil {
		t.Fatal(err)
	}
	list, err := judgeCaptures(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	sessions := 0
	for _, j := range list {
		sessions += len(j.outcomes)
		if len(j.faults) > 0 {
			t.Error(j.tell())
		}
	}
	const least = 150
	if sessions < least {
		t.Errorf("%d sessions, want at least %d", sessions, least)
	}
	t.Log("\n" + format(list))
}
