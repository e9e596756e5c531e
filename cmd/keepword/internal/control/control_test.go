package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server at path and ends it with the test.
func serve(t *testing.T, path string, handlers map[string]Handler) {
	t.Helper()
	s, err := Listen(path, handlers, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Serve does not end with its context")
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left behind: %v", err)
		}
	})
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func socket(t *testing.T) string { return filepath.Join(t.TempDir(), "run", "control.sock") }

func TestAClientGetsTheStatus(t *testing.T) {
	path, want := socket(t), aStatus()
	serve(t, path, map[string]Handler{RequestStatus: func(context.Context, json.RawMessage) (any, error) { return want, nil }})
	got, err := GetStatus(within(t), path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestTheErrorOfAReloadReachesTheClient(t *testing.T) {
	path, bad := socket(t), true
	serve(t, path, map[string]Handler{RequestReload: func(context.Context, json.RawMessage) (any, error) {
		if bad {
			return nil, errors.New("keepword.yaml:3:1: unknown key")
		}
		return nil, nil
	}})
	if err := AskReload(within(t), path); err == nil || err.Error() != "keepword.yaml:3:1: unknown key" {
		t.Errorf("%v", err)
	}
	bad = false
	if err := AskReload(within(t), path); err != nil {
		t.Error(err)
	}
}

func TestArgumentsReachTheHandler(t *testing.T) {
	path := socket(t)
	serve(t, path, map[string]Handler{"flows": func(_ context.Context, args json.RawMessage) (any, error) {
		return string(args), nil
	}})
	var got string
	if err := Call(within(t), path, "flows", map[string]int{"limit": 5}, &got); err != nil || got != `{"limit":5}` {
		t.Errorf("%q, %v", got, err)
	}
}

func TestOnlyTheOwnerMayConnect(t *testing.T) {
	path := socket(t)
	serve(t, path, nil)
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o750} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got&^want != 0 || got&0o600 != 0o600 {
			t.Errorf("%s has mode %v, want %v at most", name, got, want)
		}
	}
}

func TestASecondDaemonIsRefusedAndTheFirstKeepsItsSocket(t *testing.T) {
	path := socket(t)
	serve(t, path, map[string]Handler{RequestReload: func(context.Context, json.RawMessage) (any, error) { return nil, nil }})
	if _, err := Listen(path, nil, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrRunning) {
		t.Fatalf("%v, want ErrRunning", err)
	}
	if err := AskReload(within(t), path); err != nil {
		t.Errorf("the first daemon lost its socket: %v", err)
	}
}

func TestASocketThatNobodyServesIsReplaced(t *testing.T) {
	path := socket(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as after kill -9
	l.Close()
	serve(t, path, map[string]Handler{RequestReload: func(context.Context, json.RawMessage) (any, error) { return nil, nil }})
	if err := AskReload(within(t), path); err != nil {
		t.Error(err)
	}
}

func TestAFileThatIsNoSocketIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(path, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, nil, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "is not a socket") {
		t.Errorf("%v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "data" {
		t.Error("the file is gone")
	}
}

func TestAClientSaysThatNobodyIsThere(t *testing.T) {
	if _, err := GetStatus(within(t), socket(t)); !errors.Is(err, ErrNotRunning) {
		t.Errorf("%v, want ErrNotRunning", err)
	}
}

func TestAClientDoesNotOutliveItsContext(t *testing.T) {
	path := socket(t)
	serve(t, path, map[string]Handler{RequestStatus: func(ctx context.Context, _ json.RawMessage) (any, error) {
		<-ctx.Done() // a daemon that hangs
		return nil, ctx.Err()
	}})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := GetStatus(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want DeadlineExceeded", err)
	}
}

func TestAConnectionCarriesSeveralRequestsAndBadOnesAreAnswered(t *testing.T) {
	path := socket(t)
	serve(t, path, map[string]Handler{RequestReload: func(context.Context, json.RawMessage) (any, error) { return true, nil }})
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	r := bufio.NewReader(conn)
	for _, c := range []struct{ send, want string }{
		{`{"request":"reload"}`, `{"result":true}`},
		{`{"request":"explode"}`, `no request \"explode\"; known are: reload`},
		{`not JSON`, `a request is one JSON object on a line`},
		{`{"request":"reload"}`, `{"result":true}`},
		{strings.Repeat("x", maxRequest), `a request has at most 1048576 octets`},
	} {
		if _, err := conn.Write([]byte(c.send + "\n")); err != nil {
			t.Fatal(err)
		}
		line, err := r.ReadString('\n')
		if err != nil || !strings.Contains(line, c.want) {
			t.Errorf("%.40s: %q, %v", c.send, line, err)
		}
	}
	if _, err := r.ReadByte(); err == nil {
		t.Error("a connection with an endless request stays open")
	}
}

func TestASocketIsRemovedEvenIfTheContextIsDoneBeforehand(t *testing.T) {
	path := socket(t)
	s, err := Listen(path, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Serve(ctx); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestAStreamReachesTheClientElementByElement(t *testing.T) {
	path := socket(t)
	const n = 5000
	serve(t, path, map[string]Handler{"list": func(_ context.Context, args json.RawMessage) (any, error) {
		if string(args) != `"all"` {
			return nil, errors.New("say all")
		}
		return Stream(func(yield func(any) bool) {
			for i := range n {
				if !yield(map[string]int{"i": i}) {
					return
				}
			}
		}), nil
	}})
	next := 0
	err := CallStream(within(t), path, "list", "all", func(text json.RawMessage) error {
		var got map[string]int
		if err := json.Unmarshal(text, &got); err != nil {
			return err
		}
		if got["i"] != next {
			t.Errorf("%s, want %d", text, next)
		}
		next++
		return nil
	})
	if err != nil || next != n {
		t.Errorf("%d elements, %v", next, err)
	}
	if err := CallStream(within(t), path, "list", nil, nil); err == nil || err.Error() != "say all" {
		t.Errorf("the daemon's error became %v", err)
	}
	mine := errors.New("enough")
	if err := CallStream(within(t), path, "list", "all", func(json.RawMessage) error { return mine }); err == nil || err.Error() != "enough" {
		t.Errorf("the client's error became %v", err)
	}
	if err := CallStream(within(t), socket(t), "list", nil, nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("%v, want ErrNotRunning", err)
	}
}

func TestAStreamThatBreaksOffIsAnError(t *testing.T) {
	path := socket(t)
	serve(t, path, map[string]Handler{"list": func(context.Context, json.RawMessage) (any, error) {
		return Stream(func(yield func(any) bool) {
			if yield(1) {
				yield(func() {}) // can't be encoded
			}
		}), nil
	}})
	if err := CallStream(within(t), path, "list", nil, func(json.RawMessage) error { return nil }); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("%v", err)
	}
}

func TestAServerIsMatchedByItsAddressOrWithItsPort(t *testing.T) {
	at := netip.MustParseAddrPort
	q := ServerQuery{Servers: []netip.AddrPort{at("192.0.2.1:0"), at("[2001:db8::1]:587")}}
	for server, want := range map[string]bool{
		"192.0.2.1:25": true, "192.0.2.1:587": true, "192.0.2.2:25": false,
		"[2001:db8::1]:587": true, "[2001:db8::1]:25": false,
	} {
		if q.Matches(at(server)) != want {
			t.Errorf("%s: %v", server, !want)
		}
	}
	if none, all := (ServerQuery{}), (ServerQuery{All: true}); none.Matches(at("192.0.2.1:25")) || !all.Matches(at("192.0.2.1:25")) {
		t.Error("nothing is everything, or everything nothing")
	}
}
