// Package policy turns findings into actions: by mode, by finding, by server.
//
// A Policy is compiled once from the configuration and never changes, so that any
// number of workers may read it; a reload makes a new one.
package policy

import (
	"net/netip"
	"slices"

	"keepword/inspect/verdict"
)

// StartTLS is what the administrator wants of STARTTLS with one server.
type StartTLS uint8

const (
	// Auto lets both ends decide and enforces what they agree on.
	Auto StartTLS = iota
	// Require lets no mail and no authentication through in clear text.
	Require
	// Hide takes the offer away.
	Hide
	// Pass reports findings about this server and does nothing about them. What makes
	// sure that octets are delivered as they were read goes on.
	Pass
)

var startTLSNames = [...]string{"auto", "require", "hide", "pass"}

// String returns the name in the configuration.
func (s StartTLS) String() string {
	if int(s) < len(startTLSNames) {
		return startTLSNames[s]
	}
	return "invalid"
}

// ParseStartTLS returns the value of that name, and false where there is none.
func ParseStartTLS(name string) (StartTLS, bool) {
	i := slices.Index(startTLSNames[:], name)
	return StartTLS(max(i, 0)), i >= 0
}

// Server are the wishes for the servers that it matches.
type Server struct {
	Match    []netip.Prefix // empty: every address
	Ports    []uint16       // empty: every port
	StartTLS StartTLS
	Actions  map[verdict.Finding]verdict.Action // over the global ones
}

// Config is what a Policy is made of.
type Config struct {
	Mode    verdict.Mode
	Actions map[verdict.Finding]verdict.Action // over the defaults of the catalogue
	Servers []Server                           // the first match wins
	// MinTLS is the lowest version that a ServerHello may choose without a finding,
	// as on the wire (0x0303 is TLS 1.2); 0: any.
	MinTLS uint16
}

// Rules are a Policy's answers for one server.
type Rules struct {
	Mode     verdict.Mode
	StartTLS StartTLS
	MinTLS   uint16
	// EditsCommands says that some finding may ask for a command to be refused, so
	// that no command may be given away before it was read.
	EditsCommands bool
	// Followable says that the kernel may follow plain dialogues: whatever words and orderly
	// replies are found in them, nothing asks for more than a report.
	Followable bool

	actions [verdict.Findings]verdict.Action
}

// Action returns what to do about f.
func (r *Rules) Action(f verdict.Finding) verdict.Action { return r.actions[f] }

type match struct {
	prefixes []netip.Prefix
	ports    []uint16
	rules    Rules
}

// Policy is a compiled Config.
type Policy struct {
	servers []match
	others  Rules
}

// New compiles c. An action that makes no sense for its finding (see Allowed) is
// taken as it stands: refusing it is the configuration's part.
func New(c Config) *Policy {
	p := &Policy{others: compile(c, Server{})}
	for _, s := range c.Servers {
		m := match{ports: slices.Clone(s.Ports), rules: compile(c, s)}
		for _, pfx := range s.Match {
			m.prefixes = append(m.prefixes, unmap(pfx).Masked())
		}
		p.servers = append(p.servers, m)
	}
	return p
}

// unmap makes a prefix of IPv4-mapped addresses one of IPv4 (RFC 4291 §2.5.5.2).
func unmap(p netip.Prefix) netip.Prefix {
	const mapped = 128 - 32
	if p.Addr().Is4In6() && p.Bits() >= mapped {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p
}

func compile(c Config, s Server) Rules {
	r := Rules{Mode: c.Mode, StartTLS: s.StartTLS, MinTLS: c.MinTLS}
	for f := range r.actions {
		r.actions[f] = Default(verdict.Finding(f))
	}
	if s.StartTLS == Require { // mail is held back rather than sent in clear text
		r.actions[verdict.OfferVanished] = verdict.Kill
		r.actions[verdict.EHLORefused] = verdict.Kill
	}
	for f, a := range c.Actions {
		r.actions[f] = a
	}
	for f, a := range s.Actions {
		r.actions[f] = a
	}
	if s.StartTLS == Pass {
		for f, a := range r.actions {
			if a != verdict.Pass {
				r.actions[f] = verdict.Log
			}
		}
	}
	r.EditsCommands = r.StartTLS == Require || r.StartTLS == Hide || slices.Contains(r.actions[:verdict.TLSRequired], verdict.Refuse) ||
		r.actions[verdict.AuthInClear] == verdict.Refuse
	r.Followable = r.StartTLS == Auto || r.StartTLS == Pass
	for _, f := range inPlainDialogues {
		r.Followable = r.Followable && r.actions[f] <= verdict.Log
	}
	return r
}

// inPlainDialogues are the findings that can be made in what the kernel lets through by
// itself: whole lines of printable ASCII, commands that change nothing, positive replies, mail
// data whose end is sure, hellos and records of TLS.
var inPlainDialogues = [...]verdict.Finding{
	verdict.DowngradedAfterFailure, verdict.OfferVanished, verdict.OfferMasked, verdict.GreetingMasked,
	verdict.OfferInconsistent, verdict.UnauthorisedPipelining, verdict.LineTooLong, verdict.AuthInClear, verdict.TLSTooOld,
}

// Mode returns whether findings have consequences.
func (p *Policy) Mode() verdict.Mode { return p.others.Mode }

// Rules returns the answers for a server. They are shared and must not be changed.
func (p *Policy) Rules(server netip.AddrPort) *Rules {
	addr := server.Addr().Unmap()
	for i := range p.servers {
		m := &p.servers[i]
		if len(m.ports) > 0 && !slices.Contains(m.ports, server.Port()) {
			continue
		}
		if len(m.prefixes) == 0 {
			return &m.rules
		}
		for _, pfx := range m.prefixes {
			if pfx.Contains(addr) {
				return &m.rules
			}
		}
	}
	return &p.others
}
