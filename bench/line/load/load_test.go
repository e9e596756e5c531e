package load

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// serve starts a server on a port of its own until the test ends.
func serve(t *testing.T, s *Server) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

func newServer(t *testing.T) *Server {
	t.Helper()
	s, err := NewServer()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryWorkloadRunsWithoutAFailedSession(t *testing.T) {
	addr := serve(t, newServer(t))
	for _, w := range Workloads {
		for _, pipelining := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/pipelining=%v", w.Name, pipelining), func(t *testing.T) {
				f := Run(t.Context(), w, Window{Warm: 10 * time.Millisecond, For: 50 * time.Millisecond},
					func() *Client { return NewClient(addr, pipelining) })
				if f.Failed > 0 || f.Sessions <= 0 {
					t.Fatalf("%+v", f)
				}
				if want := f.Sessions * float64(w.Octets); f.Octets < want*0.99 || f.Octets > want*1.01 {
					t.Errorf("%.0f octets in %.2f sessions", f.Octets, f.Sessions)
				}
				if timed := !pipelining || w.Turns > 0; timed != (f.P50 > 0 && f.P99 >= f.P50) {
					t.Errorf("round trips: p50 %g s, p99 %g s", f.P50, f.P99)
				}
			})
		}
	}
}

func TestAMessageHasTheLengthThatWasAskedForAndNoLineOfADotAlone(t *testing.T) {
	for _, octets := range []int{156, 157, 158, 233, 234, 235, smallMessage, len(lines), len(lines) + 1, 3*len(lines) + 79, largeMessage} {
		for _, head := range []string{"", "X-Head: 1"} {
			var b bytes.Buffer
			if err := NewMessage(head, octets).each(func(p []byte) error { b.Write(p); return nil }); err != nil {
				t.Fatal(err)
			}
			text := b.Bytes()
			if len(text) != octets {
				t.Fatalf("%d octets where %d were asked for", len(text), octets)
			}
			if !bytes.HasSuffix(text, []byte("\r\n")) || bytes.Contains(text, []byte("\r\n.\r\n")) ||
				bytes.Count(text, []byte("\n")) != bytes.Count(text, []byte("\r\n")) || bytes.Contains(text, []byte("\r\r")) {
				t.Errorf("%d octets: not lines of mail data", octets)
			}
			if !strings.HasPrefix(string(text), head) {
				t.Errorf("%d octets: no head", octets)
			}
		}
	}
}

// oneWay is a connection from which the text comes, cut as its reader cuts it.
type oneWay struct{ io.Reader }

func (oneWay) Write(p []byte) (int, error) { return len(p), nil }

func TestTheEndOfMailDataIsFoundInEveryCut(t *testing.T) {
	messages := []string{"", "a\r\n", "..\r\n", ".a\r\n", "a.\r\n", "a\n.\nb\r\n", "a\r\n.\nb\r\n", "\r\n", "..\r\n..\r\n", "a\r.\r\n"}
	for _, message := range messages {
		cut := func(r io.Reader) io.Reader { return r }
		for i, cut := range []func(io.Reader) io.Reader{cut, iotest.OneByteReader, iotest.HalfReader} {
			w := newWire()
			w.reset(oneWay{cut(strings.NewReader("DATA\r\n" + message + ".\r\nQUIT\r\n"))})
			if line, err := w.line(); err != nil || string(line) != "DATA" {
				t.Fatalf("%q, %v", line, err)
			}
			var seen []byte
			n, err := w.data(func(p []byte) { seen = append(seen, p...) })
			if err != nil || n != len(message) || string(seen) != message {
				t.Errorf("cut %d of %q: %d octets, %q, %v", i, message, n, seen, err)
			}
			if line, err := w.line(); err != nil || string(line) != "QUIT" {
				t.Errorf("cut %d of %q: %q follows, %v", i, message, line, err)
			}
		}
	}
}

