// Package pcap replays capture files behind the contract of package dataplane, as if
// their packets came from a queue.
//
// It reads pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng), plain
// or compressed with gzip or zstd, from any reader. The capture's own clock drives the
// Inspector. Verdicts are counted; nothing is carried out, and no file is touched.
//
// A capture is hostile input: memory is bounded whatever the file says, and a file
// that is cut short or damaged is inspected up to the fault, which is then reported.
package pcap

import (
	"context"
	"errors"
	"fmt"
	"io"

	"keepword/dataplane"
	"keepword/inspect/packet"
	"keepword/inspect/verdict"
)

// Errors that Replay's errors wrap.
var (
	// ErrNotCapture is returned for input of another format.
	ErrNotCapture = errors.New("not a capture file: expected pcap or pcapng, plain or compressed with gzip or zstd")
	// ErrCutShort is returned where the file ends within a packet or a block.
	ErrCutShort = errors.New("cut short")
	// ErrDamaged is returned where the file contradicts itself or its format.
	ErrDamaged = errors.New("damaged")
	// ErrLinkType is returned where the packets are framed in a way that Replay can't
	// read.
	ErrLinkType = errors.New("link type not supported")
)

const (
	// batchPackets is the most packets that are inspected at once, as many as a queue's
	// wake-up brings at a usual load.
	batchPackets = 64
	// arenaLen are the octets that a batch's packets share: room for the longest
	// record and then some.
	arenaLen = 2 * maxRecord
	// evenTicks is how many ticks of dataplane.TickInterval each a pause of the capture
	// gets, enough for the longest timer of a dialogue's (60 s for silence-after-220)
	// to run at full resolution. In a longer pause the ticks grow, so that a clock that
	// jumps by years costs no time.
	evenTicks = 2400
)

// Options are how a capture is to be taken.
type Options struct {
	// IgnoreChecksums sets ChecksumPartial on every packet: for captures of a host that
	// leaves checksums to its network card.
	IgnoreChecksums bool
	// Waiting, where it is not nil, says that the input comes while it is read, as from
	// tcpdump's pipe. All that has come is then inspected before more is waited for, and
	// Waiting is called; and reading ends with the context while nothing comes. A read
	// that was under way then goes on in a goroutine of its own until it returns.
	Waiting func()
}

// Stats counts what a capture held and what became of it.
type Stats struct {
	// Records are the packets of the file, whatever they carry.
	Records uint64
	// NotIP, NotTCP and Fragments are those that were not inspected as they are.
	NotIP, NotTCP, Fragments uint64
	// FragmentsLost are fragments that never became a whole packet: the rest is
	// missing, they overlap, or too many waited.
	FragmentsLost uint64
	// Truncated are packets that the capture cut; they are inspected as such.
	Truncated uint64
	// Inspected are the packets that the Inspector was given, and Verdicts what it
	// decided. A packet with verdict None was left undecided, against the contract.
	Inspected uint64
	Verdicts  [verdict.Hold + 1]uint64
	// Released are the late verdicts on held packets.
	Released [verdict.Hold + 1]uint64
	// Injected are the packets that would have been sent.
	Injected uint64
	// First and Last are the earliest and the latest time that the Inspector was
	// given, in nanoseconds of the Unix epoch; 0 where it was given no packet.
	First, Last int64
}

// Replay reads the capture r to its end and lets insp decide its TCP packets. Name
// stands for the input in errors, which are one line and wrap one of this package's
// errors, the reader's own, or ctx's. What was inspected before an error is in the Stats.
//
// Fragments are put together first. Time is the capture's: it never runs
// backwards, and pauses are filled with calls that bring no packets.
func Replay(ctx context.Context, r io.Reader, name string, insp dataplane.Inspector, opt Options) (Stats, error) {
	p := replay{insp: insp, opt: opt, arena: make([]byte, 0, arenaLen)}
	if opt.Waiting != nil {
		r = &live{ctx: ctx, r: r, before: func() {
			p.flush()
			opt.Waiting()
		}}
	}
	src, closeInput, err := open(ctx, r)
	if err != nil {
		return p.stats, fmt.Errorf("%s: %w", name, p.explain(err))
	}
	defer closeInput()
	err = p.run(src)
	p.flush()
	if p.started {
		p.pause(p.last) // what was not TCP may have gone on for longer
	}
	p.stats.FragmentsLost = p.fragments.lost + p.fragments.waiting()
	if err != nil {
		return p.stats, fmt.Errorf("%s: %w", name, p.explain(err))
	}
	return p.stats, nil
}

