//go:build lab

package nfqueue_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepword/dataplane"
	"keepword/dataplane/internal/inject"
	"keepword/dataplane/internal/netns"
	"keepword/dataplane/nfqueue"
	"keepword/dataplane/steer"
	"keepword/inspect/verdict"
)

const loopback = "127.0.0.1:25"

func TestWithoutAListenerBypassDecides(t *testing.T) {
	for _, bypass := range []bool{true, false} {
		t.Run(fmt.Sprintf("bypass=%v", bypass), func(t *testing.T) {
			h := netns.New(t)
			cfg := labSteer
			cfg.Bypass = bypass
			divert(t, h, cfg)
			listen(t, h, loopback, echo)

			killed := openQueue(t, h, nfqueue.Config{})
			stop := run(t, killed, acceptAll)
			exchange(t, dial(t, h, loopback), []byte("before"))
			stop()
			if err := killed.Close(); err != nil {
				t.Fatal(err)
			}

			c, err := tryDial(h, loopback, impatience)
			if (err == nil) != bypass {
				t.Errorf("without a listener: %v", err)
			}
			if err == nil {
				_ = c.Close()
			}

			e := openQueue(t, h, nfqueue.Config{})
			run(t, e, acceptAll)
			exchange(t, dial(t, h, loopback), []byte("after"))
			if e.Counters().Received == 0 {
				t.Error("the reopened queue received nothing")
			}
		})
	}
}

func TestATakenQueueNamesTheProcessThatHasIt(t *testing.T) {
	h := netns.New(t)
	openQueue(t, h, nfqueue.Config{})
	err := h.Try(func() error {
		_, err := nfqueue.Open(nfqueue.Config{Queue: firstQueue, Mark: exempt, Portable: portable})
		return err
	})
	var op *nfqueue.OpError
	if !errors.Is(err, nfqueue.ErrQueueTaken) || !errors.As(err, &op) || op.Queue != firstQueue {
		t.Fatalf("got %v", err)
	}
	want := fmt.Sprintf("queue %d is taken by process %d (", firstQueue, os.Getpid())
	if got := err.Error(); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "choose another with queues.first") {
		t.Errorf("got %q", got)
	}
}

// withoutCapabilities calls f on a thread of h that has none.
func withoutCapabilities(h *netns.Host, f func() error) error {
	return h.Try(func() error {
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&hdr, &none[0]); err != nil {
			return err
		}
		return f()
	})
}

