package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// The layout of a bbolt file, version 2 of its format, as written by bbolt's
// internal/common: pages of equal size, the first two of which hold meta data. Numbers are
// in the host's order.
const (
	headerSize  = 16 // of a page: id 8, flags 2, count 2, overflow 4
	elementSize = 16 // of a leaf: flags, position, key's and value's size; of a branch: position, key's size, page
	bucketSize  = 16 // in front of a bucket's inline page: its root page, a sequence number
	metaSize    = 64
	metaSummed  = 56 // of it, what its checksum is over

	magic         = 0xED0CDAED
	formatVersion = 2
	noFreelist    = 1<<64 - 1

	branchPage   = 0x01
	leafPage     = 0x02
	metaPage     = 0x04
	freelistPage = 0x10
	bucketFlag   = 0x01 // of a leaf's element

	minPageSize, maxPageSize = 1 << 10, 1 << 16
	// maxOverflow is how many pages may follow one that belong to it. Ours have none: the
	// longest entry has less than a quarter of a page.
	maxOverflow = 16
	// maxDepth is how deep a tree may be: four levels hold a million entries.
	maxDepth = 16
)

var order = binary.NativeEndian

// errDamaged is in the error for a file that bbolt must not be given.
var errDamaged = errors.New("damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errDamaged, fmt.Sprintf(format, args...))
}

// sound says whether the file of size octets holds a whole bbolt database. bbolt maps its
// file and trusts it: in one that is cut short or altered it would fault, panic or go round
// in circles. What is free in the file, it need not be able to read.
func sound(file io.ReaderAt, size int64) error {
	m, err := readMeta(file)
	if err != nil {
		return err
	}
	p := pages{file: file, size: m.pageSize, count: m.pages}
	if whole := int64(m.pages) * m.pageSize; m.pages > uint64(1<<62/m.pageSize) || size < whole {
		return damaged("cut short, %d octets of at least %d pages of %d are there", size, m.pages, m.pageSize)
	}
	p.seen = make([]uint64, m.pages/64+1)
	if m.freelist != noFreelist {
		// A new file has an empty list; from its first entry on there is none.
		page, err := p.read(m.freelist)
		if err != nil {
			return err
		}
		if flags, count := order.Uint16(page[8:]), order.Uint16(page[10:]); flags != freelistPage || count != 0 {
			return damaged("page %d is no empty list of free pages", m.freelist)
		}
	}
	return p.tree(m.root, true, bounds{}, 0)
}

type meta struct {
	pageSize              int64
	root, freelist, pages uint64
	transaction           uint64
}

// readMeta returns the meta data that bbolt takes: the later of two that are whole.
func readMeta(file io.ReaderAt) (best meta, err error) {
	size := int64(os.Getpagesize())
	for i := range int64(2) {
		var page [headerSize + metaSize]byte
		if _, err := file.ReadAt(page[:], i*size); err != nil && err != io.EOF {
			return meta{}, err
		}
		raw := page[headerSize:]
		sum := fnv.New64a()
		sum.Write(raw[:metaSummed])
		switch {
		case order.Uint32(raw) != magic || order.Uint64(raw[metaSummed:]) != sum.Sum64():
			continue
		case order.Uint32(raw[4:]) != formatVersion:
			return meta{}, fmt.Errorf("%w: bbolt's format %d", errVersion, order.Uint32(raw[4:]))
		}
		m := meta{int64(order.Uint32(raw[8:])), order.Uint64(raw[16:]), order.Uint64(raw[32:]), order.Uint64(raw[40:]), order.Uint64(raw[48:])}
		if m.pageSize < minPageSize || m.pageSize > maxPageSize || m.pageSize&(m.pageSize-1) != 0 {
			return meta{}, damaged("pages of %d octets", m.pageSize)
		}
		size = m.pageSize
		if best.pageSize == 0 || m.transaction > best.transaction {
			best = m
		}
	}
	if best.pageSize == 0 {
		return meta{}, damaged("it does not begin as a history does")
	}
	return best, nil
}

// pages are those of a file, seen one after the other.
type pages struct {
	file  io.ReaderAt
	size  int64  // of a page, in octets
	count uint64 // how many are in use
	seen  []uint64
}

