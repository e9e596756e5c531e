package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// MaxSize is the size in octets of the largest file that is read. A thousand
// servers take about 100 KiB.
const MaxSize = 1 << 20

// maxNesting is how deep collections may stand in each other on one line. The
// configuration needs 4; the parser's time grows with the square of the depth.
const maxNesting = 16

// Load reads the file at path. Its errors are Errors: those of opening the file
// name it and nothing else, those of its text have a line and a column.
func Load(path string) (*Config, error) {
	fail := func(format string, args ...any) (*Config, error) {
		return nil, Errors{{File: path, Message: fmt.Sprintf(format, args...)}}
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail("no such file")
	case errors.Is(err, fs.ErrPermission):
		return fail("permission denied: run as a user who may read it")
	case err != nil:
		return fail("%v", cause(err))
	case info.IsDir():
		return fail("is a directory: name a file in it")
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return fail("permission denied: run as a user who may read it")
	} else if err != nil {
		return fail("%v", cause(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return fail("%v", cause(err))
	}
	return Parse(path, data)
}

// cause strips the operation and path that os puts before a system error.
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// Parse reads a configuration from data. The name stands for the file in errors,
// which are Errors: as many of the file's faults as can be told, in its order.
func Parse(name string, data []byte) (*Config, error) {
	if len(data) > MaxSize {
		return nil, Errors{{File: name, Message: fmt.Sprintf("larger than %d octets: no configuration of keepword is", MaxSize)}}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // a byte order mark, YAML 1.2 section 5.2
	text := string(data)
	f := newFaults(name, text)
	if at := invalidUTF8(text); at >= 0 {
		line, column := position(text, at)
		f.add(line, column, "octet 0x%02x is not UTF-8; save the file as UTF-8", text[at])
		return nil, f.err()
	}
	body := document(f, text)
	if err := f.err(); err != nil {
		return nil, err
	}
	c := Default()
	if body != nil {
		r := reader{faults: f}
		r.config(c, body)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// document returns the text's one document, nil for an empty one or where f has
// got an error.
func document(f *faults, text string) (body ast.Node) {
	// A fault of the YAML parser must not end a daemon that is asked to reload.
	defer func() {
		if recover() != nil {
			body = nil
			f.add(1, 1, "not readable as YAML")
		}
	}()
	tokens := lexer.Tokenize(text)
	if !plain(f, tokens) {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		syntax(f, text, err)
		return nil
	}
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			at := first(doc.Body).Position
			f.add(at.Line, at.Column, "a second document; a configuration is one")
			return nil
		}
		body = doc.Body
	}
	return body
}

// plain reports to f what the configuration has no use for and what a parser is
// best not asked to read: anchors, aliases, tags, directives and deep nesting.
func plain(f *faults, tokens token.Tokens) bool {
	line, entries, flow := 0, 0, 0
	for _, t := range tokens {
		at := t.Position
		if at.Line != line {
			line, entries = at.Line, 0
		}
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			f.add(at.Line, at.Column, "anchors and aliases are not read; write the value out")
		case token.TagType:
			f.add(at.Line, at.Column, "tags are not read; write the value without")
		case token.DirectiveType:
			f.add(at.Line, at.Column, "directives are not read; remove the line")
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType:
			entries++
		}
		if flow > maxNesting || entries > maxNesting {
			f.add(at.Line, at.Column, "nested too deep")
			return false
		}
	}
	return len(f.list) == 0
}

// syntax reports the parser's error in our words where they are plainer.
func syntax(f *faults, text string, err error) {
	line, column, message := 1, 1, "not readable as YAML"
	var e yaml.Error
	if errors.As(err, &e) {
		message = strings.ToValidUTF8(e.GetMessage(), "?")
		if t := e.GetToken(); t != nil && t.Position != nil {
			line, column = t.Position.Line, t.Position.Column
		}
	}
	if strings.Contains(message, "'\t'") {
		message = "a tab can't indent YAML; use spaces"
	}
	f.add(line, column, "%s", strings.Join(strings.Fields(message), " "))
}

// invalidUTF8 returns the offset of the first octet that is not UTF-8, -1 where
// there is none.
func invalidUTF8(s string) int {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return i
			}
		}
	}
	return -1
}

// position returns the line and column, from 1, of an offset.
func position(s string, at int) (line, column int) {
	before := s[:at]
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}
