package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"keepword/bench/lab"
)

// address is where the server is found.
func (s *stage) address(ipv6 bool) netip.AddrPort {
	return netip.AddrPortFrom(s.Server.Addr(ipv6), ports[0])
}

const sender, recipient = "alice@example.net", "bob@" + lab.Domain

// texts are the bodies that any server is sure to read as they are meant: lines that end
// in CRLF.
var texts = func() (list []body) {
	for _, b := range bodies {
		if b.make == nil {
			list = append(list, b)
		}
	}
	return list
}()

// messageOf is a message with a body, whose lines end in CRLF.
func messageOf(b body) *lab.Message {
	m := lab.NewMessage(0)
	head, _, _ := bytes.Cut(m.Text, []byte("\r\n\r\n"))
	text := strings.ReplaceAll(b.text, "\n", "\r\n")
	m.Text = append(append(head, "\r\n\r\n"...), text+"End of the message.\r\n"...)
	return m
}

// run runs a program of the client's host with an input.
func (s *stage) run(ctx context.Context, input []byte, name string, args ...string) error {
	cmd := s.Client.Command(ctx, name, args...)
	cmd.Stdin = bytes.NewReader(input)
	_, err := cmd.Output()
	return err
}

//go:embed several.py
var several string

// bySmtplib has Python's smtplib send messages in one session, in clear text and inside TLS.
func bySmtplib(ctx context.Context, s *stage) error {
	var list []string
	for _, b := range share(s, texts) {
		list = append(list, string(messageOf(b).Text))
	}
	input, err := json.Marshal(list)
	if err != nil {
		return err
	}
	for _, mode := range []string{"clear", "starttls"} {
		if err := s.run(ctx, input, "python3", "-c", several, s.address(false).Addr().String(), mode, sender, recipient); err != nil {
			return err
		}
	}
	return nil
}

// byMsmtp sends two messages by msmtp.
func byMsmtp(ctx context.Context, s *stage) error {
	for i, tls := range []string{"off", "on"} {
		err := s.run(ctx, messageOf(texts[i+4]).Text, "msmtp", "--host="+s.address(i == 0).Addr().String(), "--from="+sender,
			"--tls="+tls, "--tls-certcheck=off", "--domain="+s.Client.FQDN(), recipient, "carol@"+lab.Domain)
		if err != nil {
			return err
		}
	}
	return nil
}

// byPostfix submits messages of every kind to a Postfix that sends them all at once.
func byPostfix(mode lab.Mode) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) (err error) {
		p, err := lab.StartSender(ctx, s.Client, lab.SenderOptions{Relay: s.address(mode == lab.InClear), Mode: mode})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.Stop()) }()
		var list []*lab.Message
		for i, b := range share(s, texts) {
			if mode == lab.Required && i > 3 {
				break // what is in TLS is not read
			}
			m := messageOf(b)
			list = append(list, m)
			text := bytes.ReplaceAll(m.Text, []byte("\r\n"), []byte("\n"))
			recipients := []string{"-i", "-f", m.From, m.To, "carol@" + lab.Domain, "dave@" + lab.Domain}[:4+i%3]
			if err := s.run(ctx, text, "/usr/sbin/sendmail", recipients...); err != nil {
				return err
			}
		}
		for _, m := range list {
			result, err := p.Await(ctx, m, 1)
			if err == nil && result.Outcome != lab.Delivered {
				err = fmt.Errorf("%s was not delivered:\n%s", m.ID, result.Transcript)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// bySMTPSource runs Postfix's load generator.
func bySMTPSource(ctx context.Context, s *stage) error {
	for i, options := range []string{"-m 2 -l 4000", "-d -m 6 -r 3 -l 2000", "-s 3 -m 6 -l 500", "-d -s 2 -m 8 -r 2 -l 300"} {
		addr := s.address(i%2 == 1)
		args := append(strings.Fields(options), "-M", s.Client.FQDN(), "-f", sender, "-t", recipient, fmt.Sprintf("inet:[%s]:%d", addr.Addr(), addr.Port()))
		if err := s.run(ctx, nil, "smtp-source", args...); err != nil {
			return err
		}
	}
	return nil
}

// borrow installs a server in the client's host, for the client that it also is: it is
// started as the lab starts servers, and stopped.
func (s *stage) borrow(ctx context.Context, kind string) error {
	server, err := lab.StartServer(ctx, s.Client, kind, false)
	if err != nil {
		return err
	}
	return server.Stop()
}

// byExim has Exim deliver messages at once, by itself.
func byExim(ctx context.Context, s *stage) error {
	if err := s.borrow(ctx, "exim"); err != nil {
		return err
	}
	for i, avoid := range []string{"*", ""} {
		conf := fmt.Sprintf(`
primary_hostname = %s
spool_directory = /var/spool/exim4
log_file_path = /var/log/lab/%%s
keep_environment =
host_lookup =
begin routers
all:
  driver = manualroute
  route_list = * "<+ %s" byname
  transport = remote
begin transports
remote:
  driver = smtp
  hosts_avoid_tls = %s
`, s.Client.FQDN(), s.address(i == 0).Addr(), avoid)
		if err := s.Client.WriteFile("/etc/exim4/exim4.conf", []byte(conf), 0o644); err != nil {
			return err
		}
		for j, b := range share(s, texts) {
			if i == 1 && j > 1 {
				break // what is in TLS is not read
			}
			m := messageOf(b)
			if err := s.run(ctx, bytes.ReplaceAll(m.Text, []byte("\r\n"), []byte("\n")), "exim4", "-odi", "-oi", "-f", sender, m.To, "carol@"+lab.Domain); err != nil {
				return err
			}
		}
	}
	return nil
}

// byOpenSMTPD has a sending OpenSMTPD take messages and pass them on.
func byOpenSMTPD(ctx context.Context, s *stage) error {
	if err := s.borrow(ctx, "opensmtpd"); err != nil {
		return err
	}
	for i, scheme := range []string{"smtp+notls", "smtp"} {
		conf := fmt.Sprintf("listen on 127.0.0.1 port 25\naction \"out\" relay host %s://%s\nmatch from any for any action \"out\"\n", scheme, s.address(false).Addr())
		if err := s.Client.WriteFile("/etc/smtpd.conf", []byte(conf), 0o644); err != nil {
			return err
		}
		if err := s.relay(ctx, 3-i); err != nil {
			return err
		}
	}
	return nil
}

// relay runs the client's OpenSMTPD until n messages have arrived.
func (s *stage) relay(ctx context.Context, n int) (err error) {
	daemon := s.Client.Command(ctx, "/usr/sbin/smtpd", "-d")
	if err := daemon.Start(); err != nil {
		return err
	}
	defer func() {
		// Its exit status is that of a signal.
		err = errors.Join(err, daemon.Process.Signal(syscall.SIGTERM))
		_ = daemon.Wait()
	}()
	for i := range n {
		m := messageOf(texts[i])
		if err := s.submit(ctx, m); err != nil {
			return err
		}
		if err := s.server.AwaitMessage(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// submit gives a message to the client's own server, which may still be starting.
func (s *stage) submit(ctx context.Context, m *lab.Message) error {
	const limit, pause = 10 * time.Second, 100 * time.Millisecond
	local := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), ports[0])
	for began := time.Now(); ; time.Sleep(pause) {
		err := s.submitOnce(ctx, local, m)
		if err == nil || time.Since(began) > limit {
			return err
		}
	}
}
