package main

import (
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// clock counts the nanoseconds that a thread has run, and so none in which another
// program, or the collector, had its core (CLOCK_THREAD_CPUTIME_ID). It costs a system
// call, as fetching a batch does.
func clock() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err) // every Linux has it
	}
	return t.Nano()
}

// timed returns the nanoseconds that f takes, without the clock's own.
func timed(f func()) int64 {
	runtime.LockOSThread() // it is this thread's clock
	defer runtime.UnlockOSThread()
	begin := clock()
	f()
	return clock() - begin - clockCost
}

// clockCost is what looking at the clock twice takes of the time between.
var clockCost = func() int64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var costs []int64
	for range 1001 {
		begin := clock()
		costs = append(costs, clock()-begin)
	}
	slices.Sort(costs)
	return costs[len(costs)/2]
}()
