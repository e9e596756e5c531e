package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// write writes the stories as a document.
func write(w io.Writer, all []*story) {
	fmt.Fprintf(w, `# The circuit breaker, and marks of stripping: what an administrator sees

Made by `+"`go run ./bench/breaker -o docs/breaker.md`"+` (root, Debian 12): `+"`keepword run`"+` on a
gateway in the lab, a real Postfix as the client, boxes and small servers behind. The same
is a test (`+"`make test`"+`). Why keepword does so is in [architecture.md](architecture.md#what-is-remembered).

The configuration is the built-in one, but for the clock: **a day is %d seconds**
(`+"`history: {breaker: {retry: %v}}`"+`, by default `+"`24h`"+`), and for the stories that have
`+"`starttls: require`"+`. Each story has a server that keepword has never seen before.

- **What the client and the server saw** is read from the wire at the client's side, and from what
  the server wrote down: the replies to EHLO, STARTTLS and what follows, up to the mail or TLS.
- **Trips** are round trips in clear text from the greeting to the mail or to TLS: EHLO is one, a
  STARTTLS another. Where the offer is hidden, there is one: no try is wasted.
- **The mail** is compared octet for octet with what the server has stored. What is delivered is
  there once, through TLS or not as the table says; of what is not, not even MAIL has reached
  the server in clear text.
- **Breaker** is what `+"`keepword history`"+` says after the attempt.
- **Keepword reports**: the events, by finding and action, or by the change of the breaker
  (`+"`metadata.breaker`"+`), each with its sentence where the story has it for the first time.

Postfix is set up for the fast clock, too: it tries a server again that it has just failed to
reach, and meets a PIX with HELO at once. A box swallows, deletes and masks on the wire; what *somebody
says* in the server's place is put there as it leaves the server, which on the gateway's
wire is the same. What comes back to the sender is thrown away.
`, int(day.Seconds()), day)
	for _, s := range all {
		fmt.Fprintf(w, "\n## %s\n\n%s\n\n", s.title, s.text)
		s.writeTable(w)
	}
}

func (s *story) writeTable(w io.Writer) {
	fmt.Fprint(w, "| | what is new | the client saw | the server saw | trips | the mail | breaker | keepword reports |\n|---|---|---|---|---|---|---|---|\n")
	all := slices.Concat(s.site.attempts, s.other.attempts)
	slices.SortStableFunc(all, func(a, b *attempt) int { return a.begin.Compare(b.begin) })
	told := map[string]bool{}
	for i, a := range all {
		var events []string
		for _, e := range a.events {
			text := "`" + name(e) + "`"
			if sentence := undated(e.Reason()); !told[sentence] {
				told[sentence] = true
				text += ": " + sentence
			}
			events = append(events, text)
		}
		fmt.Fprintf(w, "| %d | %s | %s | %s | %d | %v | %s | %s |\n", i+1, a.news,
			strings.Join(a.client.words, "; "), strings.Join(a.server.words, "; "), a.client.trips, a.want, a.state, strings.Join(events, "<br>"))
	}
}

// moment matches a time in an event's sentence.
var moment = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]?[0-9:]*( UTC|Z)?`)

// undated is a sentence without the times of this run.
func undated(sentence string) string { return moment.ReplaceAllString(sentence, "(date)") }
