//go:build lab

package nfqueue_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepword/dataplane"
	"keepword/inspect/verdict"
)

// What only the kernel settles before a packet is queued: docs/normalisation.md.

// cable sends frames to the server as they are: unlike a raw socket's, nothing in their
// IP headers is put right.
type cable struct {
	tb     testing.TB
	pair   pair
	fd     int
	to     unix.SockaddrLinklayer
	queued chan []byte // for port 25, as keepword gets them
}

func newCable(tb testing.TB) *cable {
	c := &cable{tb: tb, pair: newPair(tb), queued: make(chan []byte, 64)}
	c.pair.server.Do(func() error {
		i, err := net.InterfaceByName("s")
		if err == nil {
			c.to.Halen = uint8(copy(c.to.Addr[:], i.HardwareAddr))
		}
		return err
	})
	c.pair.client.Do(func() error {
		i, err := net.InterfaceByName("c")
		if err != nil {
			return err
		}
		c.to.Ifindex = i.Index
		c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
	tb.Cleanup(func() { _ = unix.Close(c.fd) })
	inline(tb, c.pair.server, decideEach(func(p *dataplane.Packet) verdict.Kind {
		if s := parse(p.Data); s.dst.Port() == 25 {
			c.queued <- bytes.Clone(p.Data)
		}
		return verdict.Drop
	}))
	return c
}

func (c *cable) send(packets ...[]byte) {
	c.tb.Helper()
	for _, p := range packets {
		to := c.to
		to.Protocol = 0x0008 // ETH_P_IP in network order
		if p[0]>>4 == 6 {
			to.Protocol = 0xdd86 // ETH_P_IPV6
		}
		if err := unix.Sendto(c.fd, p, 0, &to); err != nil {
			c.tb.Fatal(err)
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
	c.send(bare(addrPort("192.0.2.1:4001"), addrPort("192.0.2.2:25"), mark, 0, syn))
	p := c.next()
	if s := parse(p); s.seq() != mark {
		c.tb.Errorf("%x was queued", p)
	}
	for s := parse(p); s.seq() != mark; s = parse(c.next()) {
	}
}

const syn = 0x02

// opening is a SYN from the client.
func opening(version int) []byte {
	if version == 4 {
		return bare(addrPort("192.0.2.1:4000"), addrPort("192.0.2.2:25"), 1, 0, syn)
	}
	return bare(addrPort("[2001:db8::1]:4000"), addrPort("[2001:db8::2]:25"), 1, 0, syn)
}

// sumIPv4 makes the checksum of an IPv4 header right.
func sumIPv4(p []byte, header int) []byte {
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:], sum(p[:header]))
	return p
}

// piece is a fragment of the transport octets b of whole.
func piece(whole, b []byte, offset int, more bool) []byte {
	flags := uint16(offset)
	if whole[0]>>4 == 4 {
		flags /= 8
		if more {
			flags |= 0x2000
		}
		p := slices.Concat(whole[:20], b)
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		binary.BigEndian.PutUint16(p[6:], flags)
		return sumIPv4(p, 20)
	}
	if more {
		flags |= 1
	}
	h := []byte{whole[6], 0, 0, 0, 0, 0, 0xab, 0xcd}
	binary.BigEndian.PutUint16(h[2:], flags)
	p := slices.Concat(whole[:40], h, b)
	const fragment = 44
	p[6] = fragment
	binary.BigEndian.PutUint16(p[4:], uint16(len(p)-40))
	return p
}

// forEachVersion gives f a SYN with octets, and the transport octets of it. A first
// fragment that ends within the TCP header is refused in IPv6 (RFC 8200 section 4.5).
func forEachVersion(t *testing.T, f func(t *testing.T, whole, b []byte)) {
	for _, version := range []int{4, 6} {
		t.Run(fmt.Sprintf("IPv%d", version), func(t *testing.T) {
			whole, header := opening(version), 20
			whole = append(whole, "octets of a SYN: 24 more"...)
			if version == 4 {
				whole[3] += 24
				sumIPv4(whole, 20)
			} else {
				whole[5] += 24
				header = 40
			}
			s := parse(whole)
			s.fixChecksum()
			f(t, whole, whole[header:])
		})
	}
}

func (c *cable) wantQueued(b []byte) {
	c.tb.Helper()
	if got := parse(c.next()); !bytes.Equal(slices.Concat(got.tcp, got.payload), b) {
		c.tb.Errorf("queued %x %q, want %x", got.tcp, got.payload, b)
	}
}

func TestFragmentsInAnyOrderAreQueuedAsTheWholePacket(t *testing.T) {
	forEachVersion(t, func(t *testing.T, whole, b []byte) {
		c := newCable(t)
		first, middle, last := piece(whole, b[:24], 0, true), piece(whole, b[24:32], 24, true), piece(whole, b[32:], 32, false)
		c.send(last, first, first, middle) // and one of them twice
		c.wantQueued(b)
		c.refused()
	})
}

// RFC 5722 for IPv6; Linux does as much for IPv4.
func TestFragmentsThatOverlapInPartAreNeverQueued(t *testing.T) {
	forEachVersion(t, func(t *testing.T, whole, b []byte) {
		c := newCable(t)
		c.refused(piece(whole, b[:32], 0, true), piece(whole, bytes.ToUpper(b[24:40]), 24, true), piece(whole, b[40:], 40, false))
	})
}

// Linux takes a fragment that lies within another for a copy, whatever its octets. What
// is put together is one packet all the same, and it is that which goes on.
func TestOfAFragmentWithinAnotherTheOneThatCameFirstIsQueued(t *testing.T) {
	forEachVersion(t, func(t *testing.T, whole, b []byte) {
		c := newCable(t)
		c.send(piece(whole, b[:40], 0, true), piece(whole, bytes.ToUpper(b[24:32]), 24, true), piece(whole, b[40:], 40, false))
		c.wantQueued(b)
	})
}

func TestAFragmentBeyondTheLargestPacketIsNeverQueued(t *testing.T) {
	forEachVersion(t, func(t *testing.T, whole, b []byte) {
		c := newCable(t)
		c.refused(piece(whole, b[:24], 0, true), piece(whole, make([]byte, 64), 65528, false))
	})
}

func TestAnIPv6FragmentThatEndsWithinTheTCPHeaderIsNeverQueued(t *testing.T) {
	c := newCable(t)
	whole := opening(6)
	c.refused(piece(whole, whole[40:56], 0, true), piece(whole, whole[56:], 16, false))
}

func TestFragmentsWithDFAreReassembledAlike(t *testing.T) {
	c := newCable(t)
	whole := opening(4)
	b := whole[20:]
	first, last := piece(whole, b[:16], 0, true), piece(whole, b[16:], 16, false)
	for _, p := range [][]byte{first, last} {
		p[6] |= 0x40
		sumIPv4(p, 20)
	}
	c.send(first, last)
	c.wantQueued(b)
}

func TestWhatTheKernelRefusesOfAnIPHeaderIsNeverQueued(t *testing.T) {
	header := func(alter func(p []byte)) []byte {
		p := opening(4)
		alter(p)
		return sumIPv4(p, 20)
	}
	// addressed has another address in the place of one, with right checksums.
	addressed := func(at int, addr ...byte) []byte {
		p := opening(4)
		copy(p[at:], addr)
		s := parse(p)
		s.fixChecksum()
		return sumIPv4(p, 20)
	}
	badSum := opening(4)
	badSum[10] ^= 1
	noIP := opening(4)
	noIP[0] = 0x55
	const source, destination = 12, 16
	for name, p := range map[string][]byte{
		"a wrong header checksum":          badSum,
		"a header length of 16":            header(func(p []byte) { p[0] = 0x44 }),
		"a header longer than the packet":  header(func(p []byte) { p[0] = 0x4f }),
		"a total length beyond the frame":  header(func(p []byte) { p[3]++ }),
		"a total length within the header": header(func(p []byte) { p[3] = 19 }),
		"another version":                  noIP,
		"a source of class D":              addressed(source, 224, 0, 0, 1),
		"a source of class E":              addressed(source, 255, 255, 255, 255),
		"a source on the loopback":         addressed(source, 127, 0, 0, 1),
		"a source of 0.0.0.0":              addressed(source, 0, 0, 0, 0),
		"a destination on the loopback":    addressed(destination, 127, 0, 0, 1),
		"a destination in 0.0.0.0/8":       addressed(destination, 0, 0, 0, 1),
		"a destination of class E":         addressed(destination, 240, 0, 0, 1),
		"an IPv6 packet beyond its frame":  func() []byte { p := opening(6); p[5]++; return p }(),
		"an IPv6 source that is multicast": func() []byte { p := opening(6); p[8] = 0xff; return p }(),
		"an IPv6 source on the loopback":   func() []byte { p := opening(6); copy(p[8:], net.IPv6loopback); return p }(),
		"a loose source route with hops":   withOptions(131, 7, 4, 192, 0, 2, 9, 0),
		"an option longer than the header": withOptions(7, 40, 4, 0),
		"a strict source route with a hop": withOptions(137, 7, 4, 192, 0, 2, 9, 0),
	} {
		t.Run(name, func(t *testing.T) { newCable(t).refused(p) })
	}
}

// withOptions is a SYN with IPv4 options.
func withOptions(options ...byte) []byte {
	p := slices.Insert(opening(4), 20, options...)
	p[0] += byte(len(options) / 4)
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	return sumIPv4(p, 20+len(options))
}

func TestPaddingBehindIPOptionsIsZeroWhenAPacketIsQueued(t *testing.T) {
	c := newCable(t)
	p := withOptions(1, 1, 0, 0xaa) // no-operation, end, and padding that is not zero
	c.send(p)
	p[23] = 0
	if got := c.next(); !bytes.Equal(got[20:], p[20:]) {
		t.Errorf("queued %x, want %x", got, p)
	}
}

func TestPaddingOfTheLinkIsCutBeforeAPacketIsQueued(t *testing.T) {
	forEachVersion(t, func(t *testing.T, whole, _ []byte) {
		c := newCable(t)
		c.send(append(bytes.Clone(whole), "padding"...))
		if got := c.next(); !bytes.Equal(got, whole) {
			t.Errorf("queued %x, want %x", got, whole)
		}
	})
}
