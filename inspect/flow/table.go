package flow

import "hash/maphash"

// Class sorts flows by how long they may be idle. Each class is kept in the order in
// which its flows were last touched, to within Grain.
type Class uint8

const (
	// Embryonic: no answer to the first segment yet.
	Embryonic Class = iota
	// Open: data may pass.
	Open
	// Ended: reported, and remembered for late segments.
	Ended
	// Reset: reported and ended by a reset, which may not have reached its receiver.
	Reset

	classes
)

// Grain is how far Touched may lag behind, in nanoseconds. A flow moves to its class's
// newest end no more often than that, for its neighbours there are far apart in memory.
const Grain = 1e9

// Entry is one flow in a Table. Its address is stable while it is in the table.
type Entry[T any] struct {
	Key     Key
	Touched int64  // when it was touched last, or up to Grain before
	slot    uint32 // its place, from 1
	prev    uint32 // slot in the class's list, 0: none
	next    uint32
	class   Class
	used    bool
	Value   T
}

// An index word is a slot with a tag, some bits of its key's hash: an entry whose tag
// differs need not be looked at, which would be a read from far away.
const (
	slotBits = 24
	slotMask = 1<<slotBits - 1
)

func tag(hash uint64) uint32 { return uint32(hash>>(64-8)) << slotBits }

// MaxFlows is the largest limit of a Table.
const MaxFlows = slotMask

// chunk is how many entries are allocated at once.
const chunk = 1024

type list struct{ oldest, newest uint32 } // slots

// Table is a hash table of flows under a cap. It allocates only to grow, and is not
// safe for more than one goroutine.
type Table[T any] struct {
	seed   [4]uint64
	index  []uint32 // slot and tag at hash, linear probing
	chunks []*[chunk]Entry[T]
	free   uint32 // slot of the first free entry, linked by next
	lists  [classes]list
	count  [classes]int
	limit  int
}

// NewTable returns a Table of at most limit flows, which is at most MaxFlows.
func NewTable[T any](limit int) *Table[T] {
	limit = min(max(limit, 1), MaxFlows)
	size := 64
	for size < 2*limit {
		size *= 2
	}
	t := &Table[T]{index: make([]uint32, size), limit: limit}
	for i := range t.seed {
		t.seed[i] = maphash.Bytes(maphash.MakeSeed(), nil) // a secret, and nothing else depends on it
	}
	return t
}

// Len returns how many flows of a class there are.
func (t *Table[T]) Len(c Class) int { return t.count[c] }

// Full says that Insert needs a flow removed first.
func (t *Table[T]) Full() bool {
	n := 0
	for _, of := range t.count {
		n += of
	}
	return n >= t.limit
}

func (t *Table[T]) at(slot uint32) *Entry[T] {
	return &t.chunks[(slot-1)/chunk][(slot-1)%chunk]
}

// Hash returns where k's search begins: it is an argument of Find and Insert, so that
// many searches can be begun before the first ends.
func (t *Table[T]) Hash(k *Key) uint64 { return k.hash(&t.seed) }

// Begin reads where a search begins, and Approach the entry that it will probably end at,
// nil where there is none. A flow that was not seen for long is far away in memory: the
// reads of several searches, begun one after the other before any of them goes on, are
// waited for together.
func (t *Table[T]) Begin(hash uint64) uint32 { return t.index[hash&uint64(len(t.index)-1)] }

// Approach is described with Begin.
func (t *Table[T]) Approach(hash uint64) *Entry[T] {
	mask := uint64(len(t.index) - 1)
	for i := hash & mask; t.index[i] != 0; i = (i + 1) & mask {
		if t.index[i]&^slotMask == tag(hash) {
			return t.at(t.index[i] & slotMask)
		}
	}
	return nil
}

// Find returns the flow of that key and hash, nil where there is none.
func (t *Table[T]) Find(k *Key, hash uint64) *Entry[T] {
	mask := uint64(len(t.index) - 1)
	for i := hash & mask; t.index[i] != 0; i = (i + 1) & mask {
		if t.index[i]&^slotMask != tag(hash) {
			continue
		}
		if e := t.at(t.index[i] & slotMask); e.Key.is(k) {
			return e
		}
	}
	return nil
}

