package main

import (
	"slices"
	"time"

	"keepword/bench/lab"
	"keepword/bench/lab/broken"
)

// setting is what stands on the gateway.
type setting string

const (
	without setting = "without"
	observe setting = "observe"
	enforce setting = "enforce"
)

var settings = []setting{without, observe, enforce}

// column is a client in one mode.
type column struct {
	name   string
	client string // the lab's name for it
	mode   lab.Mode
}

// columns are the clients. Those that go on in clear text where TLS fails to come
// about come before those that don't.
var columns = []column{
	{"Postfix may", "postfix", lab.IfOffered},
	{"Postfix encrypt", "postfix", lab.Required},
	{"swaks --tls-optional", "swaks", lab.IfOffered},
	{"swaks --tls", "swaks", lab.Required},
	{"openssl s_client", "openssl", lab.Required},
	{"curl --ssl", "curl", lab.IfOffered},
	{"curl --ssl-reqd", "curl", lab.Required},
	{"Python smtplib", "smtplib", lab.IfOffered},
	{"Go net/smtp", "net/smtp", lab.IfOffered},
}

// row is what the clients send to.
type row struct {
	name  string
	about string
	real  string // the real server that must run; it stands behind middleboxes too
	kind  string // of package broken, "" for the real server itself
	role  broken.Role
	// starttls is keepword's setting for this server, "" for the default.
	starttls string
	// findings are due where the client asks for TLS; besides may come too.
	findings, besides []string
	// honest says that nothing is wrong: nothing may be altered, in no setting.
	honest bool
	// only is the one client of the row, and patience what it is given: 0 for all
	// clients and the usual.
	only     string
	patience time.Duration
}

// rows are the real servers, the broken kinds, and honest servers under the settings
// by which an administrator has keepword take something away.
func rows() []row {
	all := []row{
		{name: "Postfix", real: "postfix", about: "Debian 12's", honest: true},
		{name: "Exim", real: "exim", about: "Debian 12's", honest: true},
		{name: "OpenSMTPD", real: "opensmtpd", about: "of Debian 12's backports", honest: true},
		{name: "OpenSMTPD 6.8", real: "opensmtpd-6.8", about: "Debian 12's: built against an OpenSSL that it does not know, it says 220 and fails every handshake",
			findings: []string{"handshake-failed"}},
	}
	for _, k := range broken.Kinds() {
		r := row{name: k.Name, about: k.About, real: "postfix", kind: k.Name, role: k.Role, honest: len(k.Findings)+len(k.Learned) == 0}
		for _, f := range k.Findings {
			r.findings = append(r.findings, f.String())
		}
		if slices.Contains(unprovoked, k.Name) {
			r.findings = nil
		}
		all = append(all, r)
	}
	return append(all,
		row{name: "honest, starttls: hide", about: "set in keepword's configuration", real: "postfix", kind: "honest", starttls: "hide"},
		row{name: "honest, starttls: require", about: "set in keepword's configuration", real: "postfix", kind: "honest", starttls: "require"},
		row{name: "plain, starttls: require", about: "set in keepword's configuration", real: "postfix", kind: "plain", starttls: "require",
			findings: nil, besides: []string{"tls-required"}},
		row{name: silentRow, about: "measured to its end: the client waits longer than keepword", real: "postfix", kind: "silent-after-220",
			findings: []string{"silence-after-220"}, only: "Go net/smtp", patience: 80 * time.Second},
	)
}

// silentRow is the one cell in which the client outwaits keepword.
const silentRow = "silent-after-220, outwaited"

// unprovoked are the kinds whose finding no client of the lab provokes: none says
// EHLO twice in clear text or knows Exchange's verb.
var unprovoked = []string{"inconsistent-ehlo", "x-anonymoustls"}
