package nfqueue

import (
	"context"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepword/dataplane"
	"keepword/inspect/verdict"
)

// follower is a Follower that has logged packets with these ids.
type follower struct {
	log     []uint32
	fill    int // how many a call of Fill brings
	event   int
	granted func(grants []dataplane.Grant)
}

func newFollower(tb testing.TB) *follower {
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Close(event) })
	return &follower{event: event, fill: 2, granted: func([]dataplane.Grant) {}}
}

func (f *follower) Fill(b *dataplane.Batch, limit int) (more bool) {
	var n [8]byte
	_, _ = unix.Read(f.event, n[:])
	for range min(f.fill, limit, len(f.log)) {
		b.Packets = append(b.Packets, dataplane.Packet{ID: f.log[0], Passed: new(dataplane.Passage), Data: someData})
		f.log = f.log[1:]
	}
	return len(f.log) > 0
}

func (f *follower) Grant(grants []dataplane.Grant) { f.granted(grants) }
func (f *follower) FD() int                        { return f.event }

func TestWhatTheKernelLetThroughIsInspectedFirstAndGetsNoVerdict(t *testing.T) {
	f := newFollower(t)
	e, _, k := newModel(t, Config{Follower: f})
	k.queuePackets(2, someData)
	step(t, e, script(func(b *dataplane.Batch) { b.Packets[0].Verdict, b.Packets[1].Verdict = verdict.Hold, verdict.Accept }))
	k.carriedOut()

	// Ids of logged packets mean nothing: these are those of packets that wait.
	k.queuePackets(2, someData)
	f.log = []uint32{1, 3, 4}
	var seen []uint32
	var granted [][]fate // carried out before each grant
	f.granted = func(grants []dataplane.Grant) {
		if len(grants) != 1 || grants[0].Next[0] != uint32(len(seen)) {
			t.Errorf("granted %+v", grants)
		}
		granted = append(granted, k.carriedOut())
	}
	step(t, e, script(func(b *dataplane.Batch) {
		for i := range b.Packets {
			p := &b.Packets[i]
			seen = append(seen, p.ID)
			if p.Time == 0 {
				t.Error("a packet without a time")
			}
			p.Verdict = verdict.Accept
			if p.Passed != nil && p.ID == 3 {
				p.Verdict = verdict.Hold
			}
		}
		if len(seen) == 2 { // among what was let through
			b.Released = append(b.Released, dataplane.Release{ID: 1, Verdict: verdict.Drop})
		}
		b.Grants = append(b.Grants, dataplane.Grant{Next: [2]uint32{uint32(len(seen))}})
	}))
	if want := []uint32{1, 3, 4, 3, 4}; !slices.Equal(seen, want) {
		t.Errorf("inspected %v, want %v", seen, want)
	}
	want := [][]fate{{expected(1, verdict.Drop, nil)}, nil, {expected(3, verdict.Accept, nil), expected(4, verdict.Accept, nil)}}
	if !slices.EqualFunc(granted, want, slices.Equal) {
		t.Errorf("before the grants %v, want %v", granted, want)
	}
	if c := e.Counters(); c.Passed != 3 || c.Received != 4 || c.Verdicts[verdict.Hold] != 1 || len(e.waiting.held) != 0 {
		t.Errorf("counted %+v", c)
	}
}

func TestAFollowerThatHasMuchToTellWakesTheEngine(t *testing.T) {
	f := newFollower(t)
	_, q, _ := newModel(t, Config{Follower: f})
	q.sleep.follow(f)
	if _, err := unix.Write(f.event, host.AppendUint64(nil, 1)); err != nil {
		t.Fatal(err)
	}
	if tick, err := q.sleep.sleep(); tick || err != nil {
		t.Errorf("slept until the tick: %v, %v", tick, err)
	}
	f.Fill(&dataplane.Batch{}, 1)
	if tick, err := q.sleep.sleep(); !tick || err != nil {
		t.Errorf("woken by nothing: %v, %v", tick, err)
	}
}

func TestWhatTheKernelLetThroughIsInspectedWithoutPacketsAndAtTheEnd(t *testing.T) {
	f := newFollower(t)
	e, _, _ := newModel(t, Config{Follower: f})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f.log = []uint32{1, 2, 3}
	seen, idle := 0, 0
	err := e.Run(ctx, script(func(b *dataplane.Batch) {
		seen += len(b.Packets)
		switch {
		case len(b.Packets) > 0:
		case seen == 3 && ctx.Err() == nil:
			cancel()
		case ctx.Err() != nil:
			// The last inspection of the queue: what is logged now comes after it.
			if idle++; idle == 2 {
				f.log = []uint32{4}
			}
		}
	}))
	if err != nil || seen != 4 {
		t.Errorf("%d inspected, %v", seen, err)
	}
}
