package load

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
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

// text returns the octets of a message.
func text(m *Message) []byte {
	var b bytes.Buffer
	_ = m.each(func(p []byte) error { b.Write(p); return nil })
	return b.Bytes()
}

func TestAMessageHasTheLengthThatWasAskedForAndNoLineOfADotAlone(t *testing.T) {
	lengths := []int{smallMessage, largeMessage}
	for octets := 330; octets < 500; octets++ { // about where a part more begins, too
		lengths = append(lengths, octets, octets-250+len(lines), octets+2*len(lines))
	}
	for _, octets := range lengths {
		for _, m := range []*Message{NewMessage(octets), NewStampedMessage(1<<63, octets)} {
			text := text(m)
			if len(text) != octets {
				t.Errorf("%d octets where %d were asked for, stamped: %v", len(text), octets, m.stamped)
			}
			if !bytes.HasSuffix(text, []byte("\r\n")) || bytes.Contains(text, []byte("\r\n.\r\n")) ||
				bytes.Count(text, []byte("\n")) != bytes.Count(text, []byte("\r\n")) || bytes.Contains(text, []byte("\r\r")) {
				t.Errorf("%d octets, stamped: %v: not lines of mail data", octets, m.stamped)
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

func TestTheServerTellsAMessagesStampAndTheHashOfTheRest(t *testing.T) {
	s := newServer(t)
	type told struct {
		head string
		sum  [sha256.Size]byte
	}
	got := make(chan told, 1)
	s.Took = func(head string, sum [sha256.Size]byte) { got <- told{head, sum} }
	c := NewClient(serve(t, s), false)
	for _, w := range Workloads[1:3] {
		if err := c.Session(w, NewStampedMessage(77, w.Octets)); err != nil {
			t.Fatal(err)
		}
		m := <-got
		if stamp, err := ParseStamp(m.head); err != nil || stamp.ID != 77 || stamp.Sum != m.sum {
			t.Errorf("%q, %v; the sums are equal: %v", m.head, err, stamp.Sum == m.sum)
		}
	}
}

func TestStampedMessagesShareNoPart(t *testing.T) {
	first := text(NewStampedMessage(1, largeMessage))
	second := text(NewStampedMessage(2, largeMessage))
	// Parts of one message change places, or come from another.
	const part = stampOctets + 2*lineOctets*(chunkLines+1)
	for name, changed := range map[string][]byte{
		"moved": slices.Concat(first[:stampOctets], first[part:], first[stampOctets:part]),
		"mixed": slices.Concat(first[:part], second[part:]),
	} {
		head, rest, _ := strings.Cut(string(changed), "\r\n")
		if stamp, err := ParseStamp(head); err != nil || stamp.Sum == sha256.Sum256([]byte(rest)) {
			t.Errorf("%s: the stamp fits, or %v", name, err)
		}
	}
}

func TestOnlyAWholeStampIsOne(t *testing.T) {
	good := strings.TrimSuffix(string(Stamp{ID: 5}.line()), "\r\n")
	if s, err := ParseStamp(good); err != nil || s.ID != 5 {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, bad := range []string{"", good[1:], good[:len(good)-1], good + "0", strings.Replace(good, "0", "g", 1)} {
		if s, err := ParseStamp(bad); err == nil {
			t.Errorf("%q is %+v", bad, s)
		}
	}
}

func TestMessagesAreDeliveredAtTheirPaceAndEachIsTold(t *testing.T) {
	s := newServer(t)
	var took, sent sync.Map
	s.Took = func(head string, _ [sha256.Size]byte) { took.Store(head[8:24], true) }
	addr := serve(t, s)
	ids := IDs(3)
	const perSecond, window = 400, 500 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), window)
	defer cancel()
	Deliver(ctx, []Share{{Workloads[0], perSecond}, {Workloads[1], perSecond / 10}}, ids,
		func() *Client { return NewClient(addr, false) },
		func(id ID, err error) {
			if err != nil {
				t.Error(err)
			}
			if _, twice := sent.LoadOrStore(id.String(), true); twice {
				t.Errorf("%s was told twice", id)
			}
		})
	count := 0
	sent.Range(func(id, _ any) bool {
		if _, ok := took.Load(id); !ok {
			t.Errorf("%s was sent and not taken", id)
		}
		count++
		return true
	})
	if want := int(1.1 * perSecond * window.Seconds()); count < want/4 || count > want+20 {
		t.Errorf("%d messages, want about %d", count, want)
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
		if err := c.rest(Workloads[0], NewMessage(smallMessage)); err == nil || !strings.Contains(err.Error(), wrong[:10]) {
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
