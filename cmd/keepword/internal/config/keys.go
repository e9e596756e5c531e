package config

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"keepword/inspect/flow"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// config reads the whole document n into c, which holds the defaults.
func (r reader) config(c *Config, n ast.Node) {
	r.mapping(n,
		key{"mode", r.mode(&c.Mode)},
		key{"ports", r.ports(&c.Ports, true)},
		key{"hooks", r.hooks(&c.Hooks)},
		key{"interfaces", r.interfaces(&c.Interfaces)},
		key{"queues", r.queues(&c.Queues)},
		key{"mark", r.mark(&c.Mark)},
		key{"engine", choice(r, &c.Engine, "engine", EngineAuto, EngineFast, EnginePortable)},
		key{"offload", choice(r, &c.Offload, "offload", OffloadAuto, OffloadBPF, OffloadConnmark, OffloadOff)},
		key{"when", r.when(&c.When)},
		key{"limits", r.limits(&c.Limits)},
		key{"actions", r.actions(&c.Actions)},
		// The servers' ports are checked against c.Ports, wherever in the file
		// those are set, so that servers are read last.
		key{"servers", func(ast.Node) {}},
		key{"tls_minimum", r.tlsVersion(&c.TLSMinimum)},
		key{"history", r.history(&c.History)},
		key{"events", func(n ast.Node) {
			r.mapping(n,
				key{"path", r.path(&c.Events.Path)},
				key{"envelope", r.truth(&c.Events.Envelope)},
				key{"addresses", choice(r, &c.Events.Addresses, "addresses", AddressesFull, AddressesPrefix)})
		}},
		key{"metrics", func(n ast.Node) { r.mapping(n, key{"listen", r.listen(&c.Metrics.Listen)}) }},
		key{"control", func(n ast.Node) { r.mapping(n, key{"socket", r.socket(&c.Control.Socket)}) }},
	)
	if n := valueOf(n, "servers"); n != nil {
		r.list(n, func(n ast.Node) { r.server(c, n) })
	}
}

// valueOf returns the value of a key of the mapping n, nil where it has none.
func valueOf(n ast.Node, name string) ast.Node {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return nil
	}
	for _, v := range m.Values {
		if k, ok := v.Key.(*ast.StringNode); ok && k.Value == name {
			return v.Value
		}
	}
	return nil
}

func (r reader) mode(dst *verdict.Mode) func(ast.Node) {
	return func(n ast.Node) {
		word := ""
		choice(r, &word, "mode", verdict.Enforce.String(), verdict.Observe.String())(n)
		if word == verdict.Observe.String() {
			*dst = verdict.Observe
		}
	}
}

func (r reader) ports(dst *[]uint16, needed bool) func(ast.Node) {
	return func(n ast.Node) {
		var ports []uint16
		seen := make(map[uint16]bool)
		bad := false
		ok := r.list(n, func(n ast.Node) {
			v, ok := r.whole(n, "a port", 1, 65535)
			if ok && once(r, seen, n, "port", uint16(v)) {
				ports = append(ports, uint16(v))
			} else {
				bad = true
			}
		})
		if !ok || bad {
			return
		}
		if needed && len(ports) == 0 {
			r.at(n, "no port: name at least one, or leave the key out for 25 and 587")
			return
		}
		*dst = ports
	}
}

func (r reader) hooks(dst *[]Hook) func(ast.Node) {
	return func(n ast.Node) {
		var hooks []Hook
		named := 0
		seen := make(map[Hook]bool)
		ok := r.list(n, func(n ast.Node) {
			named++
			var h Hook
			choice(r, &h, "hook", Forward, Input, Output)(n)
			if h != "" && once(r, seen, n, "hook", h) {
				hooks = append(hooks, h)
			}
		})
		if ok && named == 0 {
			r.at(n, "no hook: name at least one of forward, input, output")
		}
		*dst = hooks
	}
}

// maxInterfaceName is IFNAMSIZ of linux/if.h less its final NUL.
const maxInterfaceName = 15

func (r reader) interfaces(dst *[]string) func(ast.Node) {
	return func(n ast.Node) {
		seen := make(map[string]bool)
		r.list(n, func(n ast.Node) {
			name, ok := r.text(n, "an interface")
			if !ok {
				return
			}
			// What dev_valid_name of net/core/dev.c refuses.
			if name == "" || name == "." || name == ".." || len(name) > maxInterfaceName || strings.ContainsAny(name, "/: ") {
				r.at(n, "%q can't be an interface: a name has 1 to %d octets, and no slash, colon or blank", name, maxInterfaceName)
				return
			}
			if once(r, seen, n, "interface", name) {
				*dst = append(*dst, name)
			}
		})
	}
}

