//go:build lab

package nfqueue_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"keepword/dataplane"
	"keepword/inspect/verdict"
)

// What only the kernel settles before a packet is queued: docs/normalisation.md.

// addressed is a SYN with another address in the place of one, and right checksums.
func (c *cable) addressed(at int, addr ...byte) []byte {
	p := c.opening(4)
	copy(p[at:], addr)
	s := parse(p)
	s.fixChecksum()
	return sumIPv4(p, 20)
}

// Where an IPv4 header has its addresses.
const (
	source      = 12
	destination = 16
)

// withOptions is a SYN with IPv4 options.
func (c *cable) withOptions(options ...byte) []byte {
	p := slices.Insert(c.opening(4), 20, options...)
	p[0] += byte(len(options) / 4)
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	return sumIPv4(p, 20+len(options))
}

// jumbogram is a SYN whose length stands in a hop-by-hop option (RFC 2675).
func (c *cable) jumbogram(length uint32) []byte {
	const hopByHop, jumboPayload = 0, 194
	p := c.opening(6)
	h := binary.BigEndian.AppendUint32([]byte{p[6], 0, jumboPayload, 4}, length)
	p[6] = hopByHop
	p[4], p[5] = 0, 0
	return slices.Insert(p, 40, h...)
}

func TestWhatTheKernelRefusesOfAnIPHeaderIsNeverQueued(t *testing.T) {
	for _, hook := range []string{"input", "forward"} {
		c := hooks[hook](t)
		alter := func(version int, f func(p []byte)) []byte {
			p := c.opening(version)
			f(p)
			if version == 4 {
				sumIPv4(p, 20)
			}
			return p
		}
		badSum := c.opening(4)
		badSum[10] ^= 1
		for name, p := range map[string][]byte{
			"a wrong header checksum":          badSum,
			"a header length of 16":            alter(4, func(p []byte) { p[0] = 0x44 }),
			"a header longer than the packet":  alter(4, func(p []byte) { p[0] = 0x4f }),
			"a total length beyond the frame":  alter(4, func(p []byte) { p[3]++ }),
			"a total length within the header": alter(4, func(p []byte) { p[3] = 19 }),
			"another version":                  alter(4, func(p []byte) { p[0] = 0x55 }),
			"a source of class D":              c.addressed(source, 224, 0, 0, 1),
			"a source of 255.255.255.255":      c.addressed(source, 255, 255, 255, 255),
			"a source on the loopback":         c.addressed(source, 127, 0, 0, 1),
			"a source of 0.0.0.0":              c.addressed(source, 0, 0, 0, 0),
			"a destination on the loopback":    c.addressed(destination, 127, 0, 0, 1),
			"a destination in 0.0.0.0/8":       c.addressed(destination, 0, 0, 0, 1),   // to which there is no route
			"a destination of class E":         c.addressed(destination, 250, 0, 0, 1), // likewise
			"a loose source route with hops":   c.withOptions(131, 7, 4, 192, 0, 2, 9, 0),
			"an option longer than the header": c.withOptions(7, 40, 4, 0),
			"a strict source route with a hop": c.withOptions(137, 7, 4, 192, 0, 2, 9, 0),
			"an IPv6 packet beyond its frame":  alter(6, func(p []byte) { p[5]++ }),
			"an IPv6 source that is multicast": alter(6, func(p []byte) { p[8] = 0xff }),
			"an IPv6 source on the loopback":   alter(6, func(p []byte) { copy(p[8:], net.IPv6loopback) }),
			"a jumbogram of a short length":    c.jumbogram(28),
			"a jumbogram beyond its frame":     c.jumbogram(1 << 17),
		} {
			t.Run(hook+"/"+name, func(t *testing.T) {
				on := *c
				on.tb = t
				on.refused(p)
			})
		}
	}
}

