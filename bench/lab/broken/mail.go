package broken

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strconv"
	"strings"
)

// maxRecipients of one mail (RFC 5321 section 4.5.3.1.8).
const maxRecipients = 100

// path takes "FROM:<a@b> SIZE=1" apart, after the given prefix. A path without
// angle brackets is taken as well.
func path(arg, prefix string) (address string, parameters []string, ok bool) {
	if len(arg) < len(prefix) || !strings.EqualFold(arg[:len(prefix)], prefix) {
		return "", nil, false
	}
	words := strings.Fields(arg[len(prefix):])
	if len(words) == 0 {
		return "", nil, false
	}
	return strings.TrimSuffix(strings.TrimPrefix(words[0], "<"), ">"), words[1:], true
}

func (s *session) from(arg string) error {
	address, parameters, ok := path(arg, "FROM:")
	switch {
	case !ok:
		return s.reply("501 MAIL FROM:<address>")
	case s.helo == "":
		return s.reply("503 EHLO first")
	case s.mail != nil:
		return s.reply("503 One mail at a time")
	}
	for _, p := range parameters {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(name, "SIZE") {
			continue
		}
		if size, err := strconv.ParseInt(value, 10, 64); err != nil || size > s.srv.limits.Message {
			return s.reply("552 Too big") // RFC 1870 section 6.1
		}
	}
	s.mail = &Message{Client: s.wire.RemoteAddr().String(), HELO: s.helo, User: s.user, From: address, TLS: s.inTLS}
	s.chunks = false
	return s.reply("250 Sender is fine")
}

func (s *session) to(arg string) error {
	address, _, ok := path(arg, "TO:")
	switch {
	case !ok || address == "":
		return s.reply("501 RCPT TO:<address>")
	case s.mail == nil || s.chunks:
		return s.reply("503 MAIL first")
	case len(s.mail.To) == maxRecipients:
		return s.reply("452 Too many recipients")
	}
	s.mail.To = append(s.mail.To, address)
	return s.reply("250 Recipient is fine")
}

func (s *session) data(arg string) error {
	switch {
	case arg != "":
		return s.reply("501 No parameter allowed")
	case s.mail == nil || s.chunks:
		return s.reply("503 MAIL first")
	case len(s.mail.To) == 0:
		return s.reply("554 No valid recipients")
	}
	if err := s.reply("354 Send it, end with a dot"); err != nil {
		return err
	}
	text, fits, err := readText(s.r, s.srv.limits.Message)
	if err != nil {
		return err
	}
	s.mail.Data = text
	return s.accept(fits)
}

// readText reads mail data up to CRLF.CRLF and nothing else, and takes the doubled
// dots away (RFC 5321 section 4.5.2). fits is false where there was more than limit;
// then it was read all the same.
func readText(r *bufio.Reader, limit int64) (text []byte, fits bool, err error) {
	fits = true
	lineBegins := true // the CRLF of DATA itself counts
	var last byte      // the octet before the chunk
	for {
		chunk, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, false, err
		}
		if lineBegins && string(chunk) == ".\r\n" {
			return text, fits, nil
		}
		n := len(chunk)
		beforeEnd := last
		if n > 1 {
			beforeEnd = chunk[n-2]
		}
		last = chunk[n-1]
		if lineBegins && chunk[0] == '.' {
			chunk = chunk[1:]
		}
		lineBegins = beforeEnd == '\r' && last == '\n'
		if fits = fits && int64(len(text)+len(chunk)) <= limit; fits {
			text = append(text, chunk...)
		}
	}
}

// bdat takes a chunk (RFC 3030 section 2). Its octets are read even where the
// command is out of place, since they follow it unasked.
func (s *session) bdat(arg string) error {
	number, last, _ := strings.Cut(arg, " ")
	size, err := strconv.ParseInt(number, 10, 64)
	if err != nil || size < 0 || last != "" && !strings.EqualFold(last, "LAST") {
		// How many octets follow is unknown, and so is where the next command begins.
		if err := s.reply("501 BDAT size [LAST]"); err != nil {
			return err
		}
		return errQuit
	}
	into := io.Discard
	var room bytes.Buffer
	ready := s.mail != nil && len(s.mail.To) > 0
	fits := ready && size <= s.srv.limits.Message-int64(len(s.mail.Data))
	if fits {
		into = &room
	}
	if _, err := io.CopyN(into, s.r, size); err != nil {
		return err
	}
	switch {
	case !ready:
		return s.reply("503 MAIL and RCPT first")
	case !fits:
		return s.accept(false)
	}
	s.chunks = true
	s.mail.Data = append(s.mail.Data, room.Bytes()...)
	if last == "" {
		return s.reply("250 Chunk taken")
	}
	return s.accept(true)
}

// accept ends the mail transaction, and stores the message if it fits.
func (s *session) accept(fits bool) error {
	mail := *s.mail
	s.mail = nil
	switch {
	case !fits:
		return s.reply("552 Too big")
	case !s.srv.store(mail):
		return s.reply("452 No room for more mail")
	}
	return s.reply("250 Mail is stored")
}

// auth takes AUTH PLAIN and AUTH LOGIN with any name and password (RFC 4954 section
// 4, RFC 4616).
func (s *session) auth(arg string) error {
	mechanism, initial, _ := strings.Cut(arg, " ")
	var prompts []string
	switch {
	case s.user != "" || s.mail != nil:
		return s.reply("503 Not now")
	case strings.EqualFold(mechanism, "PLAIN"):
		prompts = []string{""}
	case strings.EqualFold(mechanism, "LOGIN"):
		prompts = []string{"Username:", "Password:"}
	default:
		return s.reply("504 PLAIN or LOGIN")
	}
	var responses []string
	for i, prompt := range prompts {
		response := initial
		if i > 0 || initial == "" {
			if err := s.reply("334 " + base64.StdEncoding.EncodeToString([]byte(prompt))); err != nil {
				return err
			}
			line, err := s.line()
			if err != nil {
				return err
			}
			response = line
		}
		octets, err := base64.StdEncoding.DecodeString(response)
		if err != nil { // "*" gives up, and is no base64 either
			return s.reply("501 Not authenticated")
		}
		responses = append(responses, string(octets))
	}
	s.user = responses[0]
	if len(responses) == 1 { // authorisation id NUL name NUL password
		if parts := strings.Split(responses[0], "\x00"); len(parts) == 3 {
			s.user = parts[1]
		}
	}
	if s.user == "" {
		return s.reply("535 Without a name, no")
	}
	return s.reply("235 Welcome")
}
