package eve

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"keepword/inspect"
	"keepword/inspect/history"
	"keepword/inspect/verdict"
)

// Record is what a line of events tells: one of the two, or neither.
type Record struct {
	Finding *inspect.FindingRecord
	Flow    *inspect.FlowRecord
}

// ErrNoJSON is returned by Decode for what is no JSON object.
var ErrNoJSON = errors.New("no JSON object")

// Decode reads an event back: what Finding and FlowEnd were given, but for what events do
// not hold. Flow.ID is flow_id, times have microseconds and those of Said milliseconds, the
// interface is unknown, EndClosed has become EndTimeout, and octets that are no UTF-8
// U+FFFD. An event that is not keepword's gives the zero Record and no error.
func Decode(line []byte) (Record, error) {
	var ev event
	if err := json.Unmarshal(line, &ev); err != nil {
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) && wrong.Field != "" {
			return Record{}, nil // somebody else's: other things have the names of ours
		}
		return Record{}, fmt.Errorf("%w: %w", ErrNoJSON, err)
	}
	switch {
	case ev.EventType == "alert" && ev.Alert != nil && len(ev.Alert.Metadata.Finding) == 1:
		f, err := ev.findingRecord()
		return Record{Finding: f}, err
	case ev.EventType == "flow" && ev.Flow != nil && ev.flowVars().Outcome != "":
		f, err := ev.flowRecord()
		return Record{Flow: f}, err
	}
	return Record{}, nil
}

// flowVars are all of an event's flow variables in one.
func (ev *event) flowVars() (all flowVar) {
	if ev.Metadata == nil {
		return all
	}
	for _, v := range ev.Metadata.FlowVars {
		if v.Outcome != "" {
			all.Outcome = v.Outcome
		}
		if v.Reply != "" {
			all.Reply = v.Reply
		}
		if v.Dialogue != "" {
			all.Dialogue = v.Dialogue
		}
	}
	return all
}

// reader takes values out of an event and keeps the first error.
type reader struct{ err error }

func (r *reader) fail(what, value string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s %q is not known to this version of keepword", what, value)
	}
}

func (r *reader) time(text string) int64 {
	t, err := time.Parse(timeLayout, text)
	if err != nil {
		r.fail("the time", text)
		return 0
	}
	return t.UnixNano()
}

func (r *reader) code(text string) int {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		r.fail("the reply", text)
	}
	return int(n)
}

func (r *reader) said(text string) []inspect.Said {
	said, err := ParseDialogue(text)
	if r.err == nil {
		r.err = err
	}
	return said
}

func (r *reader) endpoints(ev *event) inspect.Endpoints {
	address := func(ip string, port uint16) netip.AddrPort {
		a, err := netip.ParseAddr(ip)
		if err != nil {
			r.fail("the address", ip)
		}
		return netip.AddrPortFrom(a, port)
	}
	return inspect.Endpoints{ID: uint64(ev.FlowID), Client: address(ev.SrcIP, ev.SrcPort), Server: address(ev.DestIP, ev.DestPort)}
}

func (ev *event) findingRecord() (*inspect.FindingRecord, error) {
	var r reader
	m := &ev.Alert.Metadata
	f := &inspect.FindingRecord{
		Flow: r.endpoints(ev), Time: r.time(ev.Timestamp), ToServer: ev.Direction == "to_server",
		Code: r.code(first(m.Reply)), Detail: first(m.Detail), Reason: first(m.Reason), Said: r.said(ev.flowVars().Dialogue),
	}
	var ok bool
	if f.Finding, ok = verdict.ParseFinding(first(m.Finding)); !ok {
		r.fail("the finding", first(m.Finding))
	}
	if f.Action, ok = verdict.ParseAction(first(m.Action)); !ok {
		r.fail("the action", first(m.Action))
	}
	if first(m.Mode) == verdict.Observe.String() {
		f.Mode = verdict.Observe
	}
	if b := first(m.Breaker); b != "" {
		from, to, _ := strings.Cut(b, between)
		var known bool
		f.Breaker.From, ok = history.ParseState(from)
		f.Breaker.To, known = history.ParseState(to)
		if !ok || !known {
			r.fail("the breaker's change", b)
		}
	}
	return f, r.err
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func (ev *event) flowRecord() (*inspect.FlowRecord, error) {
	var r reader
	vars := ev.flowVars()
	f := &inspect.FlowRecord{
		Flow: r.endpoints(ev), Start: r.time(ev.Flow.Start), End: r.time(ev.Flow.End),
		ToServer: inspect.Counts{Packets: ev.Flow.PktsToServer, Bytes: ev.Flow.BytesToServer},
		ToClient: inspect.Counts{Packets: ev.Flow.PktsToClient, Bytes: ev.Flow.BytesToClient},
		State:    inspect.FlowState(ev.Flow.State), Reason: inspect.EndReason(ev.Flow.Reason),
		Alerted: ev.Flow.Alerted, Bypassed: ev.Flow.Bypassed != nil,
		ReplyCode: r.code(vars.Reply), Said: r.said(vars.Dialogue),
	}
	var ok bool
	if f.Outcome, ok = parseOutcome(vars.Outcome); !ok {
		r.fail("the outcome", vars.Outcome)
	}
	for _, bit := range ev.Metadata.FlowBits {
		// Flowbits may be a site's own too.
		if s, ok := parseStep(bit); ok && !slices.Contains(f.Steps, s) {
			f.Steps = append(f.Steps, s)
		}
	}
	if ev.SMTP != nil {
		f.HELO, f.MailFrom, f.RcptTo = ev.SMTP.HELO, ev.SMTP.MailFrom, ev.SMTP.RcptTo
	}
	if ev.TLS != nil {
		f.TLSVersion, f.SNI = parseTLSVersion(ev.TLS.Version), ev.TLS.SNI
	}
	return f, r.err
}

// parseTLSVersion is the inverse of TLSVersion.
func parseTLSVersion(name string) uint16 {
	for v, n := range tlsVersions {
		if n == name {
			return v
		}
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(name, "0x"), 16, 16)
	if err != nil {
		return 0 // some other program's name for a version
	}
	return uint16(n)
}
