package broken

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"net/smtp"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestMailDataEndsAtCRLFDotCRLFAlone(t *testing.T) {
	for _, test := range []struct{ wire, text, left string }{
		{".\r\nQUIT\r\n", "", "QUIT\r\n"},
		{"a\r\n.\r\nQUIT", "a\r\n", "QUIT"},
		{"a\r\n..\r\n...b\r\n.c\r\n.\r\n", "a\r\n.\r\n..b\r\nc\r\n", ""},
		{"a\n.\n\n.\r\n.\r\r\n\r\n.\n\r\n.\r\n", "a\n.\n\n.\r\n\r\r\n\r\n\n\r\n", ""},
		{strings.Repeat("x", 40) + "\r\n.\r\n", strings.Repeat("x", 40) + "\r\n", ""},
		// The buffer of 16 octets ends between CR and LF, and behind a CR without LF.
		{strings.Repeat("x", 15) + "\r\n.\r\n", strings.Repeat("x", 15) + "\r\n", ""},
		{strings.Repeat("x", 15) + "\rx.\r\n\r\n.\r\n", strings.Repeat("x", 15) + "\rx.\r\n\r\n", ""},
	} {
		for name, source := range map[string]*bufio.Reader{
			"whole":        bufio.NewReaderSize(strings.NewReader(test.wire), 16),
			"octet by one": bufio.NewReaderSize(iotest.OneByteReader(strings.NewReader(test.wire)), 16),
		} {
			text, fits, err := readText(source, 1<<20)
			if err != nil || !fits || string(text) != test.text {
				t.Errorf("%q, %s: got %q, fits %t, %v; want %q", test.wire, name, text, fits, err, test.text)
			}
			var left bytes.Buffer
			if _, err := left.ReadFrom(source); err != nil || left.String() != test.left {
				t.Errorf("%q, %s: left %q, %v; want %q", test.wire, name, &left, err, test.left)
			}
		}
	}
}

func TestAMessageBeyondTheLimitIsReadAndRefused(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "plain", Size: true, Limits: Limits{Message: 30}})
	envelope := []Step{say("MAIL FROM:<a@client.example>"), Expect(250), say("RCPT TO:<b@mail.example>"), Expect(250), say("DATA"), Expect(354)}
	play(t, server.Addr(), steps(hello(),
		envelope, say(strings.Repeat("too long\r\n", 4)+"."), Expect(552),
		say("MAIL FROM:<a@client.example> SIZE=31"), Expect(552),
		envelope, say("short\r\n."), Expect(250), goodbye())...)
	if m := server.Messages(); len(m) != 1 || string(m[0].Data) != "short\r\n" {
		t.Errorf("messages %+v", m)
	}
}

func TestMailIsPutOffWhenTheStoreIsFull(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "plain", Limits: Limits{Stored: int64(len(mailText))}})
	second := mail()
	second[len(second)-1] = Expect(452)
	play(t, server.Addr(), steps(hello(), mail(), second, goodbye())...)
	wantMail(t, server, false)
}

func TestChunksAreJoinedToOneMessage(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "plain", Chunking: true})
	play(t, server.Addr(), steps(hello(),
		say("MAIL FROM:<a@client.example>"), Expect(250), say("RCPT TO:<b@mail.example>"), Expect(250),
		Send("BDAT 7\r\n.\r\nDATABDAT 4\r\n\x00\n.\r", Cut{}), Expect(250), Expect(250),
		say("DATA"), Expect(503),
		say("BDAT 0 LAST"), Expect(250),
		Send("BDAT 6\r\nQUIT\r\n", Cut{}), Expect(503),
		say("BDAT 9223372036854775808"), Expect(501), ExpectEnd(EOF))...)
	if m := server.Messages(); len(m) != 1 || string(m[0].Data) != ".\r\nDATA\x00\n.\r" {
		t.Errorf("messages %+v", m)
	}
}

func TestAHugeChunkIsRefusedOnlyOnceItIsRead(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "plain", Chunking: true, Limits: Limits{Message: 5}})
	envelope := []Step{say("MAIL FROM:<a@client.example>"), Expect(250), say("RCPT TO:<b@mail.example>"), Expect(250)}
	play(t, server.Addr(), steps(hello(), envelope,
		Send("BDAT 6 LAST\r\nQUIT\r\n", Cut{}), Expect(552),
		envelope, Send("BDAT 1\r\na", Cut{}), Expect(250),
		// Together with the octet before it this would overflow 64 bits.
		say("BDAT 9223372036854775807"), ExpectSilence(100*time.Millisecond))...)
	if n := len(server.Messages()); n != 0 {
		t.Errorf("%d messages arrived", n)
	}
}

