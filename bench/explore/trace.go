package main

import "hash/maphash"

// The four streams at the wall, or at what stands in its place.
const (
	fromWest = iota // what the client's side has said
	toEast          // what of it has been let through
	fromEast        // what the server's side has said
	toWest          // what of it has been let through
	streams
)

// moment is when octets came to a stream: how long each stream was before.
type moment [streams]int

// trace is what has entered the wall and left it, and when.
type trace struct {
	octets  [streams][]byte
	moments [streams][]moment
	// input is a digest of what has entered, in its order, and of the time that passed
	// between.
	input uint64
}

// seed is that of all digests of this process.
var seed = maphash.MakeSeed()

func (t *trace) put(stream int, octets []byte) {
	var m moment
	for i := range m {
		m[i] = len(t.octets[i])
	}
	t.moments[stream] = append(t.moments[stream], m)
	t.octets[stream] = append(t.octets[stream], octets...)
}

// entered notes octets that came from a side.
func (t *trace) entered(from side, octets []byte) {
	t.mix(uint64(from)<<32|uint64(len(octets)), maphash.Bytes(seed, octets))
	t.put(fromWest+2*int(from), octets)
}

// passed notes that time has passed to the end of a stage.
func (t *trace) passed(stage int) { t.mix(2<<32, uint64(stage)) }

// left notes octets that left for a side.
func (t *trace) left(to side, octets []byte) { t.put(toWest-2*int(to), octets) }

// mix takes numbers into the digest, so that their order counts.
func (t *trace) mix(list ...uint64) {
	const prime = 1<<40 | 1<<8 | 0xb3 // FNV's, of 64 bits
	for _, n := range list {
		t.input = (t.input ^ n) * prime
		t.input ^= t.input >> 29
	}
}

// when returns the moment at which the octet at a place of a stream came to it.
func (t *trace) when(stream, at int) (m moment) {
	for _, next := range t.moments[stream] {
		if next[stream] > at {
			break
		}
		m = next
	}
	return m
}
