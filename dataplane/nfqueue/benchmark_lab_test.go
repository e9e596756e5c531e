//go:build lab

package nfqueue_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	nfq "github.com/florianl/go-nfqueue/v2"

	"keepword/dataplane/internal/inject"
	"keepword/dataplane/internal/netns"
	"keepword/dataplane/nfqueue"
	"keepword/inspect/verdict"
)

// contenders put something that accepts all into the path of port 25 of h. What they
// return counts the accepted packets.
var contenders = []struct {
	name string
	open func(b *testing.B, h *netns.Host) func() uint64
}{
	{"fast", func(b *testing.B, h *netns.Host) func() uint64 { return acceptedBy(b, h, false) }},
	{"portable", func(b *testing.B, h *netns.Host) func() uint64 { return acceptedBy(b, h, true) }},
	{"go-nfqueue", acceptedByLibrary},
}

func acceptedBy(b *testing.B, h *netns.Host, kind bool) func() uint64 {
	portable = kind
	e := openQueue(b, h, nfqueue.Config{})
	divert(b, h, labSteer)
	run(b, e, acceptAll)
	return func() uint64 { return e.Counters().Verdicts[verdict.Accept] }
}

// acceptedByLibrary is go-nfqueue with nothing around it.
func acceptedByLibrary(b *testing.B, h *netns.Host) func() uint64 {
	var accepted atomic.Uint64
	var q *nfq.Nfqueue
	h.Do(func() (err error) {
		q, err = nfq.Open(&nfq.Config{
			NfQueue: firstQueue, MaxPacketLen: 0xffff, MaxQueueLen: nfqueue.DefaultMaxLen,
			Copymode: nfq.NfQnlCopyPacket, Flags: nfq.NfQaCfgFlagGSO,
		})
		if err != nil {
			return err
		}
		return q.Con.SetReadBuffer(nfqueue.DefaultBuffer)
	})
	ctx, cancel := context.WithCancel(context.Background())
	err := q.RegisterWithErrorFunc(ctx, func(a nfq.Attribute) int {
		if err := q.SetVerdict(*a.PacketID, nfq.NfAccept); err != nil {
			b.Error(err)
		}
		accepted.Add(1)
		return 0
	}, func(error) int { return 0 })
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cancel()
		_ = q.Close()
	})
	divert(b, h, labSteer)
	return accepted.Load
}

// BenchmarkPackets sends bare TCP segments over the loopback interface, at most so many
// ahead of what has been accepted. Behind the queue they are dropped.
func BenchmarkPackets(b *testing.B) {
	if portable {
		b.Skip("all were measured in the first pass")
	}
	for _, window := range []uint64{1, 256} {
		for _, c := range contenders {
			b.Run(fmt.Sprintf("ahead=%d/%s", window, c.name), func(b *testing.B) {
				defer func() { portable = false }()
				h := netns.New(b)
				h.Run("nft", "add table inet sink; add chain inet sink c { type filter hook input priority 500; };"+
					"add rule inet sink c tcp dport 25 drop")
				accepted := c.open(b, h)
				var s *inject.Sender
				const otherMark = 1
				h.Do(func() (err error) {
					s, err = inject.Open(otherMark)
					return err
				})
				b.Cleanup(func() { _ = s.Close() })
				const ack = 0x10
				p := bare(addrPort("127.0.0.1:4000"), addrPort(loopback), 1, 1, ack)
				end := time.Now().Add(patience)
				before, sent := accepted(), uint64(0)
				wait := func(ahead uint64) {
					for n := 0; sent-(accepted()-before) >= ahead; n++ {
						if n%1000 == 999 && time.Now().After(end) {
							b.Fatalf("%d sent, %d accepted", sent, accepted()-before)
						}
					}
				}
				for b.Loop() {
					if err := s.Send(p); err != nil {
						b.Fatal(err)
					}
					sent++
					wait(window)
				}
				wait(1)
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
			})
		}
	}
}