// read returns a page with those that belong to it. Each can be read once.
func (p *pages) read(id uint64) ([]byte, error) {
	if id < 2 || id >= p.count { // the first two are meta data
		return nil, damaged("there is no page %d", id)
	}
	page := make([]byte, p.size)
	if _, err := p.file.ReadAt(page, int64(id)*p.size); err != nil {
		return nil, err
	}
	overflow := uint64(order.Uint32(page[12:]))
	if order.Uint64(page) != id || overflow > maxOverflow || id+overflow >= p.count {
		return nil, damaged("page %d says that it is another", id)
	}
	for i := id; i <= id+overflow; i++ {
		if p.seen[i/64]&(1<<(i%64)) != 0 {
			return nil, damaged("page %d is used twice", i)
		}
		p.seen[i/64] |= 1 << (i % 64)
	}
	if overflow > 0 {
		rest := make([]byte, int64(overflow)*p.size)
		if _, err := p.file.ReadAt(rest, int64(id+1)*p.size); err != nil {
			return nil, err
		}
		page = append(page, rest...)
	}
	return page, nil
}

// bounds are what the keys of a page lie between: it begins with from, and to is behind it;
// nil: no bound.
type bounds struct{ from, to []byte }

// tree checks a page and those below it. Only the outermost tree may hold buckets.
func (p *pages) tree(id uint64, outermost bool, in bounds, depth int) error {
	page, err := p.read(id)
	if err != nil {
		return err
	}
	if depth > maxDepth {
		return damaged("page %d lies too deep", id)
	}
	elements, err := parse(page, in)
	if err != nil {
		return damaged("page %d: %v", id, err)
	}
	for i, e := range elements {
		switch {
		case order.Uint16(page[8:]) == branchPage:
			below := bounds{e.key, in.to}
			if i+1 < len(elements) {
				below.to = elements[i+1].key
			}
			err = p.tree(e.child, outermost, below, depth+1)
		case e.flags == 0:
		case e.flags != bucketFlag || !outermost || len(e.value) < bucketSize:
			err = damaged("page %d holds what can't be a bucket", id)
		case order.Uint64(e.value) != 0:
			err = p.tree(order.Uint64(e.value), false, bounds{}, 0)
		default:
			err = inline(e.value[bucketSize:])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inline checks a bucket that lies in an element's value.
func inline(page []byte) error {
	if len(page) < headerSize || order.Uint16(page[8:]) != leafPage {
		return damaged("a small bucket is no leaf")
	}
	elements, err := parse(page, bounds{})
	if err != nil {
		return damaged("a small bucket: %v", err)
	}
	for _, e := range elements {
		if e.flags != 0 {
			return damaged("a bucket in a small bucket")
		}
	}
	return nil
}

// element is an entry of a leaf, or of a branch the page below it.
type element struct {
	key, value []byte
	flags      uint32
	child      uint64
}

// parse returns the elements of a page, whose keys ascend within the bounds.
func parse(page []byte, in bounds) ([]element, error) {
	flags, count := order.Uint16(page[8:]), int(order.Uint16(page[10:]))
	if flags != leafPage && (flags != branchPage || count == 0) || headerSize+count*elementSize > len(page) {
		return nil, fmt.Errorf("flags %#x and %d elements can't be", flags, count)
	}
	elements := make([]element, count)
	for i := range elements {
		e := &elements[i]
		at := headerSize + i*elementSize
		raw := page[at:]
		var position, key, value uint64
		if flags == leafPage {
			e.flags = order.Uint32(raw)
			position, key, value = uint64(order.Uint32(raw[4:])), uint64(order.Uint32(raw[8:])), uint64(order.Uint32(raw[12:]))
		} else {
			position, key, e.child = uint64(order.Uint32(raw)), uint64(order.Uint32(raw[4:])), order.Uint64(raw[8:])
		}
		if key == 0 || position+key+value > uint64(len(raw)) {
			return nil, fmt.Errorf("element %d lies outside of it", i)
		}
		e.key, e.value = raw[position:position+key], raw[position+key:position+key+value]
		if i > 0 && bytes.Compare(elements[i-1].key, e.key) >= 0 || in.to != nil && bytes.Compare(e.key, in.to) >= 0 {
			return nil, fmt.Errorf("element %d is out of order", i)
		}
	}
	if in.from != nil && (count == 0 || !bytes.Equal(elements[0].key, in.from)) {
		return nil, errors.New("it does not begin with the key by which it is found")
	}
	return elements, nil
}
