package terminal

import (
	"bytes"
	"os"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestWhatIsNoTerminalGetsNoColourAndTheUsualSize(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for name, stream := range map[string]any{"a pipe": w, "a buffer": new(bytes.Buffer), "nothing": nil} {
		if Is(stream) {
			t.Errorf("%s is a terminal", name)
		}
		if got := InkFor(stream).Paint(Red, "fault"); got != "fault" {
			t.Errorf("%s: %q", name, got)
		}
		if columns, rows := Size(stream); columns != UsualColumns || rows != UsualRows {
			t.Errorf("%s: %d x %d", name, columns, rows)
		}
	}
}

func TestInkPaintsAndTheZeroInkDoesNot(t *testing.T) {
	for _, c := range []struct {
		ink   Ink
		style Style
		text  string
		want  string
	}{
		{Colored(), Red, "fault", "\x1b[31mfault\x1b[0m"},
		{Colored(), Plain, "fault", "fault"},
		{Colored(), Bold, "", ""},
		{Ink{}, Red, "fault", "fault"},
	} {
		if got := c.ink.Paint(c.style, c.text); got != c.want {
			t.Errorf("%q in %q: %q, want %q", c.text, c.style, got, c.want)
		}
	}
}

func TestATextIsCutAtAWidthAndThatIsMarked(t *testing.T) {
	for _, c := range []struct {
		text  string
		cells int
		want  string
	}{
		{"postfix", 7, "postfix"}, {"postfix", 6, "pos..."}, {"postfix", 3, "..."}, {"postfix", 2, ".."},
		{"postfix", 0, ""}, {"postfix", -1, ""}, {"", 0, ""}, {"▁▂▃▄▅", 5, "▁▂▃▄▅"}, {"▁▂▃▄▅", 4, "▁..."},
	} {
		if got := Cut(c.text, c.cells); got != c.want {
			t.Errorf("%q in %d cells: %q, want %q", c.text, c.cells, got, c.want)
		}
	}
}

func TestAPaddedTextHasTheWidthThatWasAskedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, cells := rapid.String().Draw(t, "text"), rapid.IntRange(0, 20).Draw(t, "cells")
		if got := utf8.RuneCountInString(Pad(text, cells)); got != cells {
			t.Fatalf("%d cells, want %d", got, cells)
		}
	})
}
