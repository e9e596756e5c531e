package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sheetPackages are the folders that stand for the words before a test's name in
// docs/normalisation.md. Without a word it is a test of package inspect.
var sheetPackages = map[string]string{
	"": "inspect", "packet": "inspect/packet", "reassembly": "inspect/reassembly",
	"lab": "dataplane/nfqueue", "steer": "dataplane/steer",
}

// sheetRow is a row of a table of the sheet: its first cell, and the tests of its last.
type sheetRow struct {
	section, first string
	tests          []sheetTest
}

type sheetTest struct{ where, name string }

var testName = regexp.MustCompile(`(?:(\w+) )?\b((?:Test|Fuzz)[A-Z0-9]\w*)`)

// readSheet returns the rows of all tables. In a row's last cell a word before a name
// holds for the names behind it, up to a semicolon.
func readSheet(text string) (rows []sheetRow) {
	section := ""
	for _, line := range strings.Split(text, "\n") {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = title
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if !strings.HasPrefix(line, "| ") || cells[len(cells)-1] == "test" {
			continue
		}
		row := sheetRow{section: section, first: cells[0]}
		for _, part := range strings.Split(cells[len(cells)-1], ";") {
			where := ""
			for _, m := range testName.FindAllStringSubmatch(part, -1) {
				if m[1] != "" {
					where = m[1]
				}
				row.tests = append(row.tests, sheetTest{where, m[2]})
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// testsIn returns the names of the test and fuzz functions of a folder. lab says which
// of them it wants: those with the build tag or those without.
func testsIn(t *testing.T, dir string, lab bool) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(root(t), filepath.FromSlash(dir), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(text), "//go:build lab") != lab {
			continue
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range syntax.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}

func TestEveryRowOfTheSheetNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "docs", "normalisation.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]map[string]bool{}
	for word, dir := range sheetPackages {
		known[word] = testsIn(t, dir, word == "lab" || word == "steer")
	}
	count := map[string]int{}
	for _, row := range readSheet(string(text)) {
		count[row.section]++
		if len(row.tests) == 0 {
			t.Errorf("%s, row %q names no test", row.section, row.first)
		}
		for _, test := range row.tests {
			if !known[test.where][test.name] {
				t.Errorf("%s, row %q: there is no test %s %s", row.section, row.first, test.where, test.name)
			}
		}
	}
	// 24 of the paper and IPv6's own; 38; Linux's.
	if count["IP"] < 24+6 || count["TCP"] != 38 || count["Linux's own, and newer than the paper"] < 11 {
		t.Errorf("rows by section: %v", count)
	}
}

// namedTests returns the tests and fuzz targets that a text names.
func namedTests(text string) (names []string) {
	for _, m := range testName.FindAllStringSubmatch(text, -1) {
		names = append(names, m[2])
	}
	return names
}

func TestEveryTestThatAPageNamesExists(t *testing.T) {
	known := map[string]bool{}
	for dir := range sources(t) {
		for _, lab := range []bool{false, true} {
			maps.Copy(known, testsIn(t, dir, lab))
		}
	}
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "bench/*.md"} {
		found, err := filepath.Glob(filepath.Join(root(t), filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	count := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range namedTests(string(text)) {
			count++
			if !known[name] {
				t.Errorf("%s names %s, which there is not", filepath.Base(page), name)
			}
		}
	}
	if count == 0 {
		t.Error("no page names any test: this one shows nothing")
	}
}

func TestATestIsSeenWhereverAPageNamesIt(t *testing.T) {
	got := namedTests("`TestOne` and (`FuzzTwo`), [TestThree](x.md), lab TestFour. Not Testing, nor bestTestFive.")
	if want := []string{"TestOne", "FuzzTwo", "TestThree", "TestFour"}; !slices.Equal(got, want) {
		t.Errorf("seen %q, want %q", got, want)
	}
}

func TestARowWithoutATestOrWithAForeignOneIsSeen(t *testing.T) {
	rows := readSheet(`## TCP
| no. | field | settled by | test |
|---|---|---|---|
| 1 | a field | nobody | no test yet |
| 2 | another | somebody (TestInProse) | TestHere; lab TestThere, TestThereToo; packet FuzzParse |
`)
	want := []sheetTest{{"", "TestHere"}, {"lab", "TestThere"}, {"lab", "TestThereToo"}, {"packet", "FuzzParse"}}
	if len(rows) != 2 || len(rows[0].tests) != 0 || len(rows[1].tests) != len(want) {
		t.Fatalf("read %+v", rows)
	}
	for i, test := range rows[1].tests {
		if test != want[i] {
			t.Errorf("test %d is %+v, want %+v", i, test, want[i])
		}
	}
}
