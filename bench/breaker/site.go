package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"keepword/bench/lab"
	"keepword/bench/lab/broken"
)

// site is the server of one story in one lab, and what stands before it: both change as the
// story goes on, under one address.
type site struct {
	*stage
	story *story
	addr  netip.AddrPort

	servers []*broken.Server // the last one runs
	delay   time.Duration    // of the next one's answer to STARTTLS
	box     *broken.Middlebox
	forge   atomic.Pointer[forgery]

	attempts []*attempt
}

// forgery is what somebody says in the server's place.
type forgery struct{ verb, reply string }

func newSite(s *story, st *stage) *site {
	return &site{stage: st, story: s, addr: netip.AddrPortFrom(st.Server.IPv4, s.port)}
}

// serve puts a server of a kind in the place of the one before.
func (s *site) serve(kind string) error {
	if n := len(s.servers); n > 0 {
		if err := s.servers[n-1].Close(); err != nil {
			return err
		}
	}
	ln, err := s.listen()
	if err != nil {
		return err
	}
	server, err := broken.Serve(ln, broken.ServerConfig{
		Kind: kind, Hostname: s.Server.FQDN(), TLS: &tls.Config{Certificates: []tls.Certificate{s.Certificate()}},
		Size: true, EightBitMIME: true, Reply: s.reply, AnswerDelay: s.delay,
	})
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	s.servers = append(s.servers, server)
	return nil
}

// listen listens where the server before did. A program that is just being started may have
// its socket a moment longer, from the fork to the exec.
func (s *site) listen() (ln net.Listener, err error) {
	const tries, pause = 100, 20 * time.Millisecond
	for range tries {
		ln, err = s.Server.Listen("tcp", fmt.Sprintf(":%d", s.addr.Port()))
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
		time.Sleep(pause)
	}
	return ln, err
}

// reply is what the server's reply has become when it leaves its network.
func (s *site) reply(_ int, verb, reply string) string {
	if f := s.forge.Load(); f != nil && f.verb == verb {
		return f.reply + "\r\n"
	}
	return reply
}

// boxPort is what is added to a server's port for the box before it.
const boxPort = 1000

// putBox has a middlebox of a kind take the connections to the server.
func (s *site) putBox(ctx context.Context, kind string) error {
	ln, err := s.Box.Listen("tcp", fmt.Sprintf(":%d", s.addr.Port()+boxPort))
	if err != nil {
		return err
	}
	s.box, err = broken.Relay(ln, broken.MiddleboxConfig{
		Kind: kind,
		Dial: func(ctx context.Context) (net.Conn, error) { return s.Box.Dial(ctx, "tcp", s.addr.String()) },
	})
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	return s.nft(ctx, fmt.Sprintf(`table ip box%[1]d {
		chain take {
			type nat hook prerouting priority dstnat
			tcp dport %[1]d redirect to :%[2]d
		}
	}`, s.addr.Port(), s.addr.Port()+boxPort))
}

// removeBox has connections go to the server again.
func (s *site) removeBox(ctx context.Context) error {
	box := s.box
	s.box = nil
	return errors.Join(s.nft(ctx, fmt.Sprintf("delete table ip box%d", s.addr.Port())), box.Close())
}

