//go:build lab

package nfqueue_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"keepword/dataplane/internal/inject"
	"keepword/dataplane/nfqueue"
	"keepword/dataplane/steer"
)

// Fragments are put together before a packet is queued, in each hook: docs/normalisation.md.

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

// forEachHook gives f a way to each hook, a SYN with octets, and the transport octets of
// it. A first fragment that ends within the TCP header is refused in IPv6 (RFC 8200
// section 4.5).
func forEachHook(t *testing.T, f func(t *testing.T, c *cable, whole, b []byte)) {
	for hook, plug := range hooks {
		for _, version := range []int{4, 6} {
			t.Run(fmt.Sprintf("%s/IPv%d", hook, version), func(t *testing.T) {
				c := plug(t)
				whole, header := c.opening(version), 20
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
				f(t, c, whole, whole[header:])
			})
		}
	}
}

func TestFragmentsInAnyOrderAreQueuedAsTheWholePacket(t *testing.T) {
	forEachHook(t, func(t *testing.T, c *cable, whole, b []byte) {
		first, middle, last := piece(whole, b[:24], 0, true), piece(whole, b[24:32], 24, true), piece(whole, b[32:], 32, false)
		c.send(last, first, first, middle) // and one of them twice
		c.wantQueued(b)
		c.refused()
	})
}

// RFC 5722 for IPv6; Linux does as much for IPv4.
func TestFragmentsThatOverlapInPartAreNeverQueued(t *testing.T) {
	forEachHook(t, func(t *testing.T, c *cable, whole, b []byte) {
		c.refused(piece(whole, b[:32], 0, true), piece(whole, bytes.ToUpper(b[24:40]), 24, true), piece(whole, b[40:], 40, false))
	})
}

// Linux takes a fragment that lies within another for a copy, whatever its octets. What
// is put together is one packet all the same, and it is that which goes on.
func TestOfAFragmentWithinAnotherTheOneThatCameFirstIsQueued(t *testing.T) {
	forEachHook(t, func(t *testing.T, c *cable, whole, b []byte) {
		c.send(piece(whole, b[:40], 0, true), piece(whole, bytes.ToUpper(b[24:32]), 24, true), piece(whole, b[40:], 40, false))
		c.wantQueued(b)
	})
}

// Linux joins fragments that came in order into one, so that one over both is a copy; where
// they came in another order it overlaps.
func TestAFragmentOverTwoOthersCountsOnlyWhereThoseCameInOrder(t *testing.T) {
	forEachHook(t, func(t *testing.T, c *cable, whole, b []byte) {
		first, second, last := piece(whole, b[:24], 0, true), piece(whole, b[24:32], 24, true), piece(whole, b[32:], 32, false)
		other := bytes.Clone(b[:32])
		other[31] ^= 1
		c.send(first, second, piece(whole, other, 0, true), last)
		c.wantQueued(b)
		c.refused(second, first, piece(whole, other, 0, true), last)
	})
}

// series cuts the transport octets b of whole into fragments, in order and without a gap.
func series(whole, b []byte) (fragments [][]byte) {
	const size = 1400 // what Ethernet carries with room for any header, a multiple of 8
	for at := 0; at < len(b); at += size {
		end := min(at+size, len(b))
		fragments = append(fragments, piece(whole, b[at:end], at, end < len(b)))
	}
	return fragments
}

// The length field of IPv4 counts the header, that of IPv6 what follows it; 65,535 is the
// largest number in either (RFC 791 section 3.1, RFC 8200 section 3). The series that
// reach further have no hole, and are refused for nothing but their length.
func TestAFragmentBeyondTheLargestPacketIsNeverQueued(t *testing.T) {
	const largest = 65_535
	forEachHook(t, func(t *testing.T, c *cable, whole, b []byte) {
		counted := len(whole) - len(b)
		if whole[0]>>4 == 6 {
			counted = 0
		}
		long := slices.Concat(b, bytes.Repeat([]byte("0123456789abcdef"), largest/16))
		// A little shorter than the largest, which a queue's message would show in part.
		shorter := long[:largest-100]
		c.send(series(whole, shorter)...)
		c.wantQueued(shorter)
		for _, beyond := range []int{1, 9} {
			c.refused(series(whole, long[:largest-counted+beyond])...)
		}
	})
}

func TestAnIPv6FragmentThatEndsWithinTheTCPHeaderIsNeverQueued(t *testing.T) {
	for hook, plug := range hooks {
		t.Run(hook, func(t *testing.T) {
			c := plug(t)
			whole := c.opening(6)
			c.refused(piece(whole, whole[40:56], 0, true), piece(whole, whole[56:], 16, false))
		})
	}
}

func TestFragmentsWithDFAreReassembledAlike(t *testing.T) {
	for hook, plug := range hooks {
		t.Run(hook, func(t *testing.T) {
			c := plug(t)
			whole := c.opening(4)
			b := whole[20:]
			first, last := piece(whole, b[:16], 0, true), piece(whole, b[16:], 16, false)
			for _, p := range [][]byte{first, last} {
				p[6] |= 0x40
				sumIPv4(p, 20)
			}
			c.send(first, last)
			c.wantQueued(b)
		})
	}
}

// The output hook shows it, as the kernel itself reassembles what is for this host
// ahead of the input hook.
func TestFragmentsThatNobodyReassembledAreDroppedAndCounted(t *testing.T) {
	for _, version := range []int{4, 6} {
		t.Run(fmt.Sprintf("IPv%d", version), func(t *testing.T) {
			p := newPair(t)
			// Exempt from tracking before the kernel would reassemble, at -400.
			p.server.Run("nft", "add table inet raw; add chain inet raw c { type filter hook output priority -450; }; add rule inet raw c notrack")
			table := divert(t, p.server, labSteer)
			e := openQueue(t, p.server, nfqueue.Config{})
			run(t, e, acceptAll)
			c := &cable{client: both("192.0.2.2", "2001:db8::2"), server: both("192.0.2.1", "2001:db8::1")}
			whole := c.opening(version)
			b := whole[len(whole)-20:]
			var first, second error
			p.server.Do(func() error {
				const otherMark = 1
				s, err := inject.Open(otherMark)
				if err != nil {
					return err
				}
				first, second = s.Send(piece(whole, b[:8], 0, true)), s.Send(piece(whole, b[8:], 8, false))
				return s.Close()
			})
			// EPERM says that the packet was dropped on its way out.
			if !errors.Is(first, unix.EPERM) || second != nil {
				t.Errorf("sent the first fragment: %v, the second: %v", first, second)
			}
			var counted steer.Counters
			p.server.Do(func() (err error) {
				counted, err = table.Counters()
				return err
			})
			if counted.Fragments != 1 || counted.Untracked != 1 || counted.Queued != 0 || e.Counters().Received != 0 {
				t.Errorf("counted %+v, engine %+v", counted, e.Counters())
			}
		})
	}
}
