//go:build lab

package nfqueue_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepword/dataplane"
	"keepword/dataplane/internal/netns"
	"keepword/dataplane/nfqueue"
	"keepword/dataplane/steer"
	"keepword/inspect/verdict"
)

// cable brings packets to one of keepword's hooks as they are, and has what is queued.
type cable struct {
	tb testing.TB
	// client and server are the ends of what it carries.
	client, server map[int]netip.Addr // by IP version
	send           func(packets ...[]byte)
	queued         chan []byte // for port 25, as keepword gets them
}

func both(v4, v6 string) map[int]netip.Addr {
	return map[int]netip.Addr{4: netip.MustParseAddr(v4), 6: netip.MustParseAddr(v6)}
}

// The places where keepword stands.
var hooks = map[string]func(tb testing.TB) *cable{
	"input": newCable, "forward": newForwardCable, "output": newOutputCable,
}

// newCable leads to a server with keepword in its input hook. Frames come over the link:
// unlike with a raw socket's packets, nothing in their IP headers is put right.
func newCable(tb testing.TB) *cable {
	p := newPair(tb)
	c := &cable{tb: tb, client: both("192.0.2.1", "2001:db8::1"), server: both("192.0.2.2", "2001:db8::2")}
	c.divert(p.server, steer.Input, "s")
	c.sendFrames(p.client, "c", p.server, "s")
	return c
}

// newForwardCable leads to a gateway with keepword in its forward hook, likewise.
func newForwardCable(tb testing.TB) *cable {
	g := newGateway(tb)
	c := &cable{tb: tb, client: both("192.0.2.1", "2001:db8:1::1"), server: both("198.51.100.2", "2001:db8:2::2")}
	for _, reserved := range []string{"240.0.0.0/5", "0.1.0.0/16"} {
		g.gateway.Run("ip", "route", "add", reserved, "via", "198.51.100.2")
	}
	c.divert(g.gateway, steer.Forward, "in")
	c.sendFrames(g.client, "c", g.gateway, "in")
	return c
}

// newOutputCable is for what a host with keepword in its output hook sends itself.
func newOutputCable(tb testing.TB) *cable {
	p := newPair(tb)
	c := &cable{tb: tb, client: both("192.0.2.2", "2001:db8::2"), server: both("192.0.2.1", "2001:db8::1")}
	c.divert(p.server, steer.Output, "s")
	c.sendRaw(p.server)
	return c
}

// divert has what is queued in h dropped and kept. Nothing may depend on the filter of
// sources that a host may have or not.
func (c *cable) divert(h *netns.Host, hook steer.Hook, link string) {
	c.queued = make(chan []byte, 64)
	h.Run("sysctl", "-w", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf."+link+".rp_filter=0")
	e := openQueue(c.tb, h, nfqueue.Config{})
	cfg := labSteer
	cfg.Hooks = []steer.Hook{hook}
	divert(c.tb, h, cfg)
	run(c.tb, e, decideEach(func(p *dataplane.Packet) verdict.Kind {
		if s := parse(p.Data); s.dst.Port() == 25 {
			c.queued <- bytes.Clone(p.Data)
		}
		return verdict.Drop
	}))
}

// sendFrames makes c send from one end of a link to the other.
func (c *cable) sendFrames(from *netns.Host, fromLink string, at *netns.Host, atLink string) {
	var to unix.SockaddrLinklayer
	at.Do(func() error {
		i, err := net.InterfaceByName(atLink)
		if err == nil {
			to.Halen = uint8(copy(to.Addr[:], i.HardwareAddr))
		}
		return err
	})
	var fd int
	from.Do(func() error {
		i, err := net.InterfaceByName(fromLink)
		if err != nil {
			return err
		}
		to.Ifindex = i.Index
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
	c.tb.Cleanup(func() { _ = unix.Close(fd) })
	c.send = func(packets ...[]byte) {
		c.tb.Helper()
		for _, p := range packets {
			to := to
			to.Protocol = 0x0008 // ETH_P_IP in network order
			if p[0]>>4 == 6 {
				to.Protocol = 0xdd86 // ETH_P_IPV6
			}
			if err := unix.Sendto(fd, p, 0, &to); err != nil {
				c.tb.Fatal(err)
			}
		}
	}
}

// sendRaw makes c send packets with their IP headers from h.
func (c *cable) sendRaw(h *netns.Host) {
	fd := map[int]int{}
	h.Do(func() error {
		for version, family := range map[int]int{4: unix.AF_INET, 6: unix.AF_INET6} {
			s, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
			if err != nil {
				return err
			}
			fd[version] = s
		}
		return nil
	})
	c.tb.Cleanup(func() {
		for _, s := range fd {
			_ = unix.Close(s)
		}
	})
	c.send = func(packets ...[]byte) {
		c.tb.Helper()
		for _, p := range packets {
			version := int(p[0] >> 4)
			var to unix.Sockaddr = &unix.SockaddrInet4{Addr: [4]byte(p[16:20])}
			if version == 6 {
				to = &unix.SockaddrInet6{Addr: [16]byte(p[24:40])}
			}
			// EPERM says that it was dropped on its way out.
			if err := unix.Sendto(fd[version], p, 0, to); err != nil && !errors.Is(err, unix.EPERM) {
				c.tb.Fatal(err)
			}
		}
	}
}

// next returns what is queued next.
func (c *cable) next() []byte {
	c.tb.Helper()
	select {
	case p := <-c.queued:
		return p
	case <-time.After(patience):
		c.tb.Fatal("nothing was queued")
		return nil
	}
}

// refused sends packets of which none may be queued, and behind them one that must.
func (c *cable) refused(packets ...[]byte) {
	c.tb.Helper()
	const mark = 0x5eaf00d
	c.send(packets...)
	c.send(bare(netip.AddrPortFrom(c.client[4], 4001), netip.AddrPortFrom(c.server[4], 25), mark, 0, syn))
	p := c.next()
	if s := parse(p); s.seq() != mark {
		c.tb.Errorf("%x was queued", p)
	}
	for s := parse(p); s.seq() != mark; s = parse(c.next()) {
	}
}

// wantQueued fails unless the next packet that is queued has these transport octets.
func (c *cable) wantQueued(b []byte) {
	c.tb.Helper()
	if got := parse(c.next()); !bytes.Equal(slices.Concat(got.tcp, got.payload), b) {
		c.tb.Errorf("queued %x %q, want %x", got.tcp, got.payload, b)
	}
}

const syn = 0x02

// opening is a SYN from the client.
func (c *cable) opening(version int) []byte {
	return bare(netip.AddrPortFrom(c.client[version], 4000), netip.AddrPortFrom(c.server[version], 25), 1, 0, syn)
}

// sumIPv4 makes the checksum of an IPv4 header right.
func sumIPv4(p []byte, header int) []byte {
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:], sum(p[:header]))
	return p
}
