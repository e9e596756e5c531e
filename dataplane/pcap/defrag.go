package pcap

import (
	"encoding/binary"
	"slices"
)

const (
	// maxDatagrams is how many packets may be in pieces at once. Each takes at most
	// 64 KiB. The oldest makes room.
	maxDatagrams = 256
	// fragmentTimeout is how long a packet may be in pieces, in nanoseconds of the
	// capture's time (RFC 8200 section 4.5).
	fragmentTimeout = 60_000_000_000
	// maxPacket is the longest fragmentable part, and the longest IPv4 packet.
	maxPacket = 1<<16 - 1
)

// defragmenter puts IP fragments together, as a receiver would: IPv4 (RFC 791 section
// 3.2) and IPv6 (RFC 8200 section 4.5). Fragments that overlap spoil their packet (RFC
// 5722), except for copies of what is there already; Linux holds both versions to that.
type defragmenter struct {
	datagrams map[datagramKey]*datagram
	lost      uint64 // fragments given up
}

// datagramKey tells whose piece a fragment is.
type datagramKey struct {
	src, dst [16]byte
	id       uint32
	version  uint8
	proto    uint8 // IPv4 only
}

// datagram is a packet in pieces.
type datagram struct {
	since     int64  // nanoseconds
	fragments uint64 // taken so far
	header    []byte // of the first piece, as that of the whole packet; nil before it
	octets    []byte // the fragmentable part
	runs      []run  // which of the octets are there, in pieces: ascending
	have      int    // octets that are there
	total     int    // octets of the fragmentable part; 0 before the last piece
}

// run are the octets [start, end).
type run struct{ start, end int }

// fragment is one piece.
type fragment struct {
	key     datagramKey
	start   int
	more    bool
	header  []byte // up to the fragmentable part, as that of a whole packet; lent
	payload []byte // lent
}

// waiting returns how many fragments wait for the rest of their packets.
func (d *defragmenter) waiting() (n uint64) {
	for _, g := range d.datagrams {
		n += g.fragments
	}
	return n
}

// add takes an IP packet that is a fragment, and returns the whole packet where this
// was its last missing piece, or nil. The time now is in nanoseconds. It writes to b,
// and keeps none of it.
func (d *defragmenter) add(b []byte, now int64) []byte {
	f, ok := parseFragment(b)
	if !ok {
		d.lost++
		return nil
	}
	g := d.find(f.key, now)
	g.fragments++
	if !g.add(&f) {
		d.drop(f.key)
		return nil
	}
	if g.header == nil || g.total == 0 || g.have != g.total {
		return nil
	}
	delete(d.datagrams, f.key)
	whole, ok := g.join()
	if !ok {
		d.lost += g.fragments
		return nil
	}
	return whole
}

// find returns the packet of that key, which it may have to begin.
func (d *defragmenter) find(key datagramKey, now int64) *datagram {
	if g := d.datagrams[key]; g != nil {
		if now-g.since <= fragmentTimeout {
			return g
		}
		d.drop(key)
	}
	if len(d.datagrams) == maxDatagrams {
		d.dropOldest()
	}
	if d.datagrams == nil {
		d.datagrams = make(map[datagramKey]*datagram)
	}
	g := &datagram{since: now}
	d.datagrams[key] = g
	return g
}

func (d *defragmenter) dropOldest() {
	var oldest datagramKey
	first := true
	for key, g := range d.datagrams {
		if first || g.since < d.datagrams[oldest].since {
			oldest, first = key, false
		}
	}
	d.drop(oldest)
}

func (d *defragmenter) drop(key datagramKey) {
	d.lost += d.datagrams[key].fragments
	delete(d.datagrams, key)
}

// add puts a piece in its place, and returns false where the pieces contradict each
// other.
func (g *datagram) add(f *fragment) bool {
	piece := run{f.start, f.start + len(f.payload)}
	if !f.more {
		if g.total != 0 && g.total != piece.end {
			return false
		}
		g.total = piece.end
	}
	// i is the first run that ends behind the piece's start.
	i, _ := slices.BinarySearchFunc(g.runs, piece.start, func(r run, start int) int { return r.end - start - 1 })
	if i < len(g.runs) && g.runs[i].start < piece.end {
		// A copy of what is there, or else an overlap.
		return g.runs[i].start <= piece.start && piece.end <= g.runs[i].end
	}
	g.place(f, piece, i)
	return g.total == 0 || g.runs[len(g.runs)-1].end <= g.total
}

