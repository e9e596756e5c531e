package nfqueue

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"time"

	nfq "github.com/florianl/go-nfqueue/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"keepword/dataplane"
	"keepword/inspect/verdict"
)

// portable is a queue as the portable engine reaches it, on go-nfqueue.
type portable struct {
	queue   *nfq.Nfqueue
	number  uint16
	counted *counters

	packets chan dataplane.Packet // received, not yet inspected
	failed  chan error            // why receiving has ended, at most one
	woken   chan struct{}
	closing chan struct{}
	tick    *time.Timer
}

// openPortable takes the queue that cfg names and begins to receive.
func openPortable(cfg *Config, c *counters) (*portable, error) {
	flags := uint32(nfq.NfQaCfgFlagGSO)
	if cfg.FailOpen {
		flags |= nfq.NfQaCfgFlagFailOpen
	}
	conn, err := nfq.Open(&nfq.Config{
		NfQueue:     cfg.Queue,
		MaxQueueLen: cfg.MaxLen,
		Flags:       flags,
		// The queue is taken in the mode in which the kernel brings no packets: one
		// that came between two steps of the registration would be mistaken for the
		// answer to the next of them. startCopying ends this.
		Copymode: nfq.NfQnlCopyNone,
	})
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	q := &portable{
		queue:   conn,
		number:  cfg.Queue,
		counted: c,
		packets: make(chan dataplane.Packet, batchLimit),
		failed:  make(chan error, 1),
		woken:   make(chan struct{}, 1),
		closing: make(chan struct{}),
		tick:    time.NewTimer(dataplane.TickInterval),
	}
	if err := q.prepare(cfg.Buffer); err != nil {
		_ = q.close()
		return nil, err
	}
	return q, nil
}

func (q *portable) prepare(buffer int) error {
	conn := q.queue.Con
	if err := conn.SetReadBuffer(buffer); err != nil {
		return fmt.Errorf("set the receive buffer: %w", err)
	}
	if err := conn.SetWriteBuffer(sendBuffer); err != nil {
		return fmt.Errorf("set the send buffer: %w", err)
	}
	// As the fast engine's socket has it.
	if err := conn.SetOption(netlink.NoENOBUFS, true); err != nil {
		return fmt.Errorf("set NETLINK_NO_ENOBUFS: %w", err)
	}
	// The library's goroutines live until close, not as long as a context.
	if err := q.queue.RegisterWithErrorFunc(context.Background(), q.take, q.takeError); err != nil {
		return refusal(q.number, err)
	}
	if err := q.startCopying(); err != nil {
		return fmt.Errorf("ask for whole packets: %w", err)
	}
	return nil
}

// startCopying asks the kernel for whole packets from now on: NFQA_CFG_PARAMS with
// struct nfqnl_msg_config_params. The answer, which comes only where it fails, is an
// error of receiving.
func (q *portable) startCopying() error {
	params := append(binary.BigEndian.AppendUint32(nil, copyRange), copyPacket)
	attrs, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: cfgParams, Data: params}})
	if err != nil {
		return err
	}
	// struct nfgenmsg: family, version, queue number.
	data := binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, q.number)
	_, err = q.queue.Con.Send(netlink.Message{
		Header: netlink.Header{Type: typeConfig, Flags: netlink.Request},
		Data:   append(data, attrs...),
	})
	return err
}

// receive implements queue.
func (q *portable) receive(b *dataplane.Batch) (tick bool, err error) {
	select {
	case p := <-q.packets:
		q.fill(b, p)
	case <-q.tick.C:
		tick = len(q.packets) == 0
	case <-q.woken:
	case err := <-q.failed:
		return false, err
	}
	q.tick.Reset(dataplane.TickInterval)
	return tick, nil
}

// fill puts p into the batch, and what has been received besides.
func (q *portable) fill(b *dataplane.Batch, p dataplane.Packet) {
	for {
		b.Packets = append(b.Packets, p)
		if len(b.Packets) == batchLimit {
			return
		}
		select {
		case p = <-q.packets:
		default:
			return
		}
	}
}

// decide implements queue. A packet whose verdict can't be sent is dropped.
func (q *portable) decide(d decision) {
	var err error
	switch {
	case d.kind == verdict.Accept && d.marked:
		err = q.queue.SetVerdictWithOption(d.id, nfq.NfAccept, nfq.WithMark(d.mark))
	case d.kind == verdict.Accept:
		err = q.queue.SetVerdict(d.id, nfq.NfAccept)
	case d.kind == verdict.Replace:
		err = q.queue.SetVerdictWithOption(d.id, nfq.NfAccept, nfq.WithAlteredPacket(d.data))
	default:
		err = q.queue.SetVerdict(d.id, nfq.NfDrop)
	}
	if err != nil {
		q.counted.verdictErrors.Add(1)
		d.kind = verdict.Drop
		_ = q.queue.SetVerdict(d.id, nfq.NfDrop)
	}
	q.counted.verdicts[d.kind].Add(1)
}

// flush implements queue: nothing is put off.
func (*portable) flush() {}

// wake implements queue.
func (q *portable) wake() {
	select {
	case q.woken <- struct{}{}:
	default: // it is awake
	}
}

// close implements queue. It returns when the library's goroutines have ended.
func (q *portable) close() error {
	close(q.closing)
	q.tick.Stop()
	return q.queue.Close()
}

// take takes a packet from the library's goroutine. It blocks while inspection is
// behind by a batch, and returns other than 0 when receiving must end.
func (q *portable) take(a nfq.Attribute) int {
	if a.PacketID == nil {
		q.counted.malformed.Add(1)
		return 0
	}
	q.counted.received.Add(1)
	if a.CapLen != nil {
		q.counted.truncated.Add(1)
	}
	select {
	case q.packets <- packetOf(&a):
		return 0
	case <-q.closing:
		return 1
	}
}

// packetOf is what a describes. The library's copy of the octets becomes the packet's.
func packetOf(a *nfq.Attribute) dataplane.Packet {
	p := dataplane.Packet{ID: *a.PacketID}
	if a.Payload != nil {
		p.Data = *a.Payload
	}
	if a.Timestamp != nil {
		p.Time = a.Timestamp.UnixNano()
	}
	switch {
	case a.InDev != nil:
		p.Iface = *a.InDev
	case a.OutDev != nil:
		p.Iface = *a.OutDev
	}
	if a.Mark != nil {
		p.Mark = *a.Mark
	}
	if a.SkbInfo != nil && len(*a.SkbInfo) >= 4 {
		p.ChecksumPartial = binary.BigEndian.Uint32(*a.SkbInfo)&csumNotReady != 0
	}
	return p
}

// takeError judges what the netlink socket reports. It returns other than 0 when
// receiving must end.
func (q *portable) takeError(err error) int {
	if err = q.counted.survive(err); err == nil {
		return 0
	}
	if !errors.Is(err, fs.ErrClosed) {
		select {
		case q.failed <- err:
		default: // the first reason is the one to tell
		}
	}
	return 1
}
