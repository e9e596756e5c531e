package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"keepword/bench/lab"
	"keepword/bench/lab/broken"
)

// sendingPostfix is the client; the server is told apart from it.
const sendingPostfix = sending + "postfix"

const sending = "sending "

// serverAttempts are those by hostile servers and boxes on real clients.
func serverAttempts() (all []*attempt) {
	table := fixtures()
	add := func(f *fixture, subjects ...string) {
		for _, subject := range subjects {
			all = append(all, &attempt{fixture: f, subject: subject, play: playHostile})
		}
	}
	for _, f := range pick(table, responseInjection, boxBehind, "a reply", "an EHLO reply", "behind a 220 of two lines") {
		add(f, "smtplib", "net/smtp", "swaks", "openssl")
		if f.name == "an EHLO reply" {
			add(f, sendingPostfix)
		}
	}
	for _, f := range pick(table, extraReplies, boxBehind, "a second 220 to EHLO", "a second 220 and a third reply to EHLO") {
		add(f, "smtplib", "net/smtp", "swaks", sendingPostfix)
	}
	for _, f := range pick(table, forgedCodes, serverSide) {
		at, _, _ := strings.Cut(f.name, ", 1 line")
		if code, ok := strings.CutSuffix(at, " to STARTTLS"); ok && !strings.Contains(f.name, "2 lines") && code != "220" {
			add(f, "smtplib", "net/smtp")
			if code == "250" {
				add(f, sendingPostfix, "swaks")
			}
		}
	}
	add(pick(table, forgedCodes, boxInPlace, "220 to STARTTLS, 1 line")[0], "smtplib", "net/smtp", "swaks", "openssl", sendingPostfix)
	for _, f := range table {
		if f.class == stripping && (f.hostile == boxBehind || f.hostile == serverSide) &&
			slices.Contains([]string{"the line deleted", "masked by XXXXXXXX", "masked by XXXXXXXA", "misspelled as STARTTLX", "EHLO refused by 502",
				"STARTTLS answered 250", "STARTTLS answered 454", "STARTTLS answered 502", "the greeting masked"}, f.name) {
			add(f, "net/smtp", "smtplib")
			if f.name == "the line deleted" {
				add(f, sendingPostfix)
			}
		}
	}
	return all
}

// kind is the kind of server that stands for the attempt's hostile side.
func (a *attempt) kind() string {
	switch {
	case a.subject == carelessServer:
		return "trusts-early-octets"
	case a.class == forgedCodes && a.hostile == boxInPlace:
		return "clear-after-220" // which is what a client sees of it
	}
	return "honest"
}

// reply is what the hostile side says. What needs a history begins with an honest session.
func (a *attempt) reply() func(connection int, verb, reply string) string {
	if a.class == commandInjection {
		return nil
	}
	return func(connection int, verb, reply string) string {
		at := step(verb)
		if verb == "" {
			at = atGreeting
		}
		forged, attacks := a.fixture.server[at]
		switch {
		case a.class == stripping && connection == 0:
		case attacks:
			return forged
		case a.tamper != nil:
			return a.tamper(at, reply)
		}
		return reply
	}
}

// clientPatience is how long a client may take, Postfix with its start.
const clientPatience = 15 * time.Second

// playHostile has a real client send one message to the hostile server.
func playHostile(ctx context.Context, st *liveStage, a *attempt) error {
	ctx, cancel := context.WithTimeout(ctx, clientPatience)
	defer cancel()
	to := netip.AddrPortFrom(st.Server.IPv4, uint16(a.port))
	client := func(name string) lab.Client {
		return lab.Clients[slices.IndexFunc(lab.Clients, func(c lab.Client) bool { return c.Name == name })]
	}
	if a.class == stripping {
		got, err := client("net/smtp").Send(ctx, st.Client, to, lab.NewMessage(messageSize), lab.IfOffered)
		if err != nil || got.Outcome != lab.Delivered || !got.TLS {
			return fmt.Errorf("the honest session before: %s, TLS %v: %s %w", got.Outcome, got.TLS, got.Transcript, err)
		}
	}
	c := client(strings.TrimPrefix(a.subject, sending))
	mode := lab.IfOffered
	if !c.Can(mode) {
		mode = lab.Required
	}
	got, err := c.Send(ctx, st.Client, to, lab.NewMessage(messageSize), mode)
	clear := slices.ContainsFunc(st.servers[a.port].Messages(), func(m broken.Message) bool { return !m.TLS })
	switch {
	case ctx.Err() != nil:
		a.word = "hung"
	case err != nil:
		return err
	case got.Outcome == lab.Delivered && got.TLS:
		a.word = "delivered in TLS"
	case got.Outcome == lab.Delivered:
		a.word = "delivered in clear"
	default:
		a.word = string(got.Outcome)
	}
	if got.Outcome == lab.Delivered && len(st.servers[a.port].Messages()) == 0 {
		return errors.New("told delivered, and it is not with the server")
	}
	switch a.class {
	case stripping:
		a.harmed = clear && a.require
	case responseInjection:
		if a.harmed = strings.Contains(got.Transcript, "evil"); a.harmed {
			a.word += ", read the forged reply"
		}
	case forgedCodes, extraReplies:
		a.harmed = a.word == "hung"
	}
	return nil
}

// messageSize is that of a message in octets.
const messageSize = 500
