package main

import (
	"fmt"
	"slices"
	"strings"

	"keepword/bench/figures"
	"keepword/bench/line/load"
)

// targets are the shares of raw forwarding that keepword is to reach, and the factors by
// which a command may wait longer.
var targets = struct {
	share    map[string]float64
	p50, p99 float64
}{
	share: map[string]float64{"plain": 0.95, "starttls": 0.98, "bulk": 0.95, "bulk-tls": 1},
	p50:   1.2,
	p99:   1.3,
}

// table is a table of the page: a head, and rows of as many cells.
type table struct{ strings.Builder }

func (t *table) head(cells ...string) {
	t.row(cells...)
	line := slices.Repeat([]string{"---:"}, len(cells))
	line[0] = "---"
	t.row(line...)
}

func (t *table) row(cells ...string) {
	t.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// spread writes a series as its median and its ends, times scale.
func spread(s figures.Series, scale float64, unit string) string {
	return fmt.Sprintf("%s%s (%s – %s)", figures.Digits(s.Median()*scale), unit,
		figures.Digits(slices.Min(s)*scale), figures.Digits(slices.Max(s)*scale))
}

// column is one of a table: a workload, and what a cell says of a subject's samples
// beside those of raw forwarding. Both are whole and valid.
type column struct {
	head     string
	workload string
	cell     func(of, raw []sample) string
	// limit is what keepword's row in it is to reach, nil if nothing.
	limit *limit
}

// limit is a target: at least or at most so much of what raw forwarding has, by the median.
type limit struct {
	value float64
	most  bool
	of    func(of, raw []sample) figures.Series
}

func (l *limit) String() string {
	sign := "≥"
	if l.most {
		sign = "≤"
	}
	return fmt.Sprintf("**%s %s**", sign, figures.Digits(l.value))
}

// verdict says whether samples reach the limit.
func (l *limit) verdict(of, raw []sample) string {
	if m := l.of(of, raw).Median(); m == l.value || m < l.value == l.most {
		return "met"
	}
	return "**missed**"
}

// markdown writes the page's part: what could not be had, and the tables.
func (r *results) markdown() string {
	var b strings.Builder
	for _, why := range r.left {
		b.WriteString("Left out: " + why + ".\n\n")
	}
	section := func(title string, columns []column) {
		columns = slices.DeleteFunc(columns, func(c column) bool {
			list, _ := r.column(0, c.workload)
			return len(list) == 0
		})
		if len(columns) > 0 {
			b.WriteString(title + "\n\n" + r.table(columns) + "\n")
		}
	}
	var shares, rates []column
	for _, w := range r.workloads {
		if w.Name == load.Commands {
			continue
		}
		rate := func(s *sample) float64 { return s.rate(w) }
		share := func(of, raw []sample) figures.Series { return series(of, rate).By(series(raw, rate)) }
		shares = append(shares, column{w.Name, w.Name, func(of, raw []sample) string {
			return spread(share(of, raw), 1, "")
		}, &limit{value: targets.share[w.Name], of: share}})
		rates = append(rates, column{w.Name, w.Name, func(of, _ []sample) string {
			if w.Bulk() {
				return spread(series(of, rate), 1e-6, " MB/s")
			}
			return spread(series(of, rate), 1, " /s")
		}, nil})
	}
	section("Throughput as a share of raw forwarding in the same round:", shares)
	section("The same as it was counted, sessions or megabytes of mail data a second:", rates)
	section("How long a command (MAIL, RCPT, NOOP) waits for its reply. With one connection, nothing else under way, "+
		"and as a multiple of raw forwarding in the same round; and with the 16 connections of *plain*:", waiting())
	section("Processor time. *Program*: of the gateway's program alone. *Machine*: what the whole machine was busy more than "+
		"at raw forwarding, the kernel's share and the program's together; this includes what the client's and the server's "+
		"kernels do otherwise because of the gateway (their packets come in other batches), so it can be below *program*:", r.processor())
	return strings.TrimSuffix(b.String(), "\n")
}

// waiting are the columns of latency.
func waiting() []column {
	p50 := func(s *sample) float64 { return s.P50 }
	p99 := func(s *sample) float64 { return s.P99 }
	absolute := func(head, workload string, figure func(*sample) float64) column {
		return column{head, workload, func(of, _ []sample) string { return spread(series(of, figure), 1e6, " µs") }, nil}
	}
	ratio := func(head string, figure func(*sample) float64, most float64) column {
		times := func(of, raw []sample) figures.Series { return series(of, figure).By(series(raw, figure)) }
		return column{head, load.Commands, func(of, raw []sample) string {
			return spread(times(of, raw), 1, " ×")
		}, &limit{value: most, most: true, of: times}}
	}
	return []column{
		absolute("p50", load.Commands, p50), ratio("p50 to raw", p50, targets.p50),
		absolute("p99", load.Commands, p99), ratio("p99 to raw", p99, targets.p99),
		absolute("p50, *plain*", "plain", p50), absolute("p99, *plain*", "plain", p99),
	}
}

// processor are the columns of processor time: for a thousand sessions, or for a gigabyte.
func (r *results) processor() (columns []column) {
	for _, w := range r.workloads {
		if w.Name == load.Commands {
			continue
		}
		// In seconds, for what is counted.
		per := func(s *sample, t float64) float64 { return t / s.Sessions * 1000 }
		unit := "a thousand sessions"
		if w.Bulk() {
			per = func(s *sample, t float64) float64 { return t / s.Octets * 1e9 }
			unit = "a GB"
		}
		program := func(s *sample) float64 { return per(s, s.used.process.Seconds()) }
		machine := func(s *sample) float64 { return per(s, s.used.machine.Seconds()) }
		columns = append(columns,
			column{"program, " + w.Name, w.Name, func(of, _ []sample) string {
				return fmt.Sprintf("%.3f s %s", series(of, program).Median(), unit)
			}, nil},
			column{"machine, " + w.Name, w.Name, func(of, raw []sample) string {
				more := make(figures.Series, len(of))
				for i := range of {
					more[i] = machine(&of[i]) - machine(&raw[i])
				}
				return fmt.Sprintf("%+.3f s", more.Median())
			}, nil})
	}
	return columns
}

// table writes one table, a row for each subject, and behind them the targets and whether
// keepword with its defaults reaches them.
func (r *results) table(columns []column) string {
	var t table
	head := []string{""}
	for _, c := range columns {
		head = append(head, c.head)
	}
	t.head(head...)
	limits, verdicts := []string{"**target of keepword**"}, []string{defaults}
	for i, sub := range r.subjects {
		cells := []string{sub.name}
		for _, c := range columns {
			of, failed := r.column(i, c.workload)
			raw, rawFailed := r.column(0, c.workload)
			text, verdict := "", ""
			switch {
			case failed > 0:
				text = fmt.Sprintf("**invalid**: %d sessions failed", failed)
			case rawFailed > 0:
				text = "**invalid**: nothing to compare with"
			default:
				if text = c.cell(of, raw); c.limit != nil {
					verdict = c.limit.verdict(of, raw)
				}
			}
			cells = append(cells, text)
			if sub.name == defaults {
				verdicts = append(verdicts, verdict)
			}
		}
		t.row(cells...)
	}
	if !slices.ContainsFunc(columns, func(c column) bool { return c.limit != nil }) {
		return t.String()
	}
	for _, c := range columns {
		text := ""
		if c.limit != nil {
			text = c.limit.String()
		}
		limits = append(limits, text)
	}
	t.row(limits...)
	if len(verdicts) > 1 {
		t.row(verdicts...)
	}
	return t.String()
}
