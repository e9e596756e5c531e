//go:build lab

package main

import (
	"context"
	"testing"
	"time"
)

func TestKnownAttacksFailOnRealServersAndClientsBehindKeepword(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	without, enforced, err := playLive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range liveFaults(without, enforced) {
		t.Error(fault)
	}
	for i, a := range without {
		t.Logf("%s | %s | %s | %d | %s | %s | %v", a.class.name, a.fixture.name, a.subject, a.cut, a.word, enforced[i].word, enforced[i].reports)
	}
}
