package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Where keepword is found in the gateway.
const (
	keepwordProgram = "/usr/local/bin/keepword"
	keepwordConf    = "/etc/lab/keepword.yaml"
	keepwordEvents  = "/var/log/keepword/eve.json"
)

// Keepword is keepword running on the gateway.
type Keepword struct {
	gateway *Host
	daemon  *daemon
	log     *logBuffer
}

// built is the keepword of this process, built once.
var built = sync.OnceValues(buildKeepword)

// buildKeepword builds ./cmd/keepword and returns its octets.
func buildKeepword() ([]byte, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	dir, err := buildDir()
	if err != nil {
		return nil, err
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	program := filepath.Join(dir, "keepword")
	// A program in the lab must not be bound to this machine's libraries.
	build := exec.Command("go", "build", "-o", program, "./cmd/keepword")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build ./cmd/keepword: %w\n%s", err, out)
	}
	return os.ReadFile(program)
}

// Keepword builds keepword and runs it on the gateway with a configuration, which
// must leave events.path as it is; it returns when keepword is ready.
func (l *Lab) Keepword(ctx context.Context, config string) (*Keepword, error) {
	program, err := built()
	if err != nil {
		return nil, err
	}
	g := l.Gateway
	if err := errors.Join(
		g.WriteFile(keepwordProgram, program, 0o755),
		g.WriteFile(keepwordConf, []byte(config), 0o644)); err != nil {
		return nil, err
	}
	k := &Keepword{gateway: g, log: newLogBuffer(func(line string) bool { return line == "ready" })}
	cmd := g.Command(context.WithoutCancel(ctx), keepwordProgram, "run", "-c", keepwordConf)
	cmd.Stderr = k.log
	if k.daemon, err = startDaemon("keepword", cmd); err != nil {
		return nil, err
	}
	if err := k.daemon.awaitLine(ctx, k.log); err != nil {
		return nil, errors.Join(err, k.Stop())
	}
	return k, nil
}

// Stop sends SIGTERM, waits for the end, and returns an error unless keepword's exit
// status is 0.
func (k *Keepword) Stop() error {
	if err := k.daemon.stop(); err != nil {
		return err
	}
	if k.daemon.err != nil {
		return fmt.Errorf("keepword: %w\n%s", k.daemon.err, k.Log())
	}
	return nil
}

// Kill sends SIGKILL and waits for the end.
func (k *Keepword) Kill() error {
	err := k.daemon.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-k.daemon.done
	return err
}

// Log returns what keepword has written to standard error.
func (k *Keepword) Log() string { return k.log.String() }

// Event is a line of keepword's events file: the fields of the contract that the
// lab's users look at.
type Event struct {
	Timestamp string `json:"timestamp"`
	FlowID    uint64 `json:"flow_id"`
	EventType string `json:"event_type"`
	SrcIP     string `json:"src_ip"`
	SrcPort   int    `json:"src_port"`
	DestIP    string `json:"dest_ip"`
	DestPort  int    `json:"dest_port"`
	Alert     struct {
		Action    string              `json:"action"`
		Signature string              `json:"signature"`
		Severity  int                 `json:"severity"`
		Metadata  map[string][]string `json:"metadata"`
	} `json:"alert"`
	Metadata struct {
		Flowbits []string            `json:"flowbits"`
		Flowvars []map[string]string `json:"flowvars"`
	} `json:"metadata"`
	// Raw is the whole line.
	Raw string `json:"-"`
}

// Finding returns the catalogue id of an alert, "" for another event.
func (e Event) Finding() string { return e.meta("finding") }

// Action returns the action that an alert reports.
func (e Event) Action() string { return e.meta("action") }

// Reason returns the sentence that explains an alert.
func (e Event) Reason() string { return e.meta("reason") }

func (e Event) meta(name string) string {
	if values := e.Alert.Metadata[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Var returns a flow variable of a flow event, "" where it has none of that name.
func (e Event) Var(name string) string {
	for _, vars := range e.Metadata.Flowvars {
		if value, ok := vars[name]; ok {
			return value
		}
	}
	return ""
}

// Outcome returns the flow variable starttls.outcome.
func (e Event) Outcome() string { return e.Var("starttls.outcome") }

// Events returns the events that keepword has written so far, those of its earlier
// runs on this gateway included.
func (k *Keepword) Events() ([]Event, error) {
	data, err := k.gateway.ReadFile(keepwordEvents)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it has had nothing to say yet
	}
	if err != nil {
		return nil, err
	}
	var events []Event
	for line := range bytes.Lines(data) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // being written
		}
		e := Event{Raw: strings.TrimSpace(string(line))}
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("event %q: %w", e.Raw, err)
		}
		events = append(events, e)
	}
	return events, nil
}
