//go:build lab

package nfqueue_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"keepword/dataplane"
	"keepword/inspect"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// tally is a Sink that counts.
type tally struct{ findings atomic.Int64 }

func (s *tally) Finding(*inspect.FindingRecord) { s.findings.Add(1) }
func (*tally) FlowEnd(*inspect.FlowRecord)      {}

// lossy drops two packets of a hundred of port 25, before keepword sees them and behind it.
func (g *gateway) lossy() {
	var rules strings.Builder
	rules.WriteString("add table inet loss;")
	for chain, hook := range map[string]string{"ahead": "prerouting priority -500", "behind": "postrouting priority 500"} {
		fmt.Fprintf(&rules, "add chain inet loss %s { type filter hook %s; };", chain, hook)
		for _, port := range []string{"sport", "dport"} {
			fmt.Fprintf(&rules, "add rule inet loss %s tcp %s 25 numgen random mod 100 < 2 counter drop;", chain, port)
		}
	}
	g.gateway.Run("nft", rules.String())
	g.client.Run("ip", "link", "set", "c", "gso_max_segs", "1") // each segment for itself
}

// serveMail answers one pipelining client, slowly and with a small window, and returns
// what it sent.
func serveMail(c net.Conn) (heard []byte) {
	_ = c.(*net.TCPConn).SetReadBuffer(4096)
	in := bufio.NewReaderSize(c, 512)
	say := func(text string) { _, _ = io.WriteString(c, text) }
	say("220 mx.example ESMTP\r\n")
	for data := false; ; {
		line, err := in.ReadBytes('\n')
		heard = append(heard, line...)
		switch {
		case err != nil:
			return heard
		case data:
			if data = string(line) != ".\r\n"; !data {
				say("250 queued\r\n")
			}
		case bytes.HasPrefix(line, []byte("EHLO")):
			say("250-mx.example\r\n250-PIPELINING\r\n250 STARTTLS\r\n")
		case bytes.HasPrefix(line, []byte("DATA")):
			data = true
			say("354 go\r\n")
		case bytes.HasPrefix(line, []byte("QUIT")):
			say("221 bye\r\n")
			return heard
		default:
			say("250 ok\r\n")
		}
	}
}

// With the real inspection, real stacks, a window that is soon full and losses on both
// sides of the gateway, a lawful session completes, and what it said is what was heard.
// Where commands may have to be edited, none passes ahead of a hole: then much is held.
func TestALawfulSessionCompletesHoweverMuchIsLostOnBothSides(t *testing.T) {
	var everHeld atomic.Int64
	t.Cleanup(func() {
		if everHeld.Load() == 0 && !t.Failed() {
			t.Error("nothing was held: the test shows nothing")
		}
	})
	for name, wish := range map[string]policy.StartTLS{"auto": policy.Auto, "hide": policy.Hide} {
		for i, addr := range farAddrs {
			t.Run(fmt.Sprintf("%s/IPv%d", name, 4+2*i), func(t *testing.T) {
				t.Parallel()
				g := newGateway(t)
				sink := &tally{}
				pipeline := inspect.New(inspect.Config{
					Policy: policy.New(policy.Config{Servers: []policy.Server{{StartTLS: wish}}}), Ports: []uint16{25}, Sink: sink,
					Limits: inspect.Limits{Flows: 10, Memory: 16 << 20, FlowMemory: 256 << 10}, MemoryFull: inspect.WhenKill,
				})
				var held, injected atomic.Int64
				e := g.inline(t, inspector(func(b *dataplane.Batch) {
					pipeline.Inspect(b)
					for _, p := range b.Packets {
						if p.Verdict == verdict.Hold {
							held.Add(1)
						}
					}
					injected.Add(int64(len(b.Injected)))
				}))
				heard := make(chan []byte, 1)
				listen(t, g.server, addr, func(c net.Conn) {
					_ = c.SetDeadline(time.Now().Add(2 * patience))
					heard <- serveMail(c)
				})
				eventually(t, "the neighbours know each other", func() bool {
					_, err := tryDial(g.client, strings.TrimSuffix(addr, "25")+"26", patience)
					return errors.Is(err, syscall.ECONNREFUSED)
				})
				g.lossy()
				c := dial(t, g.client, addr)
				_ = c.SetDeadline(time.Now().Add(2 * patience))
				in := bufio.NewReader(c)
				replies := func(n int) {
					for range n {
						if line, err := in.ReadString('\n'); err != nil || line[0] != '2' && line[0] != '3' {
							t.Fatalf("reply %q, %v", line, err)
						}
					}
				}
				const recipients = 1000
				body := strings.Repeat("a line of mail data, of no great length\r\n", 2000)
				group := "MAIL FROM:<a@example>\r\n" + strings.Repeat("RCPT TO:<b@example>\r\n", recipients) + "DATA\r\n"
				var said []byte
				say := func(text string) {
					said = append(said, text...)
					go func() { _, _ = io.WriteString(c, text) }()
				}
				replies(1)
				say("EHLO client.example\r\n")
				for line := ""; !strings.HasPrefix(line, "250 "); { // of three lines, or two without the offer
					var err error
					if line, err = in.ReadString('\n'); err != nil {
						t.Fatal(err)
					}
				}
				say(group)
				replies(1 + recipients + 1)
				say(body + ".\r\n")
				replies(1)
				say("QUIT\r\n")
				replies(1)
				if got := <-heard; !slices.Equal(got, said) {
					t.Errorf("heard %d octets, said %d", len(got), len(said))
				}
				if n := sink.findings.Load() + injected.Load(); n != 0 {
					t.Errorf("%d findings and packets of our own in a lawful session", n)
				}
				everHeld.Add(held.Load())
				eventually(t, "every packet is decided", func() bool {
					n := e.Counters()
					var decided uint64
					for _, k := range n.Verdicts {
						decided += k
					}
					return n.Received > 0 && decided >= n.Received
				})
			})
		}
	}
}
