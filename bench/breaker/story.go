package main

import (
	"context"
	"errors"
	"time"

	"keepword/bench/lab"
)

// story is one server's, from the first session that keepword sees of it.
type story struct {
	name        string // its server's, and its mail domain's
	title, text string
	require     bool // starttls: require
	hasty       bool // what begins it must be done within a day: nothing else happens meanwhile
	tell        func(t, other *telling)

	port        uint16
	site, other *site // other is behind another gateway
	faults      []string
}

// domain is where the story's mail goes.
func (s *story) domain() string { return s.name + "." + lab.Domain }

// play tells the story; release lets the others begin.
func (s *story) play(ctx context.Context, release func()) error {
	t, other := &telling{ctx: ctx, site: s.site, release: release}, &telling{ctx: ctx, site: s.other}
	s.tell(t, other)
	return errors.Join(t.err, other.err)
}

// telling is a story on its way. After the first error nothing happens any more.
type telling struct {
	*site
	ctx     context.Context
	release func()
	err     error
}

func (t *telling) do(f func() error) {
	if t.err == nil {
		t.err = f()
	}
}

// is puts a server of a kind in the place of the one before.
func (t *telling) is(kind string) { t.do(func() error { return t.serve(kind) }) }

// slow says how long the next server takes to answer STARTTLS.
func (t *telling) slow(delay time.Duration) { t.delay = delay }

// between puts a box of a kind before the server; "" takes it away.
func (t *telling) between(kind string) {
	t.do(func() error {
		if kind == "" {
			return t.removeBox(t.ctx)
		}
		return t.putBox(t.ctx, kind)
	})
}

// forges has a reply put in the place of the server's to a verb; "" ends that.
func (t *telling) forges(verb, reply string) {
	if verb == "" {
		t.forge.Store(nil)
		return
	}
	t.forge.Store(&forgery{verb, reply})
}

// mail has the client send a new message: see site.expect.
func (t *telling) mail(news string, want ending, state string, events ...string) (m *mail) {
	t.do(func() error {
		m = t.newMail()
		return t.try(t.ctx, t.expect(m, news, want, state, events))
	})
	return m
}

// retries has the client try a message again that it has kept.
func (t *telling) retries(m *mail, news string, want ending, state string, events ...string) {
	t.do(func() error { return t.try(t.ctx, t.expect(m, news, want, state, events)) })
}

// probes has a client of no manners say lines after EHLO, each when the one before was
// answered or quiet has passed, and go. It says what must become of the breaker; what else is
// reported of such a session is not judged here.
func (t *telling) probes(p probe, state string, changes ...string) {
	t.do(func() error { return t.lead(t.ctx, t.expect(nil, p.news, noMail, state, changes), p) })
}

// probe is a session in which no mail is sent.
type probe struct {
	news  string
	quiet time.Duration
	lines []string
}

// begins is mail, but returns as soon as the server has been asked for TLS; done waits for
// the end.
func (t *telling) begins(news string, want ending, state string, events ...string) (done func()) {
	tried := make(chan error, 1)
	t.do(func() error {
		a := t.expect(t.newMail(), news, want, state, events)
		go func() { tried <- t.try(t.ctx, a) }()
		return t.awaitQuestion(t.ctx)
	})
	return func() { t.do(func() error { return <-tried }) }
}

// aDayPasses waits until an open breaker lets a session try.
func (t *telling) aDayPasses() { t.do(func() error { return t.nextDay(t.ctx) }) }

// restarts has the gateway's keepword end and start again.
func (t *telling) restarts() {
	t.do(func() (err error) {
		if err = t.stage.keepword.Stop(); err == nil {
			t.stage.keepword, err = t.Keepword(t.ctx, t.configuration)
		}
		return err
	})
}

// keepword runs a command on the gateway and returns what it prints.
func (t *telling) keepword(args ...string) (out string) {
	t.do(func() (err error) {
		out, err = t.command(t.ctx, args...)
		return err
	})
	return out
}

// ending is how an attempt ends.
type ending uint8

const (
	inTLS   ending = iota // delivered in TLS
	inVain                // the client asked for TLS, was told no, and delivered in clear text
	unasked               // it saw no offer, and delivered in clear text
	putOff                // the message stays in the client's queue, and nothing of it has reached the server
	bounced               // it goes back to its sender, and nothing of it has reached the server
	noMail                // the client sends none
)

var endings = [...]string{"in TLS", "in clear text", "in clear text", "stays in the queue", "goes back to its sender", "-"}

func (e ending) String() string { return endings[e] }

// outcome is the ending in the lab's words.
func (e ending) outcome() lab.Outcome {
	switch e {
	case putOff:
		return lab.Deferred
	case bounced:
		return lab.Refused
	}
	return lab.Delivered
}

// Events as the stories name them: the finding and its action, or the breaker's change.
const (
	opens    = "closed to open"
	tries    = "open to half-open"
	reopens  = "half-open to open"
	recovers = "half-open to closed"
)
