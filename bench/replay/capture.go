package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"keepword/bench/traffic"
	"keepword/inspect/packet"
)

const (
	// atOnce is how many sessions are open at a time, but at the end.
	atOnce = 400
	// servers is how many addresses they go to.
	servers = 20
	// mostBurst is how many segments of a session come one behind the other at most.
	mostBurst = 8
	// between is the time from packet to packet: 5,000 a second, in about 50 sessions that
	// begin, which is a busy gateway's.
	between = 200 * time.Microsecond
	// snapLen is the capture's greatest packet, as tcpdump has it.
	snapLen = 256 << 10
)

// contents are what a capture holds.
type contents struct {
	octets, packets   int64
	sessions, secured int
}

// isV6 says whether the session goes over IPv6: one of four.
func (s *session) isV6() bool { return s.number%4 == 3 }

// mss is what a segment of the session carries. IPv6's header is longer.
func (s *session) mss() int {
	if s.isV6() {
		return traffic.MSS - 20
	}
	return traffic.MSS
}

// ends returns the addresses as packet.Segment has them, and the client's port. No two
// sessions of a capture have the same.
func (s *session) ends() (addresses [2][16]byte, port uint16) {
	n := uint32(s.number)
	c, z := &addresses[client], &addresses[server]
	if s.isV6() {
		copy(c[:], "\x20\x01\x0d\xb8\x00\x01") // of RFC 3849
		copy(z[:], "\x20\x01\x0d\xb8\x00\x02")
		binary.BigEndian.PutUint32(c[12:], n)
	} else {
		copy(c[12:], []byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
		copy(z[12:], []byte{192, 0, 2})
	}
	z[15] = byte(1 + s.number%servers)
	return addresses, uint16(32768 + s.number*40503%28000)
}

// frame appends the session's next segment to b as an Ethernet frame. The TCP timestamps
// are in milliseconds.
func (s *session) frame(b []byte, at time.Time) []byte {
	seg := &s.segments[0]
	addresses, port := s.ends()
	p := packet.Segment{
		Version: 4, HopLimit: 63, Src: addresses[seg.from], Dst: addresses[1-seg.from],
		SrcPort: port, DstPort: serverPort, Seq: seg.seq, Ack: seg.ack, Flags: seg.flags, Window: window,
		HasTimestamp: true, TSVal: uint32(at.UnixMilli()), TSEcr: s.clock[1-seg.from], Payload: seg.text,
	}
	s.clock[seg.from] = p.TSVal
	if seg.from == server {
		p.SrcPort, p.DstPort = p.DstPort, p.SrcPort
	}
	b = append(b, "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01"...) // locally administered addresses
	if s.isV6() {
		p.Version = 6
		b = binary.BigEndian.AppendUint16(b, uint16(layers.EthernetTypeIPv6))
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(layers.EthernetTypeIPv4))
	}
	if seg.flags.Has(packet.SYN) {
		return traffic.AppendSYN(b, &p, scale)
	}
	return p.Append(b)
}

// writeCapture writes a capture of at least so many octets to a file: whole sessions,
// mixed. The same number of octets gives the same capture but for the TLS hellos.
func writeCapture(file string, octets int64) (c contents, err error) {
	f, err := os.Create(file)
	if err != nil {
		return c, err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<20)
	if err := fill(&c, pcapgo.NewWriter(buffered), octets); err != nil {
		return c, fmt.Errorf("write %s: %w", file, err)
	}
	return c, buffered.Flush()
}

func fill(c *contents, w *pcapgo.Writer, octets int64) error {
	const fileHeader, recordHeader = 24, 16 // draft-ietf-opsawg-pcap sections 4 and 5
	if err := w.WriteFileHeader(snapLen, layers.LinkTypeEthernet); err != nil {
		return err
	}
	c.octets = fileHeader
	a, err := newAuthor()
	if err != nil {
		return err
	}
	var open []*session
	var frame []byte
	now := time.Unix(1_700_000_000, 0)
	for {
		for c.octets < octets && len(open) < atOnce {
			open = append(open, a.session())
		}
		if len(open) == 0 {
			c.sessions, c.secured = a.sessions, a.secured
			return nil
		}
		k := a.IntN(len(open))
		s := open[k]
		for range burst(a.Rand, len(s.segments)) {
			frame = s.frame(frame[:0], now)
			if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: now, CaptureLength: len(frame), Length: len(frame)}, frame); err != nil {
				return err
			}
			s.segments = s.segments[1:]
			now = now.Add(between)
			c.octets += int64(recordHeader + len(frame))
			c.packets++
		}
		if len(s.segments) == 0 {
			open[k] = open[len(open)-1]
			open = open[:len(open)-1]
		}
	}
}

// burst draws how many of the segments left come together.
func burst(random *rand.Rand, left int) int { return min(1+random.IntN(mostBurst), left) }
