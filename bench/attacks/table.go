package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"keepword/inspect/verdict"
)

// result is a whole run.
type result struct {
	at                 time.Time
	pureTook, liveTook time.Duration
	tallies            []*tally
	without, enforced  []*attempt // live; nil where that was left out
}

// faults returns what is not as it should be.
func (r *result) faults() (faults []string) {
	for _, t := range r.tallies {
		faults = append(faults, t.faults...)
	}
	return append(faults, liveFaults(r.without, r.enforced)...)
}

// total adds up the cells of tallies, and those in which the attack succeeded.
func total(tallies []*tally) (cells, harmed [settings]int) {
	for _, t := range tallies {
		for s := range settings {
			cells[s] += t.cells[s]
			harmed[s] += t.harmed[s]
		}
	}
	return cells, harmed
}

// sum is the run in one line.
func (r *result) sum() string {
	cells, _ := total(r.tallies)
	return fmt.Sprintf("%d fixtures, %d cells in %.0f s; %d live attempts in %.0f s; %d faults",
		len(r.tallies), cells[enforcing]+cells[observing]+cells[logging], r.pureTook.Seconds(),
		len(r.without)+len(r.enforced), r.liveTook.Seconds(), len(r.faults()))
}

// table writes a Markdown table.
func table(w io.Writer, head []string, body [][]string) {
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat(" --- |", len(head)))
	for _, line := range body {
		fmt.Fprintf(w, "| %s |\n", strings.Join(line, " | "))
	}
	fmt.Fprintln(w)
}

// classes are those of the fixtures, in order.
func (r *result) classes() (all []*class) {
	for _, t := range r.tallies {
		if !slices.Contains(all, t.class) {
			all = append(all, t.class)
		}
	}
	return all
}

// write writes the run as a document.
func (r *result) write(w io.Writer) {
	fmt.Fprintf(w, `# Known attacks

The attacks on STARTTLS and on the end of mail data that are known from the literature, as
fixtures of our own. Made by

    go run ./bench/attacks -o docs/attacks.md        # as root, on Debian 12

on %s: %s.

Sources of the facts: Venema's report on command injection (CVE-2011-0411); Poddebniak, Ising,
Böck and Schinzel, "Why TLS is better without STARTTLS" (2021); Durumeric and others, "Neither
Snow Nor Rain Nor MITM" (2015); Longin, "SMTP Smuggling" (2023; CVE-2023-51764, 51765, 51766).

## Through inspection, in every cut

Every fixture is played between a model client and a model server through keepword's own
inspection, with nothing else between. A cell is one way of cutting the hostile octets into
segments (all cuts into one and two, those near the place that matters into three, and octet by
octet), with the client's segments first or the server's. Enforcing are keepword's defaults,
and what is counted is measured at the ends: whether the attack succeeded. Observing must alter
no octet and report the same findings up to the first that has consequences. The control sets
every action to log, between peers that are as careless as the attack needs: there it must
succeed, or the fixture proves nothing.

What must hold while enforcing: no injected octet arrives, no smuggled line is obeyed, no second
message is stored; of a forged code or a reply too many, that both ends agree on whether TLS has
begun, or that the connection has ended for both; of stripping, that it is reported, and with
starttls: require that no mail transaction reaches the server in clear text. Always: no packet
stays held, and no positive word reaches the client that was not sent to it at that place. All
else is a fault, but for the fixtures that the end of this page names.

`, r.at.Format("2006-01-02"), r.sum())
	var body [][]string
	for _, c := range r.classes() {
		mine := slices.DeleteFunc(slices.Clone(r.tallies), func(t *tally) bool { return t.class != c })
		cells, harmed := total(mine)
		faulty := 0
		for _, t := range mine {
			faulty += t.faulty
		}
		succeeded := "-" // it is what the ends make of it that counts
		if c.hurts {
			succeeded = fmt.Sprint(harmed[enforcing])
		}
		body = append(body, []string{c.name, fmt.Sprint(len(mine)), fmt.Sprint(cells[enforcing]), succeeded, fmt.Sprint(faulty),
			fmt.Sprint(cells[observing]), fmt.Sprintf("%d of %d", harmed[logging], cells[logging])})
	}
	table(w, []string{"attack", "fixtures", "cells enforcing", "succeeded", "faults", "cells observing", "control: succeeded"}, body)
	for _, c := range r.classes() {
		r.writeClass(w, c)
	}
	if r.without != nil {
		r.writeLive(w)
	}
	r.writeShortfalls(w)
}

