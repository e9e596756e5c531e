// Package nfqueue drives a dataplane.Inspector from a netfilter queue
// (linux/netfilter/nfnetlink_queue.h): it receives packets in batches, carries out
// their verdicts, and sends what inspection has injected.
//
// One Engine is one queue with one goroutine that inspects. There are two kinds.
//
// The fast engine is one netlink socket and one thread, which sleeps until packets have
// come, receives up to 64 with one recvmmsg(2), has them inspected where they lie, and
// sends all their verdicts with one sendmsg(2). What is accepted without anything else
// goes by as few batch verdicts as there can be. In steady state it allocates nothing.
//
// The portable engine is on go-nfqueue: that library's goroutine receives the packets
// and copies each into memory of its own, and hands them to the inspecting goroutine
// through a bounded channel. Its verdicts are sent one by one. It is what the fast one is
// compared with, and takes its place where that fails.
//
// When inspection can't keep up, the socket's buffer or the queue in the kernel fills,
// and the kernel does with further packets what Config.FailOpen says. Nothing in between
// grows without bound.
//
// A batch verdict decides every waiting packet up to an id. It is never given where a
// held packet is among them, so that a held packet stays held.
//
// All functions that open something or read the kernel's state act in the network
// namespace of the calling thread.
package nfqueue

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"keepword/dataplane"
	"keepword/dataplane/internal/inject"
	"keepword/dataplane/internal/privilege"
)

var (
	// ErrQueueTaken is returned by Open where another socket listens on the queue.
	ErrQueueTaken = errors.New("the queue is taken")
	// ErrPrivilege is returned by Open where this process may not listen on queues or
	// send raw packets.
	ErrPrivilege = privilege.Err
	// ErrClosed is returned by Run after Close.
	ErrClosed = fmt.Errorf("nfqueue: %w", fs.ErrClosed)
)

// OpError is a failure of one queue.
type OpError struct {
	// Op is what was done: "open", "receive", "close" or "read the state of".
	Op string
	// Queue is the queue's number.
	Queue uint16
	// Err is what went wrong.
	Err error
}

// Error returns the failure as one line.
func (e *OpError) Error() string {
	// Its text names the queue already.
	if taken := (*takenError)(nil); errors.As(e.Err, &taken) {
		return taken.Error()
	}
	return fmt.Sprintf("%s queue %d: %v", e.Op, e.Queue, e.Err)
}

// Unwrap returns what went wrong.
func (e *OpError) Unwrap() error { return e.Err }

// takenError is ErrQueueTaken, with who has taken the queue.
type takenError struct {
	queue  uint16
	holder Process
}

// Error names the queue and who has taken it, and says what to do.
func (e *takenError) Error() string {
	by := "by another process"
	if e.holder.PID != 0 {
		by = fmt.Sprintf("by process %d (%s)", e.holder.PID, e.holder.Name)
	}
	return fmt.Sprintf("queue %d is taken %s; choose another with queues.first", e.queue, by)
}

// Unwrap returns ErrQueueTaken.
func (e *takenError) Unwrap() error { return ErrQueueTaken }

// Defaults of Config.
const (
	// DefaultMaxLen is four times the kernel's own default (NFQNL_QMAX_DEFAULT): a
	// GSO packet counts as one, so at 64 KiB this is more than the socket's buffer.
	DefaultMaxLen = 4096
	// DefaultBuffer holds some 250 of the largest packets, or all of DefaultMaxLen
	// at 4 KiB.
	DefaultBuffer = 16 << 20
)

// Config says which queue an Engine listens on and how.
type Config struct {
	// Queue is the queue's number.
	Queue uint16
	// MaxLen is how many packets may wait in the kernel for their verdict; 0:
	// DefaultMaxLen.
	MaxLen uint32
	// Buffer is the size of the socket's receive buffer in octets of netlink
	// messages; 0: DefaultBuffer.
	Buffer int
	// FailOpen lets packets pass uninspected that find MaxLen or Buffer exceeded;
	// otherwise the kernel drops them.
	FailOpen bool
	// Mark is the packet mark of injected packets, which exempts them from queueing.
	Mark uint32
	// MarkExempt adds Mark to the marks of packets that the Inspector accepts as Exempt,
	// so that a rule can save it in the mark of their connection.
	MarkExempt bool
	// Follower is the kernel's own share, nil where there is none. Only Run uses it. The
	// fast engine wakes when it has much to tell; the portable one asks it before each
	// batch, and so at each tick at least.
	Follower dataplane.Follower
	// Portable chooses the portable engine instead of the fast one.
	Portable bool
}

