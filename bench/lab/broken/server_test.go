package broken

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEveryServerKindBehavesAsItsNameSays(t *testing.T) {
	begin := steps(hello(), say("STARTTLS"))
	upgraded := steps(StartTLS(clientTLS()), say("EHLO client.example"), Expect(250), mail(), goodbye())
	refused := func(code int) []Step { return steps(begin, Expect(code), mail(), goodbye()) }
	clientHello := "\x16\x03\x01\x00\x05no\nhello"
	is := func(s ...any) []Step { return steps(append([]any{begin}, s...)...) }

	for _, test := range []struct {
		kind  string
		steps []Step
		mail  bool
		tls   bool
	}{
		{"plain", refused(500), true, false},
		{"honest", is(Expect(220), upgraded), true, true},
		{"multi-line-220", is(Expect(220), upgraded), true, true},
		{"exchange55", refused(554), true, false},
		{"refuses-502", refused(502), true, false},
		{"refuses-454", refused(454), true, false},
		{"rate-limited", refused(454), true, false},
		{"answers-250", refused(250), true, false},
		{"multi-line-250", refused(250), true, false},
		{"answers-334", refused(334), true, false},
		{"answers-garbage", refused(0), true, false},
		{"clear-after-220", is(Expect(220), Send(clientHello, Cut{}), Expect(500), say(""), Expect(500), mail(), goodbye()), true, false},
		{"silent-after-220", is(Expect(220), Send(clientHello, Cut{}), ExpectSilence(200*time.Millisecond)), false, false},
		{"closes-after-220", is(Expect(220), ExpectEnd(EOF)), false, false},
		{"closes-on-client-hello", is(Expect(220), ExpectSilence(100*time.Millisecond), Send(clientHello, Cut{}), ExpectEnd(EOF)), false, false},
		{"alerts-after-220", is(Expect(220), ExpectSilence(100*time.Millisecond), Send(clientHello, Cut{}), ExpectEnd(EOF)), false, false},
		{"injects-after-220", is(Expect(220), upgraded), true, true},
		{"injects-before-server-hello", is(Expect(220), Expect(250), upgraded), true, true},
		{"answers-250-then-220", is(Expect(250), Expect(220), upgraded), true, true},
		{"answers-454-then-220", is(Expect(454), Expect(220), upgraded), true, true},
		{"asa", refused(500), true, false},
		{"no-ehlo", steps(Expect(220), say("EHLO client.example"), Expect(502), say("HELO client.example"), Expect(250), mail(), goodbye()), true, false},
		{"inconsistent-ehlo", steps(hello(), say("EHLO client.example"), Expect(250), say("STARTTLS"), Expect(220), upgraded), true, true},
		{"x-anonymoustls", steps(hello(), say("X-ANONYMOUSTLS"), Expect(220), upgraded), true, true},
		{"trusts-early-octets", steps(hello(), Send("STARTTLS\r\nNOOP\r\n", Cut{}), Expect(220), StartTLS(clientTLS()), Expect(250),
			say("EHLO client.example"), Expect(250), mail(), goodbye()), true, true},
	} {
		t.Run(test.kind, func(t *testing.T) {
			t.Parallel()
			server := serve(t, ServerConfig{Kind: test.kind})
			report := play(t, server.Addr(), test.steps...)
			if test.mail {
				wantMail(t, server, test.tls)
			} else if n := len(server.Messages()); n != 0 {
				t.Errorf("%d messages arrived", n)
			}
			if report.TLS() != test.tls {
				t.Errorf("TLS is up: %t", report.TLS())
			}
		})
	}
}

func TestWhatTheServerSentIsWhatTheClientReceived(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "honest", Cut: Cut{Sizes: []int{7}}})
	report := play(t, server.Addr(), steps(hello(), say("STARTTLS"), Expect(220), StartTLS(clientTLS()), mail2(), goodbye())...)
	eventually(t, "the server sees the client's end", func() bool { return server.Transcripts()[0].Has(Ended) })
	theirs := server.Transcripts()[0]
	for _, d := range []Direction{ToServer, ToClient} {
		if got, want := report.Transcript.Octets(d), theirs.Octets(d); string(got) != string(want) || len(got) == 0 {
			t.Errorf("%v the client has %d octets, the server %d", d, len(got), len(want))
		}
	}
	if !theirs.Has(TLSBegan) || !theirs.Has(Ended) || theirs.Has(Reset) {
		t.Errorf("the server's transcript misses an event:\n%v", theirs)
	}
	text := theirs.String()
	for _, line := range []string{"S: 220 mail.example ESMTP ready", "C: STARTTLS", "S: 220 Ready to start TLS", "S: (TLS has begun)", "octets that are no text"} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
}

// mail2 is mail behind an EHLO of its own, as it is due after TLS has begun.
func mail2() []Step { return steps(say("EHLO client.example"), Expect(250), mail()) }