func TestEveryWayToAuthenticateIsAccepted(t *testing.T) {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	plain := b64("\x00joe\x00secret")
	for name, exchange := range map[string][]Step{
		"plain at once": {say("AUTH PLAIN " + plain), Expect(235)},
		"plain on 334":  {say("AUTH PLAIN"), Expect(334), say(plain), Expect(235)},
		"login":         {say("AUTH LOGIN"), Expect(334), say(b64("joe")), Expect(334), say(b64("secret")), Expect(235)},
		"login at once": {say("auth login " + b64("joe")), Expect(334), say(b64("secret")), Expect(235)},
		"after giving up": {say("AUTH PLAIN"), Expect(334), say("*"), Expect(501), say("AUTH X"), Expect(504),
			say("AUTH PLAIN " + plain), Expect(235), say("AUTH PLAIN " + plain), Expect(503)},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, ServerConfig{Kind: "plain", Auth: true})
			play(t, server.Addr(), steps(hello(), exchange, mail(), goodbye())...)
			wantMail(t, server, false)
			if user := server.Messages()[0].User; user != "joe" {
				t.Errorf("authenticated as %q", user)
			}
		})
	}
}

func TestCommandsOutOfPlaceAreRefused(t *testing.T) {
	server := serve(t, ServerConfig{Kind: "plain"})
	play(t, server.Addr(), steps(Expect(220),
		say("MAIL FROM:<a@client.example>"), Expect(503),
		say("EHLO"), Expect(501),
		say("HELO client.example"), Expect(250),
		say("RCPT TO:<b@mail.example>"), Expect(503),
		say("DATA"), Expect(503),
		say("MAIL <a@client.example>"), Expect(501),
		say("MAIL FROM:<>"), Expect(250),
		say("MAIL FROM:<>"), Expect(503),
		say("DATA"), Expect(554),
		say("RCPT TO:<>"), Expect(501),
		say("AUTH PLAIN"), Expect(500),
		say("BDAT 1"), Expect(500),
		say("RSET"), Expect(250),
		say("RCPT TO:<b@mail.example>"), Expect(503),
		say("VRFY b"), Expect(252),
		say(strings.Repeat("x", 3*maxLine)), Expect(500),
		say("NOOP"), Expect(250),
		goodbye())...)
}

func TestTheStandardLibrarysClientDeliversWhereItCan(t *testing.T) {
	for _, test := range []struct {
		kind      string
		startTLS  string // what the client's own error says, "" for none
		delivered bool   // on the same connection, whether or not TLS came about
		tls       bool
	}{
		{kind: "honest", delivered: true, tls: true},
		{kind: "exchange55", startTLS: "Unable to initialize security subsystem", delivered: true},
		{kind: "refuses-454", startTLS: "454", delivered: true},
		{kind: "answers-250", startTLS: "250", delivered: true},
		{kind: "alerts-after-220", startTLS: "handshake failure"},
		{kind: "closes-after-220", startTLS: "EOF"},
		{kind: "clear-after-220", startTLS: "first record does not look like a TLS handshake"},
		{kind: "injects-before-server-hello", startTLS: "first record does not look like a TLS handshake"},
	} {
		t.Run(test.kind, func(t *testing.T) {
			t.Parallel()
			server := serve(t, ServerConfig{Kind: test.kind})
			client, err := smtp.NewClient(dial(t, server.Addr()), "mail.example")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = client.Close() }() // after Quit it is closed already
			switch err := client.StartTLS(clientTLS()); {
			case test.startTLS == "" && err != nil, test.startTLS != "" && !strings.Contains(fmt.Sprint(err), test.startTLS):
				t.Fatalf("STARTTLS: %v, want %q", err, test.startTLS)
			}
			if !test.delivered {
				return
			}
			if err := deliver(client); err != nil {
				t.Fatal(err)
			}
			wantMail(t, server, test.tls)
		})
	}
}

// deliver sends the text of mail by Go's client.
func deliver(client *smtp.Client) error {
	if err := client.Mail("a@client.example"); err != nil {
		return err
	}
	if err := client.Rcpt("b@mail.example"); err != nil {
		return err
	}
	text, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := text.Write([]byte(mailText)); err != nil {
		return err
	}
	if err := text.Close(); err != nil {
		return err
	}
	return client.Quit()
}
