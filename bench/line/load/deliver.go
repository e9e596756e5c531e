package load

import (
	"context"
	"sync"
	"time"
)

// Share is a workload of which so many sessions begin in a second.
type Share struct {
	Workload
	PerSecond float64
}

// Deliver holds sessions of all shares at once until ctx ends, each with a stamped message
// of its own, and tells what came of each. A session that is late is not made up for, so
// that a gateway that stands still for a while does not get all that it missed at once.
//
// tell is called by many goroutines. Sessions under way at the end are brought to theirs.
func Deliver(ctx context.Context, shares []Share, ids *Sequence, clients func() *Client, tell func(ID, error)) {
	var running sync.WaitGroup
	for _, share := range shares {
		interval := time.Duration(float64(share.Connections) / share.PerSecond * float64(time.Second))
		for i := range share.Connections {
			c := clients()
			// The connections begin one after the other.
			next := time.Now().Add(interval * time.Duration(i) / time.Duration(share.Connections))
			running.Go(func() {
				for {
					if pause(ctx, time.Until(next)); ctx.Err() != nil {
						return
					}
					id := ids.Next()
					tell(id, c.Session(share.Workload, NewStampedMessage(id, share.Octets)))
					c.Trips()
					if next = next.Add(interval); next.Before(time.Now()) {
						next = time.Now()
					}
				}
			})
		}
	}
	running.Wait()
}
