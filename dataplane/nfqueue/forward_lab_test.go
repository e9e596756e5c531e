//go:build lab

package nfqueue_test

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"

	"keepword/dataplane"
	"keepword/dataplane/internal/netns"
	"keepword/dataplane/nfqueue"
	"keepword/dataplane/steer"
	"keepword/inspect/verdict"
)

// gateway is a client and a server that see each other through a gateway only, where
// keepword stands.
type gateway struct {
	client, gateway, server *netns.Host
}

var farAddrs = []string{"198.51.100.2:25", "[2001:db8:2::2]:25"}

func newGateway(tb testing.TB) gateway {
	tb.Helper()
	g := gateway{netns.New(tb), netns.New(tb), netns.New(tb)}
	g.gateway.Run("sysctl", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	g.client.Link("c", []string{"192.0.2.1/24", "2001:db8:1::1/64"}, g.gateway, "in", []string{"192.0.2.254/24", "2001:db8:1::fe/64"})
	g.server.Link("s", []string{"198.51.100.2/24", "2001:db8:2::2/64"}, g.gateway, "out", []string{"198.51.100.254/24", "2001:db8:2::fe/64"})
	g.client.Run("ip", "route", "add", "default", "via", "192.0.2.254")
	g.client.Run("ip", "route", "add", "default", "via", "2001:db8:1::fe")
	g.server.Run("ip", "route", "add", "default", "via", "198.51.100.254")
	g.server.Run("ip", "route", "add", "default", "via", "2001:db8:2::fe")
	return g
}

func (g *gateway) inline(tb testing.TB, in dataplane.Inspector) *nfqueue.Engine {
	tb.Helper()
	e := openQueue(tb, g.gateway, nfqueue.Config{})
	cfg := labSteer
	cfg.Hooks = []steer.Hook{steer.Forward}
	divert(tb, g.gateway, cfg)
	run(tb, e, in)
	return e
}

func TestAGatewayInspectsWhatItForwards(t *testing.T) {
	for _, addr := range farAddrs {
		g := newGateway(t)
		e := g.inline(t, decideEach(func(p *dataplane.Packet) verdict.Kind {
			if s := parse(p.Data); s.toServer() {
				s.payload[0]++
				s.fixChecksum()
				return verdict.Replace
			}
			return verdict.Accept
		}))
		listen(t, g.server, addr, echo)
		if got := exchange(t, dial(t, g.client, addr), []byte("a")); string(got) != "b" {
			t.Errorf("%s: got %q", addr, got)
		}
		if e.Counters().Received == 0 {
			t.Errorf("%s: nothing was inspected", addr)
		}
	}
}

func TestAGatewayEndsAForwardedConnection(t *testing.T) {
	for name, nat := range map[string]string{
		"no NAT": "", "source NAT": sourceNAT, "destination NAT": destinationNAT,
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t)
			g.gateway.Run("nft", "add table ip nat;"+nat)
			g.inline(t, inspector(resetBoth))
			ended := make(chan error, 1)
			listen(t, g.server, farAddrs[0], func(c net.Conn) {
				_, err := c.Read(make([]byte, 1))
				ended <- err
			})
			addr := farAddrs[0]
			if nat == destinationNAT {
				addr = "192.0.2.254:25"
			}
			c := dial(t, g.client, addr)
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("client: %v, want ECONNRESET", err)
			}
			if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("server: %v, want ECONNRESET", err)
			}
		})
	}
}

// Parts of the gateway's address translation, in a table `ip nat`.
const (
	sourceNAT = "add chain ip nat post { type nat hook postrouting priority 100; };" +
		"add rule ip nat post masquerade;"
	destinationNAT = "add chain ip nat pre { type nat hook prerouting priority -100; };" +
		"add rule ip nat pre ip daddr 192.0.2.254 tcp dport 25 dnat to 198.51.100.2;"
)

func TestBothDirectionsShowOnePairOfAddressesUnderNAT(t *testing.T) {
	g := newGateway(t)
	g.gateway.Run("nft", "add table ip nat;"+sourceNAT+destinationNAT)
	var mu sync.Mutex
	seen := make(map[[2]netip.AddrPort]int) // client, server
	g.inline(t, decideEach(func(p *dataplane.Packet) verdict.Kind {
		s := parse(p.Data)
		key := [2]netip.AddrPort{s.src, s.dst}
		if s.src.Port() == 25 {
			key[0], key[1] = key[1], key[0]
		}
		mu.Lock()
		defer mu.Unlock()
		seen[key]++
		return verdict.Accept
	}))
	listen(t, g.server, farAddrs[0], echo)
	c := dial(t, g.client, "192.0.2.254:25")
	exchange(t, c, []byte("x"))
	mu.Lock()
	defer mu.Unlock()
	want := [2]netip.AddrPort{c.LocalAddr().(*net.TCPAddr).AddrPort(), addrPort(farAddrs[0])}
	if len(seen) != 1 || seen[want] < 5 {
		t.Errorf("seen %v, want only %v", seen, want)
	}
}