func (s *site) nft(ctx context.Context, text string) error {
	cmd := s.Box.Command(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	_, err := cmd.Output()
	return err
}

// awaitQuestion waits until the server has been asked for TLS in its latest session.
func (s *site) awaitQuestion(ctx context.Context) error {
	const pause = 20 * time.Millisecond
	for ; ctx.Err() == nil; time.Sleep(pause) {
		all := s.servers[len(s.servers)-1].Transcripts()
		if n := len(all); n > 0 && strings.Contains(string(all[n-1].Octets(broken.ToServer)), "STARTTLS") {
			return nil
		}
	}
	return ctx.Err()
}

// close ends what still runs.
func (s *site) close() (err error) {
	if s.box != nil {
		err = s.box.Close()
	}
	if n := len(s.servers); n > 0 {
		err = errors.Join(err, s.servers[n-1].Close())
	}
	return err
}

// mail is a message on its way.
type mail struct {
	*lab.Message
	tries int
	tls   bool // the last try was in TLS
	out   lab.Outcome
}

// attempt is one try to deliver a message, and what came of it.
type attempt struct {
	news       string // what is new in the world
	mail       *mail
	begin      time.Time
	result     lab.Result
	state      string // the breaker's, afterwards
	want       ending
	wantState  string
	wantEvents []string

	// Read afterwards.
	client, server view
	events         []lab.Event
	outcome        string // starttls.outcome of the last connection
}

// expect begins an attempt to deliver a message and says what must come of it: how the
// attempt ends, the breaker's state, and what keepword reports.
func (s *site) expect(m *mail, news string, want ending, state string, events []string) *attempt {
	a := &attempt{news: news, mail: m, begin: time.Now(), want: want, wantState: state, wantEvents: events}
	s.attempts = append(s.attempts, a)
	return a
}

// messageSize is the size of a message in octets: a few segments.
const messageSize = 4 << 10

// newMail is a message to the story's server.
func (s *site) newMail() *mail {
	m := &mail{Message: lab.NewMessage(messageSize)}
	m.To = "bob@" + s.story.domain()
	return m
}

// try has the client make an attempt.
func (s *site) try(ctx context.Context, a *attempt) (err error) {
	m := a.mail
	m.tries++
	if s.sender != nil {
		a.result, err = s.byPostfix(ctx, m)
	} else {
		a.result, err = bySwaks(ctx, s, m)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", a.news, err)
	}
	m.tls, m.out = a.result.TLS, a.result.Outcome
	a.state, err = s.awaitState(ctx, a.wantState)
	return err
}

// lead leads a dialogue that sends no mail.
func (s *site) lead(ctx context.Context, a *attempt, p probe) error {
	conn, err := s.Client.Dial(ctx, "tcp", s.addr.String())
	if err != nil {
		return err
	}
	all := []broken.Step{broken.Expect(220), broken.Send("EHLO client.example\r\n", broken.Cut{}), broken.Expect(250)}
	for _, line := range p.lines {
		all = append(all, broken.Send(line, broken.Cut{}), broken.Listen(p.quiet))
	}
	report := broken.Script{Patience: p.quiet + time.Second, Steps: all}.Run(ctx, conn)
	if len(report.Results) < len(all) {
		return fmt.Errorf("%s: %w", a.news, report.Err())
	}
	a.state, err = s.awaitState(ctx, a.wantState)
	return err
}

// bySwaks has swaks try a message, which is not kept by it.
func bySwaks(ctx context.Context, s *site, m *mail) (lab.Result, error) {
	i := slices.IndexFunc(lab.Clients, func(c lab.Client) bool { return c.Name == "swaks" })
	return lab.Clients[i].Send(ctx, s.Client, s.addr, m.Message, lab.IfOffered)
}

// byPostfix has Postfix try a message, and looks whether it has kept it where it says so.
func (s *site) byPostfix(ctx context.Context, m *mail) (r lab.Result, err error) {
	if m.tries == 1 {
		err = s.sender.Submit(ctx, m.Message)
	} else {
		err = s.requeue(ctx, m)
	}
	if err != nil {
		return r, err
	}
	if r, err = s.sender.Await(ctx, m.Message, m.tries); err != nil || r.Outcome != lab.Deferred {
		return r, err
	}
	queue, err := s.sender.Queue(ctx)
	if err == nil && !strings.Contains(queue, s.queueID(m)) {
		err = fmt.Errorf("postfix says deferred, and has not kept the message:\n%s", queue)
	}
	return r, err
}

// queueID is Postfix's name for a message.
func (s *site) queueID(m *mail) string {
	match := regexp.MustCompile(`(\w+): message-id=` + regexp.QuoteMeta(m.ID)).FindStringSubmatch(s.sender.Log())
	if match == nil {
		return "no such message"
	}
	return match[1]
}

// requeue has Postfix try one message again, now.
func (s *site) requeue(ctx context.Context, m *mail) error {
	_, err := s.Client.Command(ctx, "postqueue", "-i", s.queueID(m)).Output()
	return err
}

// nextDay waits until the breaker lets a session try.
func (s *site) nextDay(ctx context.Context) error {
	const margin = 300 * time.Millisecond
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(day + margin):
		return nil
	}
}

// The breaker's states, and what else may be said of it.
const (
	closed    = "closed"
	opened    = "open"
	halfOpen  = "half-open"
	forgotten = "nothing known"
)

// awaitState returns the breaker's state when it is as wanted, or has had its time.
func (s *site) awaitState(ctx context.Context, want string) (state string, err error) {
	const patience, pause = 3 * time.Second, 100 * time.Millisecond
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		if state, err = s.state(ctx); err != nil || state == want || time.Now().After(end) {
			return state, err
		}
	}
}

// state asks keepword for the breaker's state.
func (s *site) state(ctx context.Context) (string, error) {
	out, err := s.command(ctx, "history", "--json")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		var e struct {
			Server  netip.AddrPort `json:"server"`
			Breaker struct {
				State string `json:"state"`
			} `json:"breaker"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return "", fmt.Errorf("keepword history --json: %q: %w", line, err)
		}
		if e.Server == s.addr {
			return e.Breaker.State, nil
		}
	}
	return forgotten, nil
}
