package metrics

import (
	"context"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"keepword/cmd/keepword/internal/control"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden file")

func aSnapshot() Snapshot {
	return Snapshot{
		Status: control.Status{
			Version: "1.2.3",
			Kernel: &control.Kernel{Offloaded: 11, Follower: &control.Follower{
				Interfaces: 2, Followed: 100, Silent: 20, Passed: 3, PassedOctets: 12345, Dropped: 4, CameUp: map[string]uint64{"words": 6, "order": 7},
			}},
			Table: &control.Table{Queued: 1013, Fragments: 8, Untracked: 9},
			Queues: []control.Queue{
				{Number: 2500, Depth: 3, Dropped: 1, UserDropped: 2, Stale: 4, Packets: map[string]uint64{"accept": 1000, "drop": 5}},
				{Number: 2501, Stale: 6, Packets: map[string]uint64{"accept": 7}},
			},
			Flows:     map[string]uint64{"established": 12},
			Findings:  []control.FindingCount{{Finding: "answered-for-server", Action: "correct", Count: 2}},
			Breaker:   map[string]uint64{"open": 3, "half-open": 2, "closed": 1},
			LostSight: []control.LostSight{{Cause: "queue_full", Policy: "pass", Count: 1}},
			Memory:    control.Memory{Used: 1000, Limit: 2000},
			Events:    control.Events{Dropped: 5, WriteErrors: 2},
			History:   control.History{Entries: 77, WriteErrors: 3},
		},
		Latency: &Histogram{Bounds: []float64{0.001, 0.01}, Counts: []uint64{5, 3, 2}, Sum: 0.25},
	}
}

// start serves snapshot on a free port of the loopback and returns the base URL and a
// client for it.
func start(t *testing.T, snapshot func() Snapshot) (string, *http.Client) {
	t.Helper()
	s, err := Listen("127.0.0.1:0", snapshot, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Serve does not end with its context")
		}
	})
	return "http://" + s.Addr().String(), &http.Client{Transport: transport, Timeout: 5 * time.Second}
}

func request(t *testing.T, c *http.Client, method, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestAScrapeShowsTheSnapshot(t *testing.T) {
	base, client := start(t, aSnapshot)
	status, body := request(t, client, "GET", base+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	// The toolchain's version is no part of what is tested.
	body = regexp.MustCompile(`goversion="[^"]+"`).ReplaceAllString(body, `goversion="go"`)
	path := filepath.Join("testdata", "scrape.txt")
	if *update {
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if body != string(want) {
		t.Errorf("%s differs; got:\n%s", path, body)
	}
}

func TestAMetricWithoutASourceIsAbsent(t *testing.T) {
	base, client := start(t, func() Snapshot { return Snapshot{} })
	_, body := request(t, client, "GET", base+"/metrics")
	for _, name := range []string{"keepword_verdict_latency_seconds", "keepword_offloaded", "keepword_follower", `where="fragment"`, "go_goroutines"} {
		if strings.Contains(body, name) {
			t.Errorf("%s is there:\n%s", name, body)
		}
	}
	if !strings.Contains(body, "keepword_config_last_reload_successful 1\n") {
		t.Errorf("a daemon that never reloaded is not reported as well configured:\n%s", body)
	}
}

func TestWhereConnectionsLeaveByMarkOnlySessionsAreCounted(t *testing.T) {
	base, client := start(t, func() Snapshot { return Snapshot{Status: control.Status{Kernel: &control.Kernel{Offloaded: 5}}} })
	_, body := request(t, client, "GET", base+"/metrics")
	if !strings.Contains(body, "keepword_offloaded_flows 5\n") || strings.Contains(body, "offloaded_bytes") || strings.Contains(body, "follower") {
		t.Errorf("%s", body)
	}
}

func TestAFailedReloadShows(t *testing.T) {
	base, client := start(t, func() Snapshot {
		return Snapshot{Status: control.Status{Reload: &control.Reload{Error: "bad"}}}
	})
	if _, body := request(t, client, "GET", base+"/metrics"); !strings.Contains(body, "keepword_config_last_reload_successful 0\n") {
		t.Errorf("%s", body)
	}
}

func TestNothingButGetMetricsIsServed(t *testing.T) {
	base, client := start(t, aSnapshot)
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/", http.StatusNotFound},
		{"GET", "/debug/pprof/", http.StatusNotFound},
		{"GET", "/metrics/more", http.StatusNotFound},
		{"POST", "/metrics", http.StatusMethodNotAllowed},
	} {
		if got, _ := request(t, client, c.method, base+c.path); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, got, c.want)
		}
	}
}

func TestAnAddressInUseIsAnErrorThatSaysWhatToDo(t *testing.T) {
	base, _ := start(t, aSnapshot)
	_, err := Listen(strings.TrimPrefix(base, "http://"), aSnapshot, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "set metrics.listen") {
		t.Errorf("%v", err)
	}
}

func TestAnEmptyAddressSwitchesMetricsOff(t *testing.T) {
	s, err := Listen("", aSnapshot, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if s.Addr() != nil {
		t.Errorf("listens on %v", s.Addr())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := s.Serve(ctx); err != nil || ctx.Err() == nil {
		t.Errorf("%v before the context was done", err)
	}
}
