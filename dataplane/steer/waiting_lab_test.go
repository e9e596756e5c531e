//go:build lab

package steer

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"keepword/dataplane"
	"keepword/dataplane/internal/netns"
	"keepword/dataplane/nfqueue"
	"keepword/inspect/verdict"
)

// waiting is a queue in which the first packet waits until it is let go.
type waiting struct {
	engine *nfqueue.Engine
	id     atomic.Int64 // of the packet that waits
	letGo  atomic.Bool
}

func (w *waiting) Inspect(b *dataplane.Batch) {
	for i := range b.Packets {
		p := &b.Packets[i]
		p.Verdict = verdict.Accept
		if w.id.CompareAndSwap(0, int64(p.ID)) {
			p.Verdict = verdict.Hold
		}
	}
	if w.letGo.CompareAndSwap(true, false) {
		b.Released = append(b.Released, dataplane.Release{ID: uint32(w.id.Load()), Verdict: verdict.Accept})
	}
}

// lost has a packet wait in a queue of a table of its own in h while f is done, and says
// whether it was dropped.
func lost(t *testing.T, h *netns.Host, f func() error) bool {
	t.Helper()
	cfg := withoutTracking()
	cfg.Name, cfg.Ports, cfg.FirstQueue, cfg.Queues = "waiting", []uint16{2525}, 100, 1
	table := open(t, h, cfg)
	defer h.Do(table.Close)
	w := &waiting{}
	h.Do(func() (err error) {
		w.engine, err = nfqueue.Open(nfqueue.Config{Queue: cfg.FirstQueue, Mark: cfg.Mark})
		return err
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.engine.Run(ctx, w) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = w.engine.Close()
	}()
	refused := make(chan struct{})
	go func() {
		defer close(refused)
		_ = h.Try(func() error {
			_, err := net.DialTimeout("tcp", "127.0.0.1:2525", 5*time.Second)
			return err
		})
	}()
	defer func() { <-refused }()
	eventually(t, "a packet waits", func() bool { return w.engine.Counters().Verdicts[verdict.Hold] == 1 })
	h.Do(f)
	w.letGo.Store(true)
	eventually(t, "it was let go", func() bool { return w.engine.Counters().Verdicts[verdict.Accept] > 0 })
	time.Sleep(50 * time.Millisecond) // the kernel's answer to the verdict
	return w.engine.Counters().Stale > 0
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// What loses packets is why Close comes after the queues are empty, and why a table is
// taken over and not made anew.
func TestWhatDropsPacketsThatWaitInAnotherQueue(t *testing.T) {
	h := netns.New(t)
	var table *Table // kept: what a forgotten table has opened is closed with the garbage
	var d defragmenter
	for _, step := range []struct {
		what string
		do   func() error
		lost bool
	}{
		{"opening a table that tracks", func() error { _, err := Open(labConfig); return err }, false},
		{"taking it over", func() error { _, err := Open(labConfig); return err }, false},
		{"having connections tracked no more", func() (err error) { table, err = Open(withoutTracking()); return err }, true},
		{"updating it", func() error { return table.Update(25) }, false},
		{"restoring it", func() error {
			h.Run("nft", "flush chain inet keepword forward")
			restored, err := table.Restore()
			if !restored {
				t.Error("not restored")
			}
			return err
		}, false},
		{"having fragments reassembled", func() (err error) { d, err = defragment(nil); return err }, false},
		{"emptying the hooks", func() error { return table.StopDiverting() }, false},
		{"having fragments reassembled no more", func() error { return d.close() }, true},
		{"closing a table", func() error { return table.Close() }, true},
	} {
		if got := lost(t, h, step.do); got != step.lost {
			t.Errorf("%s: a waiting packet was lost: %t, want %t", step.what, got, step.lost)
		}
	}
}
