package broken

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// Dial connects to the server behind a middlebox, in whatever network namespace the
// caller has chosen. It gives up when ctx is done.
type Dial func(ctx context.Context) (net.Conn, error)

// MiddleboxConfig says what a middlebox does. Kind and Dial are required.
type MiddleboxConfig struct {
	// Kind is the name of a middlebox kind, see [Kinds].
	Kind string
	// Dial connects to the server behind.
	Dial Dial
	// Limits bound what the middlebox takes.
	Limits Limits
}

// Passage is one connection through a middlebox, as seen on its two sides.
type Passage struct {
	// Client is the side of the SMTP client, Server that of the server. Server is
	// empty where the server could not be reached.
	Client, Server Transcript
}

// Middlebox relays between clients and one server, and tampers with STARTTLS on the
// way. It ends and resets one side as the other side does. What it parses it parses
// as the boxes of its time did: it knows DATA, but neither BDAT nor AUTH.
type Middlebox struct {
	*host
	dial Dial
	kind boxBehaviour

	passages []*passage // guarded by host.mu
}

// Relay starts a middlebox on ln, which it closes in the end. The error is that the
// configuration can't work, and then ln is left open.
func Relay(ln net.Listener, config MiddleboxConfig) (*Middlebox, error) {
	kind, err := findKind(config.Kind, RoleMiddlebox)
	if err != nil {
		return nil, err
	}
	if config.Dial == nil {
		return nil, errors.New("a middlebox has a server behind it: set MiddleboxConfig.Dial")
	}
	m := &Middlebox{host: newHost(ln, config.Limits), dial: config.Dial, kind: kind.box}
	m.start(m.relay)
	return m, nil
}

// Passages returns the connections in the order in which they were accepted; those
// under way as far as they have come.
func (m *Middlebox) Passages() []Passage {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Passage, len(m.passages))
	for i, p := range m.passages {
		all[i].Client = p.client.transcript()
		if p.server != nil {
			all[i].Server = p.server.transcript()
		}
	}
	return all
}

// relay carries one connection until both sides are done.
func (m *Middlebox) relay(client *tap) {
	p := &passage{kind: m.kind, client: client}
	m.mu.Lock()
	m.passages = appendBounded(m.passages, p, m.limits.Sessions)
	m.mu.Unlock()

	conn, err := m.dial(m.ctx)
	if err != nil {
		client.abort() // as if the client had reached nobody
		return
	}
	server := m.adopt(conn, ToClient)
	defer m.release(server)
	m.mu.Lock()
	p.server = server
	m.mu.Unlock()

	var up, down *lineFilter
	if m.kind.parses() {
		up = &lineFilter{mayEdit: p.mayBeCommand, edit: p.editCommand, opaque: p.opaque.Load}
		down = &lineFilter{mayEdit: mayBeReply, edit: p.editReply, opaque: p.opaque.Load}
	}
	var pumps sync.WaitGroup
	pumps.Go(func() { pump(server, client, up) })
	pumps.Go(func() { pump(client, server, down) })
	pumps.Wait()
}

// pumpSize is how many octets are relayed at once.
const pumpSize = 32 << 10

// pump carries octets from one side to the other through a filter, or as they are
// where that is nil.
func pump(to, from *tap, filter *lineFilter) {
	in, out := make([]byte, pumpSize), []byte(nil)
	for {
		n, err := from.Read(in)
		out = out[:0]
		if filter == nil {
			out = append(out, in[:n]...)
		} else {
			out = filter.feed(out, in[:n])
			if err != nil {
				out = filter.flush(out)
			}
		}
		if len(out) > 0 {
			if _, failed := to.Write(out); failed != nil && err == nil {
				err = failed
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			_ = to.CloseWrite() // fails only where that side is gone, which its own pump sees
			return
		default:
			to.abort()
			from.abort()
			return
		}
	}
}

// passage is what a middlebox knows of one connection.
type passage struct {
	kind           boxBehaviour
	client, server *tap

	asked  atomic.Bool // STARTTLS went to the server
	inText atomic.Bool // after 354, before the end of mail data
	opaque atomic.Bool // the server has answered 220 to STARTTLS: TLS passes

	// Only the server's pump has to do with these.
	greeted  bool
	lookback []byte // strip-line holds one line, which may have to become the last
}

// mayBeCommand says whether a client's line that begins so may be STARTTLS, or
// the end of mail data.
func (p *passage) mayBeCommand(start []byte) bool {
	if p.inText.Load() {
		return bytes.HasPrefix([]byte(".\r\n"), start)
	}
	n := min(len(start), len(keyword))
	return strings.EqualFold(string(start[:n]), keyword[:n])
}

// editCommand treats a client's whole line.
func (p *passage) editCommand(line []byte) []byte {
	if p.inText.Load() {
		if string(line) == ".\r\n" {
			p.inText.Store(false)
		}
		return line
	}
	verb, _, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
	if !strings.EqualFold(verb, keyword) {
		return line
	}
	if p.kind.command == nil {
		p.asked.Store(true)
		return line
	}
	toServer, toClient := p.kind.command(line)
	if len(toClient) > 0 {
		_, _ = p.client.Write(toClient) // where the client is gone, its pump sees it
	}
	return toServer
}

// overwriteVerb returns a treatment of STARTTLS that puts another verb of the same
// length over it.
func overwriteVerb(verb string) func(line []byte) (toServer, toClient []byte) {
	return func(line []byte) (toServer, toClient []byte) {
		return append([]byte(verb), line[len(keyword):]...), nil
	}
}

// replyPrefix is the length of a reply line's code and separator.
const replyPrefix = len("250-")

// mayBeReply says whether a server's line that begins so may be a reply's.
func mayBeReply(start []byte) bool {
	for i, c := range start[:min(len(start), replyPrefix)] {
		if i < 3 && (c < '0' || c > '9') || i == 3 && !strings.ContainsRune("- \r\n", rune(c)) {
			return false
		}
	}
	return true
}

// editReply treats a server's whole line.
func (p *passage) editReply(line []byte) []byte {
	if !mayBeReply(line) || len(line) < replyPrefix {
		return line
	}
	code, final := string(line[:3]), line[3] != '-'
	text := strings.TrimSpace(string(line[replyPrefix:]))
	switch {
	case !p.greeted:
		p.greeted = final
		if p.kind.blotOut220 {
			mask(line)
		}
	case code == "354":
		p.inText.Store(true)
	case code == "220" && final && p.asked.Load():
		p.opaque.Store(true)
		return append(line, p.kind.inject...)
	case code == "250" && p.kind.offer == offerMasked && strings.EqualFold(text, keyword):
		copy(line[replyPrefix:], masked)
	case code == "250" && p.kind.offer == offerStripped:
		return p.strip(line, final, strings.EqualFold(text, keyword))
	}
	return line
}

// strip takes the offer out of a 250 reply. Where that was the final line, the line
// before becomes it.
func (p *passage) strip(line []byte, final, offer bool) []byte {
	before := p.lookback
	switch {
	case offer && !final:
		return nil
	case offer && before == nil: // nothing but the offer: an empty reply is left of it
		return []byte("250 \r\n")
	case offer:
		before[replyPrefix-1] = ' '
		p.lookback = nil
		return before
	case final:
		p.lookback = nil
		return append(before, line...)
	}
	p.lookback = bytes.Clone(line)
	return before
}
