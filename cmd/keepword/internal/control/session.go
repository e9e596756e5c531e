package control

import (
	"bytes"
	"context"
	"encoding/json"
)

// Session names a session.
type Session struct {
	FlowID int64 `json:"flow_id"` // as in its events
}

// SessionEvents are the events of a session, as in the event log.
type SessionEvents struct {
	Events []json.RawMessage `json:"events"`
}

// AskSession asks the daemon that serves the socket at path for the events of the session
// with that flow_id. They are JSON lines. The error says how far back it remembers.
func AskSession(ctx context.Context, path string, id int64) ([]byte, error) {
	var s SessionEvents
	if err := Call(ctx, path, RequestExplain, Session{FlowID: id}, &s); err != nil {
		return nil, err
	}
	var lines bytes.Buffer
	for _, e := range s.Events {
		if err := json.Compact(&lines, e); err != nil {
			return nil, err
		}
		lines.WriteByte('\n')
	}
	return lines.Bytes(), nil
}
