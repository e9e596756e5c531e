// Package report tells a person what a replayed capture shows: a block for each
// session as it ends, and a summary by server.
package report

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"keepword/inspect"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

const (
	// maxFlows bounds the flows whose findings wait for the flow's end; the
	// findings of further ones are only counted.
	maxFlows = 1 << 16
	// maxFindings bounds the findings shown of one session.
	maxFindings = 20
	// maxServers bounds the servers of the summary; further ones are one line.
	maxServers = 1 << 12
	// maxRecipients bounds the recipients shown of one session.
	maxRecipients = 5
)

// Options say how the report looks.
type Options struct {
	Color        bool           // with the colours of ECMA-48 terminals
	HideEnvelope bool           // without sender and recipients
	Location     *time.Location // the zone of the times; nil is the host's
}

// Report writes a report. It is an inspect.Sink for one goroutine; what it keeps
// between sessions is bounded.
type Report struct {
	w   io.Writer
	opt Options
	err error
	buf bytes.Buffer // the block at hand

	pending map[uint64]*pending // by flow id
	order   []uint64            // of the first finding of each flow
	totals  totals
	servers servers
}

var _ inspect.Sink = (*Report)(nil)

// pending are the findings of a flow that has not ended.
type pending struct {
	flow inspect.Endpoints
	list []inspect.FindingRecord
	more int // findings beyond maxFindings
}

type totals struct {
	sessions, findings int
	untold             int // findings of flows beyond maxFlows, which no block shows
}

// New returns a Report that writes to w.
func New(w io.Writer, opt Options) *Report {
	if opt.Location == nil {
		opt.Location = time.Local
	}
	return &Report{w: w, opt: opt, pending: make(map[uint64]*pending), servers: newServers()}
}

// Finding keeps r for its session's block.
func (r *Report) Finding(f *inspect.FindingRecord) {
	if !f.Breaker.Changed() { // it says what follows from a finding that was told
		r.totals.findings++
		r.servers.of(f.Flow.Server).findings[f.Finding]++
	}
	p, ok := r.pending[f.Flow.ID]
	switch {
	case !ok && len(r.pending) >= maxFlows:
		r.totals.untold++
		return
	case !ok:
		p = &pending{flow: f.Flow}
		r.pending[f.Flow.ID] = p
		r.order = append(r.order, f.Flow.ID)
	}
	if len(p.list) >= maxFindings {
		p.more++
		return
	}
	p.list = append(p.list, *f)
}

// FlowEnd writes the session's block.
func (r *Report) FlowEnd(f *inspect.FlowRecord) {
	r.totals.sessions++
	r.servers.of(f.Flow.Server).sessions[f.Outcome]++
	r.session(f)
	if p, ok := r.pending[f.Flow.ID]; ok {
		delete(r.pending, f.Flow.ID)
		r.findings(p, f.Start)
	}
	r.buf.WriteByte('\n')
	r.compactOrder()
	r.flush()
}

// compactOrder drops the flows that have ended from order when they are its greater
// part, so that a long capture does not make it grow.
func (r *Report) compactOrder() {
	if len(r.order) < 64 || len(r.order) < 2*len(r.pending) {
		return
	}
	kept := r.order[:0]
	for _, id := range r.order {
		if _, ok := r.pending[id]; ok {
			kept = append(kept, id)
		}
	}
	r.order = kept
}

// Close writes what was found outside sessions, and the summary. It returns the first
// error of the Report's life, and does not close the underlying writer.
func (r *Report) Close() error {
	for _, id := range r.order {
		p, ok := r.pending[id]
		if !ok {
			continue
		}
		delete(r.pending, id)
		r.heading(p.flow)
		r.fact("time", r.clock(p.list[0].Time))
		r.fact("session", "none: no octet of a dialogue was carried")
		r.findings(p, p.list[0].Time)
		r.buf.WriteByte('\n')
		r.flush()
	}
	r.summary()
	r.flush()
	if r.err != nil {
		return fmt.Errorf("write the report: %w", r.err)
	}
	return nil
}

func (r *Report) flush() {
	if r.err == nil {
		_, r.err = r.w.Write(r.buf.Bytes())
	}
	r.buf.Reset()
}

// outcomes says what each outcome means.
var outcomes = map[starttls.Outcome]string{
	starttls.OutcomeUnknown:    "sight was lost, or the session ended too early to tell",
	starttls.OutcomeUpgraded:   "the session went on inside TLS",
	starttls.OutcomeRefused:    "the client asked and the server said no",
	starttls.OutcomeNotOffered: "no EHLO reply offered STARTTLS",
	starttls.OutcomeNotAsked:   "the server offered and the client did not ask",
	starttls.OutcomeHidden:     "keepword took the offer away",
	starttls.OutcomeCorrected:  "keepword turned a false acceptance into a refusal",
	starttls.OutcomeBroken:     "STARTTLS was accepted and no handshake followed",
	starttls.OutcomeKilled:     "keepword ended the connection",
}

// consequences says what each action did; %s is "was" in mode enforce, and "would be"
// in mode observe.
var consequences = map[verdict.Action]string{
	verdict.Pass:    "Let through.",
	verdict.Log:     "Reported, nothing altered.",
	verdict.Hide:    "The offer %s taken out of the reply.",
	verdict.Correct: "What was false %s overwritten in place.",
	verdict.Refuse:  "The command %s refused.",
	verdict.Delay:   "The packet %s held back.",
	verdict.Kill:    "The connection %s ended.",
}
