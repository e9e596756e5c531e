package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// metricsURL is where keepword tells its metrics, on the gateway.
const metricsURL = "http://127.0.0.1:9525/metrics"

// watched are the metrics in the file, each the sum over all its labels; one that this
// version does not have is 0.
var watched = []string{
	"keepword_flows", "keepword_memory_bytes", "keepword_packets_total", "keepword_findings_total",
	"keepword_lost_sight_total", "keepword_queue_depth", "keepword_queue_dropped_total",
	"keepword_stale_verdicts_total", "keepword_offloaded_flows", "keepword_offloaded_bytes_total",
	"keepword_history_entries",
}

// troubles are the metrics whose every value above 0 the summary tells.
var troubles = []string{"keepword_lost_sight_total", "keepword_queue_dropped_total", "keepword_stale_verdicts_total", "keepword_findings_total"}

// watch looks at keepword from time to time: its memory, its processor time, its metrics.
// It also carries its events away, as logrotate does: they would fill the host's memory.
type watch struct {
	site    *site
	program *child
	book    *book
	out     io.Writer
	client  http.Client
	phase   atomic.Pointer[string]

	begun           time.Time
	rss             []int64  // octets, each time
	last            []string // the lines of the last metrics
	missed          []string // why there is no line
	flows, findings int
}

func newWatch(s *site, program *child, b *book, out io.Writer) *watch {
	const patience = 5 * time.Second
	w := &watch{site: s, program: program, book: b, out: out, begun: time.Now()}
	w.client = http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return s.Gateway.Dial(ctx, network, addr)
		},
		DisableKeepAlives: true,
	}}
	w.phase.Store(new(string))
	fmt.Fprintf(out, "seconds,phase,acknowledged,taken,failed,rss_octets,cpu_seconds,%s\n", strings.Join(watched, ","))
	return w
}

// run looks until ctx ends, and once more then.
func (w *watch) run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for more := true; more; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			more = false
		}
		if err := w.look(); err != nil {
			w.missed = append(w.missed, fmt.Sprintf("%.0f s: %v", time.Since(w.begun).Seconds(), err))
		}
	}
}

// look writes a line.
func (w *watch) look() error {
	rss, err := residentSet(w.program.pid())
	if err != nil {
		return err
	}
	cpu, err := processTime(w.program.pid())
	if err != nil {
		return err
	}
	text, err := w.metrics()
	if err != nil {
		return err
	}
	w.rss = append(w.rss, rss)
	w.last = strings.Split(text, "\n")
	t := w.book.now()
	line := fmt.Sprintf("%.0f,%s,%d,%d,%d,%d,%.2f", time.Since(w.begun).Seconds(), *w.phase.Load(), t.Acked, t.Taken, t.Failed, rss, cpu.Seconds())
	for _, name := range watched {
		total := 0.0
		for _, m := range w.named(name) {
			total += m.value
		}
		line += fmt.Sprintf(",%.0f", total)
	}
	if _, err := fmt.Fprintln(w.out, line); err != nil {
		return err
	}
	return w.rotate()
}

func (w *watch) metrics() (string, error) {
	response, err := w.client.Get(metricsURL)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

// metric is a line of the metrics' text: `name{labels} value`.
type metric struct {
	text  string
	value float64
}

// named returns the lines of that name in the last metrics.
func (w *watch) named(name string) (list []metric) {
	for _, line := range w.last {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		if v, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64); err == nil {
			list = append(list, metric{line, v})
		}
	}
	return list
}

// residentSet reads how much of a process is in memory, in octets.
func residentSet(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if kib := int64(0); strings.HasPrefix(line, "VmRSS:") {
			_, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS", pid)
}

// keepwordOldEvents is where events go on their way out.
const keepwordOldEvents = keepwordEvents + ".1"

// rotate counts the events that were moved away the last time, and moves away those that
// have come since.
func (w *watch) rotate() error {
	if err := w.count(keepwordOldEvents); err != nil {
		return err
	}
	if err := w.site.Gateway.Do(func() error { return os.Rename(keepwordEvents, keepwordOldEvents) }); err != nil {
		return err
	}
	return w.program.cmd.Process.Signal(syscall.SIGUSR1)
}

// count counts the events of a file, which may not be there, and removes it.
func (w *watch) count(file string) error {
	text, err := w.site.Gateway.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	w.flows += bytes.Count(text, []byte(`"event_type":"flow"`))
	w.findings += bytes.Count(text, []byte(`"event_type":"alert"`))
	return w.site.Gateway.Do(func() error { return os.Remove(file) })
}

// countEvents counts what is left when keepword has stopped.
func (w *watch) countEvents() {
	for _, file := range []string{keepwordOldEvents, keepwordEvents} {
		if err := w.count(file); err != nil {
			w.missed = append(w.missed, err.Error())
		}
	}
}

// summary tells what was seen, by p, a line a call.
func (w *watch) summary(p func(format string, args ...any)) {
	p("events written: %d of sessions, %d of findings", w.flows, w.findings)
	if len(w.rss) > 0 {
		const mib = 1 << 20
		p("resident memory: first %.1f MiB, last %.1f MiB, most %.1f MiB, of %d samples",
			float64(w.rss[0])/mib, float64(w.rss[len(w.rss)-1])/mib, float64(slices.Max(w.rss))/mib, len(w.rss))
	}
	none := true
	for _, name := range troubles {
		for _, m := range w.named(name) {
			if m.value > 0 {
				p("%s", m.text)
				none = false
			}
		}
	}
	if none && len(w.last) > 0 {
		p("no sight lost, no packet dropped by a queue, no stale verdict, no finding")
	}
	for _, why := range w.missed {
		p("not seen: %s", why)
	}
}
