// Command demo plays the failure of 1999 between real mail servers, first as it was
// and then with keepword in the path, and shows what went over the wire.
//
// It builds its hosts in network namespaces and needs root; the machine's own
// network and mail are never touched.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"keepword/bench/lab"
	"keepword/bench/lab/broken"
)

// limit bounds the whole play.
const limit = 3 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := unix.IoctlGetTermios(int(os.Stdout.Fd()), unix.TCGETS)
	terminal := err == nil && os.Getenv("NO_COLOR") == ""
	if err := play(ctx, &page{out: os.Stdout, bold: terminal}); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// stage is the lab with its actors.
type stage struct {
	*lab.Lab
	page     *page
	server   *lab.Server
	box      *broken.Middlebox
	sender   *lab.Sender
	message  *lab.Message
	captures string // directory
	attempts int
}

// scene is one attempt to send the message.
type scene struct {
	result lab.Result
	// near is the session as it was on the client's side of the gateway, far on the
	// other side.
	near, far *lab.Conversation
	// passage is the session on both sides of the box.
	passage broken.Passage
}

// play builds the stage, plays both acts on it and says what they show. It fails if
// they do not show what they should.
func play(ctx context.Context, p *page) error {
	p.title("keepword: the failure of 1999, and its cure")
	p.text(`The hosts are network namespaces of this machine, the mail servers are real:`)
	p.verbatim("client ----- gateway ----- box ----- server\n" +
		"Postfix      (keepword)    PIX       Postfix, offers STARTTLS\n")

	l, err := lab.New(lab.Options{Box: true})
	if err != nil {
		return err
	}
	defer l.Close()
	s := &stage{Lab: l, page: p, message: lab.NewMessage(1000)}
	if s.captures, err = os.MkdirTemp("", "keepword-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(s.captures)
	if s.server, err = lab.StartServer(ctx, l.Server, "postfix", true); err != nil {
		return err
	}
	if s.box, err = l.BreakBox(ctx, "pix-answers"); err != nil {
		return err
	}
	defer s.box.Close()
	relay := s.server.Addr()
	if s.sender, err = lab.StartSender(ctx, l.Client, lab.SenderOptions{Relay: relay, Mode: lab.IfOffered}); err != nil {
		return err
	}

	if err := s.actOne(ctx); err != nil {
		return err
	}
	return s.actTwo(ctx)
}

// actOne is the failure.
func (s *stage) actOne(ctx context.Context) error {
	p := s.page
	p.title("1. Without keepword")
	p.text(`Postfix on client has one message to send. Its policy is smtp_tls_security_level = may: TLS where it is offered. On the client's side of the gateway:`)
	sc, err := s.attempt(ctx, s.sender.Submit)
	if err != nil {
		return err
	}
	p.dialogue(sc.near, sc.far)
	p.text("Postfix's log:")
	p.log(sc.result.Transcript)
	queue, err := s.sender.Queue(ctx)
	if err != nil {
		return err
	}
	p.text("Its queue:")
	// postqueue indents what it quotes beyond the width of a terminal.
	p.verbatim(strings.ReplaceAll(queue, strings.Repeat(" ", 20), strings.Repeat(" ", 10)))

	if sc.result.Outcome != lab.Deferred {
		return fmt.Errorf("without keepword the message was %s: this is not the failure of 1999", sc.result.Outcome)
	}
	if sc.serverWasAsked() {
		return errors.New("the box let STARTTLS through: this is not the failure of 1999")
	}
	p.text(`The command STARTTLS never reached the server: the box ate it, and said "250 OK" in the server's place. The client began TLS with nobody, and the mail is stuck. Nothing in this log says why. (Left alone, this Postfix would give up on TLS after five minutes. A sender without that habit would return the message after days, and one whose policy is TLS or nothing must.)`)
	return nil
}

// actTwo is the cure.
func (s *stage) actTwo(ctx context.Context) error {
	p := s.page
	p.title("2. With keepword on the gateway")
	keepword, err := s.Keepword(ctx, "")
	if err != nil {
		return err
	}
	p.text(`keepword runs on the gateway as it comes, with an empty configuration. The queue is flushed: the same message again, the same box, the same server.`)
	sc, err := s.attempt(ctx, func(ctx context.Context, _ *lab.Message) error { return s.sender.Flush(ctx) })
	if err != nil {
		return err
	}
	p.dialogue(sc.near, sc.far)
	p.text("Postfix's log:")
	p.log(sc.result.Transcript)

	if sc.result.Outcome != lab.Delivered {
		return fmt.Errorf("with keepword the message was %s", sc.result.Outcome)
	}
	if err := s.server.AwaitMessage(ctx, s.message); err != nil {
		return err
	}
	// keepword tells of the flow when it has ended, or at the latest as it stops.
	if err := keepword.Stop(); err != nil {
		return err
	}
	events, err := keepword.Events()
	if err != nil {
		return err
	}
	p.text("What keepword tells (/var/log/keepword/eve.json):")
	p.events(events)

	var verdict lab.Event
	for _, e := range events {
		if e.Finding() == "answered-for-server" {
			verdict = e
		}
	}
	if verdict.Action() != "correct" {
		return errors.New("keepword did not report answered-for-server as corrected")
	}
	p.title("Verdict")
	p.text("Without keepword: %s. With keepword: %s at the next attempt, octet for octet.", lab.Deferred, sc.result.Outcome)
	p.text("%s.", strings.TrimSuffix(verdict.Reason(), "."))
	if !sc.serverWasAsked() {
		p.text(`The server is innocent: the box between gateway and server kept STARTTLS from it. keepword could not bring back the word that the box had eaten. It told the client the truth instead: no TLS. The mail went on in clear text, as the client's policy allows; a client that demands TLS would have been told no, and would not have sent it.`)
	}
	return nil
}

// attempt lets the sender make its next attempt, and records it on both sides of the
// gateway.
func (s *stage) attempt(ctx context.Context, begin func(context.Context, *lab.Message) error) (*scene, error) {
	s.attempts++
	var sides []*lab.Capture
	for _, side := range []string{lab.ClientSide, lab.ServerSide} {
		path := filepath.Join(s.captures, fmt.Sprintf("%d-%s.pcap", s.attempts, side))
		c, err := s.Gateway.Capture(ctx, side, path)
		if err != nil {
			return nil, err
		}
		sides = append(sides, c)
	}
	if err := begin(ctx, s.message); err != nil {
		return nil, err
	}
	sc := &scene{}
	var err error
	if sc.result, err = s.sender.Await(ctx, s.message, s.attempts); err != nil {
		return nil, err
	}
	for i, c := range sides {
		if err := c.Stop(); err != nil {
			return nil, err
		}
		conversations, err := c.Conversations()
		if err != nil {
			return nil, err
		}
		if len(conversations) == 0 {
			return nil, errors.New("the capture holds no session")
		}
		// The last is the one that the outcome is about.
		last := conversations[len(conversations)-1]
		if i == 0 {
			sc.near = last
		} else {
			sc.far = last
		}
	}
	passages := s.box.Passages()
	if len(passages) == 0 {
		return nil, errors.New("nothing went through the box")
	}
	sc.passage = passages[len(passages)-1]
	return sc, nil
}

// serverWasAsked says whether the command STARTTLS came out of the box.
func (sc *scene) serverWasAsked() bool {
	return strings.Contains(string(sc.passage.Server.Octets(broken.ToServer)), "STARTTLS\r\n")
}