const (
	// copyRange is more than the kernel copies at most, which is the longest netlink
	// attribute: 65531 octets.
	copyRange = 0xffff
	// batchLimit bounds the packets of one batch: 4 MiB at the largest size of a packet.
	batchLimit = 64
	// sendBuffer must hold a verdict with the largest packet.
	sendBuffer = 1 << 20
)

// queue is one of the kernel's queues, as one of the two engines reaches it. All but
// wake is for one goroutine at a time.
type queue interface {
	// receive takes what has come into b, whose octets it lends until the next call.
	// Where nothing has, it waits: until something comes, it is woken, or the next tick
	// is due; for that it returns true. An error is the end of receiving.
	receive(b *dataplane.Batch) (tick bool, err error)
	// decide tells the kernel what becomes of a packet, at the next flush at the latest,
	// in the order of the calls. It counts what was told.
	decide(d decision)
	// flush carries out what decide has put off. It is called at each tick at least.
	flush()
	// wake makes the present call of receive return, or the next.
	wake()
	close() error
}

// Engine is one queue. Run is for one goroutine; all else may be called by any.
type Engine struct {
	cfg     Config
	queue   queue
	send    *inject.Sender
	counted counters
	waiting *waiting

	opened  time.Time
	closed  chan struct{}
	close   func() error
	running sync.Mutex // held by Run, whose sockets must stay open

	batch  dataplane.Batch
	passed dataplane.Batch // of the Follower, while batch waits
}

// Open takes the queue. Packets wait until Run is called.
//
// Every error is an *OpError. It wraps ErrQueueTaken where another process has the
// queue, naming that process where /proc tells, and ErrPrivilege where a capability is
// missing.
func Open(cfg Config) (*Engine, error) {
	if cfg.MaxLen == 0 {
		cfg.MaxLen = DefaultMaxLen
	}
	if cfg.Buffer == 0 {
		cfg.Buffer = DefaultBuffer
	}
	e := &Engine{cfg: cfg, waiting: newWaiting(cfg.MaxLen), opened: time.Now(), closed: make(chan struct{})}
	e.close = sync.OnceValue(e.closeAll)
	if err := e.open(); err != nil {
		return nil, &OpError{Op: "open", Queue: cfg.Queue, Err: err}
	}
	return e, nil
}

func (e *Engine) open() error {
	var err error
	if e.send, err = inject.Open(e.cfg.Mark); err != nil {
		return err
	}
	if e.cfg.Portable {
		e.queue, err = openPortable(&e.cfg, &e.counted)
	} else {
		e.queue, err = openFast(&e.cfg, e.waiting, &e.counted)
	}
	if err != nil {
		_ = e.send.Close()
	}
	return err
}

// refusal says why the kernel refused to give us a queue: EPERM is its answer both to a
// process without the capability and for a queue that another socket has.
func refusal(queue uint16, err error) error {
	if !privilege.Refused(err) {
		return err
	}
	if !privilege.Has(privilege.NetAdmin) {
		return privilege.Needs(privilege.NetAdmin)
	}
	holder, found := Holder(queue)
	if !found {
		return privilege.Needs(privilege.NetAdmin)
	}
	return &takenError{queue: queue, holder: holder}
}

// Queue returns the queue's number.
func (e *Engine) Queue() uint16 { return e.cfg.Queue }

// Close gives the queue back and closes all that Open has opened; it returns when Run
// has ended. Packets that still wait in the kernel are dropped: they are retransmitted,
// by the rules that then apply. A second call does nothing.
func (e *Engine) Close() error { return e.close() }

func (e *Engine) closeAll() error {
	close(e.closed)
	e.queue.wake()
	e.running.Lock()
	defer e.running.Unlock()
	err := errors.Join(e.queue.close(), e.send.Close())
	if err != nil && !errors.Is(err, fs.ErrClosed) {
		return &OpError{Op: "close", Queue: e.cfg.Queue, Err: err}
	}
	return nil
}
