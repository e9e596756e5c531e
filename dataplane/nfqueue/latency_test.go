package nfqueue

import (
	"testing"
	"time"
)

func TestEachTimeIsCountedInTheBucketOfTheNextBound(t *testing.T) {
	bounds := LatencyBounds()
	for i, bound := range bounds {
		for took, want := range map[time.Duration]int{bound: i, bound + 1: i + 1, bound - 1: i} {
			var l latency
			l.observe(3, took)
			l.observe(0, time.Hour)
			got := l.load()
			if got.Packets[want] != 3 || got.Sum != 3*took {
				t.Errorf("%s, want in bucket %d: %+v", took, want, got)
			}
		}
	}
	var l latency
	l.observe(1, 0)
	l.observe(2, time.Hour)
	if got := l.load(); got.Packets[0] != 1 || got.Packets[len(bounds)] != 2 {
		t.Errorf("%+v", got)
	}
}
