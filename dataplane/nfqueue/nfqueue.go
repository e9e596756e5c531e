// Package nfqueue drives a dataplane.Inspector from a netfilter queue
// (linux/netfilter/nfnetlink_queue.h): it receives packets in batches, carries out
// their verdicts, and sends what inspection has injected.
//
// One Engine is one queue with one goroutine that inspects. This is the portable
// engine, on go-nfqueue: that library's goroutine receives the packets and copies
// each into memory of its own, and hands them to the inspecting goroutine through a
// bounded channel. When inspection can't keep up, the channel fills, then the socket's
// buffer or the queue in the kernel, and the kernel does with further packets what
// Config.FailOpen says. Nothing in between grows without bound.
//
// A verdict is always given for one packet by its id, never for all up to an id, so
// that a held packet stays held.
//
// All functions that open something or read the kernel's state act in the network
// namespace of the calling thread.
package nfqueue

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	nfq "github.com/florianl/go-nfqueue/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

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
}

const (
	// copyRange is more than the kernel copies at most, which is the longest netlink
	// attribute: 65531 octets.
	copyRange = 0xffff
	// batchLimit bounds the packets of one batch, and those between the receiving and
	// the inspecting goroutine: 4 MiB each at the largest size of a packet.
	batchLimit = 64
	// sendBuffer must hold a verdict with the largest packet.
	sendBuffer = 1 << 20
)

// Engine is one queue. Run is for one goroutine; all else may be called by any.
type Engine struct {
	cfg     Config
	queue   *nfq.Nfqueue
	send    *inject.Sender
	counted counters

	opened  time.Time
	packets chan dataplane.Packet // received, not yet inspected
	failed  chan error            // why receiving has ended, at most one
	closed  chan struct{}
	close   func() error
	running sync.Mutex // held by Run, whose sockets must stay open

	batch dataplane.Batch
	// held is how many packets the Inspector has left at Hold and not released.
	held int
}

// Open takes the queue and begins to receive. Packets wait until Run is called.
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
	e := &Engine{
		cfg:     cfg,
		opened:  time.Now(),
		packets: make(chan dataplane.Packet, batchLimit),
		failed:  make(chan error, 1),
		closed:  make(chan struct{}),
	}
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
	if err = e.listen(); err != nil {
		_ = e.send.Close()
		return err
	}
	return nil
}

// listen opens the netlink socket and takes the queue.
func (e *Engine) listen() error {
	flags := uint32(nfq.NfQaCfgFlagGSO)
	if e.cfg.FailOpen {
		flags |= nfq.NfQaCfgFlagFailOpen
	}
	queue, err := nfq.Open(&nfq.Config{
		NfQueue:     e.cfg.Queue,
		MaxQueueLen: e.cfg.MaxLen,
		Flags:       flags,
		// The queue is taken in the mode in which the kernel brings no packets: one
		// that came between two steps of the registration would be mistaken for the
		// answer to the next of them. startCopying ends this.
		Copymode: nfq.NfQnlCopyNone,
	})
	if err != nil {
		return fmt.Errorf("open a netlink socket: %w", err)
	}
	e.queue = queue
	if err := e.prepare(); err != nil {
		_ = queue.Close()
		return err
	}
	return nil
}

func (e *Engine) prepare() error {
	conn := e.queue.Con
	if err := conn.SetReadBuffer(e.cfg.Buffer); err != nil {
		return fmt.Errorf("set the receive buffer: %w", err)
	}
	if err := conn.SetWriteBuffer(sendBuffer); err != nil {
		return fmt.Errorf("set the send buffer: %w", err)
	}
	// Without this option a socket whose buffer has overflown gets nothing more until
	// it has been read empty, and each packet of that time is lost too. The kernel
	// counts overflows all the same: Status tells.
	if err := conn.SetOption(netlink.NoENOBUFS, true); err != nil {
		return fmt.Errorf("set NETLINK_NO_ENOBUFS: %w", err)
	}
	// The library's goroutines live until Close, not as long as a context.
	if err := e.queue.RegisterWithErrorFunc(context.Background(), e.receive, e.receiveError); err != nil {
		return e.refusal(err)
	}
	if err := e.startCopying(); err != nil {
		return fmt.Errorf("ask for whole packets: %w", err)
	}
	return nil
}

// refusal says why the kernel refused to give us the queue: EPERM is its answer both
// to a process without the capability and for a queue that another socket has.
func (e *Engine) refusal(err error) error {
	if !privilege.Refused(err) {
		return err
	}
	if !privilege.Has(privilege.NetAdmin) {
		return privilege.Needs(privilege.NetAdmin)
	}
	holder, found := Holder(e.cfg.Queue)
	if !found {
		return privilege.Needs(privilege.NetAdmin)
	}
	return &takenError{queue: e.cfg.Queue, holder: holder}
}

// startCopying asks the kernel for whole packets from now on: NFQA_CFG_PARAMS with
// struct nfqnl_msg_config_params. The answer, which comes only where it fails, is an
// error of receiving.
func (e *Engine) startCopying() error {
	const (
		msgConfig = 2 // NFQNL_MSG_CONFIG
		cfgParams = 2 // NFQA_CFG_PARAMS
	)
	params := append(binary.BigEndian.AppendUint32(nil, copyRange), nfq.NfQnlCopyPacket)
	attrs, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: cfgParams, Data: params}})
	if err != nil {
		return err
	}
	// struct nfgenmsg: family, version, queue number.
	data := binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, e.cfg.Queue)
	_, err = e.queue.Con.Send(netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_QUEUE<<8 | msgConfig),
			Flags: netlink.Request,
		},
		Data: append(data, attrs...),
	})
	return err
}

// Queue returns the queue's number.
func (e *Engine) Queue() uint16 { return e.cfg.Queue }

// Close gives the queue back and closes all that Open has opened; it returns when Run
// and the receiving goroutine have ended. Packets that still wait in the kernel are dropped:
// they are retransmitted, by the rules that then apply. A second call does nothing.
func (e *Engine) Close() error { return e.close() }

func (e *Engine) closeAll() error {
	close(e.closed)
	e.running.Lock()
	defer e.running.Unlock()
	err := errors.Join(e.queue.Close(), e.send.Close())
	if err != nil && !errors.Is(err, fs.ErrClosed) {
		return &OpError{Op: "close", Queue: e.cfg.Queue, Err: err}
	}
	return nil
}
