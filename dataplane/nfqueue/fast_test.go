package nfqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"keepword/dataplane"
	"keepword/inspect/verdict"
)

// script is a function as an Inspector.
type script func(b *dataplane.Batch)

func (f script) Inspect(b *dataplane.Batch) { f(b) }

// step has what has come inspected.
func step(tb tester, e *Engine, in dataplane.Inspector) {
	tb.Helper()
	e.batch.Reset(0)
	if _, err := e.queue.receive(&e.batch); err != nil {
		tb.Fatal(err)
	}
	e.follow(in)
	e.inspect(in, &e.batch)
}

var someData = []byte("a packet of no great length")

// expected is the fate of a packet for which an Inspector has decided kind.
func expected(id uint32, kind verdict.Kind, data []byte) fate {
	switch kind {
	case verdict.Accept:
		return fate{id: id, kind: verdict.Accept}
	case verdict.Replace:
		return fate{id: id, kind: verdict.Replace, data: string(data)}
	default:
		return fate{id: id, kind: verdict.Drop}
	}
}

// decider is an Inspector who decides at random and keeps what must come of it.
type decider struct {
	r    *rapid.T
	seen map[uint32]bool
	held []uint32 // and not released
	told []fate   // in the order that is promised
	then func()   // after each batch
}

var (
	// Most are accepted: else few would be accepted together.
	likelyVerdicts = []verdict.Kind{
		verdict.Accept, verdict.Accept, verdict.Accept, verdict.Accept, verdict.Accept, verdict.Accept,
		verdict.Accept, verdict.Accept, verdict.Hold, verdict.Drop, verdict.Replace, verdict.None,
	}
	likelyReleases = []verdict.Kind{verdict.None, verdict.Accept, verdict.Accept, verdict.Drop, verdict.Replace}
)

func (d *decider) Inspect(b *dataplane.Batch) {
	var batch []fate
	for i := range b.Packets {
		p := &b.Packets[i]
		d.seen[p.ID] = true
		p.Verdict = rapid.SampledFrom(likelyVerdicts).Draw(d.r, "verdict")
		if p.Verdict == verdict.Hold {
			d.held = append(d.held, p.ID)
			continue
		}
		if p.Verdict == verdict.Replace {
			p.Data = fmt.Appendf(nil, "the replaced packet %d%s", p.ID, "..."[:p.ID%4])
		}
		batch = append(batch, expected(p.ID, p.Verdict, p.Data))
	}
	d.told = nil
	d.held = slices.DeleteFunc(d.held, func(id uint32) bool {
		if !rapid.Bool().Draw(d.r, "release") {
			return false
		}
		kind := rapid.SampledFrom(likelyReleases).Draw(d.r, "released to")
		data := fmt.Appendf(nil, "the released packet %d%s", id, "..."[:id%4])
		b.Released = append(b.Released, dataplane.Release{ID: id, Verdict: kind, Data: data})
		d.told = append(d.told, expected(id, kind, data))
		return true
	})
	d.told = append(d.told, batch...)
	d.then()
}

