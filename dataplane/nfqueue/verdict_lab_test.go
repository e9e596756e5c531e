//go:build lab

package nfqueue_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"keepword/dataplane"
	"keepword/dataplane/nfqueue"
	"keepword/inspect/verdict"
)

func TestTenMegabytesPassUnaltered(t *testing.T) {
	forEachServer(t, func(t *testing.T, addr string) {
		p := newPair(t)
		var longest atomic.Int64
		e := inline(t, p.server, decideEach(func(p *dataplane.Packet) verdict.Kind {
			longest.Store(max(longest.Load(), int64(len(p.Data))))
			return verdict.Accept
		}))
		listen(t, p.server, addr, echo)
		sent := make([]byte, 10<<20)
		random := rand.NewChaCha8([32]byte{})
		_, _ = random.Read(sent)
		if got := exchange(t, dial(t, p.client, addr), sent); !bytes.Equal(got, sent) {
			t.Error("not what was sent")
		}
		if longest.Load() < 20_000 {
			t.Errorf("longest packet: %d octets; GSO packets were to be seen whole", longest.Load())
		}
		eventually(t, "as many accepted as received", func() bool {
			c := e.Counters()
			return c.Verdicts[verdict.Accept] == c.Received
		})
		if c := e.Counters(); c.Truncated != 0 || c.Stale != 0 {
			t.Errorf("counted %+v", c)
		}
	})
}

func TestAReplacementArrives(t *testing.T) {
	forEachServer(t, func(t *testing.T, addr string) {
		p := newPair(t)
		var longest, partial atomic.Int64
		e := inline(t, p.server, decideEach(func(p *dataplane.Packet) verdict.Kind {
			s := parse(p.Data)
			if !s.toServer() {
				return verdict.Accept
			}
			longest.Store(max(longest.Load(), int64(len(p.Data))))
			if p.ChecksumPartial {
				partial.Add(1)
			}
			for i, c := range s.payload {
				if c == 'a' {
					s.payload[i] = 'b'
				}
			}
			s.fixChecksum()
			return verdict.Replace
		}))
		listen(t, p.server, addr, echo)
		got := exchange(t, dial(t, p.client, addr), bytes.Repeat([]byte("a."), 1<<19))
		if !bytes.Equal(got, bytes.Repeat([]byte("b."), 1<<19)) {
			t.Error("not what the inspector made of it")
		}
		if longest.Load() < 20_000 || partial.Load() == 0 {
			t.Errorf("longest replaced packet %d octets, %d with partial checksum: GSO was not tried", longest.Load(), partial.Load())
		}
		if c := e.Counters(); c.VerdictErrors != 0 {
			t.Errorf("counted %+v", c)
		}
	})
}

// The control of the test before: it is the kernel that verifies the checksum.
func TestAReplacementWithAWrongChecksumDoesNotArrive(t *testing.T) {
	p := newPair(t)
	inline(t, p.server, decideEach(func(p *dataplane.Packet) verdict.Kind {
		s := parse(p.Data)
		if !s.toServer() {
			return verdict.Accept
		}
		s.payload[0]++
		s.fixChecksum()
		s.tcp[16] ^= 0x55
		return verdict.Replace
	}))
	listen(t, p.server, serverAddrs[0], echo)
	c := dial(t, p.client, serverAddrs[0])
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(impatience))
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d octets came back", n)
	}
}

func TestADroppedPacketDoesNotArrive(t *testing.T) {
	p := newPair(t)
	e := inline(t, p.server, decideAll(verdict.Drop))
	listen(t, p.server, serverAddrs[0], echo)
	if _, err := tryDial(p.client, serverAddrs[0], impatience); err == nil {
		t.Error("connected")
	}
	if c := e.Counters(); c.Verdicts[verdict.Drop] == 0 {
		t.Errorf("counted %+v", c)
	}
}

func TestAnUndecidedPacketIsDroppedAndCounted(t *testing.T) {
	for name, in := range map[string]inspector{
		"no verdict": decideAll(verdict.None),
		"replacement that is no packet": decideEach(func(p *dataplane.Packet) verdict.Kind {
			p.Data = p.Data[:10]
			return verdict.Replace
		}),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			e := inline(t, p.server, in)
			listen(t, p.server, serverAddrs[0], echo)
			if _, err := tryDial(p.client, serverAddrs[0], impatience); err == nil {
				t.Error("connected")
			}
			eventually(t, "as many undecided as received", func() bool {
				c := e.Counters()
				return c.Received > 0 && c.Verdicts[verdict.None] == c.Received
			})
		})
	}
}

