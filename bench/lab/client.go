package lab

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Outcome is what became of a message, as its client sees it.
type Outcome string

// The outcomes.
const (
	Delivered Outcome = "delivered" // the server took responsibility for it
	Deferred  Outcome = "deferred"  // not now: a 4xx reply, a failed handshake, a lost connection
	Refused   Outcome = "refused"   // a 5xx reply
)

// Result is one attempt to send a message.
type Result struct {
	Outcome Outcome
	// TLS says whether a handshake succeeded.
	TLS bool
	// Transcript is what the client tells of the session, in its own format.
	Transcript string
}

// Client is a program that sends mail.
type Client struct {
	Name  string
	modes []Mode
	send  func(ctx context.Context, h *Host, server netip.AddrPort, m *Message, mode Mode) (Result, error)
}

// Clients are the clients of the lab: the programs of packages.txt, a sending
// Postfix, and Go's own net/smtp.
var Clients = []Client{
	{"postfix", Modes, sendByPostfix},
	{"swaks", Modes, sendBySwaks},
	{"openssl", []Mode{Required}, sendByOpenSSL},
	{"curl", Modes, sendByCurl},
	{"smtplib", Modes, sendBySmtplib},
	{"net/smtp", Modes, sendByGo},
}

// Can says whether the client knows the mode.
func (c Client) Can(mode Mode) bool { return slices.Contains(c.modes, mode) }

// sendTime bounds one attempt of a client to send a message. It is longer than any
// timeout of keepword's.
const sendTime = 90 * time.Second

// Send makes one attempt to send m from a host to a server. Its error says that the
// client could not run; what happened to the message is in the Result.
func (c Client) Send(ctx context.Context, from *Host, server netip.AddrPort, m *Message, mode Mode) (Result, error) {
	if !c.Can(mode) {
		return Result{}, fmt.Errorf("client %s has no mode %s", c.Name, mode)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	result, err := c.send(ctx, from, server, m, mode)
	if err != nil {
		err = fmt.Errorf("client %s: %w", c.Name, err)
	}
	return result, err
}

func sendByPostfix(ctx context.Context, h *Host, server netip.AddrPort, m *Message, mode Mode) (Result, error) {
	s, err := StartSender(ctx, h, SenderOptions{Relay: server, Mode: mode})
	if err != nil {
		return Result{}, err
	}
	defer s.Stop()
	if err := s.Submit(ctx, m); err != nil {
		return Result{}, err
	}
	return s.Await(ctx, m, 1)
}

func sendBySwaks(ctx context.Context, h *Host, server netip.AddrPort, m *Message, mode Mode) (Result, error) {
	args := []string{
		"--server", server.Addr().String(), "--port", strconv.Itoa(int(server.Port())),
		"--from", m.From, "--to", m.To, "--timeout", "30",
		// The message as it is on the wire, and not in the transcript.
		"--data", "-", "--no-data-fixup", "--suppress-data",
	}
	if server.Addr().Is6() {
		args = append(args, "-6")
	}
	switch mode {
	case IfOffered:
		args = append(args, "--tls-optional")
	case Required:
		args = append(args, "--tls")
	}
	return run(h.Command(ctx, "swaks", args...), append(m.stuffed(), '.'),
		regexp.MustCompile(`(?m)^=== TLS started`), regexp.MustCompile(`(?m)^ ?<[-~*]+ +([45]\d\d)`))
}

func sendByCurl(ctx context.Context, h *Host, server netip.AddrPort, m *Message, mode Mode) (Result, error) {
	args := []string{
		"--silent", "--verbose", "--max-time", "60", "--cacert", caPath,
		"--mail-from", m.From, "--mail-rcpt", m.To, "--upload-file", "-",
	}
	switch mode {
	case IfOffered:
		args = append(args, "--ssl")
	case Required:
		args = append(args, "--ssl-reqd")
	}
	args = append(args, "smtp://"+server.String()+"/"+h.FQDN())
	return run(h.Command(ctx, "curl", args...), m.Text,
		regexp.MustCompile(`(?m)^\* SSL connection using`), regexp.MustCompile(`(?m)^< ([45]\d\d)`))
}

// run runs a client that says by its exit status whether it delivered, with the
// message on its standard input. tls matches what its transcript says where TLS
// began, and refusal a negative reply and its code.
func run(cmd *Cmd, input []byte, tls, refusal *regexp.Regexp) (Result, error) {
	if cmd.Err != nil {
		return Result{}, cmd.Err
	}
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()
	result := Result{Outcome: Delivered, TLS: tls.Match(out), Transcript: string(out)}
	if err != nil {
		if cmd.ProcessState == nil {
			return result, err // it did not start
		}
		result.Outcome = Deferred
		if all := refusal.FindAllSubmatch(out, -1); len(all) > 0 {
			code, _ := strconv.Atoi(string(all[len(all)-1][1])) // three digits, says the pattern
			result.Outcome = failure(code)
		}
	}
	return result, nil
}

// failure is the outcome of a session that ended with that reply code, or with none.
func failure(code int) Outcome {
	if code >= 500 {
		return Refused
	}
	return Deferred
}
