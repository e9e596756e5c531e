package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

// write writes the stories as a document.
func write(w io.Writer, all []*story) {
	fmt.Fprintf(w, "TODO %d\n", int(day.Seconds()))
	for _, s := range all {
		fmt.Fprintf(w, "## %s\n\n%s\n\n", s.title, s.text)
		writeTable(w, s)
	}
}

func writeTable(w io.Writer, s *story) {
	fmt.Fprint(w, "| | what is new | the client saw | the server saw | trips | the mail | breaker | keepword reports |\n|---|---|---|---|---|---|---|---|\n")
	for _, at := range []*site{s.site, s.other} {
		for i, a := range at.attempts {
			var events []string
			for _, e := range a.events {
				events = append(events, "`"+name(e)+"`: "+undated(e.Reason()))
			}
			fmt.Fprintf(w, "| %d | %s | %s | %s | %d | %v | %s | %s |\n", i+1, a.news,
				strings.Join(a.client.words, "; "), strings.Join(a.server.words, "; "), a.client.trips, a.want, a.state, strings.Join(events, "<br>"))
		}
	}
	fmt.Fprintln(w)
}

// moment matches a time in an event's sentence, and port what differs from run to run.
var moment = regexp.MustCompile(`\d{4}-\d\d-\d\d[^ ,;:.]*( \d\d:\d\d(:\d\d)?( UTC)?)?`)

// undated is a sentence without the times of this run.
func undated(sentence string) string { return moment.ReplaceAllString(sentence, "(time)") }
