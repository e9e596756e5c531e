package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"keepword/bench/lab"
	"keepword/bench/lab/broken"
)

// firstPort is the first of the matrix's own ports: each cell has one, by which its
// sessions are known. Ports and not addresses, so that the certificate is right for
// all.
const firstPort = 10000

// stage is a lab in which all cells of one setting are run.
type stage struct {
	*lab.Lab
	setting  setting
	cells    []*cell
	boxes    map[int]*broken.Middlebox // by port
	sender   *lab.Sender
	keepword *lab.Keepword
	captures [2]*lab.Capture // the client's and the server's side of the gateway
	closers  []func() error
}

// newStage builds the lab, its broken servers and boxes, the sending Postfix,
// keepword where the setting wants it, and the captures.
func newStage(ctx context.Context, s setting, rows []row, columns []column, dir string) (_ *stage, err error) {
	l, err := lab.New(lab.Options{Box: true})
	if err != nil {
		return nil, err
	}
	st := &stage{Lab: l, setting: s, boxes: map[int]*broken.Middlebox{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, st.close())
		}
	}()
	port := firstPort
	for i := range rows {
		for j := range columns {
			if only := rows[i].only; only == "" || only == columns[j].name {
				// Both families: neighbours differ.
				st.cells = append(st.cells, &cell{setting: s, row: &rows[i], column: &columns[j], port: port, ipv6: (i+j)%2 == 1})
			}
			port++
		}
	}
	if err := st.peers(ctx); err != nil {
		return nil, err
	}
	if err := st.startSender(ctx); err != nil {
		return nil, err
	}
	if s != without {
		if st.keepword, err = l.Keepword(ctx, st.config()); err != nil {
			return nil, err
		}
	}
	for i, side := range []string{lab.ClientSide, lab.ServerSide} {
		if st.captures[i], err = l.Gateway.Capture(ctx, side, filepath.Join(dir, string(s)+"-"+side+".pcap")); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// close ends what still runs in the stage. It may be called more than once.
func (st *stage) close() error {
	var errs []error
	for i := len(st.closers) - 1; i >= 0; i-- {
		errs = append(errs, st.closers[i]())
	}
	st.closers = nil
	st.Close()
	return errors.Join(errs...)
}

// peers starts the broken servers and boxes, each at the ports of its cells, and has
// the ports of the others lead to the real server.
func (st *stage) peers(ctx context.Context) error {
	var boxed, real []string // ports
	for _, c := range st.cells {
		port := fmt.Sprint(c.port)
		switch {
		case c.row.kind == "":
			real = append(real, port)
		case c.row.role == broken.RoleServer:
			ln, err := st.Server.Listen("tcp", ":"+port)
			if err != nil {
				return err
			}
			server, err := broken.Serve(ln, broken.ServerConfig{
				Kind: c.row.kind, Hostname: st.Server.FQDN(), TLS: &tls.Config{Certificates: []tls.Certificate{st.Certificate()}},
				Offer: broken.Middle, Pipelining: true, Size: true, EightBitMIME: true,
			})
			if err != nil {
				return err
			}
			c.server = server
			st.closers = append(st.closers, server.Close)
		default:
			ln, err := st.Box.Listen("tcp", ":"+port)
			if err != nil {
				return err
			}
			behind := netip.AddrPortFrom(st.Server.IPv4, smtpPort).String()
			box, err := broken.Relay(ln, broken.MiddleboxConfig{Kind: c.row.kind, Dial: func(ctx context.Context) (net.Conn, error) {
				return st.Box.Dial(ctx, "tcp", behind)
			}})
			if err != nil {
				return err
			}
			st.boxes[c.port] = box
			st.closers = append(st.closers, box.Close)
			boxed = append(boxed, port)
		}
	}
	return errors.Join(redirect(ctx, st.Box, boxed, ""), redirect(ctx, st.Server, real, fmt.Sprintf(" to :%d", smtpPort)))
}

// smtpPort is where the real server listens.
const smtpPort = 25

// redirect has a host take what comes for some ports itself, at the same port or at
// another.
func redirect(ctx context.Context, h *lab.Host, ports []string, to string) error {
	if len(ports) == 0 {
		return nil
	}
	nft := h.Command(ctx, "nft", "-f", "-")
	nft.Stdin = strings.NewReader(fmt.Sprintf(
		"table inet matrix { chain intercept { type nat hook prerouting priority dstnat\n tcp dport { %s } redirect%s\n }\n}\n",
		strings.Join(ports, ", "), to))
	_, err := nft.Output()
	return err
}

// config is keepword's configuration for the stage.
func (st *stage) config() string {
	var ports []string
	servers := map[string][]string{}
	for _, c := range st.cells {
		ports = append(ports, fmt.Sprint(c.port))
		if c.row.starttls != "" {
			servers[c.row.starttls] = append(servers[c.row.starttls], fmt.Sprint(c.port))
		}
	}
	config := fmt.Sprintf("mode: %s\nports: [%s]\n", st.setting, strings.Join(ports, ", "))
	for starttls, ports := range servers {
		if !strings.Contains(config, "servers:") {
			config += "servers:\n"
		}
		config += fmt.Sprintf("  - ports: [%s]\n    starttls: %s\n", strings.Join(ports, ", "), starttls)
	}
	return config
}

// senderTimeout is how long the sending Postfix waits for whatever is to come next,
// in seconds.
const senderTimeout = 10

// startSender runs one Postfix for all its cells: the recipient of a message leads to
// its cell's port, and the port to its policy.
func (st *stage) startSender(ctx context.Context) error {
	var transport, policy bytes.Buffer
	for _, c := range st.cells {
		if c.column.client == "postfix" {
			hop := fmt.Sprintf("[%s]:%d", st.Server.Addr(c.ipv6), c.port)
			fmt.Fprintf(&transport, "%s smtp:%s\n", c.recipient(), hop)
			fmt.Fprintf(&policy, "%s %s\n", hop, c.column.mode)
		}
	}
	if transport.Len() == 0 {
		return nil
	}
	relay := netip.AddrPortFrom(st.Server.IPv4, smtpPort)
	var err error
	// Nothing is tried twice.
	if st.sender, err = lab.StartSender(ctx, st.Client, lab.SenderOptions{Relay: relay, Mode: lab.IfOffered, Retry: time.Hour}); err != nil {
		return err
	}
	st.closers = append(st.closers, st.sender.Stop)
	// The lab configures it for one relay. The processes that resolve addresses and
	// send begin with the first message, and read what is written now.
	main, err := st.Client.ReadFile(postfixConfig)
	if err != nil {
		return err
	}
	// A parameter's last line counts.
	main = append(main, "transport_maps = texthash:/etc/postfix/transport\n"+
		"smtp_tls_policy_maps = texthash:/etc/postfix/policy\n"+
		"inet_protocols = all\n"...)
	for _, name := range []string{"connect", "helo", "starttls", "mail", "rcpt", "data_init", "data_xfer", "data_done", "rset", "quit"} {
		main = fmt.Appendf(main, "smtp_%s_timeout = %ds\n", name, senderTimeout)
	}
	if err := errors.Join(
		st.Client.WriteFile("/etc/postfix/transport", transport.Bytes(), 0o644),
		st.Client.WriteFile("/etc/postfix/policy", policy.Bytes(), 0o644),
		st.Client.WriteFile(postfixConfig, main, 0o644)); err != nil {
		return err
	}
	// A main.cf from just now keeps Postfix waiting, in case that it is still being
	// written.
	_, err = st.Client.Command(ctx, "touch", "-d", "1 minute ago", postfixConfig).Output()
	return err
}

const postfixConfig = "/etc/postfix/main.cf"

// tempDir makes a directory for captures.
func tempDir() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp("", "keepword-matrix-")
	return dir, func() { os.RemoveAll(dir) }, err
}
