package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// port is one network interface of a host.
type port struct {
	name       string
	ipv4, ipv6 netip.Prefix
}

// node is a host of the topology. Each host is joined to the next by a link between
// its last port and the other's first.
type node struct {
	name  string
	ports []port
}

// topology returns the hosts from the client to the server. Addresses are those set
// aside for documentation (RFC 5737, RFC 3849); the server's are the same with a
// box and without.
func topology(box bool) []node {
	at := func(name, ipv4, ipv6 string) port {
		return port{name, netip.MustParsePrefix(ipv4), netip.MustParsePrefix(ipv6)}
	}
	client := node{"client", []port{at("eth0", "192.0.2.10/24", "2001:db8:1::10/64")}}
	server := node{"server", []port{at("eth0", "203.0.113.25/24", "2001:db8:3::25/64")}}
	inner := at(ClientSide, "192.0.2.1/24", "2001:db8:1::1/64")
	outer := at(ServerSide, "203.0.113.1/24", "2001:db8:3::1/64")
	if !box {
		return []node{client, {"gateway", []port{inner, outer}}, server}
	}
	return []node{
		client,
		{"gateway", []port{inner, at(ServerSide, "198.51.100.1/24", "2001:db8:2::1/64")}},
		{"box", []port{at(ClientSide, "198.51.100.2/24", "2001:db8:2::2/64"), outer}},
		server,
	}
}

// hostsFile is the /etc/hosts of every host.
func hostsFile() string {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	for _, n := range topology(true) {
		name := (&Host{Name: n.name}).FQDN()
		fmt.Fprintf(&b, "%s %s %s\n%s %s %s\n", n.ports[0].ipv4.Addr(), name, n.name, n.ports[0].ipv6.Addr(), name, n.name)
	}
	return b.String()
}

// connect makes the links, the addresses and the routes of a topology whose hosts
// exist.
func (l *Lab) connect(plan []node) error {
	for i, n := range plan {
		h := l.hosts[i]
		h.IPv4, h.IPv6 = n.ports[0].ipv4.Addr(), n.ports[0].ipv6.Addr()
		if err := h.Do(setSysctls); err != nil {
			return err
		}
	}
	for i := range plan[1:] {
		near, far := plan[i], plan[i+1]
		if err := l.link(l.hosts[i], near.ports[len(near.ports)-1], l.hosts[i+1], far.ports[0]); err != nil {
			return err
		}
	}
	for i := range plan {
		if err := l.hosts[i].Do(func() error { return route(plan, i) }); err != nil {
			return fmt.Errorf("routes of %s: %w", plan[i].name, err)
		}
	}
	return nil
}

// setSysctls readies the host's network stack: it forwards, and uses an IPv6 address
// at once, without asking whether another host has it (RFC 4862 section 5.4).
func setSysctls() error {
	for key, value := range map[string]string{
		"net/ipv4/ip_forward":                 "1",
		"net/ipv6/conf/all/forwarding":        "1",
		"net/ipv6/conf/all/accept_dad":        "0",
		"net/ipv6/conf/default/accept_dad":    "0",
		"net/ipv6/conf/default/dad_transmits": "0",
	} {
		if err := os.WriteFile("/proc/sys/"+key, []byte(value), 0o644); err != nil {
			return err
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// link joins two hosts by a veth pair and gives both ends their addresses.
func (l *Lab) link(near *Host, nearPort port, far *Host, farPort port) error {
	err := near.Do(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = nearPort.name
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs:     attrs,
			PeerName:      farPort.name,
			PeerNamespace: netlink.NsPid(far.keeper.Process.Pid),
		})
	})
	if err != nil {
		return fmt.Errorf("veth pair %s-%s: %w", near.Name, far.Name, err)
	}
	if err := near.Do(nearPort.up); err != nil {
		return fmt.Errorf("%s of %s: %w", nearPort.name, near.Name, err)
	}
	if err := far.Do(farPort.up); err != nil {
		return fmt.Errorf("%s of %s: %w", farPort.name, far.Name, err)
	}
	return nil
}

// up gives the interface its addresses and switches it on.
func (p port) up() error {
	link, err := netlink.LinkByName(p.name)
	if err != nil {
		return err
	}
	for _, prefix := range []netip.Prefix{p.ipv4, p.ipv6} {
		addr := &netlink.Addr{IPNet: ipNet(prefix)}
		if prefix.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("address %s: %w", prefix, err)
		}
	}
	return netlink.LinkSetUp(link)
}

// route adds host i's routes to the networks that it is not on: those beyond its
// right neighbour by that one, the others by its left one.
func route(plan []node, i int) error {
	for j := range plan[1:] {
		// Link j is the network between hosts j and j+1.
		var via port
		switch {
		case j > i:
			via = plan[i+1].ports[0]
		case j < i-1:
			left := plan[i-1]
			via = left.ports[len(left.ports)-1]
		default:
			continue
		}
		there := plan[j+1].ports[0]
		for _, r := range []struct{ to, via netip.Prefix }{{there.ipv4, via.ipv4}, {there.ipv6, via.ipv6}} {
			route := &netlink.Route{Dst: ipNet(r.to.Masked()), Gw: r.via.Addr().AsSlice()}
			if err := netlink.RouteAdd(route); err != nil {
				return fmt.Errorf("%s by %s: %w", r.to.Masked(), r.via.Addr(), err)
			}
		}
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// interceptPort is where Intercept listens; nothing else in the lab uses it.
const interceptPort = 4625

// Intercept makes a host that forwards packets take every TCP connection to the
// given port that comes through it, over IPv4 and IPv6, and returns the listener
// that gets them. It is how a middlebox that speaks for the server gets between.
// It may be used once for each host.
func (h *Host) Intercept(ctx context.Context, port uint16) (net.Listener, error) {
	l, err := h.Listen("tcp", fmt.Sprintf(":%d", interceptPort))
	if err != nil {
		return nil, err
	}
	nft := h.Command(ctx, "nft", "-f", "-")
	nft.Stdin = strings.NewReader(fmt.Sprintf(`
		table inet lab {
			chain intercept {
				type nat hook prerouting priority dstnat
				tcp dport %d redirect to :%d
			}
		}`, port, interceptPort))
	if _, err := nft.Output(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
