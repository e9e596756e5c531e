package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"keepword/bench/lab"
	"keepword/bench/lab/broken"
)

// carelessServer is a server of the lab that keeps its buffer across STARTTLS: the
// control that the attack is one.
const carelessServer = "a careless server"

// pick returns the fixtures of a class with those names, by one attacker.
func pick(all []*fixture, c *class, who hostile, names ...string) (picked []*fixture) {
	for _, f := range all {
		if f.class == c && f.hostile == who && (len(names) == 0 || slices.Contains(names, f.name)) {
			picked = append(picked, f)
		}
	}
	return picked
}

// clientAttempts are those by a raw client.
func clientAttempts() (all []*attempt) {
	table := fixtures()
	for _, f := range pick(table, commandInjection, clientSide, "NOOP", "RSET", "MAIL", "QUIT", "a transaction", "part of a command") {
		for _, subject := range append(slices.Clone(realServers), carelessServer) {
			for _, cut := range []int{0, len(words[atSTARTTLS]) + 3} {
				all = append(all, &attempt{fixture: f, subject: subject, cut: cut, play: playInjection})
			}
		}
	}
	for _, f := range pick(table, smuggling, clientSide) {
		_, what, _ := strings.Cut(f.name, ", ")
		if !slices.Contains([]string{"MAIL", manyNOOPs, chunkOfLines, unknownWord, quotedAngle, escapedAngle, quotedBlank, escapedBlank}, what) {
			continue
		}
		for _, subject := range realServers {
			mark := fmt.Sprintf("forged%d", len(all))
			all = append(all, &attempt{fixture: f, subject: subject, play: playSmuggling, mark: mark})
		}
	}
	for _, f := range pick(table, chunkSmuggling, clientSide, "LF.LF", "LF.CRLF", "CRLF.CRCRLF", "CRCRLF.CRCRLF") {
		for _, subject := range []string{"postfix", "exim"} { // OpenSMTPD has no CHUNKING
			mark := fmt.Sprintf("forged%d", len(all))
			all = append(all, &attempt{fixture: f, subject: subject, play: playSmuggling, mark: mark})
		}
	}
	return all
}

// The dialogue of the raw client.
const (
	// quiet is how long it waits for one more reply.
	quiet = 500 * time.Millisecond
	// segmentGap parts two segments.
	segmentGap = 10 * time.Millisecond
)

// dial connects the client's host to a server of an attempt, and notes the ends.
func (st *liveStage) dial(ctx context.Context, a *attempt) (net.Conn, error) {
	port := smtpPort
	if a.port != 0 {
		port = a.port
	}
	to := netip.AddrPortFrom(st.Server.IPv4, uint16(port))
	conn, err := st.Client.Dial(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	from, err := netip.ParseAddrPort(conn.LocalAddr().String())
	a.ends = append(a.ends, ends{from, to})
	return conn, err
}

// plain is a step's words of an honest client, sent in one segment.
func plain(text string) broken.Step { return broken.Send(text, broken.Cut{}) }

// playInjection writes behind STARTTLS, begins TLS, and counts the replies to one command.
func playInjection(ctx context.Context, st *liveStage, a *attempt) error {
	conn, err := st.dial(ctx, a)
	if err != nil {
		return err
	}
	how := broken.Cut{}
	if a.cut > 0 {
		how = broken.Cut{Sizes: []int{a.cut, len(a.client[atSTARTTLS])}, Pause: segmentGap}
	}
	report := broken.Script{Patience: 10 * time.Second, Steps: []broken.Step{
		broken.Expect(220), plain(words[atEHLO]), broken.Expect(250),
		broken.Send(a.client[atSTARTTLS], how), broken.Expect(220),
		broken.StartTLS(st.TLSConfig()), plain(words[atEHLO]), broken.Listen(quiet),
		plain(words[atQUIT]), broken.Listen(quiet),
	}}.Run(ctx, conn)
	const attack, handshake, ehlo = 3, 5, 7 // their places in the script
	switch n := len(report.Results); {
	case n <= attack:
		return fmt.Errorf("%w: %v", report.Err(), report.Results)
	case n > ehlo && slices.Equal(report.Results[ehlo].Codes, []int{250}):
		a.word = "discarded"
	case n > ehlo && len(report.Results[ehlo].Codes) > 0:
		a.word, a.harmed = "obeyed in TLS", true
	case n > handshake:
		a.word = "no TLS"
	default:
		a.word = ended(report)
	}
	return nil
}

// ended says how a script came to its end before its last step.
func ended(report broken.Report) string {
	codes := report.Codes()
	if len(codes) > 0 && codes[len(codes)-1] >= 400 {
		return fmt.Sprintf("ended by %d", codes[len(codes)-1])
	}
	return report.State().String()
}

// localise makes a fixture's words right for the lab's server.
func (a *attempt) localise(text string) string {
	return strings.NewReplacer("mx.example>", lab.Domain+">", "@e.example", "@client.example", "forged\r\n", "Subject: "+a.mark+"\r\n\r\ntext\r\n").Replace(text)
}

// carrier marks the message that carries another.
func (a *attempt) carrier() string { return "carrier of " + a.mark + "." }

// text is the fixture's text with the marks, and the commands that go before it.
func (a *attempt) text() (before []broken.Step, text string) {
	text = a.localise(strings.Replace(a.client[atText], "hello", a.carrier(), 1))
	if a.class == chunkSmuggling {
		_, chunk, _ := strings.Cut(text, "\r\n")
		return nil, fmt.Sprintf("BDAT %d LAST\r\n%s", len(chunk), chunk)
	}
	return []broken.Step{plain(words[atDATA]), broken.Expect(354)}, text
}

// playSmuggling sends one message with another in it.
func playSmuggling(ctx context.Context, st *liveStage, a *attempt) error {
	conn, err := st.dial(ctx, a)
	if err != nil {
		return err
	}
	before, text := a.text()
	report := broken.Script{Patience: 10 * time.Second, Steps: slices.Concat([]broken.Step{
		broken.Expect(220), plain(words[atEHLO]), broken.Expect(250),
		plain(words[atMAIL]), broken.Expect(250), plain(a.localise(words[atRCPT])), broken.Expect(250),
	}, before, []broken.Step{plain(text), broken.Listen(quiet), plain(words[atQUIT]), broken.Listen(quiet)})}.Run(ctx, conn)
	answered := 8 + len(before) // the place of the replies to the text
	if len(report.Results) <= answered {
		return fmt.Errorf("%w: %v", report.Err(), report.Results)
	}
	if codes := report.Results[answered].Codes; len(codes) > 0 {
		a.word = fmt.Sprintf("answered %d", codes[0])
	} else {
		a.word = ended(report)
	}
	return nil
}

// deliveryTime is how long a server may take to deliver what it has accepted.
const deliveryTime = 2 * time.Second

// countMessages looks which second messages have arrived.
func countMessages(ctx context.Context, real *lab.Server, smuggled []*attempt) error {
	select {
	case <-time.After(deliveryTime):
	case <-ctx.Done():
		return ctx.Err()
	}
	messages, err := real.Messages()
	if err != nil {
		return err
	}
	for _, a := range smuggled {
		forged, carrier := []byte("Subject: "+a.mark+"\n"), []byte(a.carrier())
		arrived := 0
		for _, m := range messages {
			switch {
			case bytes.Contains(m, carrier):
				arrived++
			case bytes.Contains(m, forged):
				a.harmed = true
			}
		}
		switch {
		case a.harmed:
			a.word = "SECOND MESSAGE"
		case arrived > 0:
			a.word = "one message"
		}
	}
	return nil
}
