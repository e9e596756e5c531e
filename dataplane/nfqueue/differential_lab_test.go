//go:build lab

package nfqueue_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepword/dataplane"
	"keepword/dataplane/internal/netns"
	"keepword/dataplane/nfqueue"
	"keepword/inspect/verdict"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// plan says by a packet's sequence number what becomes of it.
func plan(seq uint32) verdict.Kind {
	return []verdict.Kind{
		verdict.Accept, verdict.Accept, verdict.Accept, verdict.Replace, verdict.Accept, verdict.Accept,
		verdict.Hold, verdict.Accept, verdict.Drop, verdict.Accept, verdict.Accept, verdict.None, verdict.Accept,
	}[seq%13]
}

// planned is an Inspector that does as planned. A packet at Hold is released when the
// seventh after it is seen: accepted, replaced or dropped.
type planned struct {
	held map[uint32]dataplane.Release // by sequence number
}

func (d *planned) Inspect(b *dataplane.Batch) {
	const later = 7
	for i := range b.Packets {
		p := &b.Packets[i]
		s := parse(p.Data)
		seq := s.seq()
		p.Verdict = plan(seq)
		switch p.Verdict {
		case verdict.Replace:
			edit(&s)
		case verdict.Hold:
			r := dataplane.Release{ID: p.ID, Verdict: []verdict.Kind{verdict.Accept, verdict.Replace, verdict.Drop}[seq%3]}
			r.Data = bytes.Clone(p.Data)
			if r.Verdict == verdict.Replace {
				s = parse(r.Data)
				edit(&s)
			}
			d.held[seq] = r
		}
		if r, ok := d.held[seq-later]; ok {
			b.Released = append(b.Released, r)
			delete(d.held, seq-later)
		}
	}
}

func edit(s *segment) {
	for i := range s.payload {
		s.payload[i] ^= 0x20
	}
	s.fixChecksum()
}

// traffic are segments to which no TCP answers, numbered from 1, most of them short.
func traffic(n int) [][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	packets := make([][]byte, n)
	for i := range packets {
		const rst = 0x04
		p := bare(addrPort("127.0.0.1:4000"), addrPort(loopback), uint32(i+1), 0, rst)
		length := random.IntN(200)
		if random.IntN(50) == 0 {
			length = 60_000
		}
		for range length {
			p = append(p, byte(random.Uint32()))
		}
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		sumIPv4(p, 20)
		s := parse(p)
		s.fixChecksum()
		packets[i] = p
	}
	return packets
}

// deliveries has one engine inspect packets as planned and returns what was delivered, in
// order, and what the engine has counted.
func deliveries(t *testing.T, packets [][]byte) ([][]byte, nfqueue.Counters) {
	h := netns.New(t)
	e := openQueue(t, h, nfqueue.Config{})
	divert(t, h, labSteer)
	var receiver int
	h.Do(func() (err error) {
		// A raw socket gets what has passed the input hook.
		receiver, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_TCP)
		if err != nil {
			return err
		}
		if err := unix.SetsockoptInt(receiver, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20); err != nil {
			return err
		}
		sender, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(sender) }()
		// What waits in the queue still counts as the sender's.
		if err := unix.SetsockoptInt(sender, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 64<<20); err != nil {
			return err
		}
		for _, p := range packets { // nobody inspects yet, so that batches are full
			if err := unix.Sendto(sender, p, 0, &unix.SockaddrInet4{Addr: [4]byte(p[16:20])}); err != nil {
				return err
			}
		}
		return nil
	})
	defer func() { _ = unix.Close(receiver) }()
	stop := run(t, e, &planned{held: make(map[uint32]dataplane.Release)})
	eventually(t, "all are received and none waits", func() bool {
		st, err := status(h, e)
		return err == nil && st.Depth == 0 && e.Counters().Received == uint64(len(packets))
	})
	stop()
	var got [][]byte
	buffer := make([]byte, 1<<16)
	for {
		n, err := unix.Read(receiver, buffer)
		if err != nil {
			return got, e.Counters()
		}
		got = append(got, bytes.Clone(buffer[:n]))
	}
}

// The two engines share nothing below their loop.
func TestBothEnginesDeliverTheSame(t *testing.T) {
	if portable {
		t.Skip("both were compared in the first pass")
	}
	defer func() { portable = false }()
	const n = 13 * 7 * 25
	packets := traffic(n)
	var delivered [2][][]byte
	var counted [2]nfqueue.Counters
	for i, kind := range []bool{false, true} {
		portable = kind
		start := time.Now()
		delivered[i], counted[i] = deliveries(t, packets)
		t.Logf("portable %v: %d delivered of %d in %v", kind, len(delivered[i]), n, time.Since(start))
		// The batches' sizes, and how long they take, are each engine's own.
		counted[i].Batches, counted[i].Latency = 0, counted[0].Latency
	}
	if counted[0] != counted[1] {
		t.Errorf("the fast engine counted %+v,\nthe portable %+v", counted[0], counted[1])
	}
	if c := counted[0]; c.Stale+c.VerdictErrors+c.Malformed+c.Shortages != 0 || c.Verdicts[verdict.Hold] != n/13 {
		t.Errorf("counted %+v", c)
	}
	// When a held packet is released depends on the batches; whether and how does not.
	byPlan := func(packets [][]byte, held bool) []string {
		var out []string
		for _, p := range packets {
			if s := parse(p); (plan(s.seq()) == verdict.Hold) == held {
				out = append(out, fmt.Sprintf("%d %x", s.seq(), p))
			}
		}
		if held {
			slices.Sort(out)
		}
		return out
	}
	for _, held := range []bool{false, true} {
		fast, other := byPlan(delivered[0], held), byPlan(delivered[1], held)
		if !slices.Equal(fast, other) {
			t.Errorf("held %v: the fast engine delivered %d, the portable %d, or others", held, len(fast), len(other))
		}
		if len(fast) < n/26 {
			t.Errorf("held %v: only %d delivered", held, len(fast))
		}
	}
}
