//go:build lab

package nfqueue_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"keepword/dataplane"
	"keepword/dataplane/nfqueue"
	"keepword/inspect/verdict"
)

// A rule behind the queue finds the mark on packets that were accepted as exempt, beside
// the mark that they had.
func TestExemptPacketsLeaveTheQueueWithTheMark(t *testing.T) {
	p := newPair(t)
	p.server.Run("nft", "add table inet marks;"+
		"add chain inet marks ahead { type filter hook prerouting priority -500; };"+
		"add rule inet marks ahead tcp dport 25 meta mark set 0x40;"+
		"add chain inet marks behind { type filter hook input priority 500; };"+
		"add rule inet marks behind tcp dport 25 meta mark 0x10000040 counter;"+
		"add rule inet marks behind tcp dport 25 meta mark 0x40 counter;")
	e := openQueue(t, p.server, nfqueue.Config{MarkExempt: true})
	divert(t, p.server, labSteer)
	var exempted, others atomic.Int64
	run(t, e, decideEach(func(p *dataplane.Packet) verdict.Kind {
		if s := parse(p.Data); s.dst.Port() == 25 {
			if p.Mark != 0x40 {
				t.Errorf("mark %#x", p.Mark)
			}
			if p.Exempt = s.toServer(); p.Exempt {
				exempted.Add(1)
			} else {
				others.Add(1)
			}
		}
		return verdict.Accept
	}))
	listen(t, p.server, serverAddrs[0], echo)
	exchange(t, dial(t, p.client, serverAddrs[0]), []byte("x"))
	eventually(t, "the rules count as many", func() bool {
		var counted []string
		for _, line := range strings.Split(p.server.Run("nft", "list", "chain", "inet", "marks", "behind"), "\n") {
			if _, after, ok := strings.Cut(line, "counter packets "); ok {
				counted = append(counted, strings.Fields(after)[0])
			}
		}
		return exempted.Load() > 0 && others.Load() > 0 && len(counted) == 2 &&
			counted[0] == itoa(exempted.Load()) && counted[1] == itoa(others.Load())
	})
}
