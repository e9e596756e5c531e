// Package control is the daemon's control socket: a unix stream socket on which the
// other commands ask the running daemon for its state and tell it to reload.
//
// A request is one JSON object on a line, {"request":"status"}, with the optional
// member args; its answer is one JSON object on a line, with either the member result
// or the member error. A connection may carry several requests, one after the other.
package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// firstRequest is the room for a request, its newline included, that a connection
	// begins with; maxRequest bounds one, for the entries of a history come by hundreds.
	firstRequest = 4 << 10
	maxRequest   = 1 << 20
	// maxConnections bounds the connections served at once; others wait in the
	// kernel's backlog.
	maxConnections = 16
	// idle is how long a connection may stay without a whole request, and how long
	// an answer may take to be read.
	idle = 10 * time.Second
	// probe bounds the question whether a socket is served.
	probe = time.Second
)

// The requests of this version.
const (
	RequestStatus = "status" // result: Status
	RequestReload = "reload" // result: null
	// RequestExplain asks for one of the recent sessions. args: Session, result:
	// SessionEvents.
	RequestExplain = "explain"
	// RequestHistory asks for what is remembered of servers. args: ServerQuery, result: a
	// Stream of store.Entry in no order.
	RequestHistory = "history"
	// RequestMerge has the history take up records of other gateways. args: a list of
	// store.Entry, result: null.
	RequestMerge = "history.merge"
	// RequestForget has it forget servers. args: ServerQuery, result: how many it were.
	RequestForget = "history.forget"
)

// Handler answers one kind of request. args are the request's, nil where it has
// none. The result is encoded as JSON, a Stream as an array; the error's text goes to the
// client.
type Handler func(ctx context.Context, args json.RawMessage) (result any, err error)

// ErrRunning is returned by Listen where another daemon serves the socket.
var ErrRunning = errors.New("another keepword is running")

type request struct {
	Request string          `json:"request"`
	Args    json.RawMessage `json:"args,omitempty"`
}

type response struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// Server serves the control socket.
type Server struct {
	listener net.Listener
	handlers map[string]Handler
	log      *slog.Logger
	made     string // the directory, where Listen made it
}

// Listen makes the socket at path, with mode 0600, in a directory that it makes with
// mode 0750 where it is missing. A socket that is left over from a daemon that is
// gone is replaced. handlers are by request name, and are called concurrently.
func Listen(path string, handlers map[string]Handler, log *slog.Logger) (*Server, error) {
	dir, made := filepath.Dir(path), ""
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		made = dir
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("make the directory of the control socket, or set control.socket: %w", err)
	}
	l, err := listen(path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err = removeStale(path); err != nil {
			return nil, err
		}
		l, err = listen(path)
	}
	if err != nil {
		return nil, fmt.Errorf("make the control socket, or set control.socket to another path: %w", err)
	}
	return &Server{listener: l, handlers: handlers, log: log, made: made}, nil
}

func listen(path string) (net.Listener, error) {
	// The mode of the socket before bind is the mode of the file that bind makes
	// (unix(7)), so that there is no moment at which others may connect.
	private := func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), 0o600) }), err)
	}
	lc := net.ListenConfig{Control: private}
	return lc.Listen(context.Background(), "unix", path)
}

// removeStale removes the socket at path if nobody answers on it.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("look at the control socket: %w", err)
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s is not a socket: move it away, or set control.socket to another path", path)
	}
	conn, err := net.DialTimeout("unix", path, probe)
	switch {
	case err == nil:
		conn.Close()
		return fmt.Errorf("%w and serves %s: stop it first, or set control.socket to another path", ErrRunning, path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	default: // a full backlog, for example, is no proof that nobody is there
		return fmt.Errorf("find out who serves %s: %w", path, err)
	}
}

// Close removes the socket of a Server that will not be served, and the directory
// that Listen made for it where nothing else lies there.
func (s *Server) Close() error {
	err := s.listener.Close()
	if s.made != "" {
		os.Remove(s.made)
	}
	return err
}

// Serve answers requests until ctx is done. It then removes the socket, ends every
// connection, waits for the handlers, and returns nil.
func (s *Server) Serve(ctx context.Context) error {
	// The socket is gone when Serve returns, also where ctx was done so early that
	// the function below never runs.
	defer s.Close()
	stop := context.AfterFunc(ctx, func() { s.listener.Close() })
	defer stop()
	var connections sync.WaitGroup
	defer connections.Wait()
	slots := make(chan struct{}, maxConnections)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		conn, err := s.listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			<-slots
			if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) && !errors.Is(err, syscall.ECONNABORTED) {
				return fmt.Errorf("control socket: %w", err)
			}
			s.log.Warn("control socket: a connection was not accepted", "error", err)
			pause(ctx, time.Second) // until descriptors are free again
			continue
		}
		connections.Go(func() {
			defer func() { <-slots }()
			s.serve(ctx, conn)
		})
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// serve answers the requests of one connection, and closes it.
func (s *Server) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	in := bufio.NewScanner(conn)
	in.Buffer(make([]byte, 0, firstRequest), maxRequest)
	for {
		if conn.SetReadDeadline(time.Now().Add(idle)) != nil {
			return
		}
		switch {
		case in.Scan():
			if s.answer(ctx, conn, in.Bytes()) != nil {
				return
			}
		case errors.Is(in.Err(), bufio.ErrTooLong):
			send(conn, response{Error: fmt.Sprintf("a request has at most %d octets", maxRequest)})
			return
		default: // gone, or idle for too long
			return
		}
	}
}

// send writes a response as a line.
func send(conn net.Conn, r response) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = patient{conn}.Write(append(text, '\n'))
	return err
}

// answer answers a request. An error means that the connection is of no more use.
func (s *Server) answer(ctx context.Context, conn net.Conn, line []byte) error {
	result, err := s.result(ctx, line)
	if err != nil {
		return send(conn, response{Error: err.Error()})
	}
	if stream, ok := result.(Stream); ok {
		return stream.write(conn)
	}
	text, err := json.Marshal(result)
	if err != nil {
		return send(conn, response{Error: "encode the answer: " + err.Error()})
	}
	return send(conn, response{Result: text})
}

// result does what a request asks.
func (s *Server) result(ctx context.Context, line []byte) (any, error) {
	var req request
	if err := json.Unmarshal(line, &req); err != nil {
		return nil, fmt.Errorf("a request is one JSON object on a line: %w", err)
	}
	handler, ok := s.handlers[req.Request]
	if !ok {
		known := slices.Sorted(maps.Keys(s.handlers))
		return nil, fmt.Errorf("no request %q; known are: %s", req.Request, strings.Join(known, ", "))
	}
	return handler(ctx, req.Args)
}
