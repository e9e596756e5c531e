// Command record plays scenarios between real mail clients and servers in the lab and
// keeps a capture of each, taken on the gateway, where keepword would stand:
//
//	go run ./bench/record DIR
//
// It needs root. The captures are what keepword's own tests replay; one scenario is
// one file, and says in one line what it shows.
package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"keepword/bench/lab"
	"keepword/bench/lab/broken"
)

// scenario is one capture.
type scenario struct {
	name   string
	shows  string
	server string // a real server of the lab, or a kind of package broken
	plain  bool   // a real server without TLS
	box    string // a middlebox of package broken before the server
	client string
	ipv6   bool
}

var scenarios = []scenario{
	{name: "upgraded", shows: "Postfix to Postfix, STARTTLS kept on both sides", server: "postfix", client: "postfix"},
	{name: "upgraded-ipv6-exim", shows: "curl to Exim over IPv6, STARTTLS kept", server: "exim", client: "curl", ipv6: true},
	{name: "not-offered", shows: "Postfix to OpenSMTPD without a certificate: nothing offered, mail in clear text", server: "opensmtpd", plain: true, client: "postfix"},
	{name: "refused-554", shows: "Postfix to a server that offers and then answers 554, as Exchange 5.5 SP2 did", server: "exchange55", client: "postfix"},
	{name: "refused-454", shows: "Postfix to a server that answers 454", server: "refuses-454", client: "postfix"},
	{name: "rate-limited", shows: "Postfix to a server that answers 454, too many new TLS sessions", server: "rate-limited", client: "postfix"},
	{name: "pix-answers", shows: "the failure of 1999: a box eats STARTTLS and answers 250 OK; Postfix begins TLS alone", server: "postfix", box: "pix-answers", client: "postfix"},
	{name: "pix-noop", shows: "a box makes STARTTLS a NOOP and lets its 250 stand for the answer", server: "postfix", box: "pix-noop", client: "postfix"},
	{name: "asa-mask", shows: "a box overwrites the offer with XXXXXXXA", server: "postfix", box: "asa-mask", client: "postfix"},
	{name: "strip-line", shows: "a box deletes the line that offers STARTTLS", server: "postfix", box: "strip-line", client: "postfix"},
	{name: "mask-greeting", shows: "a box masks the greeting; Postfix falls back to HELO", server: "postfix", box: "mask-greeting", client: "postfix"},
	{name: "clear-after-220", shows: "a server says 220 and answers the ClientHello in clear text", server: "clear-after-220", client: "smtplib"},
	{name: "injects-after-220", shows: "a forged reply in the same segment as the 220", server: "injects-after-220", client: "postfix"},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "record: name the directory for the captures")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := record(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func record(ctx context.Context, dir string) error {
	index := &strings.Builder{}
	index.WriteString("Recorded between real clients and servers by `go run ./bench/record`, on the gateway's\nside of the server. One scenario a file:\n\n")
	for _, s := range scenarios {
		if err := s.play(ctx, filepath.Join(dir, s.name+".pcap")); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(index, "- `%s.pcap`: %s.\n", s.name, s.shows)
		fmt.Println(s.name)
	}
	return os.WriteFile(filepath.Join(dir, "README.md"), []byte(index.String()), 0o644)
}

// play sends one message in a lab of its own, and keeps the capture at path.
func (s scenario) play(ctx context.Context, path string) (err error) {
	l, err := lab.New(lab.Options{Box: s.box != ""})
	if err != nil {
		return err
	}
	defer l.Close()
	stop, err := s.serve(ctx, l)
	if err != nil {
		return err
	}
	defer stop()
	capture, err := l.Gateway.Capture(ctx, lab.ServerSide, path)
	if err != nil {
		return err
	}
	for _, c := range lab.Clients {
		if c.Name == s.client {
			_, err = c.Send(ctx, l.Client, netip.AddrPortFrom(l.Server.Addr(s.ipv6), 25), lab.NewMessage(500), lab.IfOffered)
		}
	}
	if stopErr := capture.Stop(); err == nil {
		err = stopErr
	}
	return err
}

// serve starts the server, and the box before it.
func (s scenario) serve(ctx context.Context, l *lab.Lab) (stop func(), err error) {
	for _, kind := range broken.Kinds() {
		if kind.Name == s.server {
			server, err := l.BreakServer(broken.ServerConfig{Kind: s.server})
			if err != nil {
				return nil, err
			}
			return func() { server.Close() }, nil
		}
	}
	server, err := lab.StartServer(ctx, l.Server, s.server, !s.plain)
	if err != nil || s.box == "" {
		return func() { server.Stop() }, err
	}
	box, err := l.BreakBox(ctx, s.box)
	if err != nil {
		server.Stop()
		return nil, err
	}
	return func() { box.Close(); server.Stop() }, nil
}
