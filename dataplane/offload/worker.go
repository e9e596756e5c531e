package offload

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"

	"keepword/bpf"
	"keepword/dataplane"
)

// Worker is the log of one engine, and its way to grant. It implements dataplane.Follower.
type Worker struct {
	o     *Offload
	index int
	ring  *ring
	fd    int
	// ahead is how far the Unix epoch's clock is ahead of the log's; it is looked at again
	// at nextLook, a time of the log's clock.
	ahead, nextLook int64
	// What packets are made of that the log has not as they are, until the next Fill.
	made     []byte
	passages []dataplane.Passage
	failed   atomic.Uint64
}

var _ dataplane.Follower = (*Worker)(nil)

// FD is readable when the log has filled so far that the kernel asks for it to be read.
func (w *Worker) FD() int { return w.fd }

// Failed is how many grants the kernel has not taken: those connections come up as before.
func (w *Worker) Failed() uint64 { return w.failed.Load() }

// The parts of struct record in bpf/src/types.h, of which the packet is the rest.
const (
	recordTime    = 0
	recordSize    = 8
	recordIface   = 12
	recordPackets = 16
	recordOctets  = 24
	recordNext    = 40
	recordAcked   = 44
	recordOwner   = 48
	recordText    = 52
	recordLine    = 56
	recordRing    = 58
	recordTail    = 59
	recordHead    = 64
)

// lookInterval is how often clocks are compared, and the program is told that the log is read.
const lookInterval = int64(100 * time.Millisecond)

// Fill appends what was logged to b.
func (w *Worker) Fill(b *dataplane.Batch, limit int) (more bool) {
	w.ring.giveBack()
	w.made, w.passages = w.made[:0], w.passages[:0]
	if now := monotonic(); now >= w.nextLook {
		w.nextLook = now + lookInterval
		w.ahead = time.Now().UnixNano() - now
		w.alive()
	}
	for len(b.Packets) < limit {
		r, ok := w.ring.next()
		if !ok {
			return false
		}
		u32 := func(at int) uint32 { return binary.NativeEndian.Uint32(r[at:]) }
		u64 := func(at int) uint64 { return binary.NativeEndian.Uint64(r[at:]) }
		p := dataplane.Packet{
			Time:  int64(u64(recordTime)) + w.ahead,
			Iface: u32(recordIface),
			// The program has seen that it is right, or that nobody has reckoned it yet.
			ChecksumPartial: true,
		}
		owner := bpf.FollowOwner(u32(recordOwner))
		p.Passed = w.passage(dataplane.Passage{
			Packets:  [2]uint32{u32(recordPackets), u32(recordPackets + 4)},
			Octets:   [2]uint64{u64(recordOctets), u64(recordOctets + 8)},
			Followed: owner == bpf.FollowOwnerOWNER_FOLLOW,
			Exempt:   owner == bpf.FollowOwnerOWNER_PASS,
			Next:     u32(recordNext),
			Acked:    u32(recordAcked),
		})
		if size := int(u32(recordSize)); r[recordRing] > 0 {
			p.Passed.Text = dataplane.Text{
				Octets: u32(recordText), Ring: int(r[recordRing]) - 1,
				Line: int(binary.NativeEndian.Uint16(r[recordLine:])), Tail: tails[r[recordTail]&3],
			}
			p.Data = w.headers(r[recordHead : recordHead+size])
			b.Packets = append(b.Packets, p)
		} else if size > 0 {
			p.Data = r[recordHead : recordHead+size : recordHead+size]
			b.Packets = append(b.Packets, p)
		} else {
			w.handBack(b, p, r[recordHead:])
		}
	}
	return true
}

// passage keeps p until the next Fill.
func (w *Worker) passage(p dataplane.Passage) *dataplane.Passage {
	w.passages = append(w.passages, p)
	return &w.passages[len(w.passages)-1]
}

// Grant puts grants in force.
func (w *Worker) Grant(grants []dataplane.Grant) {
	for i := range grants {
		if err := w.grant(&grants[i]); err != nil {
			w.failed.Add(1)
		}
	}
}

func (w *Worker) grant(g *dataplane.Grant) error {
	o := &w.o.objects
	switch g.Kind {
	case dataplane.GrantFollow, dataplane.GrantPass:
		conn := connOf(g)
		owner := bpf.FollowOwnerOWNER_FOLLOW
		if g.Kind == dataplane.GrantPass {
			owner = bpf.FollowOwnerOWNER_PASS
		}
		await := bpf.FollowAwaitAWAIT_COMMAND
		if g.InText {
			await = bpf.FollowAwaitAWAIT_MAIL_DATA
		}
		return o.Grants.Put(&conn, &bpf.FollowGrant{
			Seen: g.Seen, Next: g.Next, Acked: g.Acked, Scale: g.Scale, Owner: uint8(owner), Await: uint8(await),
			Line: uint16(g.Line), Ring: uint8(g.Ring), Epoch: w.o.epoch(),
		})
	case dataplane.GrantForget:
		conn := connOf(g)
		return errors.Join(drop(o.Flows, &conn), drop(o.Grants, &conn))
	case dataplane.GrantServer:
		server := serverOf(g)
		w.o.mu.Lock()
		defer w.o.mu.Unlock()
		return o.Servers.Put(&server, &w.o.settings.Epoch)
	case dataplane.GrantNoServer:
		server := serverOf(g)
		return drop(o.Servers, &server)
	case dataplane.GrantNothing:
		w.o.mu.Lock()
		defer w.o.mu.Unlock()
		defer w.o.alive()
		return w.o.newEpoch()
	}
	return nil
}

// drop deletes what may not be there.
func drop(m *ebpf.Map, key any) error {
	if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return nil
}
