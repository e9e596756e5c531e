package broken

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

func TestEveryMiddleboxKindTampersAsItsNameSays(t *testing.T) {
	upgraded := steps(Expect(220), StartTLS(clientTLS()), mail2(), goodbye())
	for _, test := range []struct {
		kind, server string
		steps        []Step
		tls          bool
		ehlo         string // what the client gets for an EHLO reply
		toServer     string // the command that reaches the server in STARTTLS's place
	}{
		{"transparent", "honest", steps(hello(), say("STARTTLS"), upgraded), true, "250-mail.example greets you\r\n250 STARTTLS\r\n", "STARTTLS\r\n"},
		{"pix-answers", "honest", steps(hello(), say("STARTTLS"), Expect(250), mail(), goodbye()), false, "250-mail.example greets you\r\n250 STARTTLS\r\n", ""},
		{"pix-noop", "honest", steps(hello(), say("STARTTLS"), Expect(250), mail(), goodbye()), false, "250-mail.example greets you\r\n250 STARTTLS\r\n", "NOOP    \r\n"},
		{"asa-mask", "honest", steps(hello(), say("StartTLS"), Expect(500), mail(), goodbye()), false, "250-mail.example greets you\r\n250 XXXXXXXA\r\n", "XXXXXXXX\r\n"},
		{"strip-line", "honest", steps(hello(), mail(), goodbye()), false, "250 mail.example greets you\r\n", ""},
		{"mask-greeting", "honest", steps(hello(), say("STARTTLS"), upgraded), true, "250-mail.example greets you\r\n250 STARTTLS\r\n", "STARTTLS\r\n"},
		{"injector", "honest", steps(hello(), say("STARTTLS"), Expect(220), Expect(250), upgraded[1:]), true, "250-mail.example greets you\r\n250 STARTTLS\r\n", "STARTTLS\r\n"},
	} {
		for name, cut := range map[string]Cut{"whole": {}, "one octet a segment": {Sizes: []int{1}}} {
			t.Run(test.kind+", "+name, func(t *testing.T) {
				t.Parallel()
				server := serve(t, ServerConfig{Kind: test.server, Cut: cut})
				box := relay(t, test.kind, server)
				report := play(t, box.Addr(), test.steps...)
				wantMail(t, server, test.tls)
				if got := string(report.Results[2].Octets); got != test.ehlo {
					t.Errorf("EHLO reply %q, want %q", got, test.ehlo)
				}
				sent := string(server.Transcripts()[0].Octets(ToServer))
				if asked := bytes.Contains([]byte(sent), []byte("client.example\r\n"+test.toServer)); !asked {
					t.Errorf("the server got %.80q, want %q in it", sent, test.toServer)
				}
				if test.toServer == "" && strings.Contains(sent[:40], keyword) {
					t.Errorf("the server was asked for TLS: %.80q", sent)
				}
			})
		}
	}
}

func TestAMiddleboxsTwoSidesAreWhatTheEndsSaw(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "honest"})
	box := relay(t, "injector", server)
	report := play(t, box.Addr(), steps(hello(), say("STARTTLS"), Expect(220), Expect(250), StartTLS(clientTLS()), mail2(), goodbye())...)
	if err := errors.Join(box.Close(), server.Close()); err != nil {
		t.Fatal(err)
	}
	passage, theirs := box.Passages()[0], server.Transcripts()[0]
	for _, d := range []Direction{ToServer, ToClient} {
		if !bytes.Equal(passage.Client.Octets(d), report.Transcript.Octets(d)) {
			t.Errorf("%v the client's side is not what the client saw", d)
		}
		if !bytes.Equal(passage.Server.Octets(d), theirs.Octets(d)) {
			t.Errorf("%v the server's side is not what the server saw", d)
		}
	}
	if !bytes.Contains(passage.Client.Octets(ToClient), []byte(forgedReply)) || bytes.Contains(theirs.Octets(ToClient), []byte(forgedReply)) {
		t.Error("the forged reply is not the middlebox's own")
	}
}

func TestTheWallOf1999LeavesClientAndServerApart(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "exchange55"})
	box := relay(t, "pix-answers", server)
	// As Postfix does: any 2xx is taken for a yes.
	report := Script{Steps: steps(hello(), say("STARTTLS"), Expect(250), StartTLS(clientTLS()))}.Run(t.Context(), dial(t, box.Addr()))
	if report.TLS() || report.Err() == nil {
		t.Errorf("TLS has begun through the wall: %v", report.Results)
	}
	if err := errors.Join(box.Close(), server.Close()); err != nil {
		t.Fatal(err)
	}
	if got := server.Transcripts()[0].Octets(ToServer); !bytes.Contains(got, []byte("EHLO client.example\r\n\x16\x03\x01")) {
		t.Errorf("the server did not get the ClientHello in clear text: %.60q", got)
	}
}

