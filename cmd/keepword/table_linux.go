package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"keepword/dataplane/nfqueue"
	"keepword/dataplane/steer"
)

// tableCheck is how often the table in the kernel is looked at, and so the longest time
// that traffic goes by unread when somebody else has deleted it.
const tableCheck = time.Second

// alone returns an error where the table in the kernel is that of another keepword
// which runs. A killed one's is free: nobody listens on its queues, or we do.
func (d *daemon) alone() error {
	queues, err := steer.Queues(steer.DefaultName)
	if err != nil {
		return err
	}
	for _, q := range queues {
		if slices.ContainsFunc(d.workers, func(w worker) bool { return w.engine.Queue() == q }) {
			continue
		}
		if p, taken := nfqueue.Holder(q); taken {
			return fmt.Errorf("process %d (%s) inspects this host's mail with queue %d: stop it first; one keepword a host", p.PID, p.Name, q)
		}
	}
	return nil
}

// guardTable restores the table until ctx ends. A firewall's reload often begins with
// `flush ruleset`, which takes every table with it.
func (d *daemon) guardTable(ctx context.Context) {
	tick := time.NewTicker(tableCheck)
	defer tick.Stop()
	said := "" // the last error, which is not repeated
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		restored, err := d.restoreTable()
		switch {
		case err != nil && err.Error() != said:
			d.log.Error("nftables table not restored, mail may go by uninspected", "error", err)
		case restored:
			d.tableLost.Add(1)
			d.log.Error("another program had deleted our nftables table or a part of it, and mail went by uninspected: restored")
		}
		said = ""
		if err != nil {
			said = err.Error()
		}
	}
}

func (d *daemon) restoreTable() (restored bool, err error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	if d.stopped {
		return false, nil
	}
	return d.table.Restore()
}
