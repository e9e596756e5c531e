// Package metrics shows the daemon's counters to Prometheus.
//
// Nothing is counted here: a Collector asks for a snapshot at each scrape. What has no
// source is absent, not 0: keepword_offloaded_flows where every packet goes through a
// queue, keepword_offloaded_bytes_total and keepword_follower_packets_total also where
// connections are handed over by their mark.
package metrics

import (
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"keepword/cmd/keepword/internal/control"
	"keepword/inspect/verdict"
)

// Snapshot is the state of the daemon at one scrape.
type Snapshot struct {
	// Status gives every counter. A pair of labels occurs at most once in
	// Findings and in LostSight.
	Status control.Status
	// Latency is the time from a packet's arrival to its verdict; nil where it is
	// not measured, and the metric is then absent.
	Latency *Histogram
}

// Histogram are counts of durations in seconds.
type Histogram struct {
	// Bounds are the buckets' upper bounds, ascending, without +Inf.
	Bounds []float64
	// Counts are the durations of each bucket alone, not of those below it; the
	// last one, behind all Bounds, counts what was longer.
	Counts []uint64
	// Sum is that of all durations.
	Sum float64
}

// The values of the label where of keepword_queue_dropped_total.
const (
	whereQueue    = "queue"    // the kernel's queue was full
	whereSocket   = "socket"   // the socket's receive buffer was full
	whereFragment = "fragment" // a fragment that nobody had put together; it comes to no queue
)

// verdictPassed is the verdict in keepword_packets_total of packets that the kernel let
// through by itself.
const verdictPassed = "passed"

var (
	packets    = desc("packets_total", "Packets decided, by queue and verdict.", "queue", "verdict")
	flows      = desc("flows", "Flows in the table, by TCP state.", "state")
	findings   = desc("findings_total", "Findings, by the catalogue's id and what was done.", "finding", "action")
	breaker    = desc("breaker_changes_total", "Changes of servers' circuit breakers, by the state that they came to.", "to")
	lostSight  = desc("lost_sight_total", "Times that inspection lost sight, by cause and the policy that met it.", "cause", "policy")
	latency    = desc("verdict_latency_seconds", "Time from a packet's arrival to its verdict.")
	offloaded  = desc("offloaded_flows", "Sessions that were handed over to the kernel and are not over.")
	passedSize = desc("offloaded_bytes_total", "Octets of IP packets that the kernel let through in sessions that were handed over.")
	follower   = desc("follower_packets_total", "Packets at the kernel's program: let through (followed, silent, passed), dropped (busy), or queued, by reason.", "outcome")
	queueDepth = desc("queue_depth", "Packets that wait in the kernel for a verdict.", "queue")
	dropped    = desc("queue_dropped_total", "Packets lost before inspection, by queue and place.", "queue", "where")
	stale      = desc("stale_verdicts_total", "Verdicts on packets that the kernel no longer had.")
	memory     = desc("memory_bytes", "Memory that the flow tables hold.")
	memoryMax  = desc("memory_limit_bytes", "Memory that the flow tables may hold.")
	entries    = desc("history_entries", "Servers in the history.")
	unwritten  = desc("history_write_errors_total", "Times that the history could not be written to its file, or the file not be used.")
	eventsLost = desc("events_lost_total", "Events that were not written and never will be.")
	eventsErr  = desc("events_write_errors_total", "Times that events could not be written, and were tried again.")
	reloadOK   = desc("config_last_reload_successful", "1 where the last reading of the configuration succeeded, else 0.")
	buildInfo  = desc("build_info", "Always 1; the labels name the build.", "version", "goversion")
)

var all = []*prometheus.Desc{packets, flows, findings, breaker, lostSight, latency, offloaded, passedSize, follower, queueDepth, dropped, stale, memory, memoryMax, entries, unwritten, eventsLost, eventsErr, reloadOK, buildInfo}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("keepword_"+name, help, labels, nil)
}

// Collector is a prometheus.Collector over snapshots.
type Collector struct {
	snapshot func() Snapshot
}

// NewCollector returns a Collector that calls snapshot at each scrape, from the
// scrape's goroutine.
func NewCollector(snapshot func() Snapshot) *Collector { return &Collector{snapshot} }

// Describe sends every metric that Collect may send.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range all {
		ch <- d
	}
}

// Collect sends the metrics of one snapshot.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	snap := c.snapshot()
	s := &snap.Status
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}

	var staleSum uint64
	for _, q := range s.Queues {
		number := strconv.Itoa(int(q.Number))
		for name, n := range q.Packets {
			counter(packets, n, number, name)
		}
		gauge(queueDepth, q.Depth, number)
		counter(dropped, q.Dropped, number, whereQueue)
		counter(dropped, q.UserDropped, number, whereSocket)
		staleSum += q.Stale
	}
	if k := s.Kernel; k != nil {
		gauge(offloaded, k.Offloaded)
		if f := k.Follower; f != nil {
			counter(passedSize, f.PassedOctets)
			// They come to no queue.
			counter(packets, f.Followed+f.Silent+f.Passed, "", verdictPassed)
			counter(packets, f.Dropped, "", verdict.Drop.String())
			counter(follower, f.Followed, "followed")
			counter(follower, f.Silent, "silent")
			counter(follower, f.Passed, "passed")
			counter(follower, f.Dropped, "busy")
			for reason, n := range f.CameUp {
				counter(follower, n, reason)
			}
		}
	}
	if s.Table != nil {
		counter(dropped, s.Table.Fragments, "", whereFragment)
	}
	counter(stale, staleSum)
	for state, n := range s.Flows {
		gauge(flows, n, state)
	}
	for _, f := range s.Findings {
		counter(findings, f.Count, f.Finding, f.Action)
	}
	for state, n := range s.Breaker {
		counter(breaker, n, state)
	}
	for _, l := range s.LostSight {
		counter(lostSight, l.Count, l.Cause, l.Policy)
	}
	gauge(memory, s.Memory.Used)
	gauge(memoryMax, s.Memory.Limit)
	gauge(entries, uint64(s.History.Entries))
	counter(unwritten, s.History.WriteErrors)
	counter(eventsLost, s.Events.Dropped)
	counter(eventsErr, s.Events.WriteErrors)
	ok := uint64(1) // the daemon does not start on a configuration that it cannot read
	if s.Reload != nil && s.Reload.Error != "" {
		ok = 0
	}
	gauge(reloadOK, ok)
	gauge(buildInfo, 1, s.Version, runtime.Version())
	if h := snap.Latency; h != nil {
		ch <- h.metric()
	}
}

// metric turns h into the cumulative form that Prometheus wants.
func (h *Histogram) metric() prometheus.Metric {
	buckets := make(map[float64]uint64, len(h.Bounds))
	var total uint64
	for i, n := range h.Counts {
		total += n
		if i < len(h.Bounds) {
			buckets[h.Bounds[i]] = total
		}
	}
	return prometheus.MustNewConstHistogram(latency, total, h.Sum, buckets)
}
