//go:build lab

package follow

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"keepword/inspect/packet"
	"keepword/inspect/policy"
)

// TestNoRingIsLeftWhateverWayConnectionsEnd: several at a time, in all orders; and each server gets
// what its client has said first, whatever comes again.
func TestNoRingIsLeftWhateverWayConnectionsEnd(t *testing.T) {
	sessions := 400
	if n, err := strconv.Atoi(os.Getenv("RING_SESSIONS")); err == nil {
		sessions = n
	}
	r := rand.New(rand.NewPCG(1, uint64(sessions)))
	body := strings.Repeat("What was said first is what the server gets.\r\n..dots\r\n", 60)
	done, passed, up := 0, 0, 0
	for done < sessions {
		g := newGate(t, policy.Config{})
		var links []*link
		for round := 0; round < 600; round++ {
			if len(links) < 6 {
				l := g.inMail(r.Uint32())
				links = append(links, l)
			}
			i := r.IntN(len(links))
			l := links[i]
			said := len(l.client.said)
			over := false
			switch r.IntN(22) {
			case 0, 1, 2, 3, 4, 5, 6:
				from := r.IntN(200)
				b := body[from : from+1+r.IntN(3000)]
				if l.put(true, b) {
					passed++
				} else {
					up++
				}
			case 7: // a piece of a line's end
				l.put(true, []string{"\r", "\n", ".", "\r\n", "x"}[r.IntN(5)])
			case 8, 9:
				l.acknowledge(false)
			case 10, 11:
				l.wake()
			case 12, 13: // again, as it was, perhaps from before what was acknowledged
				from := max(1, said-r.IntN(2500))
				n := min(said-from, 1+r.IntN(1400))
				if n > 0 && l.send(l.segment(true, from, packet.ACK, string(l.client.said[from:from+n]))) {
					t.Fatalf("a retransmission from %d of %d on has passed; the server has %d", from, said, len(l.server.got[0].octets))
				}
			case 14: // in another form
				if r.IntN(10) == 0 {
					from := max(1, said-r.IntN(1500))
					l.send(l.segment(true, from, packet.ACK, strings.Repeat("E", min(said-from, 700))))
				}
			case 15: // a keepalive
				l.send(l.segment(true, said-1, packet.ACK, ""))
			case 16: // a window update
				s := l.segment(false, len(l.server.said), packet.ACK, "")
				s.Window = uint16(r.IntN(65536))
				l.send(s)
			case 17:
				l.put(true, "\r\n.\r\n")
				l.flush()
				l.say(false, "250 Ok\r\n")
				if r.IntN(2) == 0 && l.say(true, "MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n") {
					l.say(false, "250 Ok\r\n250 Ok\r\n354 Go\r\n")
				}
			case 18:
				l.send(l.segment(r.IntN(2) == 0, map[bool]int{true: said, false: len(l.server.said)}[true], packet.RST, ""))
				over = true
			case 19:
				l.send(l.segment(true, said, packet.ACK|packet.FIN, body[:r.IntN(2)*500]))
				over = true
			case 20:
				if r.IntN(8) == 0 {
					if err := shared.program.Set([]uint16{25, 587}, window); err != nil {
						t.Fatal(err)
					}
				}
			case 21:
				if r.IntN(8) == 0 {
					l.rest(2 * time.Hour) // what comes after is in its middle
					done += len(links)
					links = nil
				}
			}
			if over && links != nil {
				links = append(links[:i], links[i+1:]...)
				done++
			}
			got := l.server.got[0].octets
			if n := min(len(got), len(l.client.said)); !bytes.Equal(got[:n], l.client.said[:n]) {
				t.Fatalf("the server of link %d has not got what was said first", i)
			}
		}
		for range 3 {
			g.rest(2 * time.Hour)
		}
		g.rest(2 * time.Second)
		g.rest(2 * time.Second)
		if n := takenRings(); n != 0 {
			t.Fatalf("%d rings are left behind %d sessions", n, done)
		}
		for _, d := range g.Witness.Differences {
			t.Fatal(d)
		}
		for _, l := range g.pipeline.Stats().Lost {
			if l.Cause == "follower" {
				t.Fatalf("inspection has lost sight: %+v", l)
			}
		}
		g.pipeline.Flush(g.now)
	}
	t.Logf("%d packets of mail data have passed, %d came up", passed, up)
}
