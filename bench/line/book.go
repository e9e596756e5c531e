package main

import (
	"fmt"
	"math/bits"
	"sync"

	"keepword/bench/line/load"
)

// book counts messages in and out: what the clients had acknowledged, and what the server
// took. All of its methods may be called by any goroutine.
type book struct {
	mu       sync.Mutex
	sequence uint32
	acked    set
	took     set
	tally
}

// tally is what a book says.
type tally struct {
	// Acked messages were delivered, as far as their clients know. Failed ones were not,
	// or something else in their sessions was not as it should be.
	Acked, Failed int
	// Lost ones were acknowledged, and the server never had them.
	Lost int
	// Duplicated ones the server had twice.
	Duplicated int
	// Changed ones came to the server with other octets than were sent, or with a stamp
	// that is none of ours.
	Changed int
	// Taken counts what the server had.
	Taken int
	// Failures are the first few, in words.
	Failures []string
}

// failuresTold is how many failures are told in words.
const failuresTold = 10

// set is a set of small numbers.
type set []uint64

// add puts n in and says whether it was new.
func (s *set) add(n uint32) bool {
	for int(n/64) >= len(*s) {
		*s = append(*s, 0)
	}
	word, bit := &(*s)[n/64], uint64(1)<<(n%64)
	old := *word
	*word |= bit
	return old&bit == 0
}

// without counts what is in s and not in other.
func (s set) without(other set) (n int) {
	for i, word := range s {
		if i < len(other) {
			word &^= other[i]
		}
		n += bits.OnesCount64(word)
	}
	return n
}

// told is what a client says of a message: failure is empty where it was acknowledged.
func (b *book) told(id load.ID, failure string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if failure != "" {
		if b.Failed++; len(b.Failures) < failuresTold {
			b.Failures = append(b.Failures, fmt.Sprintf("message %s: %s", id, failure))
		}
		return
	}
	b.Acked++
	_, index := id.Split()
	b.acked.add(index)
}

// received is what the server says of a message: its first line, and the hash of the rest.
func (b *book) received(head string, sum [32]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Taken++
	stamp, err := load.ParseStamp(head)
	sequence, index := stamp.ID.Split()
	if err != nil || sequence != b.sequence || stamp.Sum != sum {
		b.Changed++
		return
	}
	if !b.took.add(index) {
		b.Duplicated++
	}
}

// now returns the counts so far. What is under way between the server and its client, or
// between them and the book, is in one column and not yet in the other.
func (b *book) now() tally {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.tally
	t.Lost = b.acked.without(b.took)
	return t
}
