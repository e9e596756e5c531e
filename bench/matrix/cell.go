package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"keepword/bench/lab"
	"keepword/bench/lab/broken"
)

// cell is one client's attempt to send one message in one setting.
type cell struct {
	setting setting
	row     *row
	column  *column
	port    int
	ipv6    bool
	server  *broken.Server // nil where it is a real one

	message  *lab.Message
	word     string // what became of the message
	inTLS    bool
	took     time.Duration
	told     string // the client's own account
	sessions []session
	faults   []string
	boxed    int // sessions through the box of the cell
	lies     int // those of which the check of octets fails, for the box itself
}

// session is one TCP connection of a cell.
type session struct {
	passage
	truth    truth
	outcome  string   // of the flow event
	findings []string // with actions, in order
}

// What can become of a message.
const (
	wordTLS   = "TLS"   // delivered in TLS
	wordClear = "clear" // delivered in clear text
	wordHung  = "hung"  // no end within the client's patience
	wordError = "error" // the client could not run
)

// patience is how long a client may wait, all in all. It is longer than the sending
// Postfix's timeouts, so that this one tells the end itself.
const patience = (senderTimeout + 2) * time.Second

func (c *cell) recipient() string { return fmt.Sprintf("port%d@%s", c.port, lab.Domain) }

func (c *cell) name() string {
	return fmt.Sprintf("%s, %s, %s", c.row.name, c.column.name, c.setting)
}

func (c *cell) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

// messageSize is enough for some segments' worth of lines that look like commands.
const messageSize = 4000

// send makes the attempt.
func (c *cell) send(ctx context.Context, st *stage) {
	c.message = lab.NewMessage(messageSize)
	c.message.To = c.recipient()
	patience := max(patience, c.row.patience)
	server := netip.AddrPortFrom(st.Server.Addr(c.ipv6), uint16(c.port))
	begin := time.Now()
	var result lab.Result
	var err error
	late := false
	if c.column.client == "postfix" {
		ctx, cancel := context.WithTimeout(ctx, 4*senderTimeout*time.Second)
		defer cancel()
		if err = st.sender.Submit(ctx, c.message); err == nil {
			result, err = st.sender.Await(ctx, c.message, 1)
		}
		c.took = time.Since(begin)
		late = c.took > senderTimeout*time.Second
	} else {
		i := slices.IndexFunc(lab.Clients, func(l lab.Client) bool { return l.Name == c.column.client })
		bounded, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		result, err = lab.Clients[i].Send(bounded, st.Client, server, c.message, c.column.mode)
		c.took = time.Since(begin)
		late = c.took > patience-time.Second/2 // its own deadline may be a moment before ours
	}
	c.told, c.inTLS = result.Transcript, result.TLS
	switch {
	case err != nil && !late:
		c.word = wordError
		c.fault("the client could not run: %v", err)
	case result.Outcome == lab.Delivered && result.TLS:
		c.word = wordTLS
	case result.Outcome == lab.Delivered:
		c.word = wordClear
	case late:
		c.word = wordHung
	default:
		c.word = string(result.Outcome)
	}
}

// delivered says that the client was told so.
func (c *cell) delivered() bool { return c.word == wordTLS || c.word == wordClear }

// workers is how many cells of a stage are run at the same time: most wait.
const workers = 6

// play runs every cell, those of one real server after those of another, and judges
// what happened.
func (st *stage) play(ctx context.Context) error {
	var phases []string
	for _, c := range st.cells {
		if !slices.Contains(phases, c.row.real) {
			phases = append(phases, c.row.real)
		}
	}
	for _, phase := range phases {
		if err := st.playPhase(ctx, phase); err != nil {
			return err
		}
	}
	for _, c := range st.captures {
		if err := c.Stop(); err != nil {
			return err
		}
	}
	if st.keepword != nil {
		// It tells of a session when that has ended, or as it stops.
		if err := st.keepword.Stop(); err != nil {
			return err
		}
	}
	return st.judge()
}

func (st *stage) playPhase(ctx context.Context, phase string) error {
	server, err := lab.StartServer(ctx, st.Server, phase, true)
	if err != nil {
		return err
	}
	queue := make(chan *cell)
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for c := range queue {
				c.send(ctx, st)
			}
		})
	}
	for _, c := range st.cells {
		switch {
		case c.row.real != phase:
		case c.row.patience > 0: // nobody is to wait for it
			running.Go(func() { c.send(ctx, st) })
		default:
			queue <- c
		}
	}
	close(queue)
	running.Wait()
	for _, c := range st.cells {
		if c.row.real == phase && c.delivered() {
			st.checkArrival(ctx, server, c)
		}
	}
	return errors.Join(ctx.Err(), server.Stop())
}

