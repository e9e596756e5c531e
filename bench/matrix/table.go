package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"keepword/bench/lab/broken"
)

// result is a whole run.
type result struct {
	at    time.Time
	took  time.Duration
	cells []*cell
	// deliveries are those of large messages, none if they were not made.
	deliveries []*delivery
}

// find returns the cell of a row and column in a setting, nil where there is none.
func (r *result) find(row, column string, s setting) *cell {
	i := slices.IndexFunc(r.cells, func(c *cell) bool { return c.row.name == row && c.column.name == column && c.setting == s })
	if i < 0 {
		return nil
	}
	return r.cells[i]
}

// rows returns the rows that were run, in order.
func (r *result) rows() (rows []*row) {
	for _, c := range r.cells {
		if !slices.ContainsFunc(rows, func(known *row) bool { return known.name == c.row.name }) {
			rows = append(rows, c.row)
		}
	}
	return rows
}

// faults returns what was not as it should be, with the cell's name before it.
func (r *result) faults() (faults []string) {
	for _, c := range r.cells {
		for _, f := range c.faults {
			faults = append(faults, c.name()+": "+f)
		}
	}
	for _, row := range r.rows() {
		if row.role != broken.RoleMiddlebox {
			continue
		}
		boxed, lies := r.lies(row)
		if tampers := row.name != "transparent"; tampers != (lies > 0) {
			faults = append(faults, fmt.Sprintf("%s: the check of octets fails of %d of the box's own %d sessions", row.name, lies, boxed))
		}
	}
	return faults
}

// lies returns in how many sessions a box stood, and of how many the check of octets
// fails.
func (r *result) lies(row *row) (boxed, lies int) {
	for _, c := range r.cells {
		if c.row.name == row.name {
			boxed += c.boxed
			lies += c.lies
		}
	}
	return boxed, lies
}

// mail says in a few words what became of a row's mail by one client, in all
// settings.
func (r *result) mail(row, column string) string {
	var words []string
	for _, s := range settings {
		c := r.find(row, column, s)
		if c == nil {
			return ""
		}
		word := c.word
		if c.row.patience > 0 {
			word = fmt.Sprintf("%s after %.0f s", word, c.took.Seconds())
		}
		words = append(words, word)
	}
	switch {
	case words[0] == words[1] && words[1] == words[2]:
		return words[0]
	case words[0] == words[1]:
		return words[0] + " → **" + words[2] + "**"
	}
	return strings.Join(words, " / ")
}

