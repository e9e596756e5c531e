package main

import (
	"slices"
	"strings"
)

// cut is where octets are cut into segments.
type cut struct {
	at []int // ends of all segments but the last
	// pause: behind the first segment the sender waits for its acknowledgement (Nagle, RFC
	// 9293 section 3.7.4), which may be delayed.
	pause bool
	// joined: nothing comes between the segments. Of many, all orders would be too many.
	joined bool
}

// cutsOf returns the cuts of what one end says at once that make a difference to
// somebody who edits in place: the first is none.
func cutsOf(octets string) []cut {
	n := len(octets)
	places := []int{
		1,                             // behind the first octet
		2,                             // in the verb, in the three digits
		within(octets, "\r\n", 2),     // between two lines
		within(octets, "STARTTLS", 5), // in the keyword, the verb
		n - 2,                         // before the last CRLF
		n - 1,                         // within it
	}
	if octets[0] == handshake {
		places = []int{1, recordHeader, n / 2}
	}
	slices.Sort(places)
	cuts := []cut{{}}
	for _, at := range slices.Compact(places) {
		if 0 < at && at < n {
			cuts = append(cuts, cut{at: []int{at}})
		}
	}
	if n > 2 {
		each := make([]int, n-1)
		for i := range each {
			each[i] = i + 1
		}
		cuts = append(cuts, cut{at: []int{2}, pause: true}, cut{at: each, joined: true})
	}
	return cuts
}

// within returns the place n octets into the first occurrence of a word, 0 where there is none.
func within(octets, word string, n int) int {
	at := strings.Index(octets, word)
	if at < 0 {
		return 0
	}
	return at + n
}
