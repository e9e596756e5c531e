package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// Mode is what a client demands of TLS. Its values are those of Postfix's
// smtp_tls_security_level.
type Mode string

// The modes.
const (
	InClear   Mode = "none"    // never asks for TLS
	IfOffered Mode = "may"     // asks for TLS where it is offered
	Required  Mode = "encrypt" // sends no mail without TLS
)

// Modes are all modes.
var Modes = []Mode{InClear, IfOffered, Required}

// SenderOptions say how a sending Postfix behaves.
type SenderOptions struct {
	// Relay is the server to which all mail goes. Its family is the only one used.
	Relay netip.AddrPort
	Mode  Mode
	// Retry is the time between two attempts for a message: Postfix's own, 5 minutes
	// and more, where it is zero. It also decides when Postfix in mode IfOffered
	// gives up on TLS: a message that has been in the queue for that long when a
	// handshake fails is sent in clear text (postconf(5), minimal_backoff_time).
	Retry time.Duration
}

// Sender is a Postfix that sends what is submitted on its host.
type Sender struct {
	Host *Host

	daemon *daemon
}

// StartSender runs a sending Postfix in a host, which runs no other server.
func StartSender(ctx context.Context, h *Host, o SenderOptions) (*Sender, error) {
	if err := h.install(ctx, "postfix"); err != nil {
		return nil, err
	}
	if err := h.makeServerDirs(ctx); err != nil {
		return nil, err
	}
	protocol := "ipv4"
	if o.Relay.Addr().Is6() {
		protocol = "ipv6"
	}
	p := parameters{
		"relayhost":                       fmt.Sprintf("[%s]:%d", o.Relay.Addr(), o.Relay.Port()),
		"inet_interfaces":                 "loopback-only",
		"inet_protocols":                  protocol,
		"smtp_tls_security_level":         string(o.Mode),
		"smtp_tls_CAfile":                 caPath,
		"smtp_tls_loglevel":               "1",
		"smtp_connect_timeout":            "10s",
		"smtp_helo_timeout":               "20s",
		"smtp_starttls_timeout":           "20s",
		"smtp_data_done_timeout":          "60s",
		"smtp_connection_cache_on_demand": "no",
	}
	if o.Retry > 0 {
		seconds := fmt.Sprintf("%ds", max(1, int(o.Retry.Seconds())))
		p["queue_run_delay"], p["minimal_backoff_time"], p["maximal_backoff_time"] = seconds, seconds, seconds
	}
	if err := configurePostfix(ctx, h, "", p); err != nil {
		return nil, fmt.Errorf("configure postfix: %w", err)
	}
	d, err := h.startServer(ctx, "postfix", runPostfix)
	if err != nil {
		return nil, err
	}
	s := &Sender{Host: h, daemon: d}
	err = await(ctx, startTime, "the start of postfix", func() (bool, error) {
		if d.ended() {
			return false, stop{fmt.Errorf("postfix ended as it started: %w", d.err)}
		}
		return strings.Contains(s.Log(), "daemon started"), nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w; its log:\n%s", err, s.Log()), s.Stop())
	}
	return s, nil
}

// Stop ends the sender; its queue and its log stay in the host.
func (s *Sender) Stop() error { return s.daemon.stop() }

// Log returns what the sender has logged since it started.
func (s *Sender) Log() string { return s.Host.readLogs() }

// Submit puts a message into the queue; Postfix tries to send it at once.
func (s *Sender) Submit(ctx context.Context, m *Message) error {
	sendmail := s.Host.Command(ctx, "/usr/sbin/sendmail", "-i", "-f", m.From, m.To)
	sendmail.Stdin = bytes.NewReader(m.lines())
	_, err := sendmail.Output()
	return err
}

// Queue returns Postfix's own listing of the messages that wait.
func (s *Sender) Queue(ctx context.Context) (string, error) {
	out, err := s.Host.Command(ctx, "postqueue", "-p").Output()
	return string(out), err
}

// Flush makes Postfix try all waiting messages again, now.
func (s *Sender) Flush(ctx context.Context) error {
	_, err := s.Host.Command(ctx, "postqueue", "-f").Output()
	return err
}

// Await waits for the end of attempt number n, counted from 1, to send m.
func (s *Sender) Await(ctx context.Context, m *Message, n int) (Result, error) {
	var result Result
	// The timeouts of one attempt, and some time for the mail itself.
	const limit = 90 * time.Second
	err := await(ctx, limit, fmt.Sprintf("attempt %d of Postfix to send %s", n, m.ID), func() (bool, error) {
		var done bool
		result, done = attempt(s.Log(), m.ID, n)
		return done, nil
	})
	if err != nil {
		err = fmt.Errorf("%w; its log:\n%s", err, s.Log())
	}
	return result, err
}

// smtpLine matches a line of Postfix's SMTP client: its process and what it says.
var smtpLine = regexp.MustCompile(`postfix/smtp\[(\d+)\]: (.*)`)

// attempt finds in a log how attempt n for the message ended, and the lines of the
// process that made it since the attempt before.
func attempt(log, id string, n int) (result Result, done bool) {
	queueID := ""
	lines := map[string][]string{} // by process, since it last ended an attempt
	for line := range strings.Lines(log) {
		if before, _, ok := strings.Cut(line, ": message-id="+id); ok && queueID == "" {
			queueID = before[strings.LastIndex(before, " ")+1:]
			continue
		}
		match := smtpLine.FindStringSubmatch(line)
		if queueID == "" || match == nil {
			continue
		}
		process, text := match[1], match[2]
		lines[process] = append(lines[process], line)
		status, ended := cutStatus(text)
		if !ended {
			continue
		}
		if strings.HasPrefix(text, queueID+":") {
			if n--; n == 0 {
				excerpt := strings.Join(lines[process], "")
				return Result{
					Outcome:    postfixOutcomes[status],
					TLS:        strings.Contains(excerpt, "TLS connection established"),
					Transcript: excerpt,
				}, true
			}
		}
		delete(lines, process)
	}
	return Result{}, false
}

// cutStatus finds the word behind status= in a line that ends an attempt.
func cutStatus(text string) (string, bool) {
	_, rest, ok := strings.Cut(text, " status=")
	status, _, _ := strings.Cut(rest, " ")
	return status, ok
}

// postfixOutcomes are the words with which Postfix ends an attempt.
var postfixOutcomes = map[string]Outcome{"sent": Delivered, "deferred": Deferred, "bounced": Refused}
