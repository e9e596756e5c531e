package lab

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"

	"keepword/bench/lab/broken"
)

// BreakServer runs a small server of a broken kind on port 25 of the server host,
// in the place of a real one. The caller closes it.
func (l *Lab) BreakServer(config broken.ServerConfig) (*broken.Server, error) {
	if config.TLS == nil {
		config.TLS = &tls.Config{Certificates: []tls.Certificate{l.ca.server}}
	}
	if config.Hostname == "" {
		config.Hostname = l.Server.FQDN()
	}
	listener, err := l.Server.Listen("tcp", fmt.Sprintf(":%d", smtpPort))
	if err != nil {
		return nil, err
	}
	s, err := broken.Serve(listener, config)
	if err != nil {
		listener.Close()
	}
	return s, err
}

// BreakBox runs a middlebox of a broken kind on the host between gateway and server;
// everything that comes for port 25 goes through it. Behind it, connections go to
// the server's IPv4 address and come from the box. It may be used once in a lab; the
// caller closes it.
func (l *Lab) BreakBox(ctx context.Context, kind string) (*broken.Middlebox, error) {
	listener, err := l.Box.Intercept(ctx, smtpPort)
	if err != nil {
		return nil, err
	}
	server := netip.AddrPortFrom(l.Server.IPv4, smtpPort)
	m, err := broken.Relay(listener, broken.MiddleboxConfig{
		Kind: kind,
		Dial: func(ctx context.Context) (net.Conn, error) { return l.Box.Dial(ctx, "tcp", server.String()) },
	})
	if err != nil {
		listener.Close()
	}
	return m, err
}
