package lab

import (
	"bufio"
	"context"
	"crypto/tls"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/smtp"
	"net/textproto"
	"strconv"
	"strings"
)

// sendByOpenSSL speaks SMTP through openssl s_client, which does STARTTLS itself.
func sendByOpenSSL(ctx context.Context, h *Host, server netip.AddrPort, m *Message, _ Mode) (Result, error) {
	cmd := h.Command(ctx, "openssl", "s_client", "-quiet", "-starttls", "smtp", "-name", h.FQDN(),
		"-CAfile", caPath, "-verify_return_error", "-connect", server.String())
	var complaints strings.Builder
	cmd.Stderr = &complaints
	in, err := cmd.StdinPipe()
	if err != nil {
		return Result{}, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return Result{}, err
	}
	if err := cmd.Start(); err != nil {
		return Result{}, err
	}
	d := &dialogue{reader: textproto.NewReader(bufio.NewReader(out)), writer: in}
	err = d.send(h.FQDN(), m)
	in.Close()
	// Its exit status says nothing that the dialogue has not said.
	_ = cmd.Wait()
	result := Result{Outcome: Delivered, TLS: d.replies > 0, Transcript: complaints.String() + d.transcript.String()}
	if err != nil {
		result.Outcome = outcomeOf(err)
		result.Transcript += err.Error() + "\n"
	}
	return result, nil
}

// dialogue is a small SMTP client over streams that TLS has made already.
type dialogue struct {
	reader     *textproto.Reader
	writer     io.Writer
	replies    int
	transcript strings.Builder
}

// send sends one message and says goodbye.
func (d *dialogue) send(helo string, m *Message) error {
	steps := []struct {
		command string
		want    int // the class of the reply, or its code
	}{
		{"EHLO " + helo + "\r\n", 2},
		{"MAIL FROM:<" + m.From + ">\r\n", 2},
		{"RCPT TO:<" + m.To + ">\r\n", 2},
		{"DATA\r\n", 354},
		{string(m.stuffed()) + ".\r\n", 2},
		{"QUIT\r\n", 221},
	}
	for _, step := range steps {
		if line, _, _ := strings.Cut(step.command, "\r\n"); len(line)+2 == len(step.command) {
			fmt.Fprintf(&d.transcript, "C: %s\n", line)
		}
		if _, err := io.WriteString(d.writer, step.command); err != nil {
			return err
		}
		code, text, err := d.reader.ReadResponse(step.want)
		if err != nil {
			return err
		}
		d.replies++
		fmt.Fprintf(&d.transcript, "S: %d %s\n", code, strings.ReplaceAll(text, "\n", "\n   "))
	}
	return nil
}

// outcomeOf is the outcome of a session that ended with an error.
func outcomeOf(err error) Outcome {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return failure(reply.Code)
	}
	return Deferred
}

//go:embed smtplib.py
var smtplibScript string

func sendBySmtplib(ctx context.Context, h *Host, server netip.AddrPort, m *Message, mode Mode) (Result, error) {
	cmd := h.Command(ctx, "/usr/bin/python3", "-c", smtplibScript,
		server.Addr().String(), strconv.Itoa(int(server.Port())), string(mode), m.From, m.To, caPath)
	cmd.Stdin = strings.NewReader(string(m.Text))
	out, err := cmd.Output()
	if err != nil {
		return Result{}, err
	}
	var told struct {
		Delivered  bool
		TLS        bool
		Code       int
		Transcript string
	}
	if err := json.Unmarshal(out, &told); err != nil {
		return Result{}, fmt.Errorf("the script printed %q: %w", out, err)
	}
	result := Result{Outcome: Delivered, TLS: told.TLS, Transcript: told.Transcript}
	if !told.Delivered {
		result.Outcome = failure(told.Code)
	}
	return result, nil
}

// sendByGo does what smtp.SendMail does, on a connection that starts in the host.
func sendByGo(ctx context.Context, h *Host, server netip.AddrPort, m *Message, mode Mode) (Result, error) {
	result := Result{Outcome: Delivered}
	err := func() error {
		conn, err := h.Dial(ctx, "tcp", server.String())
		if err != nil {
			return err
		}
		defer conn.Close()
		if deadline, ok := ctx.Deadline(); ok {
			conn.SetDeadline(deadline)
		}
		c, err := smtp.NewClient(conn, server.Addr().String())
		if err != nil {
			return err
		}
		if err := c.Hello(h.FQDN()); err != nil {
			return err
		}
		offered, _ := c.Extension("STARTTLS")
		if mode == Required && !offered {
			return errors.New("STARTTLS is not offered")
		}
		if mode != InClear && offered {
			config := h.lab.TLSConfig()
			// A client that takes clear text where it must has no use for a name.
			config.InsecureSkipVerify = mode == IfOffered
			if err := c.StartTLS(config); err != nil {
				return fmt.Errorf("STARTTLS: %w", err)
			}
			var state tls.ConnectionState
			state, result.TLS = c.TLSConnectionState()
			result.TLS = result.TLS && state.HandshakeComplete
		}
		if err := c.Mail(m.From); err != nil {
			return err
		}
		if err := c.Rcpt(m.To); err != nil {
			return err
		}
		w, err := c.Data()
		if err != nil {
			return err
		}
		if _, err := w.Write(m.Text); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		// The server has the message; how it says goodbye changes nothing.
		_ = c.Quit()
		return nil
	}()
	if err != nil {
		result.Outcome, result.Transcript = outcomeOf(err), err.Error()
	}
	return result, nil
}
