package catalogue

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

var update = flag.Bool("update", false, "write docs/findings.md")

const page = "../../../../docs/findings.md"

// intros stand at the head of a section.
var intros = map[string]string{
	"TCP and IP": "They decide whether the octets that were read are those that arrive. What a sender can repeat at will is reported once a session, and counted always.",
}

func TestThePageOfFindingsIsThatOfTheCatalogue(t *testing.T) {
	head, err := os.ReadFile("testdata/head.md")
	if err != nil {
		t.Fatal(err)
	}
	want := render(string(head))
	if *update {
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("docs/findings.md is not what the catalogue says, from %q on: run go generate ./...", firstDifference(got, want))
	}
}

// firstDifference returns the first line of want that got does not have in its place.
func firstDifference(got, want []byte) string {
	has := strings.Split(string(got), "\n")
	for i, line := range strings.Split(string(want), "\n") {
		if i >= len(has) || has[i] != line {
			return line
		}
	}
	return "its end"
}

// render returns the page behind its head.
func render(head string) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	b.WriteString("\n## All findings\n\n| id | no. | severity | default | what it is |\n|---|---|---|---|---|\n")
	every(func(f verdict.Finding, e Entry) {
		fmt.Fprintf(&b, "| [`%v`](#%v) | %d | %d | %v | %s |\n", f, f, e.Signature-signatureBase, e.Severity, policy.Default(f), e.Title)
	})
	category := ""
	every(func(f verdict.Finding, e Entry) {
		if e.Category != category {
			category = e.Category
			fmt.Fprintf(&b, "\n## %s\n", category)
			if intro := intros[category]; intro != "" {
				fmt.Fprintf(&b, "\n%s\n", wrap(intro, ""))
			}
		}
		writeEntry(&b, f, e)
	})
	return b.Bytes()
}

func writeEntry(b *bytes.Buffer, f verdict.Finding, e Entry) {
	fmt.Fprintf(b, "\n### `%v`\n\n", f)
	fmt.Fprintf(b, "%s. `signature_id` %d, severity %d.\n%s\n\n", e.Title, e.Signature, e.Severity, links(e.RFC))
	for _, p := range []struct{ label, text string }{
		{"Rule", e.Rule}, {"On the wire", e.Wire}, {"Why it matters", e.Why}, {"Who does it", e.Who},
		{"By default: " + policy.Default(f).String(), e.Default}, {"Other actions", others(f)}, {"What to do", e.Advice},
	} {
		fmt.Fprintf(b, "%s\n", wrap("- **"+p.label+".** "+p.text, "  "))
	}
}

// others lists the actions that f may have beside its default.
func others(f verdict.Finding) string {
	var names []string
	for _, a := range policy.Allowed(f)[1:] {
		names = append(names, "`"+a.String()+"`")
	}
	return strings.Join(names, ", ") + "."
}

// links makes links of sections of RFCs, one a line.
func links(sections []string) string {
	var out []string
	for _, s := range sections {
		rfc, place, _ := strings.Cut(strings.TrimPrefix(s, "RFC "), " ")
		out = append(out, fmt.Sprintf("[%s](https://www.rfc-editor.org/rfc/rfc%s#%s)", s, rfc, strings.Replace(place, " ", "-", 1)))
	}
	return strings.Join(out, ",\n") + "."
}

// wrap breaks text into lines of the width of the other pages, each but the first behind
// indent.
func wrap(text, indent string) string {
	const width = 92
	var b strings.Builder
	column := 0
	for i, word := range words(text) {
		switch {
		case i == 0:
		case column+1+len(word) > width:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

// words cuts text at its blanks, but for those within backquotes: a command is copied whole.
func words(text string) (list []string) {
	for _, w := range strings.Split(text, " ") {
		if n := len(list); n > 0 && strings.Count(list[n-1], "`")%2 != 0 {
			list[n-1] += " " + w
		} else {
			list = append(list, w)
		}
	}
	return list
}
