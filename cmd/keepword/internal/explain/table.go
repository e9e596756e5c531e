package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"keepword/cmd/keepword/internal/report/page"
	"keepword/inspect"
	"keepword/inspect/smtp"
	"keepword/inspect/starttls"
)

// row is a line of the dialogue: what one end said, and what the other answered.
type row struct {
	clientAt, client string // the time, and the word
	serverAt, server string
	promise, brief   string // what that is to the promise; brief where there is little room
	marks            []int  // the findings at this place, by number, the gravest first
}

// keptOfASession is how much of a session inspection keeps (inspect.Said): of a longer one
// the end is not known, but for TLS and findings.
const keptOfASession = 48

// dialogue lays out what was said: each reply beside the command that it answers.
func dialogue(st *story) []row {
	l := layout{st: st, hello: -1}
	for i := range st.said {
		l.add(&st.said[i])
	}
	l.offer()
	if len(st.said) >= keptOfASession {
		l.rows = append(l.rows, row{promise: "what followed was not kept"})
	}
	return l.rows
}

// layout puts what was said into rows.
type layout struct {
	st      *story
	rows    []row
	waiting []int // rows whose command has no reply yet
	hello   int   // the row of the ClientHello, -1
	last    int   // the row of what was said last
	tls     bool  // it has begun
	ehlos   []int // rows of EHLO
	asked   int   // how many of them came before STARTTLS
}

func (l *layout) add(s *inspect.Said) {
	at := l.st.since(s.Time)
	if s.Kind == inspect.SaidFinding {
		l.mark(s, at)
		return
	}
	l.last = len(l.rows)
	switch s.Kind {
	case inspect.SaidCommand:
		l.command(s.Verb, at)
	case inspect.SaidAuthResponse:
		l.ask(row{clientAt: at, client: "auth response"})
	case inspect.SaidReply:
		l.reply(s.Code, at)
	case inspect.SaidClientHello:
		l.hello = len(l.rows)
		l.rows = append(l.rows, row{clientAt: at, client: "ClientHello", promise: "begun by the client alone", brief: "client alone"})
	case inspect.SaidServerHello:
		l.serverHello(s.Version, at)
	case inspect.SaidAlert:
		r := row{serverAt: at, server: "TLS alert"}
		if s.ToServer {
			r = row{clientAt: at, client: "TLS alert"}
		}
		l.rows = append(l.rows, r)
	case inspect.SaidProtected:
		l.tls = true
		l.rows = append(l.rows, row{clientAt: at, client: "data in TLS", serverAt: at, server: "data in TLS", promise: "kept"})
	}
}

func (l *layout) command(v smtp.Verb, at string) {
	r := row{clientAt: at, client: v.String()}
	switch v {
	case smtp.VerbUnknown:
		r.client = "(unknown)"
	case smtp.VerbEndOfData:
		r.client = "end of mail"
	case smtp.VerbEHLO:
		l.ehlos = append(l.ehlos, len(l.rows))
	case smtp.VerbSTARTTLS, smtp.VerbXANONYMOUSTLS:
		r.promise = "asked"
		if l.asked == 0 {
			l.asked = len(l.ehlos)
		}
	case smtp.VerbMAIL:
		if !l.tls {
			r.promise, r.brief = "mail in clear text", "in clear"
		}
	case smtp.VerbPROXY: // nobody answers it
		l.rows = append(l.rows, r)
		return
	}
	l.ask(r)
}

func (l *layout) ask(r row) {
	l.waiting = append(l.waiting, len(l.rows))
	l.rows = append(l.rows, r)
}

func (l *layout) reply(code int, at string) {
	word := fmt.Sprintf("%03d", code)
	if code == 0 {
		word = "no reply"
	}
	if len(l.waiting) == 0 { // the greeting, or one that nobody asked for
		l.rows = append(l.rows, row{serverAt: at, server: word})
		return
	}
	l.last = l.waiting[0]
	l.waiting = l.waiting[1:]
	r := &l.rows[l.last]
	r.serverAt, r.server = at, word
	if r.promise == "asked" {
		r.promise, r.brief = "asked, answered "+word, "asked"
	}
}

// serverHello stands beside the ClientHello that it answers.
func (l *layout) serverHello(version uint16, at string) {
	l.tls = true
	if l.hello < 0 {
		l.rows = append(l.rows, row{})
		l.hello = len(l.rows) - 1
	}
	l.last, l.hello = l.hello, -1
	r := &l.rows[l.last]
	r.serverAt, r.server, r.promise, r.brief = at, "ServerHello", "begun: "+versionName(version), "begun"
}

// mark puts a finding beside what was said last.
func (l *layout) mark(s *inspect.Said, at string) {
	if len(l.rows) == 0 {
		l.rows = append(l.rows, row{clientAt: at, client: "-"})
	}
	r := &l.rows[l.last]
	if n := l.st.number(s.Finding); !slices.Contains(r.marks, n) {
		r.marks = append(r.marks, n)
		slices.Sort(r.marks)
	}
}

