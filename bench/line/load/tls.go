package load

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"time"
)

// groups are the key exchanges of both sides: the one that mail servers of today choose,
// and the cheapest. Go's own first choice would be post-quantum.
var groups = []tls.CurveID{tls.X25519}

// serverTLS makes a server's configuration: TLS 1.3, a certificate on ECDSA P-256 of its
// own making, and no resumption, so that each session has a whole handshake.
func serverTLS() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	const lifetime = 7 * 24 * time.Hour // more than any measurement takes
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: hostName},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(lifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		DNSNames:     []string{hostName},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates:                []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion:                  tls.VersionTLS13,
		CurvePreferences:            groups,
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true,
	}, nil
}

// clientTLS makes a client's configuration. Like a mail server that uses TLS where it is
// offered (RFC 7435) it asks nobody whose the certificate is; that the server has its key,
// crypto/tls verifies in any case.
func clientTLS() *tls.Config {
	return &tls.Config{
		ServerName:                  hostName,
		InsecureSkipVerify:          true,
		MinVersion:                  tls.VersionTLS13,
		CurvePreferences:            groups,
		DynamicRecordSizingDisabled: true,
	}
}

// cork is a connection whose octets leave when input is waited for, or when they are
// many: crypto/tls sends each record by a call of its own.
type cork struct {
	net.Conn
	out []byte
}

// corkOctets is how much is gathered: several records of the largest size, 16 KiB.
const corkOctets = 128 << 10

// Write gathers p.
func (c *cork) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	if len(c.out) < corkOctets {
		return len(p), nil
	}
	return len(p), c.flush()
}

// Read sends what was gathered and waits for input.
func (c *cork) Read(p []byte) (int, error) {
	if err := c.flush(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// SetWriteDeadline does nothing: the session has a deadline of its own, and crypto/tls sets
// one that has passed before it closes, when its last record is still here.
func (c *cork) SetWriteDeadline(time.Time) error { return nil }

// Close sends what was gathered and closes the connection.
func (c *cork) Close() error {
	err := c.flush()
	if e := c.Conn.Close(); err == nil {
		err = e
	}
	return err
}

func (c *cork) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.out)
	c.out = c.out[:0]
	return err
}
