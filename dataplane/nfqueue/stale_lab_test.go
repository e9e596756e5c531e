//go:build lab

package nfqueue_test

import (
	"testing"

	"keepword/dataplane"
	"keepword/dataplane/internal/inject"
	"keepword/dataplane/internal/netns"
	"keepword/dataplane/nfqueue"
	"keepword/inspect/verdict"
)

// queueBare has n packets of no connection wait in h's queue.
func queueBare(h *netns.Host, n int) {
	const otherMark, rst = 1, 0x04
	h.Do(func() error {
		s, err := inject.Open(otherMark)
		if err != nil {
			return err
		}
		for i := range n {
			if err := s.Send(bare(addrPort("127.0.0.1:4000"), addrPort(loopback), uint32(i), 0, rst)); err != nil {
				return err
			}
		}
		return s.Close()
	})
}

// emptyQueues has the kernel drop all that waits in any queue of h.
func emptyQueues(h *netns.Host) {
	h.Run("nft", "add table inet other; add chain inet other c { type filter hook input priority 0; }; delete table inet other")
}

// The kernel answers for each message of what was sent at once.
func TestEachVerdictOnAHeldPacketThatIsGoneIsCounted(t *testing.T) {
	const n = 5
	h := netns.New(t)
	e := openQueue(t, h, nfqueue.Config{})
	divert(t, h, labSteer)
	var held []dataplane.Release
	gone := make(chan struct{})
	run(t, e, inspector(func(b *dataplane.Batch) {
		for i := range b.Packets {
			b.Packets[i].Verdict = verdict.Hold
			held = append(held, dataplane.Release{ID: b.Packets[i].ID, Verdict: verdict.Accept})
		}
		select {
		case <-gone:
			b.Released = append(b.Released, held...)
			held = nil
		default:
		}
	}))
	queueBare(h, n)
	eventually(t, "all are held", func() bool { return e.Counters().Verdicts[verdict.Hold] == n })
	emptyQueues(h)
	close(gone)
	eventually(t, "as many stale verdicts", func() bool { return e.Counters().Stale == n })
}

// Of packets that are accepted together it says only that none was there.
func TestPacketsAcceptedTogetherThatAreGoneAreCountedOnce(t *testing.T) {
	const n = 5
	h := netns.New(t)
	e := openQueue(t, h, nfqueue.Config{})
	divert(t, h, labSteer)
	queueBare(h, n)
	emptyQueues(h)
	run(t, e, acceptAll)
	want := uint64(1)
	if portable {
		want = n
	}
	eventually(t, "the stale verdicts", func() bool { return e.Counters().Stale == want })
	// The engine goes on, with every packet.
	queueBare(h, n)
	eventually(t, "as many accepted again", func() bool {
		st, err := status(h, e)
		return err == nil && st.Depth == 0 && e.Counters().Verdicts[verdict.Accept] == 2*n
	})
	if c := e.Counters(); c.Stale != want || c.Verdicts[verdict.Accept] != 2*n {
		t.Errorf("counted %+v", c)
	}
}
