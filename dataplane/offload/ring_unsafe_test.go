package offload

import (
	"encoding/binary"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// TestARecordBehindOneThatIsBeingWrittenIsRead, when that is written: what is queued is inspected
// behind all that was logged before, also on other processors.
func TestARecordBehindOneThatIsBeingWrittenIsRead(t *testing.T) {
	const size = 64
	data := make([]byte, 2*size)
	r := &ring{consumed: new(atomic.Uint64), produced: new(atomic.Uint64), data: data, mask: size - 1}
	binary.NativeEndian.PutUint32(data, 8|ringBusy)
	data[ringHeader] = 'a'
	binary.NativeEndian.PutUint32(data[16:], 8)
	data[16+ringHeader] = 'b'
	r.produced.Store(32)
	go func() {
		time.Sleep(10 * time.Millisecond)
		(*atomic.Uint32)(unsafe.Pointer(unsafe.SliceData(data))).Store(8)
	}()
	for _, want := range "ab" {
		if b, ok := r.next(); !ok || b[0] != byte(want) {
			t.Fatalf("the next record is %q, want %q", b, want)
		}
	}
	if _, ok := r.next(); ok {
		t.Error("there is a third")
	}
}