// replay is one run.
type replay struct {
	insp      dataplane.Inspector
	opt       Options
	stats     Stats
	fragments defragmenter
	batch     dataplane.Batch
	arena     []byte // the octets of the batch's packets, never grown beyond its capacity
	begin     int64  // the time of the batch's first packet
	end       int64  // the time of its last
	started   bool   // the Inspector has a clock
	now       int64  // the time last given to the Inspector
	last      int64  // the latest time seen in the file
	id        uint32
}

// run reads records until the end or an error.
func (p *replay) run(src source) error {
	var rec record
	for {
		switch err := src.next(&rec); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		b, err := ipPacket(rec.link, rec.data)
		if err != nil {
			return err
		}
		p.stats.Records++
		if rec.timed {
			p.last = max(p.last, rec.time)
		} else {
			rec.time = p.last
		}
		p.take(b, rec.time)
	}
}

// take sorts out one packet.
func (p *replay) take(b []byte, at int64) {
	var v packet.View
	class := packet.Parse(b, &v)
	if class == packet.Fragment {
		p.stats.Fragments++
		if b = p.fragments.add(b, p.last); b == nil {
			return
		}
		if class = packet.Parse(b, &v); class == packet.Fragment {
			p.fragments.lost++ // a fragment in a fragment
			return
		}
	}
	switch class {
	case packet.NotIP:
		p.stats.NotIP++
		return
	case packet.NotTCP:
		p.stats.NotTCP++
		return
	case packet.Truncated:
		p.stats.Truncated++
	}
	p.add(b, at)
}

// add puts a copy of a packet into the batch.
func (p *replay) add(b []byte, at int64) {
	full := len(p.batch.Packets) == batchPackets || len(b) > cap(p.arena)-len(p.arena)
	if full || len(p.batch.Packets) > 0 && p.last-p.begin >= dataplane.TickInterval {
		p.flush()
	}
	if !p.started {
		p.started = true
		p.now, p.stats.First = p.last, p.last
	}
	if len(p.batch.Packets) == 0 {
		p.pause(p.last)
		p.begin = p.last
	}
	p.end = p.last
	start := len(p.arena)
	p.arena = append(p.arena, b...)
	p.batch.Packets = append(p.batch.Packets, dataplane.Packet{
		ID:              p.id,
		Time:            at,
		Data:            p.arena[start:len(p.arena):len(p.arena)],
		ChecksumPartial: p.opt.IgnoreChecksums,
	})
	p.id++
}

// pause lets the Inspector's clock run up to the time until, which is not itself
// given.
func (p *replay) pause(until int64) {
	step := int64(dataplane.TickInterval)
	for n := 0; until-p.now > step; n++ {
		if n >= evenTicks && step <= (until-p.now)/4 {
			step *= 2
		}
		p.now += step
		p.inspect()
	}
}

// flush gives the batch to the Inspector and empties it.
func (p *replay) flush() {
	if len(p.batch.Packets) == 0 {
		return
	}
	p.now = p.end
	p.inspect()
	p.arena = p.arena[:0]
	p.batch.Packets = p.batch.Packets[:0]
}

// inspect calls the Inspector and counts what it says.
func (p *replay) inspect() {
	p.batch.Now = p.now
	p.batch.Released, p.batch.Injected = p.batch.Released[:0], p.batch.Injected[:0]
	p.stats.Last = p.now
	p.insp.Inspect(&p.batch)
	p.stats.Inspected += uint64(len(p.batch.Packets))
	for i := range p.batch.Packets {
		p.stats.Verdicts[p.batch.Packets[i].Verdict]++
	}
	for i := range p.batch.Released {
		p.stats.Released[p.batch.Released[i].Verdict]++
	}
	p.stats.Injected += uint64(len(p.batch.Injected))
}

// explain makes an error of the readers one that says where in the file it is.
func (p *replay) explain(err error) error {
	where := fmt.Sprintf("after packet %d", p.stats.Records)
	if p.stats.Records == 0 {
		where = "before its first packet"
	}
	var d damage
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w %s", ErrCutShort, where)
	case errors.As(err, &d):
		return fmt.Errorf("%w %s: %s", ErrDamaged, where, string(d))
	case errors.Is(err, ErrNotCapture), errors.Is(err, ErrLinkType), errors.Is(err, context.Canceled),
		errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return fmt.Errorf("reading %s: %w", where, err)
}
