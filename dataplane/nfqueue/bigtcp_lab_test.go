//go:build lab

package nfqueue_test

import (
	"bytes"
	"sync/atomic"
	"testing"

	"keepword/dataplane"
	"keepword/dataplane/internal/netns"
	"keepword/inspect/packet"
	"keepword/inspect/verdict"
)

// With BIG TCP a host's own IPv6 packets are longer than a queue's message can be. What
// comes of them is cut, no packet that anybody could read, and so dropped; the
// retransmissions are shorter.
func TestWhatIsTooLongForAQueueMessageComesCutAndIsRepeatedShorter(t *testing.T) {
	p := newPair(t)
	const beyond = "185000" // octets a packet
	for link, h := range map[string]*netns.Host{"c": p.client, "s": p.server} {
		h.Run("ip", "link", "set", link, "gso_max_size", beyond, "gro_max_size", beyond)
	}
	var cut atomic.Int64
	e := inline(t, p.server, decideEach(func(p *dataplane.Packet) verdict.Kind {
		var v packet.View
		if packet.Parse(p.Data, &v) != packet.OK {
			cut.Add(1)
			return verdict.Drop
		}
		return verdict.Accept
	}))
	const addr = "[2001:db8::2]:25"
	listen(t, p.server, addr, echo)
	sent := bytes.Repeat([]byte("octets"), 1<<20/6)
	if got := exchange(t, dial(t, p.client, addr), sent); !bytes.Equal(got, sent) {
		t.Error("not what was sent")
	}
	if n := e.Counters().Truncated; n == 0 || int64(n) != cut.Load() {
		t.Errorf("%d counted as truncated, %d dropped", n, cut.Load())
	}
}