// writeClass writes what became of a class's fixtures, summed up by group and attacker.
func (r *result) writeClass(w io.Writer, c *class) {
	fmt.Fprintf(w, "### %s\n\n%s\n\n", strings.ToUpper(c.name[:1])+c.name[1:], c.about)
	type key struct {
		group   string
		hostile hostile
		require bool
	}
	groups := map[key][]*tally{}
	var order []key
	for _, t := range r.tallies {
		if t.class != c {
			continue
		}
		k := key{t.group, t.hostile, t.require}
		if t.group == "" {
			k.group = t.name + ": " + t.about
		}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], t)
	}
	var body [][]string
	for _, k := range order {
		cells, harmed := total(groups[k])
		found := map[verdict.Finding]bool{}
		for _, t := range groups[k] {
			maps.Copy(found, t.findings)
		}
		name := k.group
		if k.require {
			name += "; starttls: require"
		}
		body = append(body, []string{escaped(name), string(k.hostile), fmt.Sprint(len(groups[k])), fmt.Sprint(cells[enforcing]),
			fmt.Sprintf("%d of %d", harmed[logging], cells[logging]), names(found)})
	}
	table(w, []string{"fixture", "hostile", "fixtures", "cells", "control: succeeded", "findings while enforcing"}, body)
}

// escaped makes text fit a cell of a Markdown table.
func escaped(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;").Replace(text)
}

// writeLive writes a table for each class, with a column for each server or client.
func (r *result) writeLive(w io.Writer) {
	fmt.Fprintf(w, `## Live

A part of the fixtures, through the lab's gateway: a raw client against real servers, hostile
servers against real clients. One word: the same without keepword and with it. Two: without →
with keepword as it comes, enforcing. Bold: the attack succeeded. The words of a smuggling:
one message is what an honest server makes of it; of an injection: discarded is what the
standard wants, no TLS what the octets that stand in the ClientHello's way lead to. The
hostile servers' words are what a client sees; where the fixture needs a history, an honest
session goes before. All broken kinds against all clients: docs/matrix.md.

Where the attack succeeded without keepword:

`)
	for _, c := range r.classes() {
		var fallen []string
		for _, a := range r.without {
			if a.class == c && a.harmed {
				note(&fallen, a.subject)
			}
		}
		if len(fallen) > 0 {
			fmt.Fprintf(w, "- %s: %s\n", c.name, strings.Join(fallen, ", "))
		}
	}
	fmt.Fprintf(w, `
With keepword: in %d of %d attempts. The servers are Debian's packages; no setting of
theirs that has to do with line ends is changed.

`, count(r.enforced), len(r.enforced))
	for _, c := range r.classes() {
		var rows, columns []string
		words, reports := map[[2]string][2][]string{}, map[string][]string{}
		for i, a := range r.enforced {
			if a.class != c {
				continue
			}
			row := a.fixture.name
			if a.require {
				row += "; starttls: require"
			}
			note(&rows, row)
			note(&columns, a.subject)
			pair := words[[2]string{row, a.subject}]
			note(&pair[0], r.without[i].told())
			note(&pair[1], a.told())
			words[[2]string{row, a.subject}] = pair
			for _, report := range a.reports {
				list := reports[row]
				note(&list, report)
				reports[row] = list
			}
		}
		if len(rows) == 0 {
			continue
		}
		var body [][]string
		for _, row := range rows {
			line := []string{row}
			for _, column := range columns {
				pair := words[[2]string{row, column}]
				before, after := strings.Join(pair[0], " / "), strings.Join(pair[1], " / ")
				if before != after {
					before += " → " + after
				}
				line = append(line, before)
			}
			body = append(body, append(line, strings.Join(reports[row], ", ")))
		}
		fmt.Fprintf(w, "### %s, live\n\n", strings.ToUpper(c.name[:1])+c.name[1:])
		table(w, append(append([]string{"fixture"}, columns...), "findings"), body)
	}
}

// count is in how many attempts the attack succeeded.
func count(attempts []*attempt) (n int) {
	for _, a := range attempts {
		if a.harmed {
			n++
		}
	}
	return n
}

// note appends a word that is not there yet.
func note(list *[]string, word string) {
	if !slices.Contains(*list, word) {
		*list = append(*list, word)
	}
}

// told is what became of an attempt, for the table.
func (a *attempt) told() string {
	if a.harmed {
		return "**" + a.word + "**"
	}
	return a.word
}

// writeShortfalls writes what gets through.
func (r *result) writeShortfalls(w io.Writer) {
	told := map[string][]string{}
	var order []string
	for _, t := range r.tallies {
		if t.shortfall != "" {
			note(&order, t.shortfall)
			list := told[t.shortfall]
			note(&list, t.class.name+", "+t.name)
			told[t.shortfall] = list
		}
	}
	fmt.Fprintf(w, "## Where keepword falls short\n\n")
	if len(order) == 0 {
		fmt.Fprintf(w, "No fixture gets through.\n")
	}
	for _, why := range order {
		fmt.Fprintf(w, "- %s (%s)\n", why, strings.Join(told[why], "; "))
	}
}