// place copies a piece that overlaps nothing to its place before the run i. Like Linux, it
// joins a piece only to the last run, and only behind it: another that spans the seam of
// two others is an overlap.
func (g *datagram) place(f *fragment, piece run, i int) {
	if f.start == 0 {
		g.header = slices.Clone(f.header)
	}
	if missing := piece.end - len(g.octets); missing > 0 {
		g.octets = append(g.octets, make([]byte, missing)...)
	}
	copy(g.octets[piece.start:], f.payload)
	g.have += len(f.payload)
	if last := len(g.runs) - 1; i > last && last >= 0 && g.runs[last].end == piece.start {
		g.runs[last].end = piece.end
		return
	}
	g.runs = slices.Insert(g.runs, i, piece)
}

// join makes the whole packet, or returns false where no packet is that long.
func (g *datagram) join() ([]byte, bool) {
	packet := append(g.header, g.octets...)
	if packet[0]>>4 == 6 {
		length := len(packet) - 40
		binary.BigEndian.PutUint16(packet[4:], uint16(length))
		return packet, length <= maxPacket
	}
	if len(packet) > maxPacket {
		return nil, false
	}
	binary.BigEndian.PutUint16(packet[2:], uint16(len(packet)))
	header := packet[:len(g.header)]
	header[10], header[11] = 0, 0
	var sum uint32
	for i := 0; i < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(header[10:], ^uint16(sum))
	return packet, true
}

// parseFragment reads a packet that package packet calls a fragment. It returns false
// where a receiver would discard it, or the capture cut it.
func parseFragment(b []byte) (f fragment, ok bool) {
	if b[0]>>4 == 4 {
		f, ok = parseIPv4Fragment(b)
	} else {
		f, ok = parseIPv6Fragment(b)
	}
	n := len(f.payload)
	return f, ok && n > 0 && (!f.more || n%8 == 0) && f.start+n <= maxPacket
}

func parseIPv4Fragment(b []byte) (f fragment, ok bool) {
	if len(b) < 20 {
		return f, false
	}
	header, total := int(b[0]&0x0f)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < 20 || total < header || total > len(b) {
		return f, false
	}
	const (
		dontFragment  = 0x40
		moreFragments = 0x20
	)
	field := binary.BigEndian.Uint16(b[6:])
	f.start = int(field&0x1fff) * 8
	f.more = b[6]&moreFragments != 0
	f.key = datagramKey{version: 4, id: uint32(binary.BigEndian.Uint16(b[4:])), proto: b[9]}
	copy(f.key.src[:], b[12:16])
	copy(f.key.dst[:], b[16:20])
	f.payload = b[header:total]
	b[6] &= dontFragment
	b[7] = 0
	f.header = b[:header]
	return f, true
}

func parseIPv6Fragment(b []byte) (f fragment, ok bool) {
	const (
		hopByHop       = 0
		routing        = 43
		fragmentHeader = 44
		authentication = 51
		destination    = 60
	)
	if len(b) < 40 {
		return f, false
	}
	total := 40 + int(binary.BigEndian.Uint16(b[4:]))
	if total > len(b) {
		return f, false
	}
	b = b[:total]
	next, at := 6, 40 // where the next header's kind stands, and where it begins
	for len(b)-at >= 8 {
		switch b[next] {
		case hopByHop, routing, destination:
			next, at = at, at+(int(b[at+1])+1)*8
		case authentication:
			next, at = at, at+(int(b[at+1])+2)*4
		case fragmentHeader:
			field := binary.BigEndian.Uint16(b[at+2:])
			f.start = int(field &^ 7)
			f.more = field&1 != 0
			f.key = datagramKey{version: 6, id: binary.BigEndian.Uint32(b[at+4:])}
			copy(f.key.src[:], b[8:24])
			copy(f.key.dst[:], b[24:40])
			b[next] = b[at]
			f.header, f.payload = b[:at], b[at+8:]
			return f, true
		default:
			return f, false
		}
	}
	return f, false
}
