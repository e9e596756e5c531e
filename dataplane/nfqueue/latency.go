package nfqueue

import (
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	// latencyUnit is the first bound of Latency's buckets; each further one is twice the one
	// before.
	latencyUnit = 8 * time.Microsecond
	// latencyBounds is how many bounds there are: up to half a second.
	latencyBounds = 17
)

// Latency counts packets by the time from when the engine has received them to when their
// batch's verdicts were sent: what came before in the kernel is not in it, nor how long a
// packet was held.
type Latency struct {
	// Packets has those of each bucket alone: up to the bound of the same index of
	// LatencyBounds, and last those that took longer.
	Packets [latencyBounds + 1]uint64
	// Sum is that of all packets' times.
	Sum time.Duration
}

// LatencyBounds returns the upper bounds of Latency's buckets, in ascending order.
func LatencyBounds() []time.Duration {
	bounds := make([]time.Duration, latencyBounds)
	for i := range bounds {
		bounds[i] = latencyUnit << i
	}
	return bounds
}

// latency is a Latency in the making: written by one goroutine, read by any.
type latency struct {
	packets [latencyBounds + 1]atomic.Uint64
	sum     atomic.Int64
}

// observe counts a batch of n packets.
func (l *latency) observe(n int, took time.Duration) {
	if n == 0 {
		return
	}
	i := bits.Len64(uint64(max(took-1, 0) / latencyUnit))
	l.packets[min(i, latencyBounds)].Add(uint64(n))
	l.sum.Add(int64(n) * int64(took))
}

func (l *latency) load() (out Latency) {
	for i := range l.packets {
		out.Packets[i] = l.packets[i].Load()
	}
	out.Sum = time.Duration(l.sum.Load())
	return out
}
