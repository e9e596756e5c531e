package config

import (
	"fmt"
	"slices"
	"strings"
)

// Error is one fault of a configuration file.
type Error struct {
	File string
	// Line and Column count from 1, the column in characters; both are 0 where
	// the fault is the file itself.
	Line, Column int
	Message      string
	// Source is the line at fault, cut where it is long.
	Source string
	// caret is the character of Source, from 0, that Column is.
	caret int
}

// Error returns FILE:line:column: message, or FILE: message.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Excerpt returns the line at fault and, below it, a caret at the column. Both
// lines end in a newline. It is empty where the fault is the file itself.
func (e *Error) Excerpt() string {
	if e.Line == 0 {
		return ""
	}
	number := fmt.Sprint(e.Line)
	return fmt.Sprintf("  %s | %s\n  %s | %s^\n",
		number, e.Source, strings.Repeat(" ", len(number)), strings.Repeat(" ", e.caret))
}

// Errors are the faults of one file in the file's order, never none.
type Errors []*Error

// Error returns the first fault as one line, and says how many more there are.
func (e Errors) Error() string {
	if len(e) == 1 {
		return e[0].Error()
	}
	return fmt.Sprintf("%s (and %d more: keepword check shows all)", e[0], len(e)-1)
}

// maxErrors bounds the report on a file that is no configuration at all.
const maxErrors = 50

// faults collects the errors of one file.
type faults struct {
	file  string
	lines []string
	list  Errors
}

func newFaults(file, text string) *faults {
	return &faults{file: file, lines: strings.Split(text, "\n")}
}

// add reports a fault at a line and column that count from 1.
func (f *faults) add(line, column int, format string, args ...any) {
	if len(f.list) == maxErrors {
		return
	}
	e := &Error{File: f.file, Line: max(line, 1), Column: max(column, 1), Message: fmt.Sprintf(format, args...)}
	if e.Line <= len(f.lines) {
		e.Source, e.caret = window(f.lines[e.Line-1], e.Column-1)
	}
	f.list = append(f.list, e)
}

// err returns the faults in the file's order, nil where there are none.
func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	slices.SortStableFunc(f.list, func(a, b *Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return f.list
}

// window cuts a line to what fits a terminal of 80 columns beside its number, with
// the character at column (from 0) inside, and returns where that character is
// in it. Control characters, tabs among them, become one blank each, so that the
// caret stands right and a terminal is not commanded by a file.
func window(line string, column int) (string, int) {
	const width = 66
	r := []rune(strings.TrimSuffix(line, "\r"))
	for i, c := range r {
		if c < ' ' || c >= 0x7f && c < 0xa0 {
			r[i] = ' '
		}
	}
	column = min(column, len(r))
	start := 0
	if column >= width {
		start = column - width/2
	}
	return string(r[start:min(len(r), start+width)]), column - start
}

// nearest returns the candidate that is most like word, "" where none is near
// enough to be meant.
func nearest(word string, candidates []string) string {
	best, limit := "", 1+len(word)/3
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), c); d <= limit {
			best, limit = c, d-1
		}
	}
	return best
}

// distance is the number of characters to insert, delete, replace or swap with
// their neighbour to make b of a (the optimal string alignment distance).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(last[j]+1, row[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// meant returns the end of a message about an unknown word: the nearest known
// word, or the known words where they are few.
func meant(word string, known []string) string {
	const few = 24
	if near := nearest(word, known); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	if len(known) > few {
		return ""
	}
	return "; known are " + strings.Join(known, ", ")
}
