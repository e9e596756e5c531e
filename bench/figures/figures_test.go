package figures

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestATableTakesThePlaceOfTheOneBefore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	if err := Place(file, "a table", "one\n"); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(file)
	begin, end := markers("other")
	os.WriteFile(file, []byte("head\n"+string(text)+begin+"theirs\n"+end+"foot\n"), 0o644)
	if err := Place(file, "a table", "two\n"); err != nil {
		t.Fatal(err)
	}
	text, _ = os.ReadFile(file)
	ourBegin, ourEnd := markers("a table")
	if want := "head\n" + ourBegin + "\ntwo\n\n" + ourEnd + begin + "theirs\n" + end + "foot\n"; string(text) != want {
		t.Errorf("%q, want %q", text, want)
	}
	if err := Place(file, "no table", "three\n"); err == nil {
		t.Error("a file without a place for the table was written over")
	}
}

func TestAMedianIsInTheMiddleAndRatiosAreOfTheSameRound(t *testing.T) {
	if m := (Series{9, 1, 5}).Median(); m != 5 {
		t.Errorf("median %g", m)
	}
	if m := (Series{9, 1, 5, 6}).Median(); m != 5.5 {
		t.Errorf("median %g", m)
	}
	if r := (Series{2, 9}).By(Series{4, 3}); !slices.Equal(r, Series{0.5, 3}) {
		t.Errorf("ratios %v", r)
	}
}

func TestAFigureHasThreeDigits(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.9512: "0.951", 12.345: "12.3", 6543.2: "6543"} {
		if got := Digits(v); got != want {
			t.Errorf("%g: %s, want %s", v, got, want)
		}
	}
}

func TestTheCircumstancesTellHowToMakeTheTableAgain(t *testing.T) {
	if c := Circumstances("go run ./x"); !strings.Contains(c, "`go run ./x`") || !strings.Contains(c, " cores of ") {
		t.Error(c)
	}
}
