package main

import "testing"

func TestTheFirstOctetsThatArriveCount(t *testing.T) {
	for _, c := range []struct {
		name     string
		segments []struct {
			at     int
			octets string
		}
		want string
	}{
		{"in order", []struct {
			at     int
			octets string
		}{{0, "ab"}, {2, "cd"}}, "abcd"},
		{"behind a gap", []struct {
			at     int
			octets string
		}{{2, "cd"}, {0, "ab"}, {4, "e"}}, "abcde"},
		{"other octets behind a gap", []struct {
			at     int
			octets string
		}{{2, "cd"}, {1, "XXX"}, {0, "a"}}, "aXcd"},
		{"old ones", []struct {
			at     int
			octets string
		}{{0, "abc"}, {-1, "XXXXd"}}, "abcd"},
		{"beyond the window", []struct {
			at     int
			octets string
		}{{advertised, "X"}, {0, "a"}}, "a"},
	} {
		var r receiver
		const first = 1<<32 - 2 // the wrap is in its midst
		r.start(first)
		for _, s := range c.segments {
			r.take(uint32(first+s.at), []byte(s.octets))
		}
		if string(r.octets) != c.want || r.next != uint32(first+len(c.want)) {
			t.Errorf("%s: %q up to %d", c.name, r.octets, r.next)
		}
	}
}
