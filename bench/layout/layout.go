// Package layout holds the module to its own plan: which package may import which,
// where unsafe may be used, what inspection may not touch, and that every package says
// what it is. The rules are data; the package's tests apply them to the whole module.
package layout

import (
	"go/ast"
	"path"
	"slices"
	"strings"
)

// File is what the rules look at in one source file.
type File struct {
	// Path is relative to the module's root, with slashes.
	Path string
	// Package is the name in the package clause.
	Package string
	// Doc is the package comment, as text.
	Doc string
	// Imports are the import paths.
	Imports []string
}

// Describe reads a File's fields from its syntax, which needs the imports and the
// comments only.
func Describe(name string, f *ast.File) File {
	out := File{Path: name, Package: f.Name.Name, Doc: f.Doc.Text()}
	for _, i := range f.Imports {
		out.Imports = append(out.Imports, strings.Trim(i.Path.Value, "`\""))
	}
	return out
}

func (f *File) dir() string  { return path.Dir(f.Path) }
func (f *File) isTest() bool { return strings.HasSuffix(f.Path, "_test.go") }

// mayBeUnsafe says whether the name tells that unsafe is used.
func (f *File) mayBeUnsafe() bool {
	return strings.HasSuffix(f.Path, "_unsafe.go") || strings.HasSuffix(f.Path, "_unsafe_test.go")
}

// module is the path that our own imports begin with.
const module = "keepword/"

// row is a line of the import table.
type row struct {
	dir string   // a pattern: see matches
	may []string // patterns of our own packages
	why string   // the reason of what the row leaves out
}

// table is the import table of docs/architecture.md. The first row that matches a package holds for it.
var table = []row{
	{"cmd/...", []string{"cmd/...", "bpf", "dataplane/...", "inspect/..."},
		"a program that is shipped carries no bench code"},
	{"bpf", nil,
		"the kernel programs' loaders are generated; whoever uses them knows them, not the other way round"},
	{"dataplane", []string{"inspect/packet", "inspect/verdict"},
		"it is a contract that every engine and the pipeline share: what it imports they all carry"},
	{"dataplane/internal/...", []string{"dataplane/internal/...", "inspect/packet", "inspect/verdict"},
		"helpers of the engines know packets and verdicts, not what is done with them"},
	{"dataplane/nfqueue", engine, engineWhy},
	{"dataplane/pcap", engine, engineWhy},
	{"dataplane/steer", []string{"bpf", "dataplane/internal/..."},
		"steering decides which packets come up, never what becomes of them"},
	{"dataplane/offload", []string{"bpf", "dataplane", "dataplane/internal/...", "inspect/packet"},
		"offload moves grants and logged packets between the kernel's program and an engine, and knows no dialogue"},
	{"inspect/packet", nil, leaf},
	{"inspect/verdict", nil, "every layer speaks this vocabulary, so that it can depend on none"},
	{"inspect/seqnum", nil, leaf},
	{"inspect/flow", []string{"inspect/packet", "inspect/seqnum"},
		"a flow is TCP's state; what its octets mean is decided above"},
	{"inspect/reassembly", []string{"inspect/seqnum"},
		"it orders octets, wherever they come from and whatever they mean"},
	{"inspect/maildata", nil, leaf},
	{"inspect/smtp", []string{"inspect/maildata"}, "the dialogue is sans-I/O: octets in, events out, usable and testable on its own"},
	{"inspect/tlsrecord", nil, leaf},
	{"inspect/starttls", []string{"inspect/smtp", "inspect/tlsrecord", "inspect/verdict"},
		"the ledger turns events into findings; what is done about them is policy's"},
	{"inspect/history", nil, "it is memory of servers, and knows neither packets nor dialogues"},
	{"inspect/policy", []string{"inspect/smtp", "inspect/starttls", "inspect/history", "inspect/verdict"},
		"policy turns findings into actions and must not reach for packets or flows"},
	{"inspect", []string{"inspect/...", "dataplane"},
		"the pipeline implements the contract of package dataplane, and must run behind any engine"},
	{"bench/...", []string{"bench/...", "bpf", "dataplane/...", "inspect/..."},
		"what is measured is the packages; the program is measured from outside"},
}

