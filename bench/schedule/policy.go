package main

import (
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// Policy is one of the policies under which schedules are played. Each has a port of the
// Linux server and one of the server outside of the kernel.
type Policy uint8

const (
	// Auto edits only what is false.
	Auto Policy = iota
	// Require refuses mail in clear text.
	Require
	// Hide takes the offer of STARTTLS away.
	Hide
	// Refuse refuses STARTTLS where it is not offered, and AUTH where it is.
	Refuse
	policies
)

// String returns the policy's name.
func (p Policy) String() string { return [...]string{"auto", "require", "hide", "refuse"}[p] }

// linuxPort and rawPort are the ports of the first policy; the others' follow.
const (
	linuxPort = 25 // RFC 5321 section 4.5.4.2
	rawPort   = 2525
)

// port returns the server's port of a schedule whose packets side sends.
func (p Policy) port(side Side) uint16 {
	if side == ServerSide {
		return rawPort + uint16(p)
	}
	return linuxPort + uint16(p)
}

// inspectedPorts are all of them.
func inspectedPorts() (ports []uint16) {
	for p := range policies {
		ports = append(ports, p.port(ClientSide), p.port(ServerSide))
	}
	return ports
}

// serverRules are the policies as keepword is given them.
func serverRules() (rules []policy.Server) {
	for p := range policies {
		s := policy.Server{Ports: []uint16{p.port(ClientSide), p.port(ServerSide)}}
		switch p {
		case Require:
			s.StartTLS = policy.Require
		case Hide:
			s.StartTLS = policy.Hide
		case Refuse:
			s.Actions = map[verdict.Finding]verdict.Action{
				verdict.STARTTLSNotOffered: verdict.Refuse,
				verdict.AuthInClear:        verdict.Refuse,
			}
		}
		rules = append(rules, s)
	}
	return rules
}
