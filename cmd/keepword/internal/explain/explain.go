// Package explain tells a person who was not there what happened in one session: what was
// said and when, what had been promised, where the promise broke, by which rule, and what to
// do next.
//
// An explanation fits on a screen. It has no address and no content of the session unless it
// is asked for: verbs, codes and times only.
package explain

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"keepword/cmd/keepword/internal/catalogue"
	"keepword/cmd/keepword/internal/eve"
	"keepword/cmd/keepword/internal/recent"
	"keepword/cmd/keepword/internal/report/page"
	"keepword/inspect"
	"keepword/inspect/verdict"
)

// Bounds of an explanation, in lines.
const (
	// screen is what a terminal of 24 lines shows above the next prompt. The dialogue is
	// shortened for it.
	screen = 23
	// minDialogue are shown of the dialogue whatever else there is to say.
	minDialogue = 6
	maxReason   = 5
	maxLines    = 2 // of every other text
	maxAlso     = 4 // findings beside the gravest, and changes of the breaker
)

// Options say how an explanation looks.
type Options struct {
	Color     bool           // with the colours of ECMA-48 terminals
	Addresses bool           // with both ends
	Content   bool           // with what the events quote: names, envelope, texts of replies
	Location  *time.Location // the zone of the times; nil is the host's
	// Unfinished says of a session without an end what that means.
	Unfinished string
}

// text is an explanation in the making.
type text struct {
	bytes.Buffer
	opt      Options
	withheld bool // something was left out that Options can ask for

	// How the gravest finding is called, where it is marked, and its colour.
	label, here, colour string
}

func newText(st *story, opt Options) *text {
	t := &text{opt: opt, label: "Broken", here: "broken here", colour: yellow}
	if len(st.findings) > 0 {
		switch catalogue.Of(st.findings[0].Finding).Severity {
		case 1:
			t.colour = red
		case 3:
			t.label, t.here = "Noted", "noted here"
		}
	}
	return t
}

// story is a session as it is told.
type story struct {
	id       int64
	ends     inspect.Endpoints
	start    int64
	said     []inspect.Said
	flow     *inspect.FlowRecord     // nil where its end is not known
	findings []inspect.FindingRecord // the gravest first
	changes  []inspect.FindingRecord // of the circuit breaker
}

// Write explains s, which has an end or a finding.
func Write(w io.Writer, s recent.Session, opt Options) error {
	if opt.Location == nil {
		opt.Location = time.Local
	}
	st := newStory(s)
	head, tail := newText(st, opt), newText(st, opt)
	head.heading(st)
	tail.findings(st)
	if len(st.findings) == 0 {
		tail.kept(st)
	}
	tail.breaker(st)
	if head.withheld || tail.withheld {
		tail.WriteString("        --addresses shows both ends, --content what the events quote of them.\n")
	}
	rows := dialogue(st)
	budget := max(minDialogue, screen-head.lines()-tail.lines()-2) // its heading, and a blank line
	head.table(rows, budget)
	head.WriteByte('\n')
	if _, err := w.Write(append(head.Bytes(), tail.Bytes()...)); err != nil {
		return fmt.Errorf("write the explanation: %w", err)
	}
	return nil
}

func newStory(s recent.Session) *story {
	st := &story{flow: s.Flow}
	for _, f := range s.Findings {
		if f.Breaker.Changed() {
			st.changes = append(st.changes, f)
		} else {
			st.add(f)
		}
		if len(f.Said) >= len(st.said) {
			st.said = f.Said
		}
		st.ends = f.Flow
		if st.start == 0 || f.Time < st.start {
			st.start = f.Time
		}
	}
	if s.Flow != nil {
		st.ends, st.start = s.Flow.Flow, s.Flow.Start
		if len(s.Flow.Said) > 0 {
			st.said = s.Flow.Said
		}
	} else if len(st.said) > 0 {
		st.start = st.said[0].Time
	}
	st.id = eve.FlowID(st.ends.ID)
	st.addUntold()
	slices.SortStableFunc(st.findings, func(a, b inspect.FindingRecord) int {
		return cmp.Compare(catalogue.Of(a.Finding).Severity, catalogue.Of(b.Finding).Severity)
	})
	return st
}

// add adds a finding. Of one that was made again, as a silence is that lasts, the gravest
// action counts.
func (st *story) add(f inspect.FindingRecord) {
	switch n := st.number(f.Finding); {
	case n == 0:
		st.findings = append(st.findings, f)
	case f.Action > st.findings[n-1].Action:
		st.findings[n-1] = f
	}
}

// addUntold adds the findings of which only the dialogue knows: their alerts are gone.
func (st *story) addUntold() {
	for _, s := range st.said {
		if s.Kind == inspect.SaidFinding && st.number(s.Finding) == 0 {
			st.add(inspect.FindingRecord{Flow: st.ends, Time: s.Time, Finding: s.Finding, Action: s.Action})
		}
	}
}

// number returns the finding's place among those told, from 1, or 0.
func (st *story) number(f verdict.Finding) int {
	return 1 + slices.IndexFunc(st.findings, func(r inspect.FindingRecord) bool { return r.Finding == f })
}

