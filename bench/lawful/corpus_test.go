package main

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"keepword/inspect/verdict"
)

// dialogues of the suite's run, and how many of them must differ.
const (
	suite     = 2200
	different = 2000
)

// covered are the features that some dialogue must have, beside every body of bodies.
var covered = []string{
	"EHLO", "EHLO twice", "HELO", "EHLO refused, then HELO", "a greeting of several lines",
	"STARTTLS offered", "STARTTLS asked and refused", "STARTTLS asked and accepted", "STARTTLS at the end of a group",
	"TLS 1.2", "TLS 1.3", "HelloRetryRequest", "a ClientHello of several segments", "a ClientHello in two records",
	"a group of commands", "replies while a group is being sent", "QUIT at the end of a group", "several messages",
	"RSET within a transaction", "a command beside the transactions", "several recipients", "a recipient that is refused",
	"DATA", "DATA that is refused", "a message that is refused", "a program that doubles no dots",
	"BDAT", "several BDATs", "BDAT of 0 octets", "BDAT of 1 octet", "BDAT LAST of 0 octets", "BDAT cut within CRLF", "BDAT cut within CRLF.CRLF",
	"BINARYMIME", "8BITMIME", "SMTPUTF8",
	"AUTH PLAIN", "AUTH LOGIN", "AUTH CRAM-MD5", "AUTH that fails", "AUTH that is cancelled", "AUTH that spells a command",
	"a reply without text", "a reply of several lines", "a long reply line", "an enhanced status code",
	"lines that end in CRLF", "lines that end in a bare LF", "lines that end in a bare CR", "lines that end in CRCRLF", "lines that end in CRLF and others that do not",
	"a message without a header", "a DKIM signature", "a line of 100,000 octets",
	"a proxy's line before the greeting", "TLS from the first octet", "X-ANONYMOUSTLS", "a client that does not trust the certificate", "hundreds of recipients",
	"an empty message for no recipient", "a connection that is lost within a message", "a server that gives up within a message",
	"a FIN with the last octets", "a client that resets the connection in the end",
	"a session without mail", "a connection that says nothing", "a server that refuses the connection", "a server that ends the session", "a client that leaves without QUIT",
}

// digest tells dialogues apart by what is said.
func digest(d *dialogue) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, s := range d.says {
		fmt.Fprintf(h, "%t %d ", s.fromClient, len(s.octets))
		h.Write(s.octets)
	}
	h.Sum(sum[:0])
	return sum
}

func TestNothingIsDoneToAnyLawfulDialogue(t *testing.T) {
	began := time.Now()
	list := judgeAll(0, suite)
	for _, j := range list {
		if len(j.faults) > 0 {
			t.Error(j.tell())
		}
	}
	t.Logf("%.1f s\n%s", time.Since(began).Seconds(), format(list))
}

func TestTheCorpusIsLargeAndHasEveryFeature(t *testing.T) {
	texts, features := map[[sha256.Size]byte]bool{}, map[string]int{}
	for seed := range uint64(suite) {
		d := Generate(seed)
		texts[digest(d)] = true
		slices.Sort(d.features)
		for _, f := range slices.Compact(d.features) {
			features[f]++
		}
	}
	if len(texts) < different {
		t.Errorf("%d dialogues differ, want %d", len(texts), different)
	}
	wanted := slices.Clone(covered)
	for _, b := range bodies {
		wanted = append(wanted, b.name)
	}
	for _, f := range wanted {
		if features[f] == 0 {
			t.Errorf("no dialogue has %s", f)
		}
		delete(features, f)
	}
	for f := range features {
		t.Errorf("%s is not on the list of what must be covered", f)
	}
}

func TestASeedAlwaysMakesTheSameDialogue(t *testing.T) {
	for seed := range uint64(200) {
		first, second := Generate(seed), Generate(seed)
		if digest(first) != digest(second) {
			t.Errorf("seed %d makes two", seed)
		}
	}
}

// FuzzLawful plays dialogues of other seeds than the suite's.
func FuzzLawful(f *testing.F) {
	f.Add(uint64(suite))
	f.Fuzz(func(t *testing.T, seed uint64) {
		if j := judge(Generate(seed)); len(j.faults) > 0 {
			t.Error(j.tell())
		}
	})
}

// The mail of real programs is to raise no noise either: what may be logged is written here.
func TestNothingIsDoneToRecordedSessions(t *testing.T) {
	list, err := judgeCaptures(t.Context(), "testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range list {
		if len(j.faults) > 0 {
			t.Error(j.tell())
		}
		for f, n := range j.findings {
			if n > 0 && !slices.Contains(noise[j.name], verdict.Finding(f)) {
				t.Errorf("%s: %v is logged", j.name, verdict.Finding(f))
			}
		}
	}
	t.Log("\n" + format(list))
}

// noise are the findings that are due in recorded sessions.
var noise = map[string][]verdict.Finding{}
