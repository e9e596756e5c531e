package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"keepword/bench/lab"
)

// scenario is what one capture shows: sessions of one real client, or of several, with a
// real server. No keepword is between them.
type scenario struct {
	name, shows string
	play        func(ctx context.Context, s *stage) error
	// needs is a program that the lab does not see to; without it the scenario is left out.
	needs string
}

// stage is a lab whose server runs.
type stage struct {
	*lab.Lab
	server *lab.Server
}

// share is the part of a list that is this server's: each gets another, and all of them
// the whole.
func share[T any](s *stage, list []T) (part []T) {
	for i := slices.Index(servers, s.server.Kind); i < len(list); i += len(servers) {
		part = append(part, list[i])
	}
	return part
}

// servers are those of the lab that keep what they offer.
var servers = []string{"postfix", "exim", "opensmtpd"}

// recordAll plays every scenario with every server, the servers at the same time, each in
// a lab of its own. It keeps a capture of each in dir, and an index of them.
func recordAll(ctx context.Context, dir string, out io.Writer) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	indexes, errs := make([]string, len(servers)), make([]error, len(servers))
	var labs sync.WaitGroup
	for i, kind := range servers {
		labs.Go(func() {
			if indexes[i], errs[i] = recordServer(ctx, dir, kind, out); errs[i] != nil {
				errs[i] = fmt.Errorf("server %s: %w", kind, errs[i])
			}
		})
	}
	labs.Wait()
	index := "Lawful sessions between real clients and servers, without keepword, recorded by\n" +
		"`go run ./bench/lawful -record bench/lawful/testdata` on the gateway's side of the server:\n\n" + strings.Join(indexes, "")
	return errors.Join(append(errs, os.WriteFile(filepath.Join(dir, "README.md"), []byte(index), 0o644))...)
}

// recordServer records the scenarios with one server.
func recordServer(ctx context.Context, dir, kind string, out io.Writer) (index string, err error) {
	l, err := lab.New(lab.Options{})
	if err != nil {
		return "", err
	}
	defer l.Close()
	s := &stage{Lab: l}
	if s.server, err = lab.StartServer(ctx, l.Server, kind, true); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.server.Stop()) }()
	for _, sc := range scenarios {
		name := kind + "-" + sc.name + ".pcap"
		if sc.needs != "" && l.Client.Command(ctx, sc.needs).Err != nil {
			fmt.Fprintf(out, "left out %s: install %s to record it\n", name, sc.needs)
			continue
		}
		capture, err := l.Gateway.Capture(ctx, lab.ServerSide, filepath.Join(dir, name))
		if err != nil {
			return index, err
		}
		err = sc.play(ctx, s)
		if err = errors.Join(err, capture.Stop()); err != nil {
			return index, fmt.Errorf("%s: %w", sc.name, err)
		}
		conversations, err := capture.Conversations()
		if err != nil {
			return index, err
		}
		if len(conversations) == 0 {
			return index, fmt.Errorf("%s: nothing was said", sc.name)
		}
		index += fmt.Sprintf("- `%s`: %s, to %s.\n", name, sc.shows, kind)
		fmt.Fprintf(out, "recorded %s, connections: %d\n", name, len(conversations))
	}
	return index, nil
}

// scenarios are in an order in which each finds in its host what it needs: smtp-source
// comes with the sending Postfix.
var scenarios = []scenario{
	{name: "swaks", shows: "swaks, in clear text and with STARTTLS", play: byClient("swaks", lab.InClear, lab.Required)},
	{name: "curl", shows: "curl, in clear text and with STARTTLS", play: byClient("curl", lab.InClear, lab.Required)},
	{name: "openssl", shows: "openssl s_client", play: byClient("openssl", lab.Required)},
	{name: "go", shows: "Go's net/smtp, in clear text and with STARTTLS", play: byClient("net/smtp", lab.InClear, lab.Required)},
	{name: "smtplib", shows: "Python's smtplib: several messages to several recipients in a session, in clear text and with STARTTLS", play: bySmtplib},
	{name: "msmtp", shows: "msmtp, in clear text and with STARTTLS", play: byMsmtp, needs: "msmtp"},
	{name: "postfix", shows: "a sending Postfix: messages of every kind, to several recipients; those that it has at once go in several sessions", play: byPostfix(lab.InClear)},
	{name: "postfix-tls", shows: "a sending Postfix with STARTTLS", play: byPostfix(lab.Required)},
	{name: "smtp-source", shows: "smtp-source: a message a session, several in one (-d), several sessions at once, over IPv4 and IPv6", play: bySMTPSource},
	{name: "exim", shows: "a sending Exim, which prefers BDAT where it is offered, in clear text and with STARTTLS", play: byExim},
	{name: "opensmtpd", shows: "a sending OpenSMTPD, in clear text and with STARTTLS", play: byOpenSMTPD},
	{name: "groups", shows: "messages of every kind by DATA, in groups where PIPELINING is offered", play: byGroups},
	{name: "chunks", shows: "messages of many kinds by BDAT, in chunks of every shape, one by one and in groups; only EHLO and QUIT where BDAT is not offered", play: byChunks},
}

// byClient sends messages by a client of the lab, in modes, over IPv4 and IPv6.
func byClient(name string, modes ...lab.Mode) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		at := slices.IndexFunc(lab.Clients, func(c lab.Client) bool { return c.Name == name })
		for i, mode := range modes {
			for j, ipv6 := range []bool{false, true} {
				m := messageOf(texts[(2*i+j)%len(texts)])
				result, err := lab.Clients[at].Send(ctx, s.Client, s.address(ipv6), m, mode)
				if err == nil && result.Outcome != lab.Delivered {
					err = fmt.Errorf("%s was not delivered:\n%s", m.ID, result.Transcript)
				}
				if err != nil {
					return err
				}
			}
		}
		return nil
	}
}