func TestAReceiptTellsTheMessagesFirstLineAndTheHashOfTheRest(t *testing.T) {
	s := newServer(t)
	got := make(chan Receipt, 1)
	s.Took = func(r Receipt) { got <- r }
	c := NewClient(serve(t, s), false)
	m := NewMessage("X-Head: 7", smallMessage)
	if err := c.Session(Workloads[1], m); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	_ = m.each(func(p []byte) error { text.Write(p); return nil })
	want := sha256.Sum256(text.Bytes()[len("X-Head: 7\r\n"):])
	if r := <-got; r.Head != "X-Head: 7" || r.Sum != want {
		t.Errorf("%q, sum right: %v", r.Head, r.Sum == want)
	}
}

func TestTheServerRefusesWhatIsOutOfPlace(t *testing.T) {
	conn, err := net.Dial("tcp", serve(t, newServer(t)).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w := newWire()
	w.reset(conn)
	for _, turn := range []struct{ say, want string }{
		{"", "220"}, {"MAIL FROM:<a@b.example>\r\n", "503"}, {"STARTTLS\r\n", "503"}, {"NOOPE\r\n", "500"},
		{"EHLO a\r\n", "250"}, {"", "250"}, {"", "250"}, {"", "250"}, {"", "250"},
		{"RCPT TO:<a@b.example>\r\n", "503"}, {"MAIL TO:<a@b.example>\r\n", "503"}, {"MAIL FROM:<a@b.example>\r\n", "250"},
		{"DATA\r\n", "503"}, {"MAIL FROM:<a@b.example>\r\n", "503"}, {"RSET\r\n", "250"}, {"DATA\r\n", "503"}, {"QUIT\r\n", "221"},
	} {
		w.say(turn.say)
		if line, err := w.line(); err != nil || !strings.HasPrefix(string(line), turn.want) {
			t.Fatalf("%q: %q, %v", turn.say, line, err)
		}
	}
}

// A server that acknowledges another number of octets than were sent has lost some.
func TestAWrongReplyFailsTheSession(t *testing.T) {
	for _, wrong := range []string{"250 2.0.0 Ok 1023\r\n", "451 4.3.0 Not now\r\n"} {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			w := newWire()
			w.reset(far)
			w.say(greeting)
			for _, answer := range []string{ehloClear, okReply, okReply, goAhead} {
				if _, err := w.line(); err != nil {
					return
				}
				w.say(answer)
			}
			if _, err := w.data(nil); err != nil {
				return
			}
			w.say(wrong)
			_, _ = w.line() // sends it
		}()
		c := NewClient(netip.AddrPort{}, false)
		c.wire.reset(near)
		if err := c.hello(false); err != nil {
			t.Fatal(err)
		}
		if err := c.rest(Workloads[0], NewMessage("", smallMessage)); err == nil || !strings.Contains(err.Error(), wrong[:10]) {
			t.Errorf("%q: %v", wrong, err)
		}
		near.Close()
	}
}

func TestASessionCountsByTheShareOfItsTimeInTheWindow(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	for _, c := range []struct {
		begin, end int
		want       float64
	}{{12, 14, 1}, {8, 12, 0.5}, {18, 23, 0.4}, {5, 30, 0.4}, {1, 9, 0}, {20, 21, 0}} {
		if got := (sessionTime{at(c.begin), at(c.end)}).share(at(10), at(20)); got != c.want {
			t.Errorf("from %d to %d: %g, want %g", c.begin, c.end, got, c.want)
		}
	}
}

func TestAPercentileIsAValueThatWasMeasured(t *testing.T) {
	var d []time.Duration
	for i := range 200 {
		d = append(d, time.Duration(i+1))
	}
	for p, want := range map[int]time.Duration{50: 100, 99: 198} {
		if got := percentile(d, p); got != want {
			t.Errorf("p%d: %d, want %d", p, got, want)
		}
	}
	if got := percentile(d[:1], 99); got != 1 {
		t.Errorf("p99 of one: %d", got)
	}
}
