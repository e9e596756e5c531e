package broken

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Limits bound what one server or middlebox takes. A zero field has the default
// named beside it.
type Limits struct {
	// Connections at the same time; more are closed as they come. 64.
	Connections int
	// Lifetime of one connection, whatever it does. 5 minutes.
	Lifetime time.Duration
	// Transcript is how many octets of each direction of a connection are kept. 1 MiB.
	Transcript int64
	// Sessions is of how many connections the transcripts are kept, the latest. 1000.
	Sessions int
	// Message is the size of one message in octets; a server that offers SIZE
	// names it. 32 MiB.
	Message int64
	// Stored is the size of all stored messages in octets; beyond it mail is put off
	// with 452. 256 MiB.
	Stored int64
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.Connections, 64)
	setDefault(&l.Lifetime, 5*time.Minute)
	setDefault(&l.Transcript, 1<<20)
	setDefault(&l.Sessions, 1000)
	setDefault(&l.Message, 32<<20)
	setDefault(&l.Stored, 256<<20)
	return l
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// acceptPause is how long the accept loop rests after an error that may pass, such
// as a lack of descriptors.
const acceptPause = 20 * time.Millisecond

// host accepts connections, runs a goroutine for each, and ends them all on Close.
type host struct {
	listener net.Listener
	limits   Limits
	ctx      context.Context // done when the host closes
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu      sync.Mutex
	live    map[*tap]struct{}
	serving int
	refused int
}

func newHost(ln net.Listener, limits Limits) *host {
	h := &host{listener: ln, limits: limits.withDefaults(), live: map[*tap]struct{}{}}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// start begins to accept. serve is run in a goroutine of its own for every
// connection, which is closed when it returns.
func (h *host) start(serve func(*tap)) {
	h.running.Go(func() { h.accept(serve) })
}

func (h *host) accept(serve func(*tap)) {
	for {
		conn, err := h.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed) || h.ctx.Err() != nil:
			if err == nil {
				_ = conn.Close() // came while we were closing
			}
			return
		case err != nil:
			rest(h.ctx, acceptPause)
			continue
		case !h.enter():
			_ = conn.Close() // counted as refused
			continue
		}
		c := h.adopt(conn, ToServer)
		h.running.Go(func() {
			defer h.leave()
			defer h.release(c)
			serve(c)
		})
	}
}

// enter counts one more connection, unless there are too many.
func (h *host) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.serving >= h.limits.Connections {
		h.refused++
		return false
	}
	h.serving++
	return true
}

func (h *host) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serving--
}

// adopt bounds a connection's life and makes sure that Close ends it. in is the
// direction of what is read from it. Its owner calls release.
func (h *host) adopt(conn net.Conn, in Direction) *tap {
	c := newTap(conn, in, h.limits.Transcript)
	_ = conn.SetDeadline(time.Now().Add(h.limits.Lifetime)) // fails only where the first read will
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live[c] = struct{}{}
	if h.ctx.Err() != nil {
		_ = conn.Close() // Close has been through the list already
	}
	return c
}

func (h *host) release(c *tap) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.live, c)
	_ = c.Close() // nobody is left to tell
}

// Addr returns the address that the listener has.
func (h *host) Addr() net.Addr { return h.listener.Addr() }

// Refused returns how many connections were closed because of Limits.Connections.
func (h *host) Refused() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refused
}

// Close closes the listener, ends every connection and returns when all goroutines
// are gone. It may be called more than once.
func (h *host) Close() error {
	h.mu.Lock()
	h.cancel()
	err := h.listener.Close()
	for c := range h.live {
		_ = c.Close() // its goroutine closes it again
	}
	h.mu.Unlock()
	h.running.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// rest waits for d, and returns false at once when ctx is done.
func rest(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
