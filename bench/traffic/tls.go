package traffic

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"time"
)

// OpenSSL are the groups that OpenSSL 3.0 offers, and so most senders.
var OpenSSL = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}

// Hello is what both ends of a TLS handshake say first.
type Hello struct{ Client, Server []byte }

// Shake plays a TLS 1.3 handshake of crypto/tls in memory and returns the first flights.
// The groups are the client's; none: Go's own choice, whose first is post-quantum and
// makes a ClientHello of about 1,500 octets.
func Shake(groups ...tls.CurveID) (Hello, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Hello{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx7.example.org"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return Hello{}, err
	}
	a, b := net.Pipe()
	defer a.Close()
	var h Hello
	failed := make(chan error, 1)
	go func() {
		defer b.Close()
		failed <- tls.Server(&listener{Conn: b, heard: &h.Client, said: &h.Server}, &tls.Config{
			Certificates:           []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
			SessionTicketsDisabled: true,
		}).Handshake()
	}()
	err = tls.Client(a, &tls.Config{ServerName: "mx7.example.org", InsecureSkipVerify: true, CurvePreferences: groups}).Handshake()
	if err == nil {
		err = <-failed
	}
	if err != nil {
		return Hello{}, fmt.Errorf("the handshake to be replayed failed: %w", err)
	}
	return h, nil
}

// listener keeps what was read before anything was written, and what was written at
// first.
type listener struct {
	net.Conn
	heard, said *[]byte
}

// Read reads, and keeps the first flight.
func (l *listener) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if len(*l.said) == 0 {
		*l.heard = append(*l.heard, b[:n]...)
	}
	return n, err
}

// Write writes, and keeps what was written.
func (l *listener) Write(b []byte) (int, error) {
	*l.said = append(*l.said, b...)
	return l.Conn.Write(b)
}

// Protected returns records of application data (RFC 8446 section 5.2) with n octets in
// them, whose octets nobody can read: they are chance.
func Protected(n int) []byte {
	const most = 1 << 14
	random := Chance(6)
	b := make([]byte, 0, n+n/most*5+5)
	for n > 0 {
		size := min(n, most)
		b = append(b, 23, 3, 3, byte(size>>8), byte(size))
		for range size {
			b = append(b, byte(random.Uint32()))
		}
		n -= size
	}
	return b
}