// holder holds what carries payload to port 25 from one client port, from the first
// such packet on until its time, and releases it in order.
type holder struct {
	port    atomic.Int64 // held client port
	ticks   int          // calls of Inspect yet to wait
	waiting []dataplane.Release
}

func (h *holder) Inspect(b *dataplane.Batch) {
	if len(h.waiting) > 0 {
		h.ticks--
	}
	if h.ticks == 0 {
		b.Released = append(b.Released, h.waiting...)
		h.waiting = nil
		h.ticks = -1
	}
	for i := range b.Packets {
		p := &b.Packets[i]
		p.Verdict = verdict.Accept
		if s := parse(p.Data); s.toServer() && int64(s.src.Port()) == h.port.Load() && h.ticks > 0 {
			p.Verdict = verdict.Hold
			h.waiting = append(h.waiting, dataplane.Release{ID: p.ID, Verdict: verdict.Accept})
		}
	}
}

func TestAHeldPacketWaitsWhileOthersPass(t *testing.T) {
	p := newPair(t)
	const ticks = 40
	h := &holder{ticks: ticks}
	e := inline(t, p.server, h)
	listen(t, p.server, serverAddrs[0], echo)
	held, free := dial(t, p.client, serverAddrs[0]), dial(t, p.client, serverAddrs[0])
	h.port.Store(int64(held.LocalAddr().(*net.TCPAddr).Port))
	if _, err := held.Write([]byte("held")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a packet is held", func() bool { return e.Counters().Verdicts[verdict.Hold] > 0 })
	if got := exchange(t, free, []byte("free")); string(got) != "free" {
		t.Errorf("the other connection echoed %q", got)
	}
	_ = held.SetReadDeadline(time.Now().Add(dataplane.TickInterval))
	if _, err := held.Read(make([]byte, 1)); err == nil {
		t.Error("the held packet was let through by another's verdict")
	}
	_ = held.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, 4)
	if _, err := io.ReadFull(held, got); err != nil || string(got) != "held" {
		t.Errorf("after its release: %q, %v", got, err)
	}
}

// resetBoth ends a connection on both sides when its client sends content.
func resetBoth(b *dataplane.Batch) {
	const rst, ack = 0x04, 0x10
	for i := range b.Packets {
		p := &b.Packets[i]
		p.Verdict = verdict.Accept
		s := parse(p.Data)
		if !s.toServer() {
			continue
		}
		p.Verdict = verdict.Drop
		b.Injected = append(b.Injected,
			bare(s.src, s.dst, s.seq(), s.ack(), rst|ack), // to the server, in the client's name
			bare(s.dst, s.src, s.ack(), s.seq(), rst|ack)) // to the client, in the server's
	}
}

func TestAnInjectedResetEndsAConnectionOnBothSides(t *testing.T) {
	forEachServer(t, func(t *testing.T, addr string) {
		p := newPair(t)
		e := inline(t, p.server, inspector(resetBoth))
		ended := make(chan error, 1)
		listen(t, p.server, addr, func(c net.Conn) {
			_, err := c.Read(make([]byte, 1))
			ended <- err
		})
		c := dial(t, p.client, addr)
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("client: %v, want ECONNRESET", err)
		}
		if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("server: %v, want ECONNRESET", err)
		}
		eventually(t, "both are counted", func() bool { return e.Counters().Injected == 2 })
	})
}

func TestAPacketThatCannotBeInjectedIsCounted(t *testing.T) {
	p := newPair(t)
	e := openQueue(t, p.server, nfqueue.Config{})
	var once atomic.Bool
	run(t, e, inspector(func(b *dataplane.Batch) {
		if once.CompareAndSwap(false, true) {
			b.Injected = append(b.Injected, []byte("no packet"))
		}
	}))
	eventually(t, "an injection error", func() bool { return e.Counters().InjectErrors == 1 })
}

func TestAStaleVerdictIsCountedAndTheEngineGoesOn(t *testing.T) {
	p := newPair(t)
	h := &holder{ticks: 10}
	e := inline(t, p.server, h)
	listen(t, p.server, serverAddrs[0], echo)
	c := dial(t, p.client, serverAddrs[0])
	h.port.Store(int64(c.LocalAddr().(*net.TCPAddr).Port))
	if _, err := c.Write([]byte("held")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a packet is held", func() bool { return e.Counters().Verdicts[verdict.Hold] > 0 })
	// Deleting any hooked chain of the namespace empties all of its queues.
	p.server.Run("nft", "add table inet other; add chain inet other c { type filter hook input priority 0; }; delete table inet other")
	eventually(t, "a stale verdict", func() bool { return e.Counters().Stale > 0 })
	got := make([]byte, 4)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "held" {
		t.Errorf("after the retransmission: %q, %v", got, err)
	}
}
