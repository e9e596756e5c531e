package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// reader turns nodes into values. Each of its methods reports a node that is not
// what it should be, and returns false for it.
type reader struct {
	*faults
}

// key is one known key of a mapping and what reads its value.
type key struct {
	name string
	read func(ast.Node)
}

// at reports a fault of node n.
func (r reader) at(n ast.Node, format string, args ...any) {
	line, column := 1, 1
	if t := first(n); t != nil && t.Position != nil {
		line, column = t.Position.Line, t.Position.Column
	}
	r.add(line, column, format, args...)
}

// first returns the token that n begins with: for a block mapping that is its
// first key, where the parser gives the colon behind it.
func first(n ast.Node) *token.Token {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		return n.Key.GetToken()
	}
	return n.GetToken()
}

// kind names what n is, in words for a message.
func kind(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode:
		return "text"
	case *ast.LiteralNode:
		return "a block of text"
	case *ast.IntegerNode:
		return "a whole number"
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number that is not whole"
	case *ast.BoolNode:
		return "true or false"
	case *ast.NullNode:
		return "nothing"
	}
	return "something else"
}

// mapping reads n as a mapping with the given keys. Nothing at all, as when all of
// its keys are commented out, is an empty mapping.
func (r reader) mapping(n ast.Node, keys ...key) {
	known := make([]string, len(keys))
	byName := make(map[string]func(ast.Node), len(keys))
	for i, k := range keys {
		known[i] = k.name
		byName[k.name] = k.read
	}
	r.entries(n, func(name string, k, value ast.Node) {
		if read, ok := byName[name]; ok {
			read(value)
		} else {
			r.at(k, "unknown key %q%s", name, meant(name, known))
		}
	})
}

// entries calls visit for each entry of the mapping n, whatever its key; a key's
// second appearance is reported instead.
func (r reader) entries(n ast.Node, visit func(name string, key, value ast.Node)) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.NullNode:
		return
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		r.at(n, "a mapping (key: value) is wanted here, not %s", kind(n))
		return
	}
	seen := make(map[string]int, len(values))
	for _, v := range values {
		k, ok := v.Key.(*ast.StringNode)
		if !ok {
			r.at(v.Key, "a key must be a plain word")
			continue
		}
		if line, ok := seen[k.Value]; ok {
			r.at(k, "key %q repeated; it is set on line %d", k.Value, line)
			continue
		}
		seen[k.Value] = k.Token.Position.Line
		visit(k.Value, k, v.Value)
	}
}

// list calls item for each element of the list n. Nothing at all is an empty list.
func (r reader) list(n ast.Node, item func(ast.Node)) bool {
	switch n := n.(type) {
	case *ast.NullNode:
		return true
	case *ast.SequenceNode:
		for _, v := range n.Values {
			item(v)
		}
		return true
	}
	r.at(n, "a list is wanted here ([a, b]), not %s", kind(n))
	return false
}

// text reads one line of text.
func (r reader) text(n ast.Node, what string) (string, bool) {
	s, ok := n.(*ast.StringNode)
	if !ok {
		r.at(n, "%s must be text, not %s", what, kind(n))
		return "", false
	}
	if i := strings.IndexFunc(s.Value, func(c rune) bool { return c < ' ' || c == 0x7f }); i >= 0 {
		r.at(n, "%s holds a control character", what)
		return "", false
	}
	return s.Value, true
}

// whole reads a whole number between low and high, both included. High is at
// most the largest int64.
func (r reader) whole(n ast.Node, what string, low, high int64) (int64, bool) {
	i, ok := n.(*ast.IntegerNode)
	if !ok {
		r.at(n, "%s must be a whole number, not %s", what, kind(n))
		return 0, false
	}
	var value int64
	switch v := i.Value.(type) {
	case int64:
		value = v
	case uint64:
		value = int64(min(v, math.MaxInt64))
	}
	if value < low || value > high {
		r.at(n, "%s must be between %d and %d", what, low, high)
		return 0, false
	}
	return value, true
}

// choice reads one of the known words into dst.
func choice[T ~string](r reader, dst *T, what string, known ...T) func(ast.Node) {
	return func(n ast.Node) {
		s, ok := r.text(n, what)
		if !ok {
			return
		}
		words := make([]string, len(known))
		for i, k := range known {
			if s == string(k) {
				*dst = k
				return
			}
			words[i] = string(k)
		}
		r.at(n, "unknown %s %q%s", what, s, meant(s, words))
	}
}

// units are the sizes' suffixes and what they stand for, in octets.
var units = []struct {
	suffix string
	octets int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}}

// size reads a number of octets: a whole number, or one with a binary unit.
func (r reader) size(n ast.Node, what string) (int64, bool) {
	if _, ok := n.(*ast.IntegerNode); ok {
		return r.whole(n, what, 1, math.MaxInt64)
	}
	s, ok := n.(*ast.StringNode)
	if !ok {
		r.at(n, "%s must be a size, as 256KiB or 512MiB, not %s", what, kind(n))
		return 0, false
	}
	for _, u := range units {
		number, ok := strings.CutSuffix(s.Value, u.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseUint(strings.TrimSpace(number), 10, 63)
		if err == nil && v > 0 && int64(v) <= math.MaxInt64/u.octets {
			return int64(v) * u.octets, true
		}
	}
	r.at(n, "%s: %q is no size; write octets, or a whole number of KiB, MiB, GiB or TiB", what, s.Value)
	return 0, false
}

// duration reads a positive time span with its unit.
func (r reader) duration(n ast.Node, what string) (time.Duration, bool) {
	s, ok := n.(*ast.StringNode)
	if !ok {
		r.at(n, "%s must be a time span with its unit, as 90s or 24h, not %s", what, kind(n))
		return 0, false
	}
	d, err := time.ParseDuration(s.Value)
	if err != nil || d <= 0 {
		r.at(n, "%s: %q is no time span; write a positive one with its unit, as 90s or 24h", what, s.Value)
		return 0, false
	}
	return d, true
}

// once reports the second appearance of a list's element.
func once[T comparable](r reader, seen map[T]bool, n ast.Node, what string, v T) bool {
	if seen[v] {
		r.at(n, "%s %s repeated", what, fmt.Sprint(v))
		return false
	}
	seen[v] = true
	return true
}
