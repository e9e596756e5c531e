package tlsrecord

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"
)

// flight is what each side of a connection sent.
type flight struct{ client, server []byte }

// recorder keeps what is written to a connection.
type recorder struct {
	net.Conn
	sent bytes.Buffer
}

func (r *recorder) Write(b []byte) (int, error) {
	r.sent.Write(b)
	return r.Conn.Write(b)
}

func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// loopback returns the two ends of a connection. net.Pipe, which has no buffer, would
// stall where both sides write at once.
func loopback(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// handshake lets crypto/tls speak with itself, and sends one octet each way if that
// succeeds.
func handshake(t testing.TB, client, server *tls.Config) flight {
	t.Helper()
	server.Certificates = []tls.Certificate{certificate(t)}
	client.InsecureSkipVerify = true
	clientEnd, serverEnd := loopback(t)
	deadline := time.Now().Add(10 * time.Second)
	clientEnd.SetDeadline(deadline)
	serverEnd.SetDeadline(deadline)
	clientSide, serverSide := &recorder{Conn: clientEnd}, &recorder{Conn: serverEnd}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer serverEnd.Close()
		conn := tls.Server(serverSide, server)
		var b [1]byte
		if _, err := conn.Read(b[:]); err == nil {
			conn.Write(b[:])
		}
	}()
	conn := tls.Client(clientSide, client)
	if _, err := conn.Write([]byte{'x'}); err == nil {
		var b [1]byte
		conn.Read(b[:])
	}
	clientEnd.Close()
	<-done
	return flight{clientSide.sent.Bytes(), serverSide.sent.Bytes()}
}

func flights(t testing.TB) map[string]flight {
	t.Helper()
	var protocols []string
	for i := range 100 {
		protocols = append(protocols, string(bytes.Repeat([]byte{'a' + byte(i%26)}, 250)))
	}
	return map[string]flight{
		"TLS 1.3":         handshake(t, &tls.Config{ServerName: "mx.example.org"}, &tls.Config{}),
		"TLS 1.3, no SNI": handshake(t, &tls.Config{}, &tls.Config{}),
		"TLS 1.2": handshake(t, &tls.Config{ServerName: "mx.example.org", MaxVersion: tls.VersionTLS12},
			&tls.Config{}),
		"TLS 1.2 chosen": handshake(t, &tls.Config{ServerName: "mx.example.org"}, &tls.Config{MaxVersion: tls.VersionTLS12}),
		"TLS 1.0": handshake(t, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10},
			&tls.Config{MinVersion: tls.VersionTLS10}),
		"retry": handshake(t, &tls.Config{ServerName: "mx.example.org"},
			&tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP521}}),
		"versions disagree": handshake(t, &tls.Config{ServerName: "mx.example.org", MaxVersion: tls.VersionTLS12},
			&tls.Config{MinVersion: tls.VersionTLS13}),
		"over 16 KiB": handshake(t, &tls.Config{ServerName: "mx.example.org", NextProtos: protocols}, &tls.Config{}),
	}
}

// seen is an event with all that the parser says at it.
type seen struct {
	Event   Event
	At      int // octets consumed up to it
	Version uint16
	SNI     string
	Alert   string
}

// parse feeds the pieces and returns all events; it stops at NotTLS.
func parse(t testing.TB, pieces ...[]byte) []seen {
	t.Helper()
	var p Parser
	var list []seen
	at := 0
	for _, b := range pieces {
		for {
			n, ev := p.Parse(b)
			at += n
			b = b[n:]
			if ev == None {
				if len(b) != 0 {
					t.Fatalf("%d octets left over", len(b))
				}
				break
			}
			s := seen{Event: ev, At: at}
			switch ev {
			case ClientHello, ServerHello, HelloRetryRequest:
				s.Version, s.SNI = p.Version(), string(p.SNI())
				if p.Malformed() {
					s.Alert = "malformed"
				}
			case Alert:
				s.Alert = p.AlertName()
			}
			list = append(list, s)
			if ev == NotTLS {
				return list
			}
		}
	}
	return list
}