// Whatever is held, released, lost and fails: every packet gets the verdict that was
// decided for it and no other, in the order that is promised, and what is held waits.
func TestEveryPacketGetsItsOwnVerdictAndNoHeldOneAnothers(t *testing.T) {
	together := 0
	rapid.Check(t, func(r *rapid.T) {
		e, q, k := newModel(r, Config{})
		q.out.limit = rapid.SampledFrom([]int{200, 1000, sendBuffer}).Draw(r, "limit")
		k.last = rapid.SampledFrom([]uint32{0, 1<<31 - 20, 1<<32 - 20}).Draw(r, "last id")
		fd := q.fd
		in := &decider{r: r, seen: make(map[uint32]bool)}
		var late []uint32 // whose verdicts could not be sent
		gone := make(map[uint32]bool)
		for range rapid.IntRange(1, 12).Draw(r, "batches") {
			k.queuePackets(rapid.IntRange(0, 20).Draw(r, "packets"), someData)
			if rapid.IntRange(0, 9).Draw(r, "flush") == 0 {
				for _, id := range k.waiting {
					gone[id] = true
				}
				k.waiting = nil
			}
			fails := rapid.IntRange(0, 4).Draw(r, "send fails") == 0
			in.then = func() {
				if fails {
					q.fd = -1
				}
			}
			n, err := q.in.receive(q.fd)
			if err != nil {
				r.Fatal(err)
			}
			e.batch.Reset(0)
			for i := range n {
				if err := q.read(q.in.message(i), &e.batch); err != nil {
					r.Fatal(err)
				}
			}
			e.inspect(in, &e.batch)
			q.fd = fd

			isGone := func(f fate) bool { return gone[f.id] }
			var want, dropped []fate
			if fails {
				for _, f := range in.told {
					late = append(late, f.id)
				}
			} else {
				want = slices.DeleteFunc(slices.Clone(in.told), isGone)
				for _, id := range late {
					dropped = append(dropped, fate{id: id, kind: verdict.Drop})
				}
				dropped = slices.DeleteFunc(dropped, isGone)
				late = nil
			}
			// What could not be sent is dropped at the next opportunity, which may be
			// between the others.
			got := k.carriedOut()
			gotLate := slices.DeleteFunc(slices.Clone(got), func(f fate) bool { return !slices.Contains(dropped, f) })
			got = slices.DeleteFunc(got, func(f fate) bool { return slices.Contains(dropped, f) })
			if !slices.Equal(got, want) || !slices.Equal(gotLate, dropped) {
				r.Fatalf("carried out %v and %v,\nwant %v and %v", got, gotLate, want, dropped)
			}
			for _, id := range k.waiting {
				// Where the kernel's answers filled the batch, the next one has it.
				unread := n == batchLimit && !in.seen[id]
				if !unread && !slices.Contains(in.held, id) && !slices.Contains(late, id) {
					r.Fatalf("packet %d waits, and nobody knows", id)
				}
			}
			for _, id := range in.held {
				if !gone[id] && !slices.Contains(k.waiting, id) {
					r.Fatalf("packet %d is held, and does not wait", id)
				}
			}
		}
		together += k.batches
	})
	if together == 0 {
		t.Error("nothing was accepted together: the test shows nothing")
	}
}

func TestABatchOfAcceptedPacketsIsOneMessage(t *testing.T) {
	e, q, k := newModel(t, Config{})
	k.queuePackets(batchLimit, someData)
	var pieces int
	step(t, e, script(func(b *dataplane.Batch) {
		for i := range b.Packets {
			b.Packets[i].Verdict = verdict.Accept
		}
		pieces = len(b.Packets)
	}))
	if got := k.carriedOut(); len(got) != batchLimit || k.batches != 1 || pieces != batchLimit {
		t.Errorf("%d of %d accepted by %d messages", len(got), pieces, k.batches)
	}
	if c := e.Counters(); c.Received != batchLimit || c.Verdicts[verdict.Accept] != batchLimit || q.waiting.unsure {
		t.Errorf("counted %+v", c)
	}
}

