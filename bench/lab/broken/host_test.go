package broken

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"

	"keepword/inspect/verdict"
)

func TestEveryKindHasANameALineAndFindingsThatExist(t *testing.T) {
	names := map[string]bool{}
	for _, k := range Kinds() {
		if k.Name == "" || k.About == "" || names[k.Name] {
			t.Errorf("kind %q: its name is taken or missing, or it says nothing about itself", k.Name)
		}
		names[k.Name] = true
		for _, f := range append(k.Findings, k.Learned...) {
			if id, ok := verdict.ParseFinding(f.String()); !ok || id != f {
				t.Errorf("kind %s: no finding %d", k.Name, f)
			}
		}
		if _, err := findKind(k.Name, k.Role); err != nil {
			t.Error(err)
		}
	}
}

func TestKindsAreTheCallersToChange(t *testing.T) {
	for _, k := range Kinds() {
		for i := range k.Findings {
			k.Findings[i] = verdict.NoFinding
		}
	}
	for _, k := range Kinds() {
		for _, f := range k.Findings {
			if f == verdict.NoFinding {
				t.Fatalf("kind %s lost a finding", k.Name)
			}
		}
	}
}

func TestCloseEndsEverySession(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "silent-after-220", AnswerDelay: time.Minute})
	box := relay(t, "pix-noop", serve(t, ServerConfig{Kind: "plain"}))
	waiting := []net.Conn{dial(t, server.Addr()), dial(t, server.Addr()), dial(t, box.Addr())}
	for _, c := range waiting {
		defer func() { _ = c.Close() }() // the test is over
		if _, err := c.Write([]byte("STARTTLS\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are served", func() bool { return len(server.Transcripts()) == 2 && len(box.Passages()) == 1 })
	began := time.Now()
	if err := errors.Join(server.Close(), box.Close(), server.Close()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestConnectionsBeyondTheLimitAreClosedAndCounted(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "plain", Limits: Limits{Connections: 1}})
	first := dial(t, server.Addr())
	eventually(t, "the first is served", func() bool { return len(server.Transcripts()) == 1 })
	play(t, server.Addr(), ExpectEnd(Open))
	if server.Refused() != 1 {
		t.Errorf("%d refused", server.Refused())
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "there is room again", func() bool {
		server.mu.Lock()
		defer server.mu.Unlock()
		return server.serving == 0
	})
	play(t, server.Addr(), Expect(220))
}

func TestAConnectionEndsWithItsLifetime(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "plain", Limits: Limits{Lifetime: 100 * time.Millisecond}})
	play(t, server.Addr(), Expect(220), ExpectEnd(EOF))
}

func TestOnlyTheLatestTranscriptsAreKept(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "plain", Limits: Limits{Sessions: 2}})
	var last Report
	for range 4 {
		last = play(t, server.Addr(), Expect(220))
	}
	all := server.Transcripts()
	if len(all) != 2 || all[1].Remote != last.Transcript.Local {
		t.Errorf("%d transcripts, the last from %s, want %s", len(all), all[1].Remote, last.Transcript.Local)
	}
}

func TestOctetsBeyondTheLimitAreCountedNotKept(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "plain", Limits: Limits{Transcript: 10}})
	report := play(t, server.Addr(), steps(hello(), goodbye())...)
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	theirs := server.Transcripts()[0]
	for _, d := range []Direction{ToServer, ToClient} {
		ours := report.Transcript.Octets(d)
		if kept := theirs.Octets(d); !bytes.Equal(kept, ours[:10]) || int(theirs.Omitted[d]) != len(ours)-10 {
			t.Errorf("%v kept %q, omitted %d of %d", d, kept, theirs.Omitted[d], len(ours))
		}
	}
}

// shortConn takes a few octets of each write and then fails.
type shortConn struct {
	net.Conn
	takes int
}

func (c shortConn) Write(p []byte) (int, error) { return min(c.takes, len(p)), errors.New("full") }

func TestOctetsThatDidNotLeaveAreStruckOut(t *testing.T) {
	for _, test := range []struct {
		limit   int64
		takes   int
		kept    string
		omitted int64
	}{
		{100, 3, "abc", 0}, {100, 0, "", 0}, {4, 5, "abcd", 1}, {4, 2, "ab", 0}, {0, 2, "", 2},
	} {
		ours, theirs := net.Pipe()
		c := newTap(shortConn{ours, test.takes}, ToServer, test.limit)
		if _, err := c.Write([]byte("abcdef")); err == nil {
			t.Error("no error")
		}
		got := c.transcript()
		if string(got.Octets(ToClient)) != test.kept || got.Omitted[ToClient] != test.omitted {
			t.Errorf("%+v: kept %q, omitted %d", test, got.Octets(ToClient), got.Omitted[ToClient])
		}
		if err := errors.Join(ours.Close(), theirs.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
