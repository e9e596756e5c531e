package main

// receiver is the receiving half of a correct TCP that has a window of its own: octets
// in order, and of those that come twice the first.
type receiver struct {
	next   uint32 // RCV.NXT
	octets []byte // all before it
	ahead  map[uint32]byte
}

// advertised is the window that raw ends advertise, in octets: windowField << windowScale
// (RFC 7323 section 2.3).
const (
	windowScale = 2
	windowField = 1<<15 - 1
	advertised  = windowField << windowScale
)

// start begins with the octet at seq.
func (r *receiver) start(seq uint32) { r.next, r.ahead = seq, map[uint32]byte{} }

// take takes octets from seq on.
func (r *receiver) take(seq uint32, octets []byte) {
	if seq == r.next && len(r.ahead) == 0 && len(octets) <= advertised {
		r.octets = append(r.octets, octets...)
		r.next += uint32(len(octets))
		return
	}
	for i, c := range octets {
		at := seq + uint32(i)
		if _, ok := r.ahead[at]; !ok && at-r.next < advertised { // what is old is far ahead, modulo 2^32
			r.ahead[at] = c
		}
	}
	for c, ok := r.ahead[r.next]; ok; c, ok = r.ahead[r.next] {
		r.octets = append(r.octets, c)
		delete(r.ahead, r.next)
		r.next++
	}
}
