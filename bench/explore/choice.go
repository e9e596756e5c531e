package main

import (
	"fmt"
	"slices"
)

// pick is one choice that a run has made.
type pick struct {
	taken, of int
	free      bool
}

// chooser makes the choices of one run after the other, so that each run differs from
// all before it and none is left out: a depth-first search by doing everything again from
// the start, for a Pipeline can't be copied. Its picks are those of the run before up to
// the last one that has an alternative left, which is taken; behind it each choice is
// the plain one, 0.
type chooser struct {
	depth int // departures that one run may make
	picks []pick
	made  int // picks of the run under way
	spent int // departures among them
}

// choose returns the run's choice of so many alternatives. One that is free may fall
// any way; otherwise any other than the first is a departure.
func (c *chooser) choose(of int, free bool) int {
	if of < 2 || !free && c.left() == 0 {
		return 0
	}
	if c.isNew() {
		c.picks = append(c.picks, pick{of: of, free: free})
	}
	p := c.picks[c.made]
	if p.of != of || p.free != free {
		panic(fmt.Sprintf("choice %d was one of %d and is one of %d: a run can't be repeated", c.made, p.of, of))
	}
	c.made++
	if p.taken > 0 && !free {
		c.spent++
	}
	return p.taken
}

// isNew says that the run has come beyond what it repeats.
func (c *chooser) isNew() bool { return c.made == len(c.picks) }

// left is how many departures the run may still make.
func (c *chooser) left() int { return c.depth - c.spent }

// advance goes on to the next run, and returns false when there is none.
func (c *chooser) advance() bool {
	c.made, c.spent = 0, 0
	for n := len(c.picks); n > 0; n-- {
		if p := &c.picks[n-1]; p.taken+1 < p.of {
			p.taken++
			c.picks = c.picks[:n]
			return true
		}
	}
	return false
}

// path returns the choices that the run has made, to be made again.
func (c *chooser) path() []pick { return slices.Clone(c.picks[:c.made]) }
