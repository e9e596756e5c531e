package broken

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// certificates makes one self-signed certificate for all tests.
var certificates = sync.OnceValues(func() (server, client *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"mail.example"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{RootCAs: roots, ServerName: "mail.example"}
})

func clientTLS() *tls.Config {
	_, client := certificates()
	return client
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// serve starts a server for one test.
func serve(t *testing.T, config ServerConfig) *Server {
	t.Helper()
	if config.TLS == nil {
		config.TLS, _ = certificates()
	}
	server, err := Serve(listen(t), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// relay starts a middlebox before a server for one test.
func relay(t *testing.T, kind string, server *Server) *Middlebox {
	t.Helper()
	box, err := Relay(listen(t), MiddleboxConfig{Kind: kind, Dial: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", server.Addr().String())
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	return box
}

func dial(t *testing.T, to net.Addr) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// play leads a dialogue to its end and fails the test where it does not get there.
func play(t *testing.T, to net.Addr, steps ...Step) Report {
	t.Helper()
	report := Script{Steps: steps}.Run(t.Context(), dial(t, to))
	if err := report.Err(); err != nil {
		t.Errorf("%v\n%v", report.Results[len(report.Results)-1], report.Transcript)
	}
	return report
}

// say sends a line.
func say(line string) Step { return Send(line+"\r\n", Cut{}) }

// steps joins steps and lists of steps.
func steps(parts ...any) []Step {
	var all []Step
	for _, p := range parts {
		switch p := p.(type) {
		case Step:
			all = append(all, p)
		case []Step:
			all = append(all, p...)
		}
	}
	return all
}

// The pieces of which most dialogues here are made.
func hello() []Step   { return []Step{Expect(220), say("EHLO client.example"), Expect(250)} }
func goodbye() []Step { return []Step{say("QUIT"), Expect(221), ExpectEnd(EOF)} }
func mail() []Step {
	return []Step{
		say("MAIL FROM:<a@client.example>"), Expect(250),
		say("RCPT TO:<b@mail.example>"), Expect(250),
		say("DATA"), Expect(354),
		say("Subject: hello\r\n\r\n..dot\r\nSTARTTLS\r\n."), Expect(250),
	}
}

// mailText is what arrives of mail.
const mailText = "Subject: hello\r\n\r\n.dot\r\nSTARTTLS\r\n"

// wantMail checks that just that one mail arrived, and how.
func wantMail(t *testing.T, server *Server, throughTLS bool) {
	t.Helper()
	messages := server.Messages()
	if len(messages) != 1 {
		t.Fatalf("%d messages arrived, want 1", len(messages))
	}
	m := messages[0]
	if string(m.Data) != mailText || m.From != "a@client.example" || len(m.To) != 1 || m.To[0] != "b@mail.example" || m.TLS != throughTLS {
		t.Errorf("there arrived %+v, text %q; want it through TLS: %t", m, m.Data, throughTLS)
	}
}
