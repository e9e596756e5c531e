package inspect_test

import (
	"strings"
	"testing"

	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

func TestOddLinesAreReportedOnceASession(t *testing.T) {
	for name, c := range map[string]struct {
		play  func(w *wire)
		found []string
	}{
		"a bare LF of the client":     {func(w *wire) { w.c("NOOP\nNOOP\n") }, []string{"bare-newline log"}},
		"a bare CR of the client":     {func(w *wire) { w.c("NOOP a\rb\r\n") }, []string{"bare-newline log"}},
		"a NUL of the client":         {func(w *wire) { w.c("NOOP a\x00b\r\n") }, []string{"nul-octet log"}},
		"a bare LF of the server":     {func(w *wire) { w.c("NOOP\r\n"); w.s("250 ok\n") }, []string{"bare-newline log"}},
		"a NUL of the server":         {func(w *wire) { w.c("NOOP\r\n"); w.s("250 o\x00k\r\n") }, []string{"nul-octet log"}},
		"a long command":              {func(w *wire) { w.c("NOOP " + strings.Repeat("x", 506) + "\r\n") }, []string{"line-too-long log"}},
		"a command as long as may be": {func(w *wire) { w.c("NOOP " + strings.Repeat("x", 505) + "\r\n") }, nil},
		"a long MAIL":                 {func(w *wire) { w.c("MAIL FROM:<a@example> " + strings.Repeat("X", 900) + "\r\n") }, nil},
		"a long answer to AUTH": {func(w *wire) {
			w.c("AUTH GSSAPI\r\n")
			w.s("334 \r\n")
			w.c(strings.Repeat("x", 12286) + "\r\n")
		}, []string{"auth-in-clear log"}},
		"one that is too long": {func(w *wire) {
			w.c("AUTH GSSAPI\r\n")
			w.s("334 \r\n")
			w.c(strings.Repeat("x", 12287) + "\r\n")
		}, []string{"auth-in-clear log", "line-too-long log"}},
		"a long reply":             {func(w *wire) { w.c("NOOP\r\n"); w.s("250 " + strings.Repeat("x", 507) + "\r\n") }, []string{"line-too-long log"}},
		"no reply":                 {func(w *wire) { w.c("NOOP\r\n"); w.s("hello\r\n250 ok\r\n") }, []string{"reply-malformed log"}},
		"codes that differ":        {func(w *wire) { w.c("HELP\r\n"); w.s("214-one\r\n211 two\r\n") }, []string{"reply-malformed log"}},
		"a code that there is not": {func(w *wire) { w.c("NOOP\r\n"); w.s("699 no\r\n") }, []string{"reply-malformed log"}},
	} {
		t.Run(name, func(t *testing.T) {
			everyCut(t, setup{}, func(t *testing.T, w *wire) {
				offered(w)
				c.play(w)
				w.wantFindings(c.found...)
			})
		})
	}
}

func TestALineThatDoesNotEndEndsTheConnection(t *testing.T) {
	for _, fromClient := range []bool{true, false} {
		w := newWire(t, setup{})
		offered(w)
		if !fromClient {
			w.c("NOOP\r\n")
		}
		from := map[bool]*end{true: w.client, false: w.server}[fromClient]
		for range 70 {
			w.say(from, strings.Repeat("a", 1000))
		}
		w.wantFindings("line-too-long kill")
		if !w.client.reset || !w.server.reset {
			t.Errorf("from the client %v: the connection goes on", fromClient)
		}
	}
}

func TestCommandsOutOfTurnAreReported(t *testing.T) {
	for name, c := range map[string]struct {
		play  func(w *wire)
		found []string
	}{
		"before the greeting": {func(w *wire) { w.c(ehlo) }, []string{"unauthorised-pipelining log"}},
		"the PROXY protocol": {func(w *wire) {
			w.c("PROXY TCP4 203.0.113.7 198.51.100.25 56324 25\r\n")
			w.s(greeting)
			w.c(ehlo)
			w.s(offers)
		}, nil},
		"in a group that was offered": {func(w *wire) { offered(w); w.c(message + "RCPT TO:<b@example>\r\nDATA\r\n") }, nil},
		"in a group that was not": {func(w *wire) {
			w.s(greeting)
			w.c("HELO client.example\r\n")
			w.s("250 mx.example\r\n")
			w.c(message + "RCPT TO:<b@example>\r\n")
		}, []string{"unauthorised-pipelining log"}},
	} {
		t.Run(name, func(t *testing.T) {
			everyCut(t, setup{}, func(t *testing.T, w *wire) {
				c.play(w)
				w.wantFindings(c.found...)
			})
		})
	}
}

func TestASecondReplyBehindASmuggledEndConfirmsIt(t *testing.T) {
	c := setup{policy: policy.Config{Actions: map[verdict.Finding]verdict.Action{verdict.Smuggling: verdict.Log}}}
	everyCut(t, c, func(t *testing.T, w *wire) {
		intoMailData(w)
		w.c("text\n.\nMAIL FROM:<ceo@example>\r\n")
		w.s("250 queued\r\n") // to the first message, says a server that took LF.LF
		w.wantFindings("smuggling log", "smuggling-confirmed kill")
		if !w.client.reset || !w.server.reset {
			t.Error("the connection goes on")
		}
	})
}

func TestOneReplyToOneMessageConfirmsNothing(t *testing.T) {
	c := setup{policy: policy.Config{Actions: map[verdict.Finding]verdict.Action{verdict.Smuggling: verdict.Log}}}
	everyCut(t, c, func(t *testing.T, w *wire) {
		intoMailData(w)
		w.c("text\n.\nMAIL FROM:<ceo@example>\r\n.\r\n")
		w.s("250 queued\r\n")
		w.c("QUIT\r\n")
		w.s("221 bye\r\n")
		w.wantFindings("smuggling log")
	})
}

func TestAnEndlessLineIsReportedOnceWhereNothingIsEnforced(t *testing.T) {
	w := newWire(t, setup{policy: policy.Config{Mode: verdict.Observe}})
	w.s(greeting)
	for range 100 {
		w.c(strings.Repeat("x", 1448))
	}
	w.wantFindings("line-too-long kill")
}

func TestAConnectionSeenInItsMiddleIsNotAccusedOfHaste(t *testing.T) {
	w := newWire(t, setup{passive: true})
	w.p.Flush(w.now)
	w.c("NOOP\r\n")
	w.s("250 ok\r\n")
	w.wantFindings("midstream log")
}
