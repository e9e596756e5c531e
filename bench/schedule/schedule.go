package main

import (
	"fmt"
	"strings"
)

// Side is an end of a connection.
type Side uint8

const (
	// ClientSide opens the connection.
	ClientSide Side = iota
	// ServerSide has it opened.
	ServerSide
)

// String returns the side's name.
func (s Side) String() string { return [...]string{"client", "server"}[s] }

// Schedule is a session of which one end lives outside of the kernel: what the client
// means to say, and the packets with which that end says its part.
type Schedule struct {
	Seed uint64
	// Side is the end that sends the schedule's packets. The other is a Linux TCP.
	Side   Side
	Policy Policy
	Script []Exchange
	// TLS says that the script begins TLS, Large that it has packets of up to 64 KiB.
	TLS, Large bool
	// Lawful says that every packet is one that a sender in good faith, with a network
	// that reorders, repeats and fragments, may cause. Its mail must arrive.
	Lawful bool
	// Ends says that some packet may end the connection, or bring it to a stop.
	Ends   bool
	IPv6   bool
	Stamps bool   // it uses timestamps (RFC 7323)
	First  uint32 // sequence number of the first octet
	Syns   []Segment
	// Turns are made one by one while the schedule is played: what is said in TLS, and
	// what a server answers, is known only then.
	Turns []Turn

	newlines bool // forged octets may end lines, and so change the dialogue
	text     []byte
}

// Exchange is what the client's application says before it waits for replies.
type Exchange struct {
	// TLS says that it begins TLS before.
	TLS     bool
	Say     []byte
	Replies int
}

// Turn is what a side says at once.
type Turn struct {
	Start    int // where its octets begin in the stream
	Octets   []byte
	Segments []Segment
}

// Text returns all that the side has meant to say so far.
func (s *Schedule) Text() []byte { return s.text }

// expires is a hop limit that lets a packet through the gateway and not to its receiver:
// from the client the box behind the gateway is the second that forwards it, and the
// client discards what comes with its last hop (see deaf).
func (s *Schedule) expires() uint8 {
	if s.Side == ServerSide {
		return 3
	}
	return 2
}

// String lists the packets.
func (s *Schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, packets of the %v, policy %v: lawful %v, may end %v, TLS %v, large %v, IPv6 %v, timestamps %v, first octet %d\n",
		s.Seed, s.Side, s.Policy, s.Lawful, s.Ends, s.TLS, s.Large, s.IPv6, s.Stamps, s.First)
	for i := range s.Syns {
		fmt.Fprintf(&b, "  %v\n", &s.Syns[i])
	}
	for _, t := range s.Turns {
		fmt.Fprintf(&b, " from %d on it means to say %s\n", t.Start, quote(t.Octets))
		for i := range t.Segments {
			fmt.Fprintf(&b, "  %v\n", &t.Segments[i])
		}
	}
	return b.String()
}

// quote shows octets, the middle of many left out.
func quote(b []byte) string {
	const ends = 400
	if len(b) <= 2*ends {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%q… %d octets …%q", b[:ends], len(b)-2*ends, b[len(b)-ends:])
}
