package main

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"keepword/cmd/keepword/internal/control"
	"keepword/cmd/keepword/internal/report/page"
	"keepword/cmd/keepword/internal/store"
	"keepword/inspect/history"
)

// historyWidth is the number of columns that no line of the table exceeds.
const historyWidth = 100

// writeTable writes a line for each server. Times are how long ago, in whole units.
func writeTable(w io.Writer, list []store.Entry, now time.Time) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "Nothing is remembered of any server.")
		return err
	}
	rows := [][]string{{"server", "offered", "TLS worked", "failed", "breaker", "last refusal"}}
	for _, e := range list {
		r := &e.Record
		worked := roughly(r.Promise.Worked, now)
		if r.Promise.Worked != 0 {
			worked += " " + store.TLSVersion(r.Promise.Version)
		}
		rows = append(rows, []string{
			e.Server.String(), roughly(r.Offer.Time, now), worked,
			strconv.Itoa(int(r.Promise.Failures)), r.Promise.State.String(), refusalText(&r.Refusal),
		})
	}
	last := len(rows[0]) - 1
	widths := make([]int, last)
	room := historyWidth
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], len(row[i]))
		}
		room -= widths[i] + len("  ")
	}
	var b bytes.Buffer
	for _, row := range rows {
		var line strings.Builder
		for i, width := range widths {
			fmt.Fprintf(&line, "%-*s  ", width, row[i])
		}
		line.WriteString(cut(row[last], room))
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
	_, err := w.Write(b.Bytes())
	return err
}

// refusalText says in a line of printable ASCII what a server answered.
func refusalText(r *history.Refusal) string {
	switch {
	case r.Time == 0:
		return "-"
	case r.Code == 0 && r.Text == "":
		return r.Kind.String()
	case r.Code == 0:
		return page.Printable(r.Text)
	}
	return fmt.Sprintf("%03d %s", r.Code, page.Printable(r.Text))
}

// cut shortens printable ASCII to a width, and marks that.
func cut(s string, width int) string {
	const mark = "..."
	if len(s) <= width {
		return s
	}
	return s[:max(0, width-len(mark))] + mark
}

// writeDetails writes all that is remembered of some servers.
func writeDetails(w io.Writer, list []store.Entry, now time.Time) error {
	var b bytes.Buffer
	for i, e := range list {
		if i > 0 {
			b.WriteByte('\n')
		}
		details(&b, e, now)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func details(b *bytes.Buffer, e store.Entry, now time.Time) {
	const labelled = 18
	fact := func(label, value string) { page.Wrap(b, fmt.Sprintf("%-*s", labelled, label), value) }
	at := func(t int64) string {
		if t == 0 {
			return "never"
		}
		return time.Unix(0, t).In(now.Location()).Format("2006-01-02 15:04:05") + ", " + ago(t, now) + " ago"
	}
	r := &e.Record
	fact("server", e.Server.String())
	fact("first seen", at(r.First))
	fact("last seen", at(r.Last))
	fact("last offer", at(r.Offer.Time))
	fact("EHLO without it", at(r.Missing))
	worked := at(r.Promise.Worked)
	if r.Promise.Worked != 0 {
		worked += ", TLS " + store.TLSVersion(r.Promise.Version)
	}
	fact("last handshake", worked)
	refusal := at(r.Refusal.Time)
	if r.Refusal.Time != 0 {
		refusal += ", " + r.Refusal.Kind.String() + ": " + refusalText(&r.Refusal)
	}
	fact("last failure", refusal)
	fact("failures in a row", fmt.Sprintf("%d, %d of them lasting", r.Promise.Failures, r.Promise.Lasting))
	state := r.Promise.State.String()
	if r.Promise.Since != 0 {
		state += " since " + at(r.Promise.Since)
	}
	fact("breaker", state)
}

// ago writes how long before now a time lies.
func ago(t int64, now time.Time) string { return control.Age(now.Sub(time.Unix(0, t))) }

// roughly is ago in the largest unit alone, "-" for never.
func roughly(t int64, now time.Time) string {
	if t == 0 {
		return "-"
	}
	text := ago(t, now)
	return text[:1+strings.IndexAny(text, "dhms")]
}
