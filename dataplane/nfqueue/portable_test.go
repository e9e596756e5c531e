package nfqueue

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	nfq "github.com/florianl/go-nfqueue/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"keepword/dataplane"
)

func TestAPacketIsWhatItsAttributesSay(t *testing.T) {
	id, in, out := uint32(7), uint32(2), uint32(3)
	data := []byte{0x45}
	at := time.Unix(1, 2000)
	for name, c := range map[string]struct {
		a    nfq.Attribute
		want dataplane.Packet
	}{
		"forwarded": {
			nfq.Attribute{PacketID: &id, InDev: &in, OutDev: &out, Payload: &data, Timestamp: &at, SkbInfo: &[]byte{0, 0, 0, 3}},
			dataplane.Packet{ID: 7, Iface: 2, Data: data, Time: 1_000_002_000, ChecksumPartial: true},
		},
		"made here, checksum not verified": {
			nfq.Attribute{PacketID: &id, OutDev: &out, Payload: &data, SkbInfo: &[]byte{0, 0, 0, 4}},
			dataplane.Packet{ID: 7, Iface: 3, Data: data},
		},
		"bare":           {nfq.Attribute{PacketID: &id}, dataplane.Packet{ID: 7}},
		"short skb info": {nfq.Attribute{PacketID: &id, SkbInfo: &[]byte{1}}, dataplane.Packet{ID: 7}},
	} {
		got := packetOf(&c.a)
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestOnlySomeErrorsOfReceivingEndIt(t *testing.T) {
	for _, c := range []struct {
		err   error
		ends  bool
		tells bool
	}{
		{unix.ENOENT, false, false},
		{unix.ENOBUFS, false, false},
		{unix.ENOMEM, false, false},
		{unix.EINTR, false, false},
		{fs.ErrClosed, true, false},
		{unix.ENODEV, true, true},
	} {
		q := &portable{counted: &counters{}, failed: make(chan error, 1)}
		// As the netlink library wraps them.
		wrapped := &netlink.OpError{Op: "receive", Err: c.err}
		if got := q.takeError(wrapped) != 0; got != c.ends {
			t.Errorf("%v: ends %v", c.err, got)
		}
		if got := len(q.failed) == 1; got != c.tells {
			t.Errorf("%v: tells %v", c.err, got)
		}
	}
	q := &portable{counted: &counters{}, failed: make(chan error, 1)}
	q.takeError(unix.ENOENT)
	q.takeError(unix.ENOMEM)
	q.takeError(unix.ENOBUFS)
	if c := q.counted; c.stale.Load() != 1 || c.shortages.Load() != 2 {
		t.Errorf("counted %d, %d", c.stale.Load(), c.shortages.Load())
	}
}

func TestOnlyTheFirstFailureIsKept(t *testing.T) {
	q := &portable{counted: &counters{}, failed: make(chan error, 1)}
	first := errors.New("first")
	q.takeError(first)
	q.takeError(errors.New("second")) // must not block
	if got := <-q.failed; got != first {
		t.Errorf("got %v", got)
	}
}