func TestTheOfferStandsWhereItWasAskedFor(t *testing.T) {
	for place, want := range map[Place]int{First: 1, Middle: 3, Last: 6} {
		server := serve(t, ServerConfig{Kind: "honest", Offer: place, Pipelining: true, Size: true, EightBitMIME: true, Chunking: true, Auth: true})
		report := play(t, server.Addr(), hello()...)
		lines := strings.Split(strings.TrimSpace(string(report.Results[2].Octets)), "\r\n")
		at := slices.IndexFunc(lines, func(l string) bool { return l[4:] == keyword })
		if at != want || len(lines) != 7 {
			t.Errorf("place %d: the offer is line %d, want %d: %q", place, at, want, lines)
		}
		if !strings.HasPrefix(lines[6], "250 ") {
			t.Errorf("the last line does not end the reply: %q", lines)
		}
	}
}

func TestAnInconsistentServerOffersOnce(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "inconsistent-ehlo"})
	report := play(t, server.Addr(), steps(hello(), say("EHLO client.example"), Expect(250))...)
	first, second := string(report.Results[2].Octets), string(report.Results[4].Octets)
	if !strings.Contains(first, keyword) || strings.Contains(second, keyword) {
		t.Errorf("first %q, second %q", first, second)
	}
}

func TestAReplyLeavesInTheGivenSegments(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "honest", Cut: Cut{Sizes: []int{1, 2, 1 << 10}}})
	play(t, server.Addr(), Expect(220))
	var sizes []int
	total := 0
	for _, e := range server.Transcripts()[0].Events {
		if e.What == Octets && e.Direction == ToClient {
			sizes = append(sizes, len(e.Octets))
			total += len(e.Octets)
		}
	}
	if want := []int{1, 2, total - 3}; !slices.Equal(sizes, want) {
		t.Errorf("writes of %v octets, want %v", sizes, want)
	}
}

func TestAMaskedGreetingKeepsItsCodeAndLength(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "asa", MaskGreeting: true, Hostname: "m20.example", Greeting: "hi 0"})
	report := play(t, server.Addr(), hello()...)
	if got, want := string(report.Results[0].Octets), "220 *20******** ** 0\r\n"; got != want {
		t.Errorf("greeting %q, want %q", got, want)
	}
	if got := string(report.Results[2].Octets); !strings.Contains(got, " XXXXXXXA\r\n") || strings.Contains(got, keyword) {
		t.Errorf("EHLO reply %q", got)
	}
}

func TestADiscardedInjectionIsNeverObeyed(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "honest"})
	play(t, server.Addr(), steps(hello(), Send("STARTTLS\r\nNOOP\r\n", Cut{}), Expect(220), StartTLS(clientTLS()),
		ExpectSilence(100*time.Millisecond), say("EHLO client.example"), Expect(250))...)
}

func TestTheAlertIsHandshakeFailureAndArrives(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "alerts-after-220"})
	report := Script{Steps: steps(hello(), say("STARTTLS"), Expect(220), StartTLS(clientTLS()))}.Run(t.Context(), dial(t, server.Addr()))
	if err := report.Err(); err == nil || !strings.Contains(err.Error(), "handshake failure") {
		t.Errorf("the handshake ended with %v", err)
	}
	if got := string(report.Transcript.Octets(ToClient)); !strings.HasSuffix(got, goAhead+"\x15\x03\x03\x00\x02\x02\x28") {
		t.Errorf("the client got %q", got)
	}
}

func TestAnImpossibleConfigurationIsRefused(t *testing.T) {
	ln := listen(t)
	defer func() { _ = ln.Close() }()
	if _, err := Serve(ln, ServerConfig{Kind: "pix-answers"}); err == nil {
		t.Error("a middlebox was taken for a server")
	}
	if _, err := Serve(ln, ServerConfig{Kind: "honest"}); err == nil {
		t.Error("a server that begins TLS was started without a certificate")
	}
	if _, err := Relay(ln, MiddleboxConfig{Kind: "honest"}); err == nil {
		t.Error("a server was taken for a middlebox")
	}
	if _, err := Relay(ln, MiddleboxConfig{Kind: "transparent"}); err == nil {
		t.Error("a middlebox was started with nothing behind it")
	}
}

func TestAReplyIsReplacedFromTheConnectionOnThatIsWanted(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "honest", Reply: func(connection int, verb, reply string) string {
		if connection == 1 && verb == "STARTTLS" {
			return "454 not now\r\n"
		}
		return reply
	}})
	begin := steps(hello(), say("STARTTLS"))
	play(t, server.Addr(), steps(begin, Expect(220), StartTLS(clientTLS()), say("QUIT"), Expect(221))...)
	play(t, server.Addr(), steps(begin, Expect(454), mail(), goodbye())...)
	wantMail(t, server, false)
}