// told returns in a setting what a function says of a row's sessions, each once.
func (r *result) told(row *row, s setting, say func(session) []string) string {
	var all []string
	for _, c := range r.cells {
		if c.row.name != row.name || c.setting != s {
			continue
		}
		for _, session := range c.sessions {
			for _, word := range say(session) {
				if !slices.Contains(all, word) {
					all = append(all, word)
				}
			}
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// table writes a Markdown table.
func table(w io.Writer, head []string, body [][]string) {
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat(" --- |", len(head)))
	for _, line := range body {
		fmt.Fprintf(w, "| %s |\n", strings.Join(line, " | "))
	}
	fmt.Fprintln(w)
}

// write writes the run as a document.
func (r *result) write(w io.Writer) {
	fmt.Fprintf(w, `# The matrix

Every kind of server and middlebox of the lab against every client, in three settings:
without keepword, with keepword in observe, with keepword in enforce. Made by

    go run ./bench/matrix        # as root, on Debian 12; writes this file

on %s in %.0f s, with the deliveries at its end: %d cells, each one message of
%d octets from a client through the gateway to a server, over IPv4 and IPv6 in turn. Every
session was captured on both sides of the gateway. -rows REGEXP runs some rows, -v prints
each client's own account; a fault is an error.

`, r.at.Format("2006-01-02"), r.took.Seconds(), len(r.cells), messageSize)
	r.writeMail(w)
	r.writeFindings(w)
	r.writeOctets(w)
	r.writeRemarks(w)
	if len(r.deliveries) > 0 {
		writeDeliveries(w, r.deliveries)
	}
}

// print writes each client's own account, and what keepword told of its sessions.
func (r *result) print(w io.Writer) {
	for _, c := range r.cells {
		fmt.Fprintf(w, "== %s: %s after %.1f s\n%s\n", c.name(), c.word, c.took.Seconds(), c.told)
		for _, s := range c.sessions {
			fmt.Fprintf(w, "-- %+v %s %s\n", s.truth, s.outcome, strings.Join(s.findings, ", "))
		}
	}
}

func (r *result) writeMail(w io.Writer) {
	fmt.Fprintf(w, `## What became of the mail

TLS, clear: delivered so, and found with the server octet for octet. deferred: the client
keeps it and will try again. refused: the client gives it up. hung: no end within %.0f s.
One word: the same in all three settings. Two words: without keepword and in observe →
in enforce. Three: without / observe / enforce.

`, patience.Seconds())
	head := []string{"server or box"}
	for _, c := range columns {
		head = append(head, c.name)
	}
	var body [][]string
	for _, row := range r.rows() {
		line := []string{row.name}
		for _, c := range columns {
			line = append(line, r.mail(row.name, c.name))
		}
		body = append(body, line)
	}
	table(w, head, body)
}

func (r *result) writeFindings(w io.Writer) {
	fmt.Fprintf(w, `## What keepword found

The findings of all clients' sessions, each with its action, and the outcomes in the flow
events. In observe the action is what would have been done. Each session has exactly one
flow event. Its outcome was compared with what the two captures of the session show, its
findings with those that its server or box is due.

`)
	var body [][]string
	for _, row := range r.rows() {
		line := []string{row.name, row.about}
		for _, s := range []setting{observe, enforce} {
			line = append(line,
				r.told(row, s, func(s session) []string { return s.findings }),
				r.told(row, s, func(s session) []string { return []string{s.outcome} }))
		}
		body = append(body, line)
	}
	table(w, []string{"server or box", "what it is", "observe: findings", "outcomes", "enforce: findings", "outcomes"}, body)
}

func (r *result) writeOctets(w io.Writer) {
	fmt.Fprintf(w, `## Octet by octet

What the server's side sent is the capture behind the gateway, what the client received the
capture before it; commands the other way. Without keepword, in observe, and with honest
servers in enforce: all octets are equal. In enforce otherwise, unless keepword ended the
session: the lengths are equal; each line that the client received is what the server sent
at that place, or a refusal in its place (T1); each line that the server received is what
the client sent at that place, or a blanked one that the client was told no to (T2). Where
keepword ended a session, no more than a 421 at its end differs.

`)
	var body [][]string
	for _, s := range settings {
		sessions, octets, altered, ended, faults := 0, 0, 0, 0, 0
		for _, c := range r.cells {
			if c.setting != s {
				continue
			}
			for _, session := range c.sessions {
				sessions++
				octets += len(session.near.toServer) + len(session.near.toClient)
				if session.ended {
					ended++
				} else if len(session.altered()) > 0 {
					altered++
				}
				if len(session.broken()) > 0 {
					faults++
				}
			}
		}
		body = append(body, []string{string(s), fmt.Sprint(sessions), fmt.Sprint(octets), fmt.Sprint(altered), fmt.Sprint(ended), fmt.Sprint(faults)})
	}
	table(w, []string{"setting", "sessions", "octets", "edited", "ended by keepword", "against T1 or T2"}, body)
	fmt.Fprintf(w, `The same check, applied to the two sides of each middlebox itself, must fail where the box
tampers:

`)
	body = nil
	for _, row := range r.rows() {
		if row.role == broken.RoleMiddlebox {
			boxed, lies := r.lies(row)
			body = append(body, []string{row.name, fmt.Sprint(boxed), fmt.Sprint(lies)})
		}
	}
	table(w, []string{"box", "sessions", "against T1 or T2"}, body)
}

func (r *result) writeRemarks(w io.Writer) {
	fmt.Fprintf(w, "## Remarks\n\n")
	for _, row := range r.rows() {
		if row.note != "" {
			fmt.Fprintf(w, "- %s: %s\n", row.name, row.note)
		}
	}
	fmt.Fprintf(w, "\n## Where keepword falls short\n\n")
	for _, row := range r.rows() {
		if row.shortfall != "" {
			fmt.Fprintf(w, "- %s: %s\n", row.name, row.shortfall)
		}
	}
	if faults := r.faults(); len(faults) > 0 {
		fmt.Fprintf(w, "\nFaults of this run:\n\n")
		for _, f := range faults {
			fmt.Fprintf(w, "- %s\n", f)
		}
	}
}