func TestWithoutPrivilegeTheErrorSaysWhatIsNeeded(t *testing.T) {
	h := netns.New(t)
	for name, f := range map[string]func() error{
		"queue": func() error {
			_, err := nfqueue.Open(nfqueue.Config{Queue: firstQueue, Mark: exempt, Portable: portable})
			return err
		},
		"table": func() error { _, err := steer.Open(labSteer); return err },
	} {
		err := withoutCapabilities(h, f)
		if !errors.Is(err, nfqueue.ErrPrivilege) || !strings.Contains(err.Error(), "CAP_NET_") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInspectIsCalledWithoutPackets(t *testing.T) {
	e := openQueue(t, netns.New(t), nfqueue.Config{})
	var calls atomic.Int64
	var longest atomic.Int64
	var last int64
	run(t, e, inspector(func(b *dataplane.Batch) {
		if last != 0 {
			longest.Store(max(longest.Load(), b.Now-last))
		}
		last = b.Now
		calls.Add(1)
	}))
	eventually(t, "ten ticks", func() bool { return calls.Load() >= 10 })
	// Ten times the interval, as the machine may be busy.
	if longest.Load() > 10*dataplane.TickInterval {
		t.Errorf("%v between two calls", time.Duration(longest.Load()))
	}
}

func TestWhatWaitsWhenAskedToStopIsInspected(t *testing.T) {
	h := netns.New(t)
	e := openQueue(t, h, nfqueue.Config{})
	table := divert(t, h, labSteer)
	listen(t, h, loopback, echo)
	connected := make(chan error, 1)
	go func() {
		c, err := tryDial(h, loopback, patience)
		if err == nil {
			_ = c.Close()
		}
		connected <- err
	}()
	// The SYN waits, as nobody inspects yet.
	eventually(t, "a SYN waits", func() bool {
		st, err := status(h, e)
		return err == nil && st.Depth == 1
	})
	h.Do(table.StopDiverting)
	stop := run(t, e, acceptAll)
	stop()
	if c := e.Counters(); c.Verdicts[verdict.Accept] != 1 || c.Stale != 0 {
		t.Errorf("counted %+v", c)
	}
	if err := <-connected; err != nil {
		t.Error(err)
	}
}

func TestRunGoesOnUntilHeldPacketsAreReleased(t *testing.T) {
	h := netns.New(t)
	e := openQueue(t, h, nfqueue.Config{})
	table := divert(t, h, labSteer)
	listen(t, h, loopback, echo)
	hold := &holder{ticks: 5}
	stop := run(t, e, hold)
	c := dial(t, h, loopback)
	hold.port.Store(int64(c.LocalAddr().(*net.TCPAddr).Port))
	if _, err := c.Write([]byte("held")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a packet is held", func() bool { return e.Counters().Verdicts[verdict.Hold] > 0 })
	h.Do(table.StopDiverting)
	stop()
	if c := e.Counters(); c.Verdicts[verdict.Accept]+c.Verdicts[verdict.Hold] <= c.Received || c.Stale != 0 {
		t.Errorf("counted %+v: the held packet was not released", c)
	}
	if st, err := status(h, e); err != nil || st.Depth != 0 {
		t.Errorf("after Run: %+v, %v", st, err)
	}
}

func status(h *netns.Host, e *nfqueue.Engine) (st nfqueue.Status, err error) {
	err = h.Try(func() (err error) {
		st, err = e.Status()
		return err
	})
	return st, err
}

func TestAFullQueueDoesAsFailOpenSays(t *testing.T) {
	for _, open := range []bool{true, false} {
		t.Run(fmt.Sprintf("FailOpen=%v", open), func(t *testing.T) {
			h := netns.New(t)
			// Nobody inspects: the first SYN fills the queue for good.
			e := openQueue(t, h, nfqueue.Config{MaxLen: 1, FailOpen: open})
			divert(t, h, labSteer)
			listen(t, h, loopback, echo)
			if _, err := tryDial(h, loopback, impatience/4); err == nil {
				t.Fatal("the first connection needs no verdict")
			}
			c, err := tryDial(h, loopback, impatience)
			if (err == nil) != open {
				t.Errorf("the second connection: %v", err)
			}
			if err == nil {
				_ = c.Close()
			}
			st, err := status(h, e)
			if err != nil || st.Depth != 1 || (st.Dropped == 0) != open || st.LastID != 1 {
				t.Errorf("%+v, %v", st, err)
			}
		})
	}
}

func TestAnOverflownSocketIsCounted(t *testing.T) {
	for _, open := range []bool{true, false} {
		t.Run(fmt.Sprintf("FailOpen=%v", open), func(t *testing.T) {
			h := netns.New(t)
			// Nobody inspects, and the buffer is the smallest that the kernel makes.
			e := openQueue(t, h, nfqueue.Config{Buffer: 1, FailOpen: open})
			divert(t, h, labSteer)
			const packets, otherMark = 200, 1
			h.Do(func() error {
				s, err := inject.Open(otherMark)
				if err != nil {
					return err
				}
				for i := range packets {
					const ack = 0x10
					p := bare(addrPort("127.0.0.1:4000"), addrPort(loopback), uint32(i), 0, ack)
					if err := s.Send(p); err != nil {
						return err
					}
				}
				return s.Close()
			})
			st, err := status(h, e)
			if err != nil || st.Overflows == 0 || (st.UserDropped == 0) != open || !open && st.UserDropped != st.Overflows {
				t.Errorf("%+v, %v", st, err)
			}
		})
	}
}

func TestStoppingLeavesNothingBehind(t *testing.T) {
	h := netns.New(t)
	e := openQueue(t, h, nfqueue.Config{})
	table := divert(t, h, labSteer)
	run(t, e, acceptAll)()
	h.Do(table.Close)
	for range 2 {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := h.Run("nft", "list", "ruleset"); got != "" {
		t.Errorf("left behind:\n%s", got)
	}
	h.Do(func() error {
		queues, err := nfqueue.Queues()
		if len(queues) != 0 {
			t.Errorf("still listened on: %+v", queues)
		}
		return err
	})
}

func TestRunEndsWhenTheEngineIsClosed(t *testing.T) {
	e := openQueue(t, netns.New(t), nfqueue.Config{})
	ended := make(chan error, 1)
	// A context that never ends must not be taken for one that has.
	go func() { ended <- e.Run(context.Background(), acceptAll) }()
	eventually(t, "three ticks", func() bool { return e.Counters().Batches > 2 })
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, nfqueue.ErrClosed) {
		t.Errorf("Run: %v", err)
	}
	if err := e.Run(t.Context(), acceptAll); !errors.Is(err, nfqueue.ErrClosed) {
		t.Errorf("Run again: %v", err)
	}
}

// BenchmarkAcceptAll carries 64 KiB an iteration over the loopback interface.
func BenchmarkAcceptAll(b *testing.B) {
	h := netns.New(b)
	inline(b, h, acceptAll)
	listen(b, h, loopback, echo)
	c := dial(b, h, loopback)
	chunk := make([]byte, 64<<10)
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		exchange(b, c, chunk)
	}
}
