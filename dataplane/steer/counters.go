package steer

import (
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The names of the table's counters.
const (
	queuedCounter    = "queued"
	fragmentsCounter = "fragments"
	untrackedCounter = "untracked"
)

var counterNames = []string{queuedCounter, fragmentsCounter, untrackedCounter}

// Counters are numbers of packets since the table was made.
type Counters struct {
	// Queued were sent to a queue. What of them no queue has received was let through
	// or dropped for want of a listener or of room, as the policies say.
	Queued uint64
	// Fragments were dropped: first fragments of packets of inspected ports that
	// nobody had reassembled.
	Fragments uint64
	// Untracked are those among Queued and Fragments that somebody has exempted from
	// connection tracking. They are not counted where the table does without tracking.
	Untracked uint64
}

// Counters reads the table's counters from the kernel. Taking over the table of a
// killed instance does not reset them. It returns unix.ENOENT, wrapped, where the table is
// gone. Any goroutine may call it at any time.
func (t *Table) Counters() (Counters, error) {
	objs, err := (&nftables.Conn{}).GetNamedObjects(t.table)
	if err != nil {
		return Counters{}, t.fail("read", err)
	}
	packets := map[string]uint64{}
	for _, o := range objs {
		if named, ok := o.(*nftables.NamedObj); ok {
			if counter, ok := named.Obj.(*expr.Counter); ok {
				packets[named.Name] = counter.Packets
			}
		}
	}
	for _, name := range counterNames {
		if _, ok := packets[name]; !ok {
			return Counters{}, t.fail("read", unix.ENOENT)
		}
	}
	return Counters{Queued: packets[queuedCounter], Fragments: packets[fragmentsCounter], Untracked: packets[untrackedCounter]}, nil
}
