package page

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAnyTextFitsAndIsHarmlessAndLosesNoWord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := string(rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "value"))
		label := strings.Repeat("l", rapid.IntRange(0, 30).Draw(t, "label"))
		var b bytes.Buffer
		Wrap(&b, label, value)
		got := b.String()
		for line := range strings.Lines(got) {
			line = strings.TrimSuffix(line, "\n")
			if len(line) > Width {
				t.Fatalf("%d columns: %q", len(line), line)
			}
			for _, c := range []byte(line) {
				if c < ' ' || c > '~' {
					t.Fatalf("octet %#x in %q", c, line)
				}
			}
		}
		var want strings.Builder
		for _, word := range strings.Fields(value) {
			want.WriteString(Printable(word))
		}
		squeeze := strings.NewReplacer(" ", "", "\n", "")
		if squeeze.Replace(got) != label+want.String() {
			t.Fatalf("%q became %q", value, got)
		}
	})
}

func TestEscapesDoNotReachTheTerminal(t *testing.T) {
	for in, want := range map[string]string{
		"plain <a@b>":    "plain <a@b>",
		"\x1b[31mred":    `\x1b[31mred`,
		"\xff\r\n":       `\xff\r\n`,
		"a\u202eb\u00e9": `a\u202eb\u00e9`,
	} {
		if got := Printable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
