//go:build lab

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"keepword/dataplane"
)

// playShared plays the suite's schedules with the kernel's own share, and returns how many
// violations they find, and what the judge of the share says.
func playShared(t *testing.T, s *share, n int, begin func(*ground) error, tell func(*Outcome)) (violations int, verdict error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	g, err := newSharedGround(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := begin(g); err != nil {
		t.Error(err)
	}
	count := newTally()
	if err := g.playAll(ctx, firstSeed, n, together, func(o Outcome) {
		tell(&o)
		count.add(&o)
	}); err != nil {
		t.Error(err)
	}
	if err := g.stop(); err != nil {
		t.Error(err)
	}
	t.Logf("\n%v%v", count, s)
	verdict = s.judge()
	if err := g.close(); err != nil {
		t.Error(err)
	}
	return count.total.violations, verdict
}

func asItIs(*ground) error { return nil }

func TestWhatTheKernelLetsThroughIsInspectedToo(t *testing.T) {
	_, err := playShared(t, new(share), schedules, asItIs, func(o *Outcome) {
		if o.Violation != "" {
			t.Errorf("%v", o)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// forgetful is a log in which some records are missing.
type forgetful struct {
	dataplane.Follower
	n int
}

// Fill is dataplane.Follower's.
func (f *forgetful) Fill(b *dataplane.Batch, limit int) (more bool) {
	at := len(b.Packets)
	more = f.Follower.Fill(b, limit)
	kept := b.Packets[:at]
	for _, p := range b.Packets[at:] {
		if f.n++; f.n%4 > 0 {
			kept = append(kept, p)
		}
	}
	b.Packets = kept
	return more
}

// The failing controls: without them schedules that never meet what the kernel lets through
// would pass too.
func TestASharedGatewayThatLetsThroughTooMuchIsFoundOut(t *testing.T) {
	for _, c := range []struct {
		name  string
		share *share
		begin func(*ground) error
	}{
		{"a log with records missing", &share{bend: func(f dataplane.Follower) dataplane.Follower { return &forgetful{Follower: f} }}, asItIs},
		{"packets exempted by chance", &share{}, func(g *ground) error {
			const ports = "{ 25-28, 2525-2528 }"
			_, err := g.lab.Gateway.Command(t.Context(), "nft", fmt.Sprintf("add table inet wrong; add chain inet wrong c { type filter hook prerouting priority -500; }; "+
				"add rule inet wrong c meta length > 60 tcp dport %s numgen random mod 20 0 meta mark set %d", ports, exempt)).Output()
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			unseen := 0
			violations, err := playShared(t, c.share, schedules/2, c.begin, func(o *Outcome) {
				if strings.Contains(o.Violation, "was not inspected") {
					unseen++
				}
			})
			if unseen == 0 {
				t.Errorf("%d violations, none of them of octets that were not inspected, and %v", violations, err)
			}
		})
	}
}
