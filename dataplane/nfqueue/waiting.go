package nfqueue

import "slices"

// waiting knows which packets wait in the kernel for their verdict while others get
// theirs. A batch verdict decides every waiting packet up to an id, so it may be given
// only where none of these is among them.
//
// Packet ids are 32 bits and wrap. The kernel gives them in the order of arrival.
type waiting struct {
	// held are the packets that the Inspector has left at Hold and not released, in the
	// order of their arrival.
	held []uint32
	// unsent are packets whose verdict could not be sent.
	unsent []uint32
	// newest is the id of the packet that was received last, if any was.
	newest   uint32
	received bool
	// unsure says that a packet may wait of which we don't know. It stays so.
	unsure bool
}

// newWaiting makes room for what one queue may hold, so that little is allocated later.
func newWaiting(maxLen uint32) *waiting {
	const most = 1 << 16 // of a queue that is longer, that many are expected to be held
	return &waiting{held: make([]uint32, 0, min(maxLen, most)), unsent: make([]uint32, 0, batchLimit)}
}

// receive says that a packet has been received. All of them must be told of, in order.
func (w *waiting) receive(id uint32) {
	if w.received && int32(id-w.newest) <= 0 {
		w.unsure = true // then all that is said of the order of ids here is wrong
	}
	w.newest, w.received = id, true
}

// hold says that a packet, newer than all held before, waits.
func (w *waiting) hold(id uint32) { w.held = append(w.held, id) }

// release says that a held packet waits no longer. Another's id is no error: its verdict
// is the kernel's to refuse.
func (w *waiting) release(id uint32) {
	// The longest held are commonly released first.
	if i := slices.Index(w.held, id); i >= 0 {
		w.held = slices.Delete(w.held, i, i+1)
	}
}

// noneUpTo says that no packet up to id, which has been received, waits. The packets
// of the batch that id is of are taken for decided up to id.
func (w *waiting) noneUpTo(id uint32) bool {
	if w.unsure || len(w.unsent) > 0 {
		return false
	}
	if len(w.held) == 0 {
		return true
	}
	// The longest held came after id if it lies between id and the newest. To compare
	// it with id alone would mistake a packet held for half of all ids for a new one.
	return w.held[0]-id-1 < w.newest-id
}