// since writes a time as seconds since the session's start, in 8 columns at most for what
// is no longer than 11 days.
func (st *story) since(at int64) string {
	d := time.Duration(max(0, at-st.start))
	switch {
	case d < 1000*time.Second:
		return fmt.Sprintf("+%.3f", d.Truncate(time.Millisecond).Seconds())
	case d < 100_000*time.Second:
		return fmt.Sprintf("+%.1f", d.Seconds())
	}
	return fmt.Sprintf("+%.0f", d.Seconds())
}

// Select Graphic Rendition (ECMA-48 section 8.3.117).
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint gives s a colour where colours are wanted. s must be printable.
func (t *text) paint(colour, s string) string {
	if !t.opt.Color || colour == "" {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

func (t *text) lines() int { return bytes.Count(t.Bytes(), []byte{'\n'}) }

// labelWidth is that of the labels at the left.
const labelWidth = 8

// say writes a label and a text of so many lines at most.
func (t *text) say(colour, label, value string, most int) {
	var b bytes.Buffer
	page.Wrap(&b, fmt.Sprintf("%-*s", labelWidth, label), value)
	lines := strings.SplitAfter(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) > most {
		const more = " ..."
		lines = lines[:most]
		last := strings.TrimSuffix(lines[most-1], "\n")
		lines[most-1] = last[:min(len(last), page.Width-len(more))] + more
	}
	first := lines[0]
	lines[0] = t.paint(colour, first[:len(label)]) + first[len(label):]
	for _, l := range lines {
		t.WriteString(l)
	}
	t.WriteByte('\n')
}

// heading says which session it is, and how far the promise came.
func (t *text) heading(st *story) {
	when := time.Unix(0, st.start).In(t.opt.Location).Format("2006-01-02 15:04:05 MST")
	long := t.opt.Unfinished
	if st.flow != nil {
		long = fmt.Sprintf("%.3f s", time.Duration(max(0, st.flow.End-st.start)).Seconds())
	}
	fmt.Fprintf(t, "%s  %s  %s  port %d\n", t.paint(bold, fmt.Sprintf("Session %d", st.id)), when, long, st.ends.Server.Port())
	if t.opt.Addresses {
		t.say("", "client", st.ends.Client.String(), 1)
		t.say("", "server", st.ends.Server.String(), 1)
	} else {
		t.withheld = true
	}
	if f := st.flow; f != nil {
		t.content(f)
		t.say("", "Promise", ledger(f), maxLines)
	}
}

// content writes what the events hold of the client's words.
func (t *text) content(f *inspect.FlowRecord) {
	for _, c := range []struct{ label, value string }{
		{"HELO", f.HELO}, {"from", f.MailFrom}, {"to", strings.Join(f.RcptTo, " ")}, {"TLS to", f.SNI},
	} {
		switch {
		case c.value == "":
		case t.opt.Content:
			t.say("", c.label, c.value, 1)
		default:
			t.withheld = true
		}
	}
}

// findings explains the gravest finding, and names the others.
func (t *text) findings(st *story) {
	if len(st.findings) == 0 {
		return
	}
	f := &st.findings[0]
	e := catalogue.Of(f.Finding)
	t.say(t.colour, t.label, fmt.Sprintf("%s, at %s: %s.", f.Finding, st.since(f.Time), e.Title), maxLines)
	if r := t.reason(f); r != "" {
		t.say("", "", r, maxReason)
	}
	t.say(bold, "Rule", strings.Join(e.RFC, ", ")+": "+e.Rule, maxLines)
	if d := done(f); d != "" {
		t.say(bold, "Done", d, maxLines)
	}
	t.say(bold, "Next", e.Next, maxLines)
	rest := st.findings[1:]
	for i := range rest {
		label := ""
		if i == 0 {
			label = "Also"
		}
		if i == maxAlso-1 && len(rest) > maxAlso {
			t.say(bold, label, fmt.Sprintf("and %d more findings", len(rest)-i), 1)
			return
		}
		t.say(bold, label, fmt.Sprintf("%d  %s: %s", i+2, rest[i].Finding, catalogue.Of(rest[i].Finding).Title), 1)
	}
}

// reason is a finding's sentence, without what it quotes unless that is wanted.
func (t *text) reason(f *inspect.FindingRecord) string {
	r := f.Reason
	if !t.opt.Content && f.Detail != "" && quotesContent(f.Finding) {
		r = withhold(r, f.Detail)
		t.withheld = true
	}
	return sentence(r)
}

// breaker says how the circuit breaker changed with this session: the last change only.
func (t *text) breaker(st *story) {
	if n := len(st.changes); n > 0 {
		c := st.changes[n-1]
		t.say(bold, "Breaker", fmt.Sprintf("%s to %s. %s", c.Breaker.From, c.Breaker.To, sentence(c.Reason)), maxLines+1)
	}
}

// kept explains a session in which nothing was found.
func (t *text) kept(st *story) {
	colour, label := "", "Result"
	if st.flow == nil {
		t.say(colour, label, "Nothing has been found so far.", 1)
		return
	}
	o := outcomeOf(st.flow)
	if o.kept {
		colour, label = green, "Kept"
	}
	t.say(colour, label, o.what, maxLines+1)
	t.say(bold, "Next", o.next, maxLines)
}
