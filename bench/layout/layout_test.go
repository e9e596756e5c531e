package layout

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root returns the module's root: the nearest folder above that has a go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above this folder")
		}
		dir = parent
	}
}

// sources returns the module's Go files by folder, as the go command sees them: no
// hidden folders, no testdata, no scripts that are marked to be ignored.
func sources(t *testing.T) map[string][]File {
	t.Helper()
	top := root(t)
	files := make(map[string][]File)
	err := filepath.WalkDir(top, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() {
			if name != top && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if strings.HasPrefix(string(text), "//go:build ignore") {
			return nil
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(top, name)
		if err != nil {
			return err
		}
		f := Describe(filepath.ToSlash(relative), syntax)
		files[f.dir()] = append(files[f.dir()], f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestEveryPackageImportsOnlyWhatItMay(t *testing.T) {
	for _, files := range sources(t) {
		for _, f := range files {
			for _, v := range Violations(f) {
				t.Error(v)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, files := range sources(t) {
		if v := Undocumented(files); v != "" {
			t.Error(v)
		}
	}
}

func TestTheWalkFindsTheModulesPackages(t *testing.T) {
	found := sources(t)
	for _, dir := range []string{"dataplane", "inspect", "inspect/packet", "bench/layout"} {
		if len(found[dir]) == 0 {
			t.Errorf("no file of %s was seen", dir)
		}
	}
}

func TestTheRulesCatchWhatTheyForbid(t *testing.T) {
	tests := []struct {
		path string
		lib  string
		want string // a part of the violation; empty: none
	}{
		{"inspect/smtp/reply.go", "keepword/inspect/verdict", "sans-I/O"},
		{"inspect/smtp/reply_test.go", "keepword/inspect/verdict", ""},
		{"inspect/flow/table.go", "keepword/inspect/packet", ""},
		{"inspect/flow/table.go", "keepword/inspect/smtp", "decided above"},
		{"inspect/pipeline.go", "keepword/dataplane", ""},
		{"inspect/pipeline.go", "keepword/dataplane/nfqueue", "any engine"},
		{"inspect/pipeline.go", "keepword/cmd/keepword/internal/eve", "any engine"},
		{"dataplane/nfqueue/worker.go", "keepword/inspect", "knows none"},
		{"dataplane/nfqueue/worker.go", "keepword/dataplane/internal/inject", ""},
		{"dataplane/pcap/pcap.go", "keepword/dataplane/steer", "knows none"},
		{"cmd/keepword/main.go", "keepword/inspect/policy", ""},
		{"cmd/keepword/main.go", "keepword/bench/lab", "no bench code"},
		{"bench/lab/postfix.go", "keepword/cmd/keepword/internal/eve", "from outside"},
		{"util/strings.go", "keepword/inspect", "no row for util"},
		{"inspect/starttls/ledger.go", "time", "no clock"},
		{"inspect/clock.go", "time", "no clock"},
		{"inspect/clock_test.go", "time", ""},
		{"inspect/flow/key.go", "net", "no clock"},
		{"inspect/flow/key.go", "net/netip", ""},
		{"inspect/policy/policy.go", "log/slog", "no clock"},
		{"inspect/policy/policy.go", "sync", "no clock"},
		{"inspect/stats.go", "sync/atomic", ""}, // counters that others read
		{"inspect/policy/policy.go", "fmt", "allocates"},
		{"dataplane/pcap/pcap.go", "time", ""},
		{"dataplane/pcap/pcap.go", "github.com/gopacket/gopacket/layers", "for each layer"},
		{"dataplane/pcap/pcap_test.go", "github.com/gopacket/gopacket/layers", ""},
		{"bench/lab/capture.go", "github.com/gopacket/gopacket/pcapgo", ""},
		{"dataplane/nfqueue/batch.go", "unsafe", "only *_unsafe.go"},
		{"dataplane/nfqueue/batch_test.go", "unsafe", "only *_unsafe.go"},
		{"dataplane/nfqueue/batch_unsafe.go", "unsafe", ""},
		{"dataplane/nfqueue/batch_unsafe_test.go", "unsafe", ""},
	}
	for _, c := range tests {
		got := strings.Join(Violations(File{Path: c.path, Imports: []string{c.lib}}), "\n")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s imports %s: %q, want %q", c.path, c.lib, got, c.want)
		}
	}
}

func TestAMissingPackageCommentIsCaught(t *testing.T) {
	tests := []struct {
		files []File
		ok    bool
	}{
		{[]File{{Path: "a/b.go", Package: "b", Doc: "Package b is."}, {Path: "a/c.go", Package: "b"}}, true},
		{[]File{{Path: "a/b.go", Package: "b"}}, false},
		{[]File{{Path: "a/b.go", Package: "b", Doc: "Package bb is."}}, false},
		{[]File{{Path: "cmd/k/main.go", Package: "main", Doc: "Command k runs."}}, true},
		{[]File{{Path: "cmd/k/main.go", Package: "main", Doc: "Package main runs."}}, false},
		{[]File{{Path: "a/b.go", Package: "b"}, {Path: "a/b_test.go", Package: "b_test", Doc: "Package b is."}}, false},
		{[]File{{Path: "a/b_test.go", Package: "b"}}, true},
	}
	for i, c := range tests {
		if got := Undocumented(c.files); (got == "") != c.ok {
			t.Errorf("case %d: %q", i, got)
		}
	}
}
