//go:build lab

package nfqueue_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"keepword/dataplane"
	"keepword/dataplane/internal/netns"
	"keepword/dataplane/nfqueue"
	"keepword/dataplane/steer"
	"keepword/inspect/verdict"
)

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

func TestNoPacketPassesOrIsLostWhileTheTableIsTakenOverOrUpdated(t *testing.T) {
	h := netns.New(t)
	e := inline(t, h, decideEach(func(p *dataplane.Packet) verdict.Kind {
		if s := parse(p.Data); s.toServer() {
			s.payload[0]++
			s.fixChecksum()
			return verdict.Replace
		}
		return verdict.Accept
	}))
	listen(t, h, loopback, echo)
	c := dial(t, h, loopback)
	const changes = 20
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		for i := range changes {
			if err := h.Try(func() error {
				table, err := steer.Open(labSteer)
				if err != nil {
					return err
				}
				return table.Update(25, uint16(1000+i))
			}); err != nil {
				t.Error(err)
			}
		}
	}()
	for done := false; !done && !t.Failed(); {
		if got := exchange(t, c, []byte("a")); string(got) != "b" {
			t.Errorf("got %q: a packet passed uninspected", got)
		}
		select {
		case <-changed:
			done = true
		default:
		}
	}
	<-changed
	if n := e.Counters().Stale; n != 0 {
		t.Errorf("%d waiting packets were dropped", n)
	}
}

func TestOpeningATableDropsNothingThatWaitsInAnotherQueue(t *testing.T) {
	h := netns.New(t)
	e := openQueue(t, h, nfqueue.Config{Queue: 100})
	other := labSteer
	other.Name, other.FirstQueue = "other", 100
	divert(t, h, other)
	listen(t, h, loopback, echo)
	hold := &holder{ticks: 10}
	run(t, e, hold)
	c := dial(t, h, loopback)
	hold.port.Store(int64(c.LocalAddr().(*net.TCPAddr).Port))
	if _, err := c.Write([]byte("held")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a packet is held", func() bool { return e.Counters().Verdicts[verdict.Hold] > 0 })
	table := labSteer
	table.Ports, table.FirstQueue = []uint16{2525}, firstQueue
	divert(t, h, table)
	got := make([]byte, 4)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "held" {
		t.Errorf("%q, %v", got, err)
	}
	if n := e.Counters().Stale; n != 0 {
		t.Errorf("%d waiting packets were dropped", n)
	}
}
