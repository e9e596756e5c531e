//go:build lab

package nfqueue_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
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
	err := h.Try(func() error { _, err := nfqueue.Open(nfqueue.Config{Queue: firstQueue, Mark: exempt}); return err })
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
		"queue": func() error { _, err := nfqueue.Open(nfqueue.Config{Queue: firstQueue, Mark: exempt}); return err },
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
	// Twice the interval, as the machine may be busy.
	if longest.Load() > 2*dataplane.TickInterval {
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
	eventually(t, "a SYN is received", func() bool { return e.Counters().Received == 1 })
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

func TestBothDirectionsOfAFlowComeToOneQueue(t *testing.T) {
	h := netns.New(t)
	cfg := labSteer
	cfg.Queues = 2
	var mu sync.Mutex
	queuesOf := make(map[string]map[uint16]bool) // by client address
	for q := firstQueue; q < firstQueue+2; q++ {
		e := openQueue(t, h, nfqueue.Config{Queue: uint16(q)})
		run(t, e, decideEach(func(p *dataplane.Packet) verdict.Kind {
			s := parse(p.Data)
			client := s.src
			if client.Port() == 25 {
				client = s.dst
			}
			mu.Lock()
			defer mu.Unlock()
			key := client.Addr().String()
			if queuesOf[key] == nil {
				queuesOf[key] = make(map[uint16]bool)
			}
			queuesOf[key][e.Queue()] = true
			return verdict.Accept
		}))
	}
	divert(t, h, cfg)
	listen(t, h, loopback, echo)
	const clients = 16
	for i := range clients {
		var c net.Conn
		h.Do(func() (err error) {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i+1))}, Timeout: patience}
			c, err = d.Dial("tcp", loopback)
			return err
		})
		exchange(t, c, []byte("x"))
		_ = c.Close()
	}
	mu.Lock()
	defer mu.Unlock()
	used := make(map[uint16]bool)
	for client, queues := range queuesOf {
		if len(queues) != 1 {
			t.Errorf("%s came to queues %v", client, queues)
		}
		for q := range queues {
			used[q] = true
		}
	}
	if len(queuesOf) != clients || len(used) != 2 {
		t.Errorf("%d clients on queues %v", len(queuesOf), used)
	}
}

func TestLoopbackTrafficIsQueuedOnce(t *testing.T) {
	h := netns.New(t)
	var seen atomic.Int64
	inline(t, h, decideEach(func(p *dataplane.Packet) verdict.Kind {
		if s := parse(p.Data); s.toServer() {
			seen.Add(1)
		}
		return verdict.Accept
	}))
	listen(t, h, loopback, echo)
	exchange(t, dial(t, h, loopback), []byte("once"))
	if seen.Load() != 1 {
		t.Errorf("seen %d times", seen.Load())
	}
}

// fragments cuts an IPv4 packet into one with the first 8 octets behind the IP header
// and one with the rest (RFC 791 section 3.2).
func fragments(packet []byte) [][]byte {
	const header, cut = 20, 8
	const moreFragments = 0x20
	piece := func(from, to int, flags, offset byte) []byte {
		f := bytes.Clone(packet[:header])
		f[2], f[3] = 0, byte(header+to-from)
		f[6], f[7] = flags, offset
		f[10], f[11] = 0, 0
		s := sum(f)
		f[10], f[11] = byte(s>>8), byte(s)
		return append(f, packet[header+from:header+to]...)
	}
	return [][]byte{piece(0, cut, moreFragments, 0), piece(cut, len(packet)-header, 0, cut/8)}
}

// sendFragments sends packet from h in two fragments, which are not exempt, and
// returns what became of each.
func sendFragments(h *netns.Host, packet []byte) (first, second error) {
	const otherMark = 1
	h.Do(func() error {
		s, err := inject.Open(otherMark)
		if err != nil {
			return err
		}
		pieces := fragments(packet)
		first, second = s.Send(pieces[0]), s.Send(pieces[1])
		return s.Close()
	})
	return first, second
}

func TestFragmentsAreQueuedAsTheWholePacket(t *testing.T) {
	p := newPair(t)
	got := make(chan []byte, 16)
	inline(t, p.server, decideEach(func(p *dataplane.Packet) verdict.Kind {
		if s := parse(p.Data); s.dst.Port() == 25 {
			got <- bytes.Clone(p.Data)
		}
		return verdict.Drop
	}))
	const syn = 0x02
	want := bare(addrPort("192.0.2.1:4000"), addrPort("192.0.2.2:25"), 1, 0, syn)
	if err := errors.Join(sendFragments(p.client, want)); err != nil {
		t.Fatal(err)
	}
	select {
	case data := <-got:
		if !bytes.Equal(data[20:], want[20:]) {
			t.Errorf("got %x, want %x", data, want)
		}
	case <-time.After(patience):
		t.Error("nothing was queued")
	}
}

// The output hook shows it, as the kernel itself reassembles what is for this host
// ahead of the input hook.
func TestFragmentsThatNobodyReassembledAreDroppedAndCounted(t *testing.T) {
	p := newPair(t)
	// Exempt from tracking before the kernel would reassemble, at -400.
	p.server.Run("nft", "add table inet raw; add chain inet raw c { type filter hook output priority -450; }; add rule inet raw c notrack")
	table := divert(t, p.server, labSteer)
	e := openQueue(t, p.server, nfqueue.Config{})
	run(t, e, acceptAll)
	const rst = 0x04
	first, second := sendFragments(p.server, bare(addrPort("192.0.2.2:25"), addrPort("192.0.2.1:4000"), 1, 0, rst))
	// EPERM says that the packet was dropped on its way out.
	if !errors.Is(first, unix.EPERM) || second != nil {
		t.Errorf("sent the first fragment: %v, the second: %v", first, second)
	}
	var c steer.Counters
	p.server.Do(func() (err error) {
		c, err = table.Counters()
		return err
	})
	if c.Fragments != 1 || c.Untracked != 1 || c.Queued != 0 || e.Counters().Received != 0 {
		t.Errorf("counted %+v, engine %+v", c, e.Counters())
	}
}

func TestTheTableCountsWhatItQueues(t *testing.T) {
	h := netns.New(t)
	e := openQueue(t, h, nfqueue.Config{})
	table := divert(t, h, labSteer)
	run(t, e, acceptAll)
	listen(t, h, loopback, echo)
	exchange(t, dial(t, h, loopback), []byte("x"))
	var c steer.Counters
	eventually(t, "as many received as queued", func() bool {
		h.Do(func() (err error) {
			c, err = table.Counters()
			return err
		})
		return c.Queued > 0 && c.Queued == e.Counters().Received
	})
}

func TestAHostWithoutIPv6IsInspectedToo(t *testing.T) {
	h := netns.New(t)
	h.Run("sysctl", "-w", "net.ipv6.conf.all.disable_ipv6=1")
	e := inline(t, h, acceptAll)
	listen(t, h, loopback, echo)
	exchange(t, dial(t, h, loopback), []byte("x"))
	if e.Counters().Received == 0 {
		t.Error("nothing was inspected")
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
