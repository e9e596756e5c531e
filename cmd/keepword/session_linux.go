package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"keepword/cmd/keepword/internal/control"
	"keepword/cmd/keepword/internal/eve"
	"keepword/cmd/keepword/internal/recent"
)

// rememberedSessions are how many sessions the daemon keeps for explain, by all workers.
const rememberedSessions = 4096

// session answers the request for a session: its events, findings first.
func (d *daemon) session(_ context.Context, args json.RawMessage) (any, error) {
	var asked control.Session
	if err := json.Unmarshal(args, &asked); err != nil {
		return nil, fmt.Errorf("understand which session is meant: %w", err)
	}
	var since int64
	for _, w := range d.workers {
		s, ok := w.recent.Find(func(id uint64) bool { return eve.FlowID(id) == asked.FlowID })
		if ok {
			return d.sessionEvents(s)
		}
		since = max(since, w.recent.Since())
	}
	return nil, fmt.Errorf("no session %d since %s, which is as far back as keepword remembers; an older one may be in the event log: --from FILE",
		asked.FlowID, time.Unix(0, since).Format(time.DateTime))
}

// sessionEvents are the events of a session as the log has them.
func (d *daemon) sessionEvents(s recent.Session) (control.SessionEvents, error) {
	var b bytes.Buffer
	out := eve.NewStream(&b, eventOptions(d.cfg.Load(), nil))
	for i := range s.Findings {
		out.Finding(&s.Findings[i])
	}
	if s.Flow != nil {
		out.FlowEnd(s.Flow)
	}
	if err := out.Close(); err != nil {
		return control.SessionEvents{}, err
	}
	var events control.SessionEvents
	for line := range bytes.Lines(b.Bytes()) {
		events.Events = append(events.Events, json.RawMessage(line))
	}
	return events, nil
}
