package report

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"keepword/cmd/keepword/internal/report/page"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// server is what one server's sessions came to.
type server struct {
	address  netip.AddrPort // not valid for the servers beyond maxServers, together
	sessions [starttls.OutcomeKilled + 1]int
	findings [verdict.Findings]int
}

// servers are the servers of a capture, bounded by maxServers.
type servers struct {
	known map[netip.AddrPort]*server
	rest  *server // nil until there is one
}

func newServers() servers { return servers{known: make(map[netip.AddrPort]*server)} }

func (s *servers) of(a netip.AddrPort) *server {
	if known, ok := s.known[a]; ok {
		return known
	}
	if len(s.known) >= maxServers {
		if s.rest == nil {
			s.rest = &server{}
		}
		return s.rest
	}
	n := &server{address: a}
	s.known[a] = n
	return n
}

// sorted returns the servers, those with the most findings first.
func (s *servers) sorted() []*server {
	var list []*server
	for _, v := range s.known {
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b *server) int {
		return cmp.Or(cmp.Compare(sum(b.findings[:]), sum(a.findings[:])), a.address.Compare(b.address))
	})
	if s.rest != nil {
		list = append(list, s.rest)
	}
	return list
}

func sum(counts []int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// summary writes the totals and a paragraph a server.
func (r *Report) summary() {
	page.Wrap(&r.buf, "", fmt.Sprintf("Summary: %s, %s.", plural(r.totals.sessions, "session"), plural(r.totals.findings, "finding")))
	if r.totals.untold > 0 {
		page.Wrap(&r.buf, "", fmt.Sprintf("More than %d flows with findings were open at once; %s counted only below.",
			maxFlows, plural(r.totals.untold, "finding")))
	}
	for _, s := range r.servers.sorted() {
		name := "other servers"
		if s.address.IsValid() {
			name = s.address.String()
		}
		fmt.Fprintf(&r.buf, "\n%s\n", r.paint(bold, name))
		r.counts("sessions", s.sessions[:], func(i int) string { return starttls.Outcome(i).String() })
		r.counts("findings", s.findings[:], func(i int) string { return verdict.Finding(i).String() })
	}
}

// counts writes the counts that are not 0, a line each.
func (r *Report) counts(label string, counts []int, name func(i int) string) {
	for i, n := range counts {
		if n > 0 {
			r.fact(label, fmt.Sprintf("%d %s", n, name(i)))
			label = ""
		}
	}
	if label != "" {
		r.fact(label, "none")
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
