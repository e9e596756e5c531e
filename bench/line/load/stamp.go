package load

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

// ID is a message's own number: those of one Sequence are a random number and count on.
type ID uint64

// String returns 16 hexadecimal digits.
func (id ID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// Split returns the number that all of a sequence have, and which one of it this is.
func (id ID) Split() (sequence, index uint32) { return uint32(id >> 32), uint32(id) }

// Sequence gives ids. It may be used by many goroutines.
type Sequence struct {
	name uint32
	next atomic.Uint32
}

// IDs makes a sequence with a name, which should be random.
func IDs(name uint32) *Sequence { return IDsFrom(ID(name) << 32) }

// IDsFrom makes a sequence that goes on with first.
func IDsFrom(first ID) *Sequence {
	s := &Sequence{}
	var index uint32
	s.name, index = first.Split()
	s.next.Store(index)
	return s
}

// Next returns the next id.
func (s *Sequence) Next() ID { return ID(s.name)<<32 | ID(s.next.Add(1)-1) }

// Stamp is what a stamped message says of itself in its first line.
type Stamp struct {
	ID ID
	// Sum is the hash of what stands behind that line.
	Sum [sha256.Size]byte
}

const (
	stampWord = "X-Line: "
	// stampOctets is the length of the line, with CRLF.
	stampOctets = len(stampWord) + 16 + 1 + 2*sha256.Size + 2
)

func (s Stamp) line() []byte { return fmt.Appendf(nil, "%s%s %x\r\n", stampWord, s.ID, s.Sum) }

var errStamp = errors.New("not a stamp")

// ParseStamp reads a stamped message's first line, CRLF left out.
func ParseStamp(line string) (Stamp, error) {
	var s Stamp
	rest, ok := strings.CutPrefix(line, stampWord)
	if id, sum, _ := strings.Cut(rest, " "); ok && len(line) == stampOctets-2 {
		n, err := strconv.ParseUint(id, 16, 64)
		if err != nil {
			return s, errStamp
		}
		s.ID = ID(n)
		if _, err := hex.Decode(s.Sum[:], []byte(sum)); err != nil {
			return s, errStamp
		}
		return s, nil
	}
	return s, errStamp
}

// partLine is the line before part i of a stamped message.
func partLine(id ID, i int) []byte {
	return fmt.Appendf(make([]byte, 0, lineOctets), "%s part %0*d\r\n", id, lineOctets-2-len("0123456789abcdef part "), i)
}