// Insert adds a flow of class Embryonic, which must not be there yet; the table must
// not be Full. Its Value is what the entry held when it was removed: the caller
// makes it new.
func (t *Table[T]) Insert(k *Key, hash uint64, now int64) *Entry[T] {
	if t.free == 0 {
		t.grow()
	}
	e := t.at(t.free)
	t.free = e.next
	e.Key, e.used, e.class = *k, true, Embryonic
	mask := uint64(len(t.index) - 1)
	i := hash & mask
	for t.index[i] != 0 {
		i = (i + 1) & mask
	}
	t.index[i] = tag(hash) | e.slot
	t.link(e, now)
	return e
}

func (t *Table[T]) grow() {
	c := new([chunk]Entry[T])
	first := uint32(len(t.chunks)*chunk) + 1
	t.chunks = append(t.chunks, c)
	for i := range c {
		c[i].slot = first + uint32(i)
		c[i].next = first + uint32(i) + 1
	}
	c[chunk-1].next = 0
	t.free = first
}

// Remove takes e out. It is to be used no more.
func (t *Table[T]) Remove(e *Entry[T]) {
	mask := uint64(len(t.index) - 1)
	i := t.Hash(&e.Key) & mask
	for t.index[i]&slotMask != e.slot {
		i = (i + 1) & mask
	}
	// Close the gap: an entry behind it moves up unless that is before its own place.
	for j := (i + 1) & mask; t.index[j] != 0; j = (j + 1) & mask {
		if home := t.Hash(&t.at(t.index[j]&slotMask).Key) & mask; (j-home)&mask >= (j-i)&mask {
			t.index[i] = t.index[j]
			i = j
		}
	}
	t.index[i] = 0
	t.unlink(e)
	e.used = false
	e.next = t.free
	t.free = e.slot
}

// Touch makes e the newest of class c.
func (t *Table[T]) Touch(e *Entry[T], now int64, c Class) {
	if e.class == c && now-e.Touched < Grain {
		return
	}
	t.unlink(e)
	e.class = c
	t.link(e, now)
}

// Oldest returns the flow of class c that was touched longest ago, to within Grain, nil
// where there is none.
func (t *Table[T]) Oldest(c Class) *Entry[T] {
	if o := t.lists[c].oldest; o != 0 {
		return t.at(o)
	}
	return nil
}

// Is says that e is the flow of that key, and still in its table.
func (e *Entry[T]) Is(k *Key) bool { return e.used && e.Key.is(k) }

// Slot names e for Slotted.
func (e *Entry[T]) Slot() uint32 { return e.slot }

// Slotted returns the entry of that name if it is in use; the caller tells by the
// Value whether it is still the same flow.
func (t *Table[T]) Slotted(slot uint32) *Entry[T] {
	if e := t.at(slot); e.used {
		return e
	}
	return nil
}

func (t *Table[T]) link(e *Entry[T], now int64) {
	l := &t.lists[e.class]
	e.Touched, e.prev, e.next = now, l.newest, 0
	if l.newest != 0 {
		t.at(l.newest).next = e.slot
	} else {
		l.oldest = e.slot
	}
	l.newest = e.slot
	t.count[e.class]++
}

func (t *Table[T]) unlink(e *Entry[T]) {
	l := &t.lists[e.class]
	if e.prev != 0 {
		t.at(e.prev).next = e.next
	} else {
		l.oldest = e.next
	}
	if e.next != 0 {
		t.at(e.next).prev = e.prev
	} else {
		l.newest = e.prev
	}
	t.count[e.class]--
}

// Each calls f for every flow; f may remove the one that it is given.
func (t *Table[T]) Each(f func(*Entry[T])) {
	for _, c := range t.chunks {
		for i := range c {
			if c[i].used {
				f(&c[i])
			}
		}
	}
}
