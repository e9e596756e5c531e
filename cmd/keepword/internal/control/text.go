package control

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"keepword/cmd/keepword/internal/report/page"
)

// labelled is the number of columns of the labels in front of the facts.
const labelled = 12

// WriteText writes s for a person, at most 80 columns wide and without colour. now
// is the time that the daemon's age is reckoned from; times are shown in its zone.
func (s *Status) WriteText(w io.Writer, now time.Time) error {
	t := &text{zone: now.Location()}
	page.Wrap(&t.buf, "", fmt.Sprintf("keepword %s, process %d, up %s, since %s",
		s.Version, s.PID, Age(now.Sub(s.Started)), t.time(s.Started)))
	t.fact("mode", s.Mode)
	t.fact("ports", join(s.Ports))
	t.fact("hooks", strings.Join(s.Hooks, ", "))
	t.fact("engine", s.Engine)
	t.fact("expression", s.Expression)
	t.fact("offload", s.Offload)
	t.fact("config", s.config(t))
	t.fact("memory", fmt.Sprintf("%s of %s", octets(s.Memory.Used), octets(s.Memory.Limit)))
	if s.Events.Dropped > 0 || s.Events.WriteErrors > 0 {
		t.fact("events", fmt.Sprintf("%d lost, %d writes failed", s.Events.Dropped, s.Events.WriteErrors))
	}
	t.fact("history", s.History.String())
	if s.Table != nil {
		t.fact("table", fmt.Sprintf("%d packets queued, %d fragments dropped, %d untracked", s.Table.Queued, s.Table.Fragments, s.Table.Untracked))
	}
	if k := s.Kernel; k != nil {
		t.fact("kernel", k.String())
	}
	t.queues(s.Queues)
	t.counts("Flows now", s.Flows)
	t.counts("Sessions ended", s.Sessions)
	t.table("Findings", "None.", func(row func(...any)) {
		for _, f := range s.Findings {
			row(f.Count, f.Finding, f.Action)
		}
	})
	t.table("Lost sight", "Never.", func(row func(...any)) {
		for _, l := range s.LostSight {
			row(l.Count, l.Cause, l.Policy)
		}
	})
	_, err := w.Write(t.buf.Bytes())
	return err
}

// String says in words how h fares.
func (h *History) String() string {
	text := fmt.Sprintf("%d servers, %d of them with an open breaker", h.Entries, h.Open)
	if h.Reason != "" {
		text += "; " + h.Store + ": " + h.Reason
	}
	if h.Skipped > 0 {
		text += fmt.Sprintf("; %d entries of the file not understood", h.Skipped)
	}
	return text
}

// String says in words what k does.
func (k *Kernel) String() string {
	text := fmt.Sprintf("%d sessions handed over", k.Offloaded)
	f := k.Follower
	if f == nil {
		return text
	}
	text += fmt.Sprintf("; packets: %d followed, %d without a word, %d of sessions handed over (%s)", f.Followed, f.Silent, f.Passed, octets(f.PassedOctets))
	if f.Dropped > 0 {
		text += fmt.Sprintf(", %d dropped", f.Dropped)
	}
	var sum uint64
	var reasons []string
	for _, name := range slices.Sorted(maps.Keys(f.CameUp)) {
		if n := f.CameUp[name]; n > 0 {
			sum += n
			reasons = append(reasons, fmt.Sprintf("%s %d", name, n))
		}
	}
	text += fmt.Sprintf(", %d came up", sum)
	if len(reasons) > 0 {
		text += " (" + strings.Join(reasons, ", ") + ")"
	}
	return text
}

func (s *Status) config(t *text) string {
	c := s.ConfigPath
	if c == "" {
		c = "built-in defaults"
	}
	switch {
	case s.Reload == nil:
		return c
	case s.Reload.Error == "":
		return c + ", reloaded " + t.time(s.Reload.Time)
	}
	return c + "; the reload of " + t.time(s.Reload.Time) + " failed and changed nothing: " + s.Reload.Error
}

// text is a page being written.
type text struct {
	buf  bytes.Buffer
	zone *time.Location
}

func (t *text) time(at time.Time) string { return at.In(t.zone).Format("2006-01-02 15:04:05") }

// fact writes a label and its value, which may quote a file and is escaped.
func (t *text) fact(label, value string) {
	page.Wrap(&t.buf, fmt.Sprintf("%-*s", labelled, label), value)
}

func (t *text) queues(queues []Queue) {
	t.table("Queues", "None.", func(row func(...any)) {
		for i, q := range queues {
			if i == 0 {
				row("queue", "waiting", "queue full", "buffer full", "stale")
			}
			row(q.Number, q.Depth, q.Dropped, q.UserDropped, q.Stale)
		}
	})
	verdicts := make(map[string]uint64)
	for _, q := range queues {
		for name, n := range q.Packets {
			verdicts[name] += n
		}
	}
	t.counts("Packets", verdicts)
}

// counts writes a table of names and counts, by name.
func (t *text) counts(title string, counts map[string]uint64) {
	t.table(title, "None.", func(row func(...any)) {
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			row(counts[name], name)
		}
	})
}

// table writes a title and the rows that fill makes, in aligned columns, or empty
// where it makes none.
func (t *text) table(title, empty string, fill func(row func(cells ...any))) {
	fmt.Fprintf(&t.buf, "\n%s\n", title)
	before := t.buf.Len()
	tw := tabwriter.NewWriter(&t.buf, 0, 0, 2, ' ', 0)
	fill(func(cells ...any) {
		var line []string
		for _, c := range cells {
			line = append(line, page.Printable(fmt.Sprint(c)))
		}
		fmt.Fprintf(tw, "  %s\n", strings.Join(line, "\t"))
	})
	tw.Flush() // to a buffer, which takes everything
	if t.buf.Len() == before {
		fmt.Fprintf(&t.buf, "  %s\n", empty)
	}
}

func join(ports []uint16) string {
	var s []string
	for _, p := range ports {
		s = append(s, strconv.Itoa(int(p)))
	}
	return strings.Join(s, ", ")
}

// octets writes n with a binary unit, rounded down.
func octets(n uint64) string {
	for _, u := range []struct {
		shift int
		name  string
	}{{30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if n>>u.shift >= 10 {
			return fmt.Sprintf("%d %s", n>>u.shift, u.name)
		}
	}
	return fmt.Sprintf("%d octets", n)
}

// Age writes d in its two largest units.
func Age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", max(0, d)/time.Second)
}
