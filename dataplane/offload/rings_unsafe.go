package offload

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"keepword/bpf"
	"keepword/dataplane"
)

// openRings maps the rings that the program keeps mail data in.
func (o *Offload) openRings() error {
	const size = int(unsafe.Sizeof(bpf.FollowMemory{}))
	m := o.objects.Rings
	memory, err := unix.Mmap(m.FD(), 0, size*int(m.MaxEntries()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map the program's rings: %w", err)
	}
	o.memory = memory
	for ; len(memory) > 0; memory = memory[size:] {
		r := (*bpf.FollowMemory)(unsafe.Pointer(unsafe.SliceData(memory)))
		o.rings = append(o.rings, dataplane.Ring{
			Octets: r.Octets[:],
			Taken:  (*atomic.Uint32)(unsafe.Pointer(&r.Taken)),
		})
	}
	return nil
}

// closeRings ends the lifetime of the rings.
func (o *Offload) closeRings() error {
	if o.memory == nil {
		return nil
	}
	memory := o.memory
	o.memory, o.rings = nil, nil
	return unix.Munmap(memory)
}
