package load

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Window is the time that counts: sessions begin before it and end after it, so that
// nothing is measured that is only starting or running out.
type Window struct {
	// Warm is how long sessions are held before.
	Warm time.Duration
	// For is its length.
	For time.Duration
	// Begins and Ends, if not nil, are called at its ends.
	Begins, Ends func()
}

// Figures are what a run has given.
type Figures struct {
	// Seconds is the length of the window as it came to be.
	Seconds float64
	// Sessions and Octets (of mail data) fell into the window. A session that lies in it
	// in part counts by the share of its time.
	Sessions, Octets float64
	// P50 and P99 are of the time that a command waited for its reply, in seconds: MAIL,
	// RCPT and NOOP, each said alone; 0 where there was none.
	P50, P99 float64
	// Failed counts the sessions that were not as they should be, before and after the
	// window too, and Failure tells of the first.
	Failed  int
	Failure string
}

// sessionTime is when a session was under way.
type sessionTime struct{ begin, end time.Time }

// share is how much of the session lies between begin and end.
func (s sessionTime) share(begin, end time.Time) float64 {
	from, to := s.begin, s.end
	if from.Before(begin) {
		from = begin
	}
	if to.After(end) {
		to = end
	}
	if !to.After(from) {
		return 0
	}
	return float64(to.Sub(from)) / float64(s.end.Sub(s.begin))
}

// failureLimit is how many sessions may fail before a run is given up: it is of no use
// any more.
const failureLimit = 100

// Run holds sessions of w, as many at a time as w says, one client each, and returns what
// came of them. It ends after the window, or soon after ctx, when the sessions under way do.
func Run(ctx context.Context, w Workload, window Window, clients func() *Client) Figures {
	type part struct {
		times []sessionTime
		trips []time.Duration
		errs  []error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	parts := make([]part, w.Connections)
	var running sync.WaitGroup
	for i := range parts {
		p, c := &parts[i], clients()
		var m *Message
		if w.Octets > 0 {
			m = NewMessage(w.Octets)
		}
		running.Go(func() {
			for ctx.Err() == nil && len(p.errs) < failureLimit {
				begin := time.Now()
				if err := c.Session(w, m); err != nil {
					p.errs = append(p.errs, err)
					continue
				}
				p.times = append(p.times, sessionTime{begin, time.Now()})
			}
			p.trips = c.Trips()
		})
	}

	pause(ctx, window.Warm)
	if window.Begins != nil {
		window.Begins()
	}
	begin := time.Now()
	pause(ctx, window.For)
	end := time.Now()
	if window.Ends != nil {
		window.Ends()
	}
	cancel()
	running.Wait()

	f := Figures{Seconds: end.Sub(begin).Seconds()}
	var trips []time.Duration
	for _, p := range parts {
		for _, s := range p.times {
			share := s.share(begin, end)
			f.Sessions += share
			f.Octets += share * float64(w.Octets)
		}
		trips = append(trips, p.trips...)
		if f.Failed += len(p.errs); f.Failure == "" && len(p.errs) > 0 {
			f.Failure = fmt.Sprint(p.errs[0])
		}
	}
	slices.Sort(trips)
	f.P50, f.P99 = percentile(trips, 50).Seconds(), percentile(trips, 99).Seconds()
	return f
}

// percentile returns the least of the sorted values that p in a hundred do not exceed.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// pause waits, but no longer than ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