// offer says at which EHLO STARTTLS was offered. Where there were several, it was the last
// before the client asked, or the last.
func (l *layout) offer() {
	if l.st.flow == nil || len(l.ehlos) == 0 {
		return
	}
	i := len(l.ehlos) - 1
	if l.asked > 0 {
		i = l.asked - 1
	}
	r := &l.rows[l.ehlos[i]]
	if !strings.HasPrefix(r.server, "2") {
		return
	}
	has := func(s starttls.Step) bool { return slices.Contains(l.st.flow.Steps, s) }
	switch {
	case has(starttls.StepHidden):
		r.promise, r.brief = "offered, hidden by keepword", "hidden"
	case has(starttls.StepOffered):
		r.promise = "offered"
	default:
		r.promise = "not offered"
	}
}

// The columns of the table.
const (
	timeWidth    = 8
	clientWidth  = 14 // X-ANONYMOUSTLS
	serverWidth  = 11 // ServerHello
	promiseWidth = page.Width - (1 + timeWidth + 1 + clientWidth + 1 + timeWidth + 1 + serverWidth + 2)
)

func columns(clientAt, client, serverAt, server string) string {
	return fmt.Sprintf(" %*s %-*s %*s %-*s  ", timeWidth, clientAt, clientWidth, client, timeWidth, serverAt, serverWidth, server)
}

// table writes rows in so many lines at most, beside a heading.
func (t *text) table(rows []row, most int) {
	if len(rows) == 0 {
		t.WriteString("        What was said is not known.\n")
		return
	}
	t.WriteString(t.paint(bold, columns("", "client", "", "server")+"promise") + "\n")
	shown := choose(rows, most)
	for i := 0; i < len(rows); i++ {
		if shown[i] {
			t.row(&rows[i])
			continue
		}
		from := i
		for i+1 < len(rows) && !shown[i+1] {
			i++
		}
		fmt.Fprintf(t, "          ... %d lines left out ...\n", i+1-from)
	}
}

func (t *text) row(r *row) {
	promise := r.promise
	mark, colour := t.marked(r.marks)
	if len(promise)+1+len(mark) > promiseWidth && r.brief != "" {
		promise = r.brief
	}
	if len(promise)+1+len(mark) > promiseWidth {
		mark, _ = t.marked(r.marks[:1])
		mark += ", ..."
	}
	if promise != "" && mark != "" {
		promise += " "
	}
	line := columns(r.clientAt, r.client, r.serverAt, r.server) + promise
	if mark == "" {
		line = strings.TrimRight(line, " ")
	}
	t.WriteString(line + t.paint(colour, mark) + "\n")
}

// marked says what was found at a row, the gravest first.
func (t *text) marked(marks []int) (mark, colour string) {
	if len(marks) == 0 {
		return "", ""
	}
	parts := make([]string, len(marks))
	for i, n := range marks {
		parts[i] = strconv.Itoa(n)
	}
	colour = yellow
	if marks[0] == 1 {
		parts[0], colour = t.here, t.colour
	}
	return "<< " + strings.Join(parts, ", "), colour
}

// choose returns which rows are shown where no more than so many lines are: those with the
// findings, the gravest first, what is beside them, the first and the last, those of the
// promise, and from both ends on as many as there is room for. What is left out between them
// takes a line each time.
func choose(rows []row, most int) []bool {
	gravest := slices.IndexFunc(rows, func(r row) bool { return slices.Contains(r.marks, 1) })
	const numbers, near, promises, others = 0, 100, 200, 300 // apart by more than there are rows
	weight := func(i int) int {
		switch d := max(i-gravest, gravest-i); {
		case len(rows[i].marks) > 0:
			return numbers + slices.Min(rows[i].marks)
		case gravest >= 0 && d == 1:
			return near
		case i == 0 || i == len(rows)-1:
			return near + 1
		case gravest >= 0 && d == 2:
			return near + 2
		case rows[i].promise != "":
			return promises
		}
		return others + min(i, len(rows)-1-i)
	}
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(weight(a), weight(b)) })
	shown := make([]bool, len(rows))
	for _, i := range order {
		shown[i] = true
		if lines(shown) > most {
			shown[i] = false
		}
	}
	for i := range shown { // a gap of one row takes as much room as the row
		if !shown[i] && (i == 0 || shown[i-1]) && (i == len(rows)-1 || shown[i+1]) {
			shown[i] = true
		}
	}
	return shown
}

// lines counts those of the rows shown and of the gaps between them.
func lines(shown []bool) (n int) {
	for i, s := range shown {
		if s || i == 0 || shown[i-1] {
			n++
		}
	}
	return n
}
