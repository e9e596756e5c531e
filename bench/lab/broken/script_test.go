package broken

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// TestEveryDialogueComesOutAsItSaysWithAnHonestServer is the reference run of the
// matrices: nobody between.
func TestEveryDialogueComesOutAsItSaysWithAnHonestServer(t *testing.T) {
	wantCodes := map[string][]int{ // of those that don't upgrade
		"leading-blank":                 {220, 250, 500},
		"longer-verb":                   {220, 250, 500},
		"parameter":                     {220, 250, 501},
		"injection-one-segment":         {220, 250, 220},
		"injection-two-segments":        {220, 250, 220, 0}, // RSET went into the TLS parser, which sent an alert
		"injection-part-of-a-line":      {220, 250, 220},
		"injection-one-octet-a-segment": {220, 250, 220, 0},
		"early-hello-one-segment":       {220, 250, 220}, // the server has thrown the ClientHello away
		"plaintext-after-220":           {220, 250, 220},
	}
	for _, d := range Dialogues(clientTLS()) {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, ServerConfig{Kind: "honest", AnswerDelay: 100 * time.Millisecond})
			report := d.Script.Run(t.Context(), dial(t, server.Addr()))
			if report.TLS() != d.Upgrades || d.Upgrades && report.Err() != nil {
				t.Errorf("TLS is up: %t, %v\n%v", report.TLS(), report.Err(), report.Transcript)
			}
			if d.Upgrades {
				return
			}
			got := report.Codes()
			want, known := wantCodes[d.Name]
			if !known {
				t.Fatal("the test knows no codes for it")
			}
			for i, code := range want {
				if code != 0 && (i >= len(got) || got[i] != code) {
					t.Errorf("codes %v, want %v\n%v", got, want, report.Transcript)
				}
			}
		})
	}
}

func TestAnInjectedCommandIsObeyedByAServerThatTrustsIt(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "trusts-early-octets"})
	report := play(t, server.Addr(), steps(hello(), Send("STARTTLS\r\nEHLO evil.example\r\n", Cut{}), Expect(220),
		StartTLS(clientTLS()), Expect(250), mail(), goodbye())...)
	if report.TLS() && server.Messages()[0].HELO != "evil.example" {
		t.Errorf("HELO is %q", server.Messages()[0].HELO)
	}
}

func TestAStepReportsHowTheConnectionEnded(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*net.TCPConn) error
		step Step
		want State
		ok   bool
	}{
		"closed and expected":    {func(c *net.TCPConn) error { return c.Close() }, ExpectEnd(EOF), EOF, true},
		"closed, not reset":      {func(c *net.TCPConn) error { return c.Close() }, ExpectEnd(WasReset), EOF, false},
		"closed, not a reply":    {func(c *net.TCPConn) error { return c.Close() }, Expect(220), EOF, false},
		"closed, not silent":     {func(c *net.TCPConn) error { return c.Close() }, ExpectSilence(time.Second), EOF, false},
		"closed while listening": {func(c *net.TCPConn) error { return c.Close() }, Listen(time.Second), EOF, true},
		"reset and expected":     {func(c *net.TCPConn) error { _ = c.SetLinger(0); return c.Close() }, ExpectEnd(WasReset), WasReset, true},
		"reset, either will do":  {func(c *net.TCPConn) error { _ = c.SetLinger(0); return c.Close() }, ExpectEnd(Open), WasReset, true},
		"silent and expected":    {func(*net.TCPConn) error { return nil }, ExpectSilence(20 * time.Millisecond), Open, true},
		"silent while listening": {func(*net.TCPConn) error { return nil }, Listen(20 * time.Millisecond), Open, true},
		"silent, not a reply":    {func(*net.TCPConn) error { return nil }, Expect(220), TimedOut, false},
		"silent, not the end":    {func(*net.TCPConn) error { return nil }, ExpectEnd(EOF), TimedOut, false},
		"a reply, not silent":    {func(c *net.TCPConn) error { _, err := c.Write([]byte("220 x\r\n")); return err }, ExpectSilence(time.Second), Open, false},
		"the wrong reply":        {func(c *net.TCPConn) error { _, err := c.Write([]byte("554-x\r\n554 y\r\n")); return err }, Expect(220), Open, false},
		"any reply":              {func(c *net.TCPConn) error { _, err := c.Write([]byte("554-x\r\n554 y\r\n")); return err }, Expect(0), Open, true},
	} {
		t.Run(name, func(t *testing.T) {
			ln := listen(t)
			defer func() { _ = ln.Close() }() // nobody waits on it any more
			conn := dial(t, ln.Addr())
			peer, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = peer.Close() }() // some cases have closed it
			if err := test.end(peer.(*net.TCPConn)); err != nil {
				t.Fatal(err)
			}
			report := Script{Steps: []Step{test.step}, Patience: 100 * time.Millisecond}.Run(t.Context(), conn)
			if report.State() != test.want || (report.Err() == nil) != test.ok {
				t.Errorf("%v, want %v and success: %t", report.Results[0], test.want, test.ok)
			}
		})
	}
}

func TestAScriptEndsAtTheFirstStepThatFails(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "plain"})
	report := Script{Steps: steps(Expect(554), say("QUIT"))}.Run(t.Context(), dial(t, server.Addr()))
	if len(report.Results) != 1 || report.Err() == nil || report.State() != Open || !strings.Contains(report.Err().Error(), "220 mail.example") {
		t.Errorf("results %v", report.Results)
	}
}

func TestAScriptStopsWithItsContext(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "plain"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	report := Script{Steps: steps(Expect(220), Expect(250)), Patience: time.Minute}.Run(ctx, dial(t, server.Addr()))
	if report.Err() == nil || time.Since(began) > 2*time.Second {
		t.Errorf("%v after %v", report.Results, time.Since(began))
	}
}

func TestSurplusBehindThe220IsReportedAndNotFedToTLS(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "injects-after-220"})
	report := play(t, server.Addr(), steps(hello(), say("STARTTLS"), Expect(220), StartTLS(clientTLS()))...)
	last := report.Results[len(report.Results)-1]
	if string(last.Octets) != forgedReply || len(last.Codes) != 1 || last.Codes[0] != 250 || !last.TLS {
		t.Errorf("%v with %q", last, last.Octets)
	}
}