const (
	leaf      = "it is a leaf: one idea, to be understood and tested without the rest"
	engineWhy = "an engine brings packets and carries verdicts out; it drives any Inspector and knows none"
)

var engine = []string{"dataplane", "dataplane/internal/...", "inspect/packet", "inspect/verdict"}

// ban forbids the import of a library outside of tests.
type ban struct {
	lib    string   // a pattern
	except []string // patterns of libraries that the ban leaves out
	in     string   // a pattern of our packages
	but    []string // patterns of our packages that the ban leaves out
	why    string
}

const noOutside = "inspection has no clock, no I/O, no goroutine and no log: time comes in with the batch, records go to the Sink"

// bans are the forbidden libraries.
var bans = []ban{
	{lib: "time", in: "inspect/...", why: noOutside},
	{lib: "os/...", in: "inspect/...", why: noOutside},
	{lib: "net/...", except: []string{"net/netip"}, in: "inspect/...", why: noOutside},
	{lib: "log/...", in: "inspect/...", why: noOutside},
	{lib: "sync", in: "inspect/...", why: noOutside},
	{lib: "context", in: "inspect/...", why: noOutside},
	{lib: "syscall", in: "inspect/...", why: noOutside},
	{lib: "golang.org/x/sys/...", except: []string{"golang.org/x/sys/cpu"}, in: "inspect/...", why: noOutside},
	{lib: "math/rand/...", in: "inspect/...", why: "the same packets must give the same verdicts; chance comes in as an argument"},
	{lib: "fmt", in: "inspect/...", why: "it allocates, and takes everything as an interface: the packet path does neither"},
	{lib: "github.com/gopacket/gopacket/...", in: "...", but: []string{"bench/..."},
		why: "it allocates for each layer: for tests and benchmarks only"},
	{lib: "github.com/google/gopacket/...", in: "...", but: []string{"bench/..."},
		why: "it panics on hostile input: the benchmarks' baseline only"},
}

// Violations returns what is wrong with a file, one sentence each. Tests may import
// more than what they test does.
func Violations(f File) (list []string) {
	if slices.Contains(f.Imports, "unsafe") && !f.mayBeUnsafe() {
		list = append(list, f.Path+" imports unsafe: only *_unsafe.go may, so that every use is found and argued for")
	}
	if f.isTest() {
		return list
	}
	for _, lib := range f.Imports {
		if own, ok := strings.CutPrefix(lib, module); ok {
			if why := forbidden(f.dir(), own); why != "" {
				list = append(list, f.Path+" imports "+own+": "+why)
			}
			continue
		}
		for _, b := range bans {
			if matches(b.in, f.dir()) && !matchesAny(b.but, f.dir()) && matches(b.lib, lib) && !matchesAny(b.except, lib) {
				list = append(list, f.Path+" imports "+lib+": "+b.why)
			}
		}
	}
	return list
}

// forbidden returns why the package in dir may not import own, or "".
func forbidden(dir, own string) string {
	for _, r := range table {
		if !matches(r.dir, dir) {
			continue
		}
		if matchesAny(r.may, own) {
			return ""
		}
		return r.why
	}
	return "the import table has no row for " + dir + ": give it one"
}

// Undocumented returns what is wrong with the package comments of the files of one
// directory, or "".
func Undocumented(files []File) string {
	files = slices.DeleteFunc(slices.Clone(files), func(f File) bool { return f.isTest() })
	if len(files) == 0 {
		return ""
	}
	begin := "Package " + files[0].Package + " "
	if files[0].Package == "main" {
		begin = "Command " + path.Base(files[0].dir()) + " "
	}
	if !slices.ContainsFunc(files, func(f File) bool { return strings.HasPrefix(f.Doc, begin) }) {
		return files[0].dir() + " has no package comment that begins " + begin
	}
	return ""
}

// matches says whether name is the pattern, or below it where the pattern ends in
// "/...". The pattern "..." matches all.
func matches(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	if parent, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == parent || strings.HasPrefix(name, parent+"/")
	}
	return name == pattern
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}