// The first part of what is sent fails, and the packet in it can't be dropped either; the
// next part must not accept it.
func TestAPacketWhoseVerdictWasNotSentIsNotAcceptedWithOthers(t *testing.T) {
	e, q, k := newModel(t, Config{})
	k.queuePackets(3, someData)
	e.batch.Reset(0)
	if _, err := q.receive(&e.batch); err != nil {
		t.Fatal(err)
	}
	fd := q.fd
	q.fd = -1
	q.decide(decision{id: 1, kind: verdict.Replace, data: someData})
	q.flush()
	q.fd = fd
	q.decide(decision{id: 2, kind: verdict.Accept})
	q.decide(decision{id: 3, kind: verdict.Accept})
	q.flush()
	want := []fate{{id: 2, kind: verdict.Accept}, {id: 3, kind: verdict.Accept}, {id: 1, kind: verdict.Drop}}
	if got := k.carriedOut(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if c := e.Counters(); c.VerdictErrors != 1 || c.Verdicts[verdict.Drop] != 1 || c.Verdicts[verdict.Accept] != 2 {
		t.Errorf("counted %+v", c)
	}
}

func TestAPacketTooLongToBeReplacedIsDropped(t *testing.T) {
	e, q, k := newModel(t, Config{})
	k.queuePackets(1, someData)
	step(t, e, script(func(b *dataplane.Batch) {
		b.Packets[0].Verdict, b.Packets[0].Data = verdict.Replace, make([]byte, maxPayload+1)
	}))
	if got := k.carriedOut(); len(got) != 1 || got[0] != (fate{id: 1, kind: verdict.Drop}) {
		t.Errorf("got %v", got)
	}
	if c := e.Counters(); c.VerdictErrors != 1 || len(q.waiting.unsent) != 0 {
		t.Errorf("counted %+v", c)
	}
}

func TestOnlyExemptPacketsAreMarkedAndOnlyWhereThatIsAsked(t *testing.T) {
	const mark = 0x10000000
	for _, asked := range []bool{true, false} {
		e, _, k := newModel(t, Config{Mark: mark, MarkExempt: asked})
		k.queuePackets(4, someData)
		step(t, e, script(func(b *dataplane.Batch) {
			for i := range b.Packets {
				b.Packets[i].Verdict = verdict.Accept
			}
			b.Packets[1].Exempt = true
			b.Packets[3].Exempt, b.Packets[3].Verdict = true, verdict.Drop
		}))
		want := []fate{{id: 1, kind: verdict.Accept}, {id: 2, kind: verdict.Accept}, {id: 3, kind: verdict.Accept}, {id: 4, kind: verdict.Drop}}
		if asked {
			want[1].mark = 0x40 | mark // beside the mark that it had
		}
		if got := k.carriedOut(); !slices.Equal(got, want) {
			t.Errorf("asked %v: got %v, want %v", asked, got, want)
		}
	}
}

func TestErrorsThatTheKernelAnswersAreCountedOrEndRun(t *testing.T) {
	e, _, k := newModel(t, Config{})
	for _, errno := range []unix.Errno{unix.ENOENT, unix.ENOMEM, unix.ENOBUFS, unix.EINTR, 0} {
		k.write(errorMessage(errno, 1))
	}
	step(t, e, script(func(*dataplane.Batch) {}))
	if c := e.Counters(); c.Stale != 1 || c.Shortages != 2 || c.Malformed != 0 {
		t.Errorf("counted %+v", c)
	}
	k.write(errorMessage(unix.EPERM, 1))
	err := e.Run(context.Background(), script(func(*dataplane.Batch) {}))
	var op *OpError
	if !errors.As(err, &op) || !errors.Is(err, unix.EPERM) || op.Queue != modelQueue {
		t.Errorf("Run: %v", err)
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	e, _, k := newModel(t, Config{MarkExempt: true, Mark: 1})
	data := make([]byte, 1400)
	messages := make([][]byte, batchLimit)
	var held []uint32
	in := script(func(b *dataplane.Batch) {
		for _, id := range held {
			b.Released = append(b.Released, dataplane.Release{ID: id, Verdict: verdict.Replace, Data: data})
		}
		held = held[:0]
		for i := range b.Packets {
			p := &b.Packets[i]
			p.Verdict = verdict.Accept
			switch i % 16 {
			case 5:
				p.Verdict = verdict.Replace
			case 9:
				p.Verdict = verdict.Hold
				held = append(held, p.ID)
			case 12:
				p.Exempt = true
			}
		}
	})
	var dataIn dataplane.Inspector = in
	round := func() {
		for _, m := range messages {
			k.last++
			network.PutUint32(m[headerLen+genLen+attrLen:], k.last)
			k.write(m)
		}
		step(t, e, dataIn)
		for {
			if _, err := unix.Read(k.fd, k.buffer); err != nil {
				break
			}
		}
	}
	for i := range messages {
		messages[i] = packetMessage(0, data)
	}
	for range 10 {
		round()
	}
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations a batch", n)
	}
	if c := e.Counters(); c.Received != 111*batchLimit || c.VerdictErrors != 0 || c.Malformed != 0 {
		t.Errorf("counted %+v", c)
	}
}
