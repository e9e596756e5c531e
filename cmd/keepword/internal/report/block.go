package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"keepword/cmd/keepword/internal/catalogue"
	"keepword/cmd/keepword/internal/eve"
	"keepword/cmd/keepword/internal/report/page"
	"keepword/inspect"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// Select Graphic Rendition (ECMA-48 section 8.3.117).
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint gives s a colour where colours are wanted. s must be printable.
func (r *Report) paint(colour, s string) string {
	if !r.opt.Color {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

// fact writes a label and its value.
func (r *Report) fact(label, value string) {
	page.Wrap(&r.buf, fmt.Sprintf("  %-10s", label), value)
}

// heading names both ends, on two lines where one is too short (IPv6).
func (r *Report) heading(f inspect.Endpoints) {
	line := f.Client.String() + " -> " + f.Server.String()
	if len(line) > page.Width {
		fmt.Fprintf(&r.buf, "%s\n", r.paint(bold, f.Client.String()+" ->"))
		line = f.Server.String()
	}
	fmt.Fprintf(&r.buf, "%s\n", r.paint(bold, line))
}

// session writes what happened in the session, without its findings.
func (r *Report) session(f *inspect.FlowRecord) {
	r.heading(f.Flow)
	r.fact("time", r.clock(f.Start)+", for "+seconds(f.End-f.Start))
	if f.HELO != "" {
		r.fact("client", page.Printable(f.HELO))
	}
	if !r.opt.HideEnvelope {
		r.envelope(f)
	}
	r.fact("offered", offered(f))
	r.fact("asked", asked(f))
	r.fact("answered", answered(f))
	r.fact("begun", begun(f))
	if f.Bypassed {
		r.fact("the rest", "let through unread")
	}
	colour := yellow
	switch f.Outcome {
	case starttls.OutcomeUpgraded:
		colour = green
	case starttls.OutcomeBroken, starttls.OutcomeKilled:
		colour = red
	}
	// The longest outcome and its words fit one line.
	fmt.Fprintf(&r.buf, "  %-10s%s: %s\n", "outcome", r.paint(colour, f.Outcome.String()), outcomes[f.Outcome])
}

func (r *Report) envelope(f *inspect.FlowRecord) {
	if f.MailFrom != "" {
		r.fact("from", page.Printable(f.MailFrom))
	}
	for i, to := range f.RcptTo {
		if i == maxRecipients {
			r.fact("", fmt.Sprintf("and %d more", len(f.RcptTo)-i))
			break
		}
		label := ""
		if i == 0 {
			label = "to"
		}
		r.fact(label, page.Printable(to))
	}
}

func offered(f *inspect.FlowRecord) string {
	switch {
	case slices.Contains(f.Steps, starttls.StepHidden):
		return "yes, and the client did not see it"
	case slices.Contains(f.Steps, starttls.StepOffered):
		return "yes"
	}
	return absent(f)
}

// absent is the word for a step that did not happen, or that may have happened unseen.
func absent(f *inspect.FlowRecord) string {
	if f.Outcome == starttls.OutcomeUnknown {
		return "not seen"
	}
	return "no"
}

func asked(f *inspect.FlowRecord) string {
	if slices.Contains(f.Steps, starttls.StepAsked) {
		return "yes"
	}
	return absent(f)
}

func answered(f *inspect.FlowRecord) string {
	switch {
	case f.ReplyCode == 0 && slices.Contains(f.Steps, starttls.StepAnswered):
		return "yes, with no reply code"
	case f.ReplyCode == 0:
		return absent(f)
	case slices.Contains(f.Steps, starttls.StepCorrected):
		return fmt.Sprintf("%03d, corrected to a refusal", f.ReplyCode)
	}
	return fmt.Sprintf("%03d", f.ReplyCode)
}

func begun(f *inspect.FlowRecord) string {
	client := slices.Contains(f.Steps, starttls.StepClientHello)
	server := slices.Contains(f.Steps, starttls.StepServerHello)
	var s string
	switch {
	case client && server:
		s = "by both"
	case client:
		s = "by the client only"
	case server:
		s = "by the server only"
	default:
		return absent(f)
	}
	if f.TLSVersion != 0 {
		s += ", " + eve.TLSVersion(f.TLSVersion)
	}
	if f.SNI != "" {
		s += ", server name " + page.Printable(f.SNI)
	}
	return s
}

// findings writes findings, their times counted from start.
func (r *Report) findings(p *pending, start int64) {
	for i := range p.list {
		r.finding(&p.list[i], start)
	}
	if p.more > 0 {
		r.fact("", fmt.Sprintf("%d more findings are not shown", p.more))
	}
}

func (r *Report) finding(f *inspect.FindingRecord, start int64) {
	if f.Breaker.Changed() { // it follows from a finding that stands above
		r.fact("breaker", f.Breaker.From.String()+" to "+f.Breaker.To.String())
		r.fact("", f.Reason+".")
		return
	}
	entry := catalogue.Of(f.Finding)
	colour := yellow
	if entry.Severity == 1 {
		colour = red
	}
	fmt.Fprintf(&r.buf, "  %-10s%s\n", "finding", r.paint(colour, f.Finding.String())+", at "+seconds(f.Time-start))
	r.fact("", entry.Title+".")
	r.fact("", f.Reason+".")
	r.fact("", consequence(f)+" See "+strings.Join(entry.RFC, ", ")+".")
}

func consequence(f *inspect.FindingRecord) string {
	if f.Action == verdict.Log && f.Packet == verdict.Drop {
		return "The packet was dropped, as its receiver would do."
	}
	text, ok := consequences[f.Action]
	if !ok || !strings.Contains(text, "%s") {
		return text
	}
	if f.Mode == verdict.Observe {
		return fmt.Sprintf(text, "would be")
	}
	return fmt.Sprintf(text, "was")
}

// clock writes a time of the Unix epoch in nanoseconds.
func (r *Report) clock(ns int64) string {
	return time.Unix(0, ns).In(r.opt.Location).Format("2006-01-02 15:04:05.000 -0700")
}

// seconds writes a duration in nanoseconds.
func seconds(ns int64) string {
	return strconv.FormatFloat(time.Duration(max(0, ns)).Seconds(), 'f', 3, 64) + " s"
}
