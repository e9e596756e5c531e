package broken

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// State is what has become of a connection.
type State uint8

const (
	// Open means that it stands.
	Open State = iota
	// EOF means that the peer closed its direction in good order.
	EOF
	// WasReset means that a RST came.
	WasReset
	// TimedOut means that the step waited in vain; the connection stands.
	TimedOut
	// Failed means any other error, see Result.Err.
	Failed
)

var stateNames = [...]string{"open", "closed", "reset", "timed out", "failed"}

// String returns the state in a word or two.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "invalid"
}

// Result is what happened at one step of a script.
type Result struct {
	// Step is what the step was to do, for a reader.
	Step string
	// Octets were received in this step; through TLS they are clear text.
	Octets []byte
	// Codes of the replies among them, by their final lines; 0 for a line that is no
	// reply line.
	Codes []int
	// State of the connection after the step.
	State State
	// TLS says whether TLS is up after the step.
	TLS bool
	// Err is why the step didn't do what it was to do, nil where it did. The script
	// ends at the first such step.
	Err error
}

// String returns the result on one line.
func (r Result) String() string {
	s := fmt.Sprintf("%s: codes %v, %d octets, %s, tls %t", r.Step, r.Codes, len(r.Octets), r.State, r.TLS)
	if r.Err != nil {
		s += ": " + r.Err.Error()
	}
	return s
}

// Report is what happened in a whole script.
type Report struct {
	// Results of the steps that were run, in order.
	Results []Result
	// Transcript of the wire, from the client's side.
	Transcript Transcript
}

// Err returns why the script did not run to its end, nil where it did.
func (r Report) Err() error {
	if n := len(r.Results); n > 0 {
		return r.Results[n-1].Err
	}
	return nil
}

// Codes returns the codes of all replies, in order.
func (r Report) Codes() []int {
	var all []int
	for _, result := range r.Results {
		all = append(all, result.Codes...)
	}
	return all
}

// TLS says whether TLS was up in the end.
func (r Report) TLS() bool { return len(r.Results) > 0 && r.Results[len(r.Results)-1].TLS }

// State returns what had become of the connection in the end.
func (r Report) State() State {
	if len(r.Results) == 0 {
		return Open
	}
	return r.Results[len(r.Results)-1].State
}

// Step is one step of a Script. The functions that return one say what it does.
type Step struct {
	about string
	run   func(*dialogue, *Result) error
}

// Script is a dialogue that a client with or without manners leads.
type Script struct {
	// Steps are run in order, to the first that fails.
	Steps []Step
	// Patience is how long a step waits for what it expects; 5 s where zero.
	Patience time.Duration
}

// patience is Script.Patience where that is zero.
const patience = 5 * time.Second

// maxReceived bounds what one step keeps of what it receives, in octets.
const maxReceived = 1 << 20

// dialogue is a script under way.
type dialogue struct {
	ctx      context.Context
	wire     *tap
	conn     net.Conn
	r        *bufio.Reader
	patience time.Duration
	inTLS    bool
}

// Run leads the dialogue on conn and closes it. It returns early when ctx is done.
func (s Script) Run(ctx context.Context, conn net.Conn) Report {
	wire := newTap(conn, ToClient, Limits{}.withDefaults().Transcript)
	defer func() { _ = wire.Close() }() // the script is over, whatever the kernel says
	stop := context.AfterFunc(ctx, func() { _ = wire.Close() })
	defer stop()

	d := &dialogue{ctx: ctx, wire: wire, conn: wire, r: bufio.NewReaderSize(wire, maxLine), patience: s.Patience}
	setDefault(&d.patience, patience)
	var report Report
	for _, step := range s.Steps {
		result := Result{Step: step.about}
		d.deadline(d.patience)
		result.Err = step.run(d, &result)
		result.TLS = d.inTLS
		if result.State == Open && result.Err != nil {
			result.State = stateOf(result.Err)
		}
		report.Results = append(report.Results, result)
		if result.Err != nil {
			break
		}
	}
	report.Transcript = wire.transcript()
	return report
}

// deadline bounds all that the current step does.
func (d *dialogue) deadline(after time.Duration) {
	_ = d.wire.SetDeadline(time.Now().Add(after)) // fails only where the next read will
}

// stateOf says what an error of the connection means for it.
func stateOf(err error) State {
	var unmet unmetError
	switch {
	case err == nil || errors.As(err, &unmet):
		return Open
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return EOF
	case isReset(err):
		return WasReset
	case errors.Is(err, os.ErrDeadlineExceeded):
		return TimedOut
	}
	return Failed
}

// unmetError is an expectation that the connection itself has nothing to do with.
type unmetError string

// Error returns what came in the place of what was expected.
func (e unmetError) Error() string { return string(e) }

// Send sends octets as they are, in the segments of cut.
func Send(octets string, cut Cut) Step {
	return Step{fmt.Sprintf("send %.40q", octets), func(d *dialogue, _ *Result) error {
		return cut.send(d.ctx, d.conn, []byte(octets))
	}}
}

// Pause lets time go by without reading.
func Pause(t time.Duration) Step {
	return Step{fmt.Sprintf("pause %v", t), func(d *dialogue, _ *Result) error {
		if !rest(d.ctx, t) {
			return d.ctx.Err()
		}
		return nil
	}}
}

