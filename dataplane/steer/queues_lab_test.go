//go:build lab

package steer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepword/dataplane"
	"keepword/dataplane/internal/netns"
	"keepword/dataplane/nfqueue"
	"keepword/inspect/verdict"
)

// seen are the packets that came to queues: for each client port, the queues of those
// with it as source and of those with it as destination.
type seen struct {
	mu     sync.Mutex
	queues map[uint16][2][]uint16
}

// listenOn accepts all that comes to the queues from first on in h, until the test ends,
// and notes it.
func listenOn(t *testing.T, h *netns.Host, first, queues uint16, decide func(p *dataplane.Packet)) *seen {
	t.Helper()
	s := &seen{queues: map[uint16][2][]uint16{}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var engines []*nfqueue.Engine
	t.Cleanup(func() {
		cancel()
		running.Wait()
		for _, e := range engines {
			_ = e.Close()
		}
	})
	for q := first; q < first+queues; q++ {
		var e *nfqueue.Engine
		h.Do(func() (err error) {
			e, err = nfqueue.Open(nfqueue.Config{Queue: q, Mark: labConfig.Mark, MarkExempt: true})
			return err
		})
		engines = append(engines, e)
		running.Go(func() {
			if err := e.Run(ctx, inspector(func(b *dataplane.Batch) {
				for i := range b.Packets {
					p := &b.Packets[i]
					p.Verdict = verdict.Accept
					s.note(q, p.Data)
					if decide != nil {
						decide(p)
					}
				}
			})); err != nil {
				t.Error(err)
			}
		})
	}
	return s
}

type inspector func(b *dataplane.Batch)

func (f inspector) Inspect(b *dataplane.Batch) { f(b) }

// tcpHeader returns the TCP header and what follows it, of a packet without extension headers.
func tcpHeader(packet []byte) []byte {
	if packet[0]>>4 == 4 {
		return packet[int(packet[0]&15)*4:]
	}
	return packet[40:]
}

func (s *seen) note(queue uint16, packet []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	header := tcpHeader(packet)
	for i := range 2 {
		port := binary.BigEndian.Uint16(header[2*i:])
		both := s.queues[port]
		both[i] = append(both[i], queue)
		s.queues[port] = both
	}
}

// knock connects in h from a port to one where nobody listens. When it returns the SYN
// and the RST have gone.
func knock(t *testing.T, h *netns.Host, from, to uint16) {
	t.Helper()
	err := h.Try(func() error {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(from)}, Timeout: 5 * time.Second}
		_, err := d.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", to))
		return err
	})
	if !errors.Is(err, unix.ECONNREFUSED) {
		t.Fatalf("from port %d: %v", from, err)
	}
}

func TestBothDirectionsComeToTheQueueOfTheClientsPort(t *testing.T) {
	for _, queues := range []uint16{1, 2, 3} {
		t.Run(fmt.Sprint(queues), func(t *testing.T) {
			h := netns.New(t)
			cfg := labConfig
			cfg.Queues = queues
			s := listenOn(t, h, cfg.FirstQueue, queues, nil)
			open(t, h, cfg)
			for port := uint16(20_001); port < 20_001+2*MaxQueues; port += 2 {
				knock(t, h, port, 25)
				s.mu.Lock()
				got := s.queues[port]
				s.mu.Unlock()
				want := []uint16{cfg.FirstQueue + QueueOf(port, queues)}
				if !slices.Equal(got[0], want) || !slices.Equal(got[1], want) {
					t.Errorf("port %d came to %v, want %v in both directions", port, got, want)
				}
			}
		})
	}
}

func TestAFlowBetweenTwoInspectedPortsComesToTheFirstQueue(t *testing.T) {
	h := netns.New(t)
	cfg := labConfig
	cfg.Queues = 64
	s := listenOn(t, h, cfg.FirstQueue, cfg.Queues, nil)
	open(t, h, cfg)
	knock(t, h, 587, 25)
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.queues[587]; !slices.Equal(got[0], []uint16{2500}) || !slices.Equal(got[1], []uint16{2500}) {
		t.Errorf("came to %v", got)
	}
}

func TestAnEmptiedMapLetsNothingBy(t *testing.T) {
	h := netns.New(t)
	s := listenOn(t, h, labConfig.FirstQueue, labConfig.Queues, nil)
	open(t, h, labConfig)
	h.Run("nft", "flush map inet keepword slots-2500-2")
	knock(t, h, 20_002, 25)
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.queues[20_002]; !slices.Equal(got[0], []uint16{2500}) || !slices.Equal(got[1], []uint16{2500}) {
		t.Errorf("came to %v", got)
	}
}
