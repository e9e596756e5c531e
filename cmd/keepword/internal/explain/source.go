package explain

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"keepword/cmd/keepword/internal/eve"
	"keepword/cmd/keepword/internal/recent"
	"keepword/inspect"
)

// maxLine bounds a line of events. Ours have some thousand octets; those of others, which may
// stand between them, can quote whole payloads.
const maxLine = 16 << 20

// ReadEvents hands the events of r, EVE JSON lines, to sink: those of the session with that
// flow_id, or of all sessions for 0. Events of others and lines that are cut short are passed
// over; where there is nothing else, the error wraps eve.ErrNoJSON.
func ReadEvents(r io.Reader, id int64, sink inspect.Sink) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	digits := strconv.AppendInt(nil, id, 10)
	var spoiled error
	events := 0
	for n := 1; lines.Scan(); n++ {
		line := lines.Bytes()
		if len(line) == 0 || id != 0 && !bytes.Contains(line, digits) {
			continue
		}
		record, err := eve.Decode(line)
		if errors.Is(err, eve.ErrNoJSON) {
			spoiled = fmt.Errorf("line %d: %w", n, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		events++
		switch {
		case record.Finding != nil && wanted(record.Finding.Flow, id):
			sink.Finding(record.Finding)
		case record.Flow != nil && wanted(record.Flow.Flow, id):
			sink.FlowEnd(record.Flow)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if events == 0 {
		return spoiled
	}
	return nil
}

func wanted(f inspect.Endpoints, id int64) bool { return id == 0 || eve.FlowID(f.ID) == id }

// Only hands on what is of one session.
type Only struct {
	ID   int64 // flow_id; 0: of all
	Next inspect.Sink
}

// Finding hands r on if it is of the session.
func (o Only) Finding(r *inspect.FindingRecord) {
	if wanted(r.Flow, o.ID) {
		o.Next.Finding(r)
	}
}

// FlowEnd hands r on if it is of the session.
func (o Only) FlowEnd(r *inspect.FlowRecord) {
	if wanted(r.Flow, o.ID) {
		o.Next.FlowEnd(r)
	}
}

// maxListed bounds the sessions of a list.
const maxListed = 20

// List writes the sessions, those with findings first, so that one of them can be named.
func List(w io.Writer, sessions []recent.Session, zone *time.Location) error {
	if zone == nil {
		zone = time.Local
	}
	stories := make([]*story, 0, len(sessions))
	for _, s := range sessions {
		stories = append(stories, newStory(s))
	}
	slices.SortStableFunc(stories, func(a, b *story) int {
		return cmp.Compare(min(1, len(b.findings)), min(1, len(a.findings)))
	})
	var b bytes.Buffer
	fmt.Fprintf(&b, "%-16s  %-19s  %-11s  %s\n", "session", "time", "outcome", "findings")
	for _, st := range stories[:min(len(stories), maxListed)] {
		outcome := "no end seen"
		if st.flow != nil {
			outcome = st.flow.Outcome.String()
		}
		found := "none"
		if n := len(st.findings); n > 0 {
			found = st.findings[0].Finding.String()
			if n > 1 {
				found = fmt.Sprintf("%.24s and %d more", found, n-1)
			}
		}
		when := time.Unix(0, st.start).In(zone).Format(time.DateTime)
		fmt.Fprintf(&b, "%-16d  %s  %-11s  %s\n", st.id, when, outcome, found)
	}
	if n := len(stories) - maxListed; n > 0 {
		fmt.Fprintf(&b, "and %d more\n", n)
	}
	_, err := w.Write(b.Bytes())
	return err
}
