package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// maxResponse bounds an answer in octets: the daemon is trusted, but the socket may
// be somebody else's.
const maxResponse = 64 << 20

// ErrNotRunning is returned by Call where nobody serves the socket.
var ErrNotRunning = errors.New("keepword is not running")

// Call sends one request to the daemon that serves the socket at path and decodes
// its result into result, which may be nil. args may be nil. It returns when ctx is
// done at the latest.
func Call(ctx context.Context, path, name string, args, result any) error {
	var resp response
	err := converse(ctx, path, name, args, maxResponse, func(in *json.Decoder) error { return in.Decode(&resp) })
	switch {
	case err != nil:
		return err
	case resp.Error != "":
		return errors.New(resp.Error)
	case result == nil:
		return nil
	}
	if err := json.Unmarshal(resp.Result, result); err != nil {
		return fmt.Errorf("understand the answer of keepword on %s; is it of another version? %w", path, err)
	}
	return nil
}

// Running returns nil where a daemon serves the socket at path.
func Running(ctx context.Context, path string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return dialError(path, err)
	}
	return conn.Close()
}

// converse sends one request, and has read read its answer of at most that many octets.
func converse(ctx context.Context, path, name string, args any, most int64, read func(*json.Decoder) error) error {
	req := request{Request: name}
	if args != nil {
		text, err := json.Marshal(args)
		if err != nil {
			return fmt.Errorf("encode the arguments of %s: %w", name, err)
		}
		req.Args = text
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return dialError(path, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err = json.NewEncoder(conn).Encode(req); err == nil {
		err = read(json.NewDecoder(io.LimitReader(conn, most)))
	}
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("keepword does not answer on %s: %w", path, err)
	}
	return nil
}

func dialError(path string, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nobody serves %s; start keepword run, or give its configuration with -c", ErrNotRunning, path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("no permission to talk to keepword on %s: run as root", path)
	}
	return fmt.Errorf("talk to keepword on %s: %w", path, err)
}

// GetStatus asks the daemon that serves the socket at path for its state.
func GetStatus(ctx context.Context, path string) (*Status, error) {
	var s Status
	if err := Call(ctx, path, RequestStatus, nil, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// AskReload makes the daemon that serves the socket at path read its configuration
// again. The error says what is wrong with it; the old one then stays in force.
func AskReload(ctx context.Context, path string) error {
	return Call(ctx, path, RequestReload, nil, nil)
}
