package offload

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ring reads a BPF ring buffer where it lies (kernel/bpf/ringbuf.c): one page with the
// position of who consumes, one with that of who produces, and the data, mapped twice in a
// row so that no record is ever in two parts.
type ring struct {
	consumed, produced *atomic.Uint64
	ours, theirs       []byte
	data               []byte
	mask               uint64
	at                 uint64 // what was taken and not yet given back ends here
}

const (
	// A record's header is its length and where its page is; the length's highest bits say
	// that it is being written, or is to be skipped.
	ringHeader  = 8
	ringBusy    = 1 << 31
	ringDiscard = 1 << 30
)

func openRing(m *ebpf.Map) (*ring, error) {
	page, size := os.Getpagesize(), int(m.MaxEntries())
	ours, err := unix.Mmap(m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the log's consumer page: %w", err)
	}
	theirs, err := unix.Mmap(m.FD(), int64(page), page+2*size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		_ = unix.Munmap(ours)
		return nil, fmt.Errorf("map the log: %w", err)
	}
	r := &ring{
		// Both positions are at the beginning of their pages.
		consumed: (*atomic.Uint64)(unsafe.Pointer(unsafe.SliceData(ours))),
		produced: (*atomic.Uint64)(unsafe.Pointer(unsafe.SliceData(theirs))),
		ours:     ours, theirs: theirs, data: theirs[page:], mask: uint64(size - 1),
	}
	r.at = r.consumed.Load()
	return r, nil
}

func (r *ring) close() error {
	if err := unix.Munmap(r.ours); err != nil {
		return err
	}
	return unix.Munmap(r.theirs)
}

// next returns the next record, and false where there is none. It is lent until giveBack. It waits
// for one that is being written: behind it there may be those of a connection that has come up since.
func (r *ring) next() (record []byte, ok bool) {
	for r.at < r.produced.Load() {
		head := r.data[r.at&r.mask:]
		at := (*atomic.Uint32)(unsafe.Pointer(unsafe.SliceData(head)))
		length := at.Load()
		for ; length&ringBusy != 0; length = at.Load() {
			runtime.Gosched() // on another processor, for as long as a copy takes
		}
		size := length &^ (ringBusy | ringDiscard)
		r.at += uint64(size+ringHeader+7) &^ 7
		if length&ringDiscard == 0 {
			return head[ringHeader : ringHeader+size : ringHeader+size], true
		}
	}
	return nil, false
}

// giveBack lets the kernel write over what next has returned.
func (r *ring) giveBack() {
	if r.consumed.Load() != r.at {
		r.consumed.Store(r.at)
	}
}