// queueNumbers is how many netfilter queues there are: their number has 16 bits.
const queueNumbers = 1 << 16

func (r reader) queues(dst *Queues) func(ast.Node) {
	return func(n ast.Node) {
		r.mapping(n,
			key{"first", func(n ast.Node) {
				if v, ok := r.whole(n, "the first queue", 0, queueNumbers-1); ok {
					dst.First = uint16(v)
				}
			}},
			key{"count", func(n ast.Node) {
				if v, ok := r.whole(n, "the number of queues", 0, queueNumbers-1); ok {
					dst.Count = int(v)
				}
			}})
		if last := int(dst.First) + dst.Count; last > queueNumbers {
			r.at(n, "queues %d to %d: the last queue there is has the number %d", dst.First, last-1, queueNumbers-1)
		}
	}
}

func (r reader) mark(dst *uint32) func(ast.Node) {
	return func(n ast.Node) {
		const most = 1<<32 - 1
		if v, ok := r.whole(n, "the mark", 1, most); ok {
			*dst = uint32(v)
		}
	}
}

func (r reader) when(dst *When) func(ast.Node) {
	// Where the kernel decides alone, it can let through or discard, and cannot
	// end a connection.
	kernel := func(dst *Loss, what string) func(ast.Node) {
		return func(n ast.Node) {
			if s, ok := n.(*ast.StringNode); ok && Loss(s.Value) == Kill {
				r.at(n, "kill makes no sense for %s: the kernel decides there, and can pass or drop", what)
				return
			}
			choice(r, dst, what, Pass, Drop)(n)
		}
	}
	return func(n ast.Node) {
		r.mapping(n,
			key{"daemon_down", kernel(&dst.DaemonDown, "daemon_down")},
			key{"queue_full", kernel(&dst.QueueFull, "queue_full")},
			key{"memory_full", choice(r, &dst.MemoryFull, "memory_full", Pass, Drop, Kill)},
			key{"midstream", choice(r, &dst.Midstream, "midstream", Pass, Drop, Kill)})
	}
}

func (r reader) limits(dst *Limits) func(ast.Node) {
	return func(n ast.Node) {
		sized := func(dst *int64, what string) func(ast.Node) {
			return func(n ast.Node) {
				if v, ok := r.size(n, what); ok {
					*dst = v
				}
			}
		}
		r.mapping(n,
			key{"flows", func(n ast.Node) {
				if v, ok := r.whole(n, "flows", 1, flow.MaxFlows); ok {
					dst.Flows = int(v)
				}
			}},
			key{"memory", sized(&dst.Memory, "memory")},
			key{"flow_memory", sized(&dst.FlowMemory, "flow_memory")})
		if dst.FlowMemory > dst.Memory {
			r.at(n, "flow_memory (%d octets) is more than memory (%d octets) for all flows", dst.FlowMemory, dst.Memory)
		}
	}
}

func (r reader) actions(dst *map[verdict.Finding]verdict.Action) func(ast.Node) {
	return func(n ast.Node) {
		ids := make([]string, 0, verdict.Findings)
		for f := verdict.NoFinding + 1; f < verdict.Findings; f++ {
			ids = append(ids, f.String())
		}
		r.entries(n, func(id string, k, value ast.Node) {
			f, ok := verdict.ParseFinding(id)
			if !ok {
				r.at(k, "unknown finding %q%s", id, meant(id, ids))
				return
			}
			a, ok := r.action(f, value)
			if !ok {
				return
			}
			if *dst == nil {
				*dst = make(map[verdict.Finding]verdict.Action)
			}
			(*dst)[f] = a
		})
	}
}

// action reads the action for a finding.
func (r reader) action(f verdict.Finding, n ast.Node) (verdict.Action, bool) {
	word, ok := r.text(n, "an action")
	if !ok {
		return 0, false
	}
	allowed := policy.Allowed(f)
	words := make([]string, len(allowed))
	for i, a := range allowed {
		if words[i] = a.String(); words[i] == word {
			return a, true
		}
	}
	if _, ok := verdict.ParseAction(word); ok {
		r.at(n, "action %s makes no sense for %s; possible are %s", word, f, strings.Join(words, ", "))
	} else {
		r.at(n, "unknown action %q%s", word, meant(word, words))
	}
	return 0, false
}

