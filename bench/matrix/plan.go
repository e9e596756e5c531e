package main

import (
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
	// findings are due where the client asks for TLS; besides may come too. Of either,
	// if there are any, one at least is due.
	findings, besides, either []string
	// missed are findings that are due and not made, outcomes are told beside the one
	// that the captures show, in the cells for which falls says yes; shortfall or note
	// says why.
	missed, outcomes []string
	falls            func(column string, s setting) bool
	shortfall        string
	note             string
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
		{name: "OpenSMTPD 6.8", real: "opensmtpd-6.8", about: "Debian 12's: built against an OpenSSL that it does not know, it says 220 and fails every handshake", honest: true,
			besides: []string{"plaintext-after-tls"},
			note:    "The handshake fails behind its ServerHello, and TLS 1.3 encrypts the alert that says so (RFC 8446 section 5.1): nobody between the two can tell it from mail. swaks may say goodbye in clear text before the server has hung up."},
	}
	for _, k := range broken.Kinds() {
		r := row{name: k.Name, about: k.About, real: "postfix", kind: k.Name, role: k.Role, honest: len(k.Findings)+len(k.Learned) == 0}
		for _, f := range k.Findings {
			r.findings = append(r.findings, f.String())
		}
		remarks[k.Name].apply(&r)
		all = append(all, r)
	}
	return append(all,
		row{name: "honest, starttls: hide", about: "set in keepword's configuration", real: "postfix", kind: "honest", starttls: "hide"},
		row{name: "honest, starttls: require", about: "set in keepword's configuration", real: "postfix", kind: "honest", starttls: "require"},
		row{name: "plain, starttls: require", about: "set in keepword's configuration", real: "postfix", kind: "plain", starttls: "require",
			besides: []string{"tls-required"}},
		row{name: silentRow, about: "measured to its end: the client waits longer than keepword", real: "postfix", kind: "silent-after-220",
			findings: []string{"silence-after-220"}, besides: []string{"handshake-failed"}, only: "Go net/smtp", patience: 80 * time.Second},
	)
}

// silentRow is the one cell in which the client outwaits keepword.
const silentRow = "silent-after-220, outwaited"

// remark is what the matrix has to say of a kind beyond the kind's own table.
type remark struct {
	without           bool // no client of the lab provokes the kind's findings
	either            bool // one of besides will do in place of the kind's findings
	besides           []string
	missed, outcomes  []string
	falls             func(column string, s setting) bool
	shortfall, reason string
}

func (m remark) apply(r *row) {
	if m.either {
		r.either = append(r.findings, m.besides...)
	}
	if m.without || m.either {
		r.findings = nil
	}
	r.besides = append(r.besides, m.besides...)
	r.besides = append(r.besides, r.either...)
	r.missed, r.outcomes, r.falls = m.missed, m.outcomes, m.falls
	r.shortfall, r.note = m.shortfall, m.reason
}

const (
	goesOn  = "In observe the session goes on, and how the client takes it is reported too."
	givesUp = " A client that gives up at the forged line may do so before the ServerHello comes or after it: broken, or upgraded."
)

// observing says yes for the cells in which nothing is held up or ended.
func observing(_ string, s setting) bool { return s == observe }

var remarks = map[string]remark{
	"inconsistent-ehlo": {without: true, reason: "No client of the lab says EHLO twice in clear text."},
	"x-anonymoustls":    {without: true, reason: "No client of the lab knows Exchange's verb."},
	"silent-after-220":  {besides: []string{"handshake-failed"}, reason: "These clients give up before keepword does, and that is a handshake that failed."},
	"clear-after-220":   {besides: []string{"plaintext-from-client-after-220"}, reason: goesOn},
	"injects-after-220": {besides: []string{"handshake-failed", "plaintext-after-tls"}, outcomes: []string{"broken"}, falls: observing, reason: goesOn + givesUp},
	"injector":          {besides: []string{"handshake-failed", "plaintext-after-tls"}, outcomes: []string{"broken"}, falls: observing, reason: goesOn + givesUp},
	"injects-before-server-hello": {either: true, besides: []string{"plaintext-from-server-after-220", "handshake-failed", "plaintext-after-tls"},
		outcomes: []string{"broken"}, falls: observing,
		reason: "Where the ClientHello came first, the forged line reads as the server's answer to it. " + goesOn + givesUp},
	"answers-250-then-220": {missed: []string{"surplus-reply"}, outcomes: []string{"broken", "corrected"},
		falls:     func(column string, s setting) bool { return s == observe || column == heedless },
		shortfall: "In observe keepword does not follow a client that begins TLS on a false acceptance: where the server does so too, the flow event says broken. In enforce likewise openssl s_client, which begins TLS whatever the answer is."},
	"answers-454-then-220": {missed: []string{"surplus-reply"}, outcomes: []string{"refused"},
		falls:     func(column string, _ setting) bool { return column == heedless },
		shortfall: "openssl s_client begins TLS whatever the answer is, and here so does the server; keepword does not read TLS behind a refusal, and says refused."},
}

// heedless is the client that does not read the code of the answer to STARTTLS.
const heedless = "openssl s_client"

// babble are the findings that its TLS is behind a refusal, in observe read as the lines that
// a server takes it for, and the server's answers to them.
var babble = []string{"bare-newline", "nul-octet", "line-too-long", "reply-malformed", "unauthorised-pipelining", "early-client-hello"}
