package lab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// MessageLimit is the size in octets of the largest message that the lab's servers
// take.
const MessageLimit = 64 << 20

// mailDir is the maildir into which every server delivers all its mail.
const mailDir = "/var/mail/lab"

// logDir is where a real server logs in its host: to the file main, and what it
// complains of besides to others.
const logDir = "/var/log/lab"

// ServerKinds are the names of the real servers that StartServer knows. The last is
// one of today's that breaks the promise: it offers STARTTLS, says 220, and then
// fails every handshake.
var ServerKinds = []string{"postfix", "exim", "opensmtpd", "opensmtpd-6.8"}

// serverKinds say how each real server is configured and run: the files that it
// needs, with or without TLS, and the command that stays in the foreground.
var serverKinds = map[string]struct {
	configure func(ctx context.Context, h *Host, offerTLS bool) error
	command   []string
}{
	"postfix":       {configurePostfixServer, runPostfix},
	"exim":          {configureExim, []string{"/usr/sbin/exim4", "-bdf", "-q1m"}},
	"opensmtpd":     {configureOpenSMTPD, []string{"/usr/sbin/smtpd", "-d"}},
	"opensmtpd-6.8": {configureOpenSMTPD, []string{"/usr/sbin/smtpd", "-d"}},
}

// Server is a real mail server that runs in a host.
type Server struct {
	Kind string
	Host *Host

	daemon *daemon
}

// StartServer runs a server in a host and returns when it greets on port 25, over
// IPv4 and IPv6. It takes mail for any address of Domain up to MessageLimit, and
// offers STARTTLS if it is told to. A host runs one server at a time.
func StartServer(ctx context.Context, h *Host, kind string, offerTLS bool) (*Server, error) {
	k, ok := serverKinds[kind]
	if !ok {
		return nil, fmt.Errorf("no server named %q: use one of %s", kind, strings.Join(ServerKinds, ", "))
	}
	if err := h.install(ctx, kind); err != nil {
		return nil, err
	}
	if err := h.writeCertificate(); err != nil {
		return nil, err
	}
	if err := h.makeServerDirs(ctx); err != nil {
		return nil, err
	}
	if err := k.configure(ctx, h, offerTLS); err != nil {
		return nil, fmt.Errorf("configure %s: %w", kind, err)
	}
	d, err := h.startServer(ctx, kind, k.command)
	if err != nil {
		return nil, err
	}
	s := &Server{Kind: kind, Host: h, daemon: d}
	for _, addr := range []netip.Addr{h.IPv4, h.IPv6} {
		if err := s.awaitGreeting(ctx, addr); err != nil {
			return nil, errors.Join(err, s.Stop())
		}
	}
	return s, nil
}

// startServer runs a server's command; what it prints goes to a log.
func (h *Host) startServer(ctx context.Context, name string, command []string) (*daemon, error) {
	shell := []string{"-c", `exec "$@" >` + logDir + "/output 2>&1", "sh"}
	// The server outlives the time that it is given to start.
	cmd := h.Command(context.WithoutCancel(ctx), "sh", append(shell, command...)...)
	// Postfix's master ends its children as its process group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return startDaemon(name, cmd)
}

// writeCertificate puts the lab's server certificate where configurations name it.
func (h *Host) writeCertificate() error {
	return errors.Join(
		h.WriteFile(certPath, h.lab.ca.certPEM, 0o644),
		h.WriteFile(keyPath, h.lab.ca.keyPEM, 0o600))
}

// makeServerDirs makes an empty maildir for a server to deliver into, and an empty
// directory for its logs.
func (h *Host) makeServerDirs(ctx context.Context) error {
	_, err := h.Command(ctx, "sh", "-ec", fmt.Sprintf(`
		rm -rf %[1]s %[2]s
		mkdir -p %[1]s/new %[1]s/cur %[1]s/tmp
		chown -R %[3]s:%[3]s %[1]s
		mkdir -m 777 %[2]s
	`, mailDir, logDir, mailOwner)).Output()
	return err
}

// awaitGreeting waits until the server greets at addr.
func (s *Server) awaitGreeting(ctx context.Context, addr netip.Addr) error {
	err := await(ctx, startTime, fmt.Sprintf("the greeting of %s at %s", s.Kind, addr), func() (bool, error) {
		if s.daemon.ended() {
			return false, stop{fmt.Errorf("%s ended as it started: %w", s.Kind, s.daemon.err)}
		}
		greeting, err := s.Host.greeting(ctx, netip.AddrPortFrom(addr, smtpPort))
		return strings.HasPrefix(greeting, "220"), err
	})
	if err != nil {
		err = fmt.Errorf("%w; its log:\n%s", err, s.Log())
	}
	return err
}

// smtpPort is RFC 5321's, section 4.5.4.2.
const smtpPort = 25

// greeting connects to a server and returns the first line that it sends.
func (h *Host) greeting(ctx context.Context, addr netip.AddrPort) (string, error) {
	conn, err := h.Dial(ctx, "tcp", addr.String())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(startTime))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil {
		fmt.Fprint(conn, "QUIT\r\n") // so that logs don't speak of a lost connection
	}
	return line, err
}

// Addr returns where the server is found over IPv4.
func (s *Server) Addr() netip.AddrPort { return netip.AddrPortFrom(s.Host.IPv4, smtpPort) }

// Stop ends the server; its mail and its log stay in the host.
func (s *Server) Stop() error { return s.daemon.stop() }

// Log returns what the server has logged since it started.
func (s *Server) Log() string { return s.Host.readLogs() }

// readLogs returns the text of all logs of the server that runs in the host.
func (h *Host) readLogs() string {
	var logs strings.Builder
	err := h.Do(func() error {
		files, err := filepath.Glob(path.Join(logDir, "*"))
		for _, file := range files {
			text, readErr := os.ReadFile(file)
			logs.Write(text)
			err = errors.Join(err, readErr)
		}
		return err
	})
	if err != nil {
		fmt.Fprintln(&logs, err)
	}
	return logs.String()
}

// Messages returns the messages delivered since the server started, oldest first,
// as they lie in the maildir: lines end in LF, and header fields of the server's
// own stand before those of the sender.
func (s *Server) Messages() ([][]byte, error) {
	var messages [][]byte
	err := s.Host.Do(func() error {
		// Maildir names begin with the time of delivery, and so sort by it.
		files, err := filepath.Glob(path.Join(mailDir, "new", "*"))
		if err != nil {
			return err
		}
		for _, file := range files {
			message, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			messages = append(messages, message)
		}
		return nil
	})
	return messages, err
}

// AwaitMessage waits until m has arrived octet for octet. A server that has taken
// responsibility for mail may still be a moment from delivering it.
func (s *Server) AwaitMessage(ctx context.Context, m *Message) error {
	lines := m.lines()
	err := await(ctx, startTime, "message "+m.ID+", octet for octet", func() (bool, error) {
		messages, err := s.Messages()
		arrived := slices.ContainsFunc(messages, func(got []byte) bool { return bytes.HasSuffix(got, lines) })
		return arrived, err
	})
	if err != nil {
		err = fmt.Errorf("%w; the log of %s:\n%s", err, s.Kind, s.Log())
	}
	return err
}