// checkArrival looks whether a message that the client was told to be delivered is
// where it was delivered, octet for octet.
func (st *stage) checkArrival(ctx context.Context, real *lab.Server, c *cell) {
	if c.server == nil {
		if err := real.AwaitMessage(ctx, c.message); err != nil {
			c.fault("told delivered: %v", err)
		}
		return
	}
	// The server stored it before it said so.
	for _, m := range c.server.Messages() {
		// Postfix and kin add header fields of their own in front.
		if bytes.HasSuffix(m.Data, c.message.Text) && m.TLS == c.inTLS {
			return
		}
	}
	c.fault("told delivered (TLS %v), and it is not with the server", c.inTLS)
}

// judge assigns captures and events to cells and checks them.
func (st *stage) judge() error {
	type ends struct{ client, server netip.AddrPort } // a client uses a port for more than one server
	var sides [2]map[ends]*lab.Conversation
	byPort := map[int]*cell{}
	for _, c := range st.cells {
		byPort[c.port] = c
	}
	var seen []ends
	for i, capture := range st.captures {
		conversations, err := capture.Conversations()
		if err != nil {
			return err
		}
		sides[i] = map[ends]*lab.Conversation{}
		for _, conversation := range conversations {
			e := ends{conversation.Client, conversation.Server}
			sides[i][e] = conversation
			if i == 0 {
				seen = append(seen, e)
			}
		}
	}
	events := map[ends][]lab.Event{}
	if st.keepword != nil {
		all, err := st.keepword.Events()
		if err != nil {
			return err
		}
		for _, e := range all {
			client, err := netip.ParseAddr(e.SrcIP)
			server, err2 := netip.ParseAddr(e.DestIP)
			if err := errors.Join(err, err2); err != nil {
				return fmt.Errorf("event %s: %w", e.Raw, err)
			}
			of := ends{netip.AddrPortFrom(client, uint16(e.SrcPort)), netip.AddrPortFrom(server, uint16(e.DestPort))}
			events[of] = append(events[of], e)
		}
	}
	for _, e := range seen {
		near, far := sides[0][e], sides[1][e]
		c := byPort[int(near.Server.Port())]
		if c == nil {
			continue
		}
		if far == nil {
			c.fault("a connection did not come through the gateway")
			continue
		}
		c.judge(passage{near: wireOf(near), far: wireOf(far)}, events[e])
	}
	for _, c := range st.cells {
		if len(c.sessions) == 0 {
			c.fault("no session was captured")
		}
		if box := st.boxes[c.port]; box != nil {
			c.control(box.Passages())
		}
	}
	return nil
}

// control applies the check of octets to the two sides of a middlebox itself: of a
// box that tampers the check must fail.
func (c *cell) control(passages []broken.Passage) {
	for _, b := range passages {
		p := passage{
			near: wire{b.Client.Octets(broken.ToServer), b.Client.Octets(broken.ToClient)},
			far:  wire{b.Server.Octets(broken.ToServer), b.Server.Octets(broken.ToClient)},
			// Where one side is gone, the other's last octets have nowhere to go.
			ended: true,
		}
		c.boxed++
		if len(p.broken()) > 0 {
			c.lies++
		}
	}
}

// judge checks one session of the cell.
func (c *cell) judge(p passage, events []lab.Event) {
	s := session{passage: p}
	var ids []string
	flows := 0
	for _, e := range events {
		switch {
		case e.EventType == "flow":
			flows++
			s.outcome = e.Outcome()
		case e.Finding() != "":
			ids = append(ids, e.Finding())
			s.findings = append(s.findings, e.Finding()+" "+e.Action())
			s.ended = s.ended || c.setting == enforce && e.Action() == "kill"
		}
	}
	s.truth = truthOf(s.passage)
	c.sessions = append(c.sessions, s)

	if c.setting != enforce || c.row.honest && !s.ended { // whether it was right to end it, its findings tell
		c.faults = append(c.faults, s.altered()...)
	} else {
		c.faults = append(c.faults, s.broken()...)
	}
	if c.setting == without || !s.truth.octets {
		return
	}
	if flows != 1 {
		c.fault("%d flow events for one session", flows)
	}
	row := *c.row
	if row.falls != nil && !row.falls(c.column.name, c.setting) {
		row.missed, row.outcomes = nil, nil
	}
	if want := c.wantOutcome(s); s.outcome != want && !slices.Contains(row.outcomes, s.outcome) {
		c.fault("the flow event says %q, and the captures %q", s.outcome, want)
	}
	if c.column.name == heedless {
		row.besides = append(slices.Clone(row.besides), babble...)
	}
	for _, fault := range s.truth.misjudged(row, ids) {
		c.fault("%s", fault)
	}
}

// wantOutcome is what the flow event must say.
func (c *cell) wantOutcome(s session) string {
	want := s.truth.outcome(s.ended)
	if c.row.starttls == "hide" && c.setting == enforce && s.truth.offered && want != "upgraded" && want != "killed" {
		return "hidden"
	}
	return want
}
