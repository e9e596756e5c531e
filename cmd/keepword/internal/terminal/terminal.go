// Package terminal says whether a stream is a terminal, how large it is, and writes with its
// colours where they are wanted.
//
// Nothing here makes a text safe: what came from the wire is made printable (package page)
// before it is painted.
package terminal

import (
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// Size of a terminal that does not say it, in columns and rows.
const (
	UsualColumns = 80
	UsualRows    = 24
)

// Is says whether a stream, an io.Reader or io.Writer, is a terminal.
func Is(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Dumb says that the terminals of this process know no control sequences.
func Dumb() bool { return os.Getenv("TERM") == "dumb" }

// Size returns how many columns and rows a terminal has at the moment.
func Size(stream any) (columns, rows int) {
	if f, ok := stream.(*os.File); ok {
		if columns, rows, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 && rows > 0 {
			return columns, rows
		}
	}
	return UsualColumns, UsualRows
}

// Style is how a text looks: parameters of Select Graphic Rendition (ECMA-48 section
// 8.3.117). Only the eight colours that a terminal's own scheme makes readable are used.
type Style string

const (
	Plain  Style = ""
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "31" // a fault, a broken promise
	Green  Style = "32" // kept, healthy
	Yellow Style = "33" // a warning
)

// Ink paints texts; the zero Ink leaves them as they are.
type Ink struct{ wet bool }

// Colored is the Ink that paints.
func Colored() Ink { return Ink{wet: true} }

// InkFor returns the Ink for a stream: it paints on a terminal, unless NO_COLOR is set
// (https://no-color.org) or the terminal is dumb.
func InkFor(stream any) Ink { return Ink{wet: Is(stream) && os.Getenv("NO_COLOR") == "" && !Dumb()} }

// Paint gives a text a style.
func (i Ink) Paint(s Style, text string) string {
	if !i.wet || s == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// Cut shortens a text, not yet painted, to so many cells, and marks that. Each rune is
// taken for a cell: what page.Printable returns, and our own signs, have no others.
func Cut(text string, cells int) string {
	const mark = "..."
	if utf8.RuneCountInString(text) <= cells {
		return text
	}
	keep := max(0, cells-len(mark))
	for i := range text {
		if keep == 0 {
			return text[:i] + mark[:min(len(mark), max(0, cells))]
		}
		keep--
	}
	return text
}

// Pad is Cut, and fills the text with blanks to so many cells.
func Pad(text string, cells int) string {
	text = Cut(text, cells)
	return text + strings.Repeat(" ", max(0, cells-utf8.RuneCountInString(text)))
}