func TestTheOfferIsStrippedWhereverItStands(t *testing.T) {
	for _, place := range []Place{First, Middle, Last} {
		server := serve(t, ServerConfig{Kind: "honest", Offer: place, Pipelining: true, EightBitMIME: true})
		box := relay(t, "strip-line", server)
		report := play(t, box.Addr(), steps(hello(), say("NOOP"), Expect(250))...)
		if got, want := string(report.Results[2].Octets), "250-mail.example greets you\r\n250-PIPELINING\r\n250 8BITMIME\r\n"; got != want {
			t.Errorf("place %d: got %q, want %q", place, got, want)
		}
	}
}

func TestAMiddleboxLetsAKeywordInMailDataPass(t *testing.T) {
	for _, kind := range []string{"pix-answers", "pix-noop", "asa-mask"} {
		server := serve(t, ServerConfig{Kind: "honest"})
		box := relay(t, kind, server)
		// The text of mail has a line STARTTLS. The box must notice its end, too.
		play(t, box.Addr(), steps(hello(), mail(), say("STARTTLS"), Expect(0), goodbye())...)
		wantMail(t, server, false)
		if got := server.Transcripts()[0].Octets(ToServer); bytes.Count(got, []byte(keyword)) != 1 {
			t.Errorf("%s: the server got %q", kind, got)
		}
	}
}

func TestAResetPassesThroughAMiddlebox(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "silent-after-220"})
	box := relay(t, "transparent", server)
	conn := dial(t, box.Addr()).(*net.TCPConn)
	// Run closes the connection; without lingering that is a RST.
	if err := conn.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	report := Script{Steps: hello()}.Run(t.Context(), conn)
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server sees the reset", func() bool { return server.Transcripts()[0].Has(Reset) })
}

func TestAnUnreachableServerResetsTheClient(t *testing.T) {
	box, err := Relay(listen(t), MiddleboxConfig{Kind: "transparent", Dial: func(context.Context) (net.Conn, error) {
		time.Sleep(50 * time.Millisecond) // a RST any sooner would meet the client's own connect
		return nil, errors.New("nobody there")
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = box.Close() }() // checked elsewhere
	play(t, box.Addr(), ExpectEnd(WasReset))
	if p := box.Passages(); len(p) != 1 || p[0].Server.Events != nil {
		t.Errorf("passages %+v", p)
	}
}

// eventually waits, bounded, for what another goroutine is about to do.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func FuzzALineFilterGivesTheSameForEveryCut(f *testing.F) {
	f.Add([]byte("220 hi\r\n250-a\r\n250 STARTTLS\r\n220 go\r\n\x16\x03"), uint8(1))
	f.Add([]byte("250-a\r\n250-STARTTLS\r\n250 b\r\n354 go\r\n25"), uint8(3))
	f.Fuzz(func(t *testing.T, octets []byte, size uint8) {
		for _, kind := range kinds {
			if kind.Role != RoleMiddlebox {
				continue
			}
			whole, pieces := newReplyFilter(kind.box), newReplyFilter(kind.box)
			want := whole.flush(whole.feed(nil, octets))
			var got []byte
			for rest := octets; len(rest) > 0; {
				n := min(len(rest), int(size)+1)
				got = pieces.feed(got, rest[:n])
				rest = rest[n:]
			}
			got = pieces.flush(got)
			if !bytes.Equal(got, want) {
				t.Errorf("%s: in pieces %q, whole %q", kind.Name, got, want)
			}
			if kind.Name == "transparent" && !bytes.Equal(got, octets) {
				t.Errorf("%q became %q", octets, got)
			}
		}
	})
}

// newReplyFilter returns the filter of a passage in which STARTTLS has been asked for.
func newReplyFilter(kind boxBehaviour) *lineFilter {
	p := &passage{kind: kind}
	p.asked.Store(true)
	return &lineFilter{mayEdit: mayBeReply, edit: p.editReply, opaque: p.opaque.Load}
}

func TestOctetsThatAreNoLineAreNotWithheld(t *testing.T) {
	p := &passage{kind: boxBehaviour{command: overwriteVerb(maskedVerb)}}
	filter := &lineFilter{mayEdit: p.mayBeCommand, edit: p.editCommand, opaque: p.opaque.Load}
	for _, step := range []struct{ in, out string }{
		{"\x16\x03\x01", "\x16\x03\x01"}, {"more\n", "more\n"},
		{"STAR", ""}, {"X", "STARX"}, {"Y\r\n", "Y\r\n"},
		{"sTART", ""}, {"TLS\r", ""}, {"\n", "XXXXXXXX\r\n"},
	} {
		if got := string(filter.feed(nil, []byte(step.in))); got != step.out {
			t.Errorf("%q gave %q, want %q", step.in, got, step.out)
		}
	}
}
