// Package catalogue is what keepword knows about each finding, whoever it is about: its
// numbers for the events, and in plain words what it is, why it matters and what to do.
// It is the one source of the EVE events, the reports, `keepword explain` and
// docs/findings.md. What is done about a finding is in package policy.
package catalogue

import (
	"keepword/inspect/verdict"
)

//go:generate go test -run ^TestThePageOfFindingsIsThatOfTheCatalogue$ . -update

// Severities, in the sense of alert.severity: 1 is the gravest.
const (
	severe  = 1 // mail is read or altered, or does not arrive
	serious = 2 // a promise was broken, or protection was lost
	notable = 3 // a deviation that harms nobody by itself
)

// signatureBase is added to a finding's fixed number to make its signature_id. It
// lies at the upper end of 1000000-1999999, which the list of SID allocations
// (sidallocation.org) leaves to local use: no publisher's rules can have these
// numbers, and a site's own rules are usually counted up from the lower end.
const signatureBase = 1_990_000

// Entry is what is always true of a finding. The texts are one paragraph each; but for
// Title, Rule and Next, which are plain, `backquotes` stand around what is to be typed or
// read literally.
type Entry struct {
	// Signature is signature_id: signatureBase and a number that is fixed for ever. A
	// finding that is given up takes its number with it, and a new one takes the next
	// free number.
	Signature int
	// Rev counts the changes of the finding's meaning, from 1.
	Rev int
	// Severity is 1 (gravest) to 3.
	Severity int
	// Category is the finding's section of the catalogue.
	Category string
	// Title names the finding in a few words.
	Title string
	// RFC are the sections that the finding is judged by, as "RFC 3207 section 4". They
	// are shared and must not be changed.
	RFC []string
	// Rule is what those sections demand, in one short sentence of our own.
	Rule string
	// Wire is what is seen on the wire.
	Wire string
	// Why is what goes wrong if nobody notices.
	Why string
	// Who is who does it in practice, as far as that is known for sure.
	Who string
	// Default is what keepword does about it unless told otherwise, and why.
	Default string
	// Advice is what the administrator should do.
	Advice string
	// Next is the next step in one line.
	Next string
}

// Of returns what is known of f: the zero Entry for a value that is no finding.
func Of(f verdict.Finding) Entry {
	if f >= verdict.Findings {
		return Entry{}
	}
	return entries[f]
}

// section is a part of the catalogue.
type section struct {
	category string
	entries  []map[verdict.Finding]Entry
}

var sections = []section{
	{"STARTTLS promise", []map[verdict.Finding]Entry{answers, handshake, offers}},
	{"STARTTLS injection", []map[verdict.Finding]Entry{injection}},
	{"Mail data and lines", []map[verdict.Finding]Entry{lines}},
	{"TCP and IP", []map[verdict.Finding]Entry{tcp}},
}

var entries = gather(sections)

func gather(sections []section) (all [verdict.Findings]Entry) {
	for _, s := range sections {
		for _, part := range s.entries {
			for f, e := range part {
				e.Category = s.category
				all[f] = e
			}
		}
	}
	return all
}