// Linux has taken addresses of class E for ordinary ones since 2.6.25, and those of 0/8 but
// 0.0.0.0 since 5.3: so they are inspected.
func TestReservedAddressesThatLinuxTakesForOrdinaryAreQueuedAsAnyOther(t *testing.T) {
	for name, addressed := range map[string]struct {
		hook string
		at   int
		addr [4]byte
	}{
		"a source of class E, input":        {"input", source, [4]byte{240, 0, 0, 1}},
		"a source of class E, forward":      {"forward", source, [4]byte{240, 0, 0, 1}},
		"a destination of class E, forward": {"forward", destination, [4]byte{240, 0, 0, 1}}, // to which there is a route
		"a source in 0/8, input":            {"input", source, [4]byte{0, 1, 2, 3}},
		"a source in 0/8, forward":          {"forward", source, [4]byte{0, 1, 2, 3}},
		"a destination in 0/8, forward":     {"forward", destination, [4]byte{0, 1, 2, 3}}, // likewise
	} {
		t.Run(name, func(t *testing.T) {
			c := hooks[addressed.hook](t)
			p := c.addressed(addressed.at, addressed.addr[:]...)
			c.send(p)
			c.wantQueued(p[20:])
		})
	}
}

// A packet to 255.255.255.255 is this host's and never forwarded. It is queued; but TCP
// takes no part in it, even with a listener on every address.
func TestASYNToTheBroadcastAddressIsNeitherForwardedNorAnswered(t *testing.T) {
	t.Run("forward", func(t *testing.T) {
		c := newForwardCable(t)
		c.refused(c.addressed(destination, 255, 255, 255, 255))
	})
	t.Run("input", func(t *testing.T) {
		p := newPair(t)
		c := &cable{tb: t, client: both("192.0.2.1", "2001:db8::1"), server: both("192.0.2.2", "2001:db8::2")}
		var queued, answered atomic.Int64
		control := make(chan struct{}, 16)
		inline(t, p.server, decideEach(func(p *dataplane.Packet) verdict.Kind {
			switch s := parse(p.Data); {
			case s.dst.Addr() == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
				queued.Add(1)
			case s.src.Port() == 25 && s.dst.Port() == 4001:
				control <- struct{}{}
			case s.src.Port() == 25:
				answered.Add(1)
			}
			return verdict.Accept
		}))
		listen(t, p.server, "0.0.0.0:25", echo)
		c.sendFrames(p.client, "c", p.server, "s")
		c.send(c.addressed(destination, 255, 255, 255, 255))
		c.send(bare(netip.AddrPortFrom(c.client[4], 4001), netip.AddrPortFrom(c.server[4], 25), 7, 0, syn))
		select {
		case <-control: // the listener's answer to another SYN, which came later
		case <-time.After(patience):
			t.Fatal("the listener answers nobody")
		}
		if queued.Load() != 1 || answered.Load() != 0 {
			t.Errorf("queued %d, answered %d", queued.Load(), answered.Load())
		}
	})
}

func TestPaddingBehindIPOptionsIsZeroWhenAPacketIsQueued(t *testing.T) {
	c := newCable(t)
	p := c.withOptions(1, 1, 0, 0xaa) // no-operation, end, and padding that is not zero
	c.send(p)
	p[23] = 0
	if got := c.next(); !bytes.Equal(got[20:], p[20:]) {
		t.Errorf("queued %x, want %x", got, p)
	}
}

func TestPaddingOfTheLinkIsCutBeforeAPacketIsQueued(t *testing.T) {
	for _, hook := range []string{"input", "forward"} {
		for _, version := range []int{4, 6} {
			t.Run(fmt.Sprintf("%s/IPv%d", hook, version), func(t *testing.T) {
				c := hooks[hook](t)
				whole := c.opening(version)
				c.send(append(bytes.Clone(whole), "padding"...))
				got := c.next()
				if hook == "forward" { // which counts a hop down
					c.wantHop(got, whole)
				}
				if !bytes.Equal(got, whole) {
					t.Errorf("queued %x, want %x", got, whole)
				}
			})
		}
	}
}

// wantHop makes the hop limit of a forwarded packet what it was when it was sent.
func (c *cable) wantHop(got, sent []byte) {
	if got[0]>>4 == 6 {
		got[7] = sent[7]
		return
	}
	got[8] = sent[8]
	sumIPv4(got, 20)
}