func (r reader) server(c *Config, n ast.Node) {
	var s Server
	if _, ok := n.(*ast.NullNode); ok {
		r.at(n, "an empty server; remove the dash")
		return
	}
	r.mapping(n,
		key{"match", func(n ast.Node) {
			seen := make(map[netip.Prefix]bool)
			r.list(n, func(n ast.Node) {
				if p, ok := r.prefix(n); ok && once(r, seen, n, "network", p) {
					s.Match = append(s.Match, p)
				}
			})
		}},
		key{"ports", func(n ast.Node) {
			r.ports(&s.Ports, false)(n)
			for _, p := range s.Ports {
				if !slices.Contains(c.Ports, p) {
					r.at(n, "port %d is not inspected; name it in the ports at the top level too", p)
				}
			}
		}},
		key{"starttls", func(n ast.Node) {
			word := ""
			choice(r, &word, "starttls", "auto", "require", "hide", "pass")(n)
			if word != "" {
				s.StartTLS, _ = policy.ParseStartTLS(word)
			}
		}},
		key{"actions", r.actions(&s.Actions)})
	c.Servers = append(c.Servers, s)
}

// prefix reads a network in CIDR notation, or one address.
func (r reader) prefix(n ast.Node) (netip.Prefix, bool) {
	s, ok := r.text(n, "a network")
	if !ok {
		return netip.Prefix{}, false
	}
	p, err := netip.ParsePrefix(s)
	if a, notAddr := netip.ParseAddr(s); err != nil && notAddr == nil && a.Zone() == "" {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	switch {
	case err != nil:
		r.at(n, "%q is no network; write it as 192.0.2.0/24 or 2001:db8::/32", s)
	case p.Addr().Is4In6():
		r.at(n, "%q is an IPv4 network written as IPv6; write it as IPv4", s)
	case p != p.Masked():
		r.at(n, "%q has bits set behind its first %d; write %s, or %s for the one address", s, p.Bits(), p.Masked(), p.Addr())
	default:
		return p, true
	}
	return netip.Prefix{}, false
}

// tlsVersions are the words of tls_minimum and the versions that they stand for,
// as TLS records write them (RFC 8446 section 4.2.1).
var tlsVersions = map[string]uint16{"": 0, "1.0": 0x0301, "1.1": 0x0302, "1.2": 0x0303, "1.3": 0x0304}

func (r reader) tlsVersion(dst *uint16) func(ast.Node) {
	return func(n ast.Node) {
		if f, ok := n.(*ast.FloatNode); ok {
			r.at(n, "a TLS version must be in quotes, as %q", f.Token.Value)
			return
		}
		s, ok := r.text(n, "tls_minimum")
		if !ok {
			return
		}
		v, ok := tlsVersions[s]
		if !ok {
			r.at(n, "unknown TLS version %q; known are 1.0, 1.1, 1.2, 1.3, and \"\" for none", s)
			return
		}
		*dst = v
	}
}

func (r reader) history(dst *History) func(ast.Node) {
	return func(n ast.Node) {
		r.mapping(n,
			key{"path", r.path(&dst.Path)},
			key{"breaker", func(n ast.Node) {
				r.mapping(n,
					key{"failures", func(n ast.Node) {
						const most = 1000 // beyond it the breaker never opens in practice
						if v, ok := r.whole(n, "failures", 0, most); ok {
							dst.Breaker.Failures = int(v)
						}
					}},
					key{"retry", func(n ast.Node) {
						if d, ok := r.duration(n, "retry"); ok {
							dst.Breaker.Retry = d
						}
					}})
			}})
	}
}

func (r reader) path(dst *string) func(ast.Node) {
	return func(n ast.Node) {
		if s, ok := r.text(n, "a path"); ok {
			*dst = s
		}
	}
}

func (r reader) truth(dst *bool) func(ast.Node) {
	return func(n ast.Node) {
		b, ok := n.(*ast.BoolNode)
		if !ok {
			r.at(n, "true or false expected, not %s", n)
			return
		}
		*dst = b.Value
	}
}

// maxSocketPath is the size of sun_path, unix(7), less its final NUL.
const maxSocketPath = 107

func (r reader) socket(dst *string) func(ast.Node) {
	return func(n ast.Node) {
		s, ok := r.text(n, "a socket")
		if ok && len(s) > maxSocketPath {
			r.at(n, "a socket's path has at most %d octets, this one %d", maxSocketPath, len(s))
		} else if ok {
			*dst = s
		}
	}
}

func (r reader) listen(dst *string) func(ast.Node) {
	return func(n ast.Node) {
		s, ok := r.text(n, "listen")
		if !ok {
			return
		}
		if s != "" {
			_, port, err := net.SplitHostPort(s)
			if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
				r.at(n, "%q is no address to listen at; write it as 127.0.0.1:9525", s)
				return
			}
		}
		*dst = s
	}
}