func expect(t *testing.T, got []seen, want ...seen) {
	t.Helper()
	for i := range got {
		got[i].At = 0
	}
	if !slices.Equal(got, want) {
		t.Errorf("events are %v,\nwant %v", got, want)
	}
}

func TestRealHandshakesAreFollowed(t *testing.T) {
	const name = "mx.example.org"
	all := flights(t)
	tests := []struct {
		flight         string
		client, server []seen
	}{
		{"TLS 1.3",
			[]seen{{Event: ClientHello, Version: 0x0304, SNI: name}, {Event: ChangeCipherSpec}, {Event: ApplicationData}},
			[]seen{{Event: ServerHello, Version: 0x0304}, {Event: ChangeCipherSpec}, {Event: ApplicationData}}},
		{"TLS 1.3, no SNI",
			[]seen{{Event: ClientHello, Version: 0x0304}, {Event: ChangeCipherSpec}, {Event: ApplicationData}},
			[]seen{{Event: ServerHello, Version: 0x0304}, {Event: ChangeCipherSpec}, {Event: ApplicationData}}},
		{"TLS 1.2",
			[]seen{{Event: ClientHello, Version: 0x0303, SNI: name}, {Event: ChangeCipherSpec}, {Event: ApplicationData}},
			[]seen{{Event: ServerHello, Version: 0x0303}, {Event: ChangeCipherSpec}, {Event: ApplicationData}}},
		{"TLS 1.2 chosen",
			[]seen{{Event: ClientHello, Version: 0x0304, SNI: name}, {Event: ChangeCipherSpec}, {Event: ApplicationData}},
			[]seen{{Event: ServerHello, Version: 0x0303}, {Event: ChangeCipherSpec}, {Event: ApplicationData}}},
		{"TLS 1.0",
			[]seen{{Event: ClientHello, Version: 0x0301}, {Event: ChangeCipherSpec}, {Event: ApplicationData}},
			[]seen{{Event: ServerHello, Version: 0x0301}, {Event: ChangeCipherSpec}, {Event: ApplicationData}}},
		{"retry",
			[]seen{{Event: ClientHello, Version: 0x0304, SNI: name}, {Event: ChangeCipherSpec}, {Event: ApplicationData}},
			[]seen{{Event: HelloRetryRequest, Version: 0x0304}, {Event: ChangeCipherSpec},
				{Event: ServerHello, Version: 0x0304}, {Event: ApplicationData}}},
		{"versions disagree",
			[]seen{{Event: ClientHello, Version: 0x0303, SNI: name}},
			[]seen{{Event: Alert, Alert: "protocol_version"}}},
		{"over 16 KiB",
			[]seen{{Event: ClientHello, Version: 0x0304, SNI: name}, {Event: ChangeCipherSpec}, {Event: ApplicationData}},
			[]seen{{Event: ServerHello, Version: 0x0304}, {Event: ChangeCipherSpec}, {Event: ApplicationData}}},
	}
	for _, c := range tests {
		t.Run(c.flight, func(t *testing.T) {
			f := all[c.flight]
			expect(t, parse(t, f.client), c.client...)
			expect(t, parse(t, f.server), c.server...)
			if !MayBeClientHello(f.client) {
				t.Error("the client's octets can't be a ClientHello")
			}
			if MayBeClientHello(f.server) {
				t.Error("the server's octets may be a ClientHello")
			}
		})
	}
}

func TestEverySplitGivesTheSameEvents(t *testing.T) {
	for name, f := range flights(t) {
		for side, b := range map[string][]byte{"client": f.client, "server": f.server} {
			whole := parse(t, b)
			var octets [][]byte
			for i := range b {
				octets = append(octets, b[i:i+1])
			}
			if got := parse(t, octets...); !slices.Equal(got, whole) {
				t.Errorf("%s, %s, octet by octet: %v,\nwant %v", name, side, got, whole)
			}
			for i := range min(len(b), 4000) {
				if got := parse(t, b[:i], b[i:]); !slices.Equal(got, whole) {
					t.Errorf("%s, %s, split at %d: %v,\nwant %v", name, side, i, got, whole)
				}
			}
		}
	}
}
