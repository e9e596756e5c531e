package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	nfqueue "github.com/florianl/go-nfqueue/v2"
	"github.com/mdlayher/netlink"

	"keepword/bench/lab"
	"keepword/dataplane/steer"
)

// queue is the netfilter queue of the subjects that are not keepword.
const queue = 2600

// divert sends the packets of SMTP on a gateway to the queue, by the same rules as
// keepword's.
func divert(gateway *lab.Host) (undo func() error, err error) {
	var table *steer.Table
	err = gateway.Do(func() error {
		table, err = steer.Open(steer.Config{
			Ports: []uint16{smtpPort}, Hooks: []steer.Hook{steer.Forward}, FirstQueue: queue, Queues: 1, Mark: 1,
		})
		return err
	})
	return func() error { return gateway.Do(table.Close) }, err
}

// accept lets every packet of the queue pass, unseen, as the documentation of go-nfqueue
// shows it. Only that packets come as large as the kernel has them (NFQA_CFG_F_GSO) is
// added: without it every segment of bulk would be a packet of its own.
func accept(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 {
		return errors.New("accept has no arguments")
	}
	nf, err := nfqueue.Open(&nfqueue.Config{
		NfQueue:      queue,
		MaxPacketLen: 0xFFFF,
		MaxQueueLen:  0xFF,
		Copymode:     nfqueue.NfQnlCopyPacket,
		Flags:        nfqueue.NfQaCfgFlagGSO,
		WriteTimeout: 15 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	defer nf.Close()
	if err := nf.SetOption(netlink.NoENOBUFS, true); err != nil {
		return err
	}
	failed := make(chan error, 1)
	hook := func(a nfqueue.Attribute) int {
		_ = nf.SetVerdict(*a.PacketID, nfqueue.NfAccept) // a packet that stays is sent again
		return 0
	}
	if err := nf.RegisterWithErrorFunc(ctx, hook, func(err error) int {
		if ctx.Err() == nil {
			select {
			case failed <- err:
			default:
			}
		}
		return -1
	}); err != nil {
		return err
	}
	fmt.Fprintln(out, readyLine)
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}
