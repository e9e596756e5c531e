package policy

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	v "keepword/inspect/verdict"
)

// inPrefix says bit by bit whether an address is in a prefix. IPv4-mapped addresses are
// IPv4's.
func inPrefix(p netip.Prefix, a netip.Addr) bool {
	a = a.Unmap()
	if p.Addr().BitLen() != a.BitLen() {
		return false
	}
	x, y := p.Addr().AsSlice(), a.AsSlice()
	for i := range p.Bits() {
		if (x[i/8]^y[i/8])>>(7-i%8)&1 != 0 {
			return false
		}
	}
	return true
}

// slowRules looks for a server's entry and an action the slow way.
func slowRules(c Config, server netip.AddrPort, f v.Finding) (StartTLS, v.Action) {
	var s Server
	for _, candidate := range c.Servers {
		matches := len(candidate.Match) == 0
		for _, p := range candidate.Match {
			matches = matches || inPrefix(p, server.Addr())
		}
		ports := len(candidate.Ports) == 0
		for _, p := range candidate.Ports {
			ports = ports || p == server.Port()
		}
		if matches && ports {
			s = candidate
			break
		}
	}
	action := Default(f)
	if s.StartTLS == Require && (f == v.OfferVanished || f == v.EHLORefused) {
		action = v.Kill
	}
	if a, ok := c.Actions[f]; ok {
		action = a
	}
	if a, ok := s.Actions[f]; ok {
		action = a
	}
	if s.StartTLS == Pass && action != v.Pass {
		action = v.Log
	}
	return s.StartTLS, action
}

func TestAPolicyAnswersAsASlowReadingOfItsConfiguration(t *testing.T) {
	octet := rapid.SampledFrom([]byte{0, 1, 2, 128, 255})
	address := rapid.Custom(func(t *rapid.T) netip.Addr {
		switch rapid.IntRange(0, 2).Draw(t, "family") {
		case 0:
			return netip.AddrFrom4([4]byte{192, 0, octet.Draw(t, "c"), octet.Draw(t, "d")})
		case 1:
			return netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: 192, 14: octet.Draw(t, "c"), 15: octet.Draw(t, "d")})
		}
		return netip.AddrFrom16([16]byte{0x20, 0x01, octet.Draw(t, "b"), 15: octet.Draw(t, "d")})
	})
	port := rapid.SampledFrom([]uint16{25, 587, 2525})
	actions := rapid.Custom(func(t *rapid.T) map[v.Finding]v.Action {
		m := map[v.Finding]v.Action{}
		for range rapid.IntRange(0, 4).Draw(t, "actions") {
			f := v.Finding(rapid.IntRange(1, int(v.Findings)-1).Draw(t, "finding"))
			m[f] = v.Action(rapid.IntRange(0, int(v.Kill)).Draw(t, "action"))
		}
		return m
	})
	rapid.Check(t, func(t *rapid.T) {
		c := Config{Actions: actions.Draw(t, "global")}
		for range rapid.IntRange(0, 5).Draw(t, "servers") {
			s := Server{StartTLS: StartTLS(rapid.IntRange(0, int(Pass)).Draw(t, "starttls")), Actions: actions.Draw(t, "its actions"), Ports: rapid.SliceOfN(port, 0, 2).Draw(t, "ports")}
			for range rapid.IntRange(0, 3).Draw(t, "prefixes") {
				a := address.Draw(t, "prefix").Unmap()
				s.Match = append(s.Match, netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")))
			}
			c.Servers = append(c.Servers, s)
		}
		p := New(c)
		for range 10 {
			server := netip.AddrPortFrom(address.Draw(t, "server"), port.Draw(t, "port"))
			r := p.Rules(server)
			for f := v.NoFinding + 1; f < v.Findings; f++ {
				wants, action := slowRules(c, server, f)
				if r.StartTLS != wants || r.Action(f) != action {
					t.Fatalf("%v, %v: %v, %v; want %v, %v", server, f, r.StartTLS, r.Action(f), wants, action)
				}
				if action == v.Refuse && (f < v.TLSRequired || f == v.AuthInClear) && !r.EditsCommands {
					t.Fatalf("%v: %v may be refused, and commands are let go unread", server, f)
				}
			}
		}
	})
}
