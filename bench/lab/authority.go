package lab

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// Where hosts find the lab's certificates.
const (
	caPath   = "/etc/lab/ca.pem"
	certPath = "/etc/lab/server.pem"
	keyPath  = "/etc/lab/server.key"
)

// authority is a certificate authority that lives as long as one lab, with the one
// certificate that it issues: the server's.
type authority struct {
	pem     []byte // the authority's own certificate
	pool    *x509.CertPool
	server  tls.Certificate
	certPEM []byte
	keyPEM  []byte
}

func newAuthority() (*authority, error) {
	// A day before and after now: longer than any lab lives, and clocks may differ.
	const lifetime = 24 * time.Hour
	now := time.Now()

	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "Lab CA"},
		NotBefore:             now.Add(-lifetime),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return nil, err
	}

	plan := topology(false)
	server := plan[len(plan)-1]
	name := (&Host{Name: server.name}).FQDN()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{name, server.name},
		IPAddresses:  []net.IP{server.ports[0].ipv4.Addr().AsSlice(), server.ports[0].ipv6.Addr().AsSlice()},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	a := &authority{
		pem:     encodePEM("CERTIFICATE", caDER),
		pool:    x509.NewCertPool(),
		certPEM: encodePEM("CERTIFICATE", leafDER),
		keyPEM:  encodePEM("PRIVATE KEY", keyDER),
	}
	a.pool.AppendCertsFromPEM(a.pem)
	a.server, err = tls.X509KeyPair(a.certPEM, a.keyPEM)
	return a, err
}

func encodePEM(kind string, der []byte) []byte {
	var b bytes.Buffer
	pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}) // a bytes.Buffer never fails
	return b.Bytes()
}