// Expect reads one reply, which must have that code; code 0 takes any.
func Expect(code int) Step {
	return Step{fmt.Sprintf("expect %03d", code), func(d *dialogue, result *Result) error {
		got, err := d.reply(result)
		if err == nil && code != 0 && got != code {
			return unmetError(fmt.Sprintf("the reply is %q", result.Octets))
		}
		return err
	}}
}

// Listen reads whatever comes until there has been silence for that time, or the
// connection ends. It never fails: the result says what there was.
func Listen(silence time.Duration) Step {
	return Step{fmt.Sprintf("listen until %v of silence", silence), func(d *dialogue, result *Result) error {
		end := time.Now().Add(d.patience)
		for time.Now().Before(end) {
			_ = d.wire.SetReadDeadline(time.Now().Add(silence)) // fails only where the read will
			if _, err := d.reply(result); err != nil {
				result.State = stateOf(err)
				break
			}
		}
		// Silence is what was waited for.
		if result.State == TimedOut {
			result.State = Open
		}
		return nil
	}}
}

// ExpectSilence fails where anything comes within that time, or the connection ends.
func ExpectSilence(within time.Duration) Step {
	return Step{fmt.Sprintf("expect silence for %v", within), func(d *dialogue, result *Result) error {
		d.deadline(within)
		switch _, err := d.reply(result); {
		case err == nil || len(result.Octets) > 0:
			return unmetError(fmt.Sprintf("there came %q", result.Octets))
		case stateOf(err) != TimedOut:
			return err
		}
		return nil
	}}
}

// ExpectEnd reads on until the connection ends, which must be in that state: EOF or
// WasReset; with Open either will do.
func ExpectEnd(want State) Step {
	return Step{"expect the end: " + want.String(), func(d *dialogue, result *Result) error {
		for {
			_, err := d.reply(result)
			if err == nil {
				continue
			}
			result.State = stateOf(err)
			ended := result.State == EOF || result.State == WasReset
			if result.State == want || want == Open && ended {
				return nil
			}
			return err
		}
	}}
}

// StartTLS leads a TLS handshake as a client. What has been received already is
// discarded, and is in the result.
func StartTLS(config *tls.Config) Step {
	return Step{"start TLS", func(d *dialogue, result *Result) error {
		surplus, _ := d.r.Peek(d.r.Buffered()) // what is buffered is there: no error
		result.Octets = bytes.Clone(surplus)
		result.Codes = codes(surplus)
		return d.handshake(tls.Client(d.wire, config))
	}}
}

// EarlyTLS leads a TLS handshake whose ClientHello does not wait for the answer to
// STARTTLS: it leaves behind prefix, in the same write. One reply is read before the
// ServerHello.
func EarlyTLS(prefix string, config *tls.Config) Step {
	return Step{fmt.Sprintf("send %q and the ClientHello at once", prefix), func(d *dialogue, result *Result) error {
		return d.handshake(tls.Client(&earlyConn{Conn: d.wire, d: d, result: result, prefix: []byte(prefix)}, config))
	}}
}

func (d *dialogue) handshake(conn *tls.Conn) error {
	if err := conn.Handshake(); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	d.wire.tlsBegan()
	d.conn, d.r, d.inTLS = conn, bufio.NewReaderSize(conn, maxLine), true
	return nil
}

// earlyConn is what TLS takes for the connection where it begins before the 220.
type earlyConn struct {
	net.Conn
	d       *dialogue
	result  *Result
	prefix  []byte
	replied bool
}

// Write puts the prefix before the first octets.
func (c *earlyConn) Write(p []byte) (int, error) {
	whole := append(c.prefix, p...)
	n, err := c.Conn.Write(whole)
	n = max(0, n-len(c.prefix))
	c.prefix = nil
	return n, err
}

// Read takes the reply off before the first octets. The dialogue's reader may have
// read beyond it, and is read on.
func (c *earlyConn) Read(p []byte) (int, error) {
	if !c.replied {
		c.replied = true
		if code, err := c.d.reply(c.result); err != nil {
			return 0, err
		} else if code != 220 {
			return 0, unmetError(fmt.Sprintf("the reply is %q", c.result.Octets))
		}
	}
	if n := c.d.r.Buffered(); n > 0 && c.d.conn == c.d.wire {
		return c.d.r.Read(p[:min(n, len(p))])
	}
	return c.Conn.Read(p)
}

// reply reads one reply to its final line, and appends it and its code to the
// result. A line that is no reply line is a reply of code 0. Octets that come before
// an error are in the result too.
func (d *dialogue) reply(result *Result) (int, error) {
	for {
		line, err := d.r.ReadSlice('\n')
		room := max(0, maxReceived-len(result.Octets))
		result.Octets = append(result.Octets, line[:min(len(line), room)]...)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return 0, err
		}
		if code, final := replyLine(line); final {
			result.Codes = append(result.Codes, code)
			return code, nil
		}
	}
}

// replyLine takes a line's code, and says whether the reply ends with it.
func replyLine(line []byte) (code int, final bool) {
	if !mayBeReply(line) || len(line) < replyPrefix {
		return 0, true
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	return code, line[3] != '-'
}

// codes returns the codes of whole replies among octets.
func codes(octets []byte) []int {
	var all []int
	for line := range bytes.Lines(octets) {
		if code, final := replyLine(line); final {
			all = append(all, code)
		}
	}
	return all
}
