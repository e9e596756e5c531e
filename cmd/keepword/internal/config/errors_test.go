package config

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestEachFaultHasItsPositionAndSaysWhatToDo(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"unknown key", "mode: enforce\nprots: [25]\n", `2:1: unknown key "prots"; did you mean "ports"?`},
		{"unknown key like no other", "when: {xyzzy: pass}", `1:8: unknown key "xyzzy"; known are daemon_down, queue_full, memory_full, midstream`},
		{"unknown key, deep", "history:\n  breaker:\n    failure: 2\n", `3:5: unknown key "failure"; did you mean "failures"?`},
		{"key that is no word", "25: 25\n", `1:1: a key must be a plain word`},
		{"duplicate key", "mode: enforce\nports: [25]\nmode: observe\n", `3:1: key "mode" repeated; it is set on line 1`},
		{"no mapping at all", "enforce\n", `1:1: a mapping (key: value) is wanted here, not text`},
		{"list for a mapping", "queues:\n- 1\n", `2:1: a mapping (key: value) is wanted here, not a list`},
		{"unknown mode", "mode: enforcing\n", `1:7: unknown mode "enforcing"; did you mean "enforce"?`},
		{"mode of the wrong type", "mode: true\n", `1:7: mode must be text, not true or false`},
		{"mode without a value", "mode:\n", `1:7: mode must be text, not nothing`},
		{"ports no list", "ports: 25\n", `1:8: a list is wanted here ([a, b]), not a whole number`},
		{"port no number", "ports: [25, smtp]\n", `1:13: a port must be a whole number, not text`},
		{"port out of range", "ports: [70000]\n", `1:9: a port must be between 1 and 65535`},
		{"port zero", "ports: [0]\n", `1:9: a port must be between 1 and 65535`},
		{"port enormous", "ports: [99999999999999999999999]\n", `1:9: a port must be a whole number, not text`},
		{"port repeated", "ports:\n  - 25\n  - 587\n  - 25\n", `4:5: port 25 repeated`},
		{"no port", "ports: []\n", `1:8: no port: name at least one, or leave the key out for 25 and 587`},
		{"unknown hook", "hooks: [foward]\n", `1:9: unknown hook "foward"; did you mean "forward"?`},
		{"hook repeated", "hooks: [input, input]\n", `1:16: hook input repeated`},
		{"no hook", "hooks: []\n", `1:8: no hook: name at least one of forward, input, output`},
		{"impossible interface", "interfaces: [eth0/1]\n", `1:14: "eth0/1" can't be an interface: a name has 1 to 15 octets, and no slash, colon or blank`},
		{"queue out of range", "queues: {first: 65536}\n", `1:17: the first queue must be between 0 and 65535`},
		{"queues beyond the last", "queues:\n  first: 65535\n  count: 2\n", `2:3: queues 65535 to 65536: the last queue there is has the number 65535`},
		{"mark zero", "mark: 0\n", `1:7: the mark must be between 1 and 4294967295`},
		{"mark too wide", "mark: 0x100000000\n", `1:7: the mark must be between 1 and 4294967295`},
		{"mark with a mask", "mark: 1/3\n", `1:7: the mark must be a whole number, not text`},
		{"unknown engine", "engine: fats\n", `1:9: unknown engine "fats"; did you mean "fast"?`},
		{"kill where nobody is there", "when:\n  daemon_down: kill\n", `2:16: kill makes no sense for daemon_down: the kernel decides there, and can pass or drop`},
		{"unknown loss", "when: {midstream: open}\n", `1:19: unknown midstream "open"; known are pass, drop, kill`},
		{"size without a number", "limits: {memory: MiB}\n", `1:18: memory: "MiB" is no size; write octets, or a whole number of KiB, MiB, GiB or TiB`},
		{"size with a decimal unit", "limits: {memory: 5MB}\n", `1:18: memory: "5MB" is no size; write octets, or a whole number of KiB, MiB, GiB or TiB`},
		{"size beyond all", "limits: {memory: 9999999TiB}\n", `1:18: memory: "9999999TiB" is no size; write octets, or a whole number of KiB, MiB, GiB or TiB`},
		{"size negative", "limits: {memory: -5}\n", `1:18: memory must be between 1 and 9223372036854775807`},
		{"size of the wrong type", "limits: {memory: 1.5}\n", `1:18: memory must be a size, as 256KiB or 512MiB, not a number that is not whole`},
		{"a flow larger than all", "limits: {memory: 1KiB}\n", `1:9: flow_memory (1048576 octets) is more than memory (1024 octets) for all flows`},
		{"unknown finding", "actions:\n  comand-injection: kill\n", `2:3: unknown finding "comand-injection"; did you mean "command-injection"?`},
		{"unknown finding like no other", "actions: {xyzzy: kill}\n", `1:11: unknown finding "xyzzy"`},
		{"unknown action", "actions: {smuggling: kil}\n", `1:22: unknown action "kil"; did you mean "kill"?`},
		{"action that makes no sense", "actions: {smuggling: hold}\n", `1:22: action hold makes no sense for smuggling; possible are kill, log, pass`},
		{"bad network", "servers:\n- match: [192.0.2.0/33]\n", `2:11: "192.0.2.0/33" is no network; write it as 192.0.2.0/24 or 2001:db8::/32`},
		{"network with host bits", "servers:\n- match: [192.0.2.1/24]\n", `2:11: "192.0.2.1/24" has bits set behind its first 24; write 192.0.2.0/24, or 192.0.2.1 for the one address`},
		{"network mapped", "servers:\n- match: [\"::ffff:192.0.2.0/120\"]\n", `2:11: "::ffff:192.0.2.0/120" is an IPv4 network written as IPv6; write it as IPv4`},
		{"network repeated", "servers:\n- match: [192.0.2.1, 192.0.2.1/32]\n", `2:22: network 192.0.2.1/32 repeated`},
		{"unknown starttls", "servers:\n- starttls: required\n", `2:13: unknown starttls "required"; did you mean "require"?`},
		{"server's port not inspected", "servers:\n- ports: [26]\nports: [25]\n", `2:10: port 26 is not inspected; name it in the ports at the top level too`},
		{"server's action", "servers:\n- actions: {gap: correct}\n", `2:18: action correct makes no sense for gap; possible are log, pass, kill`},
		{"empty server", "servers:\n-\n", `2:3: an empty server; remove the dash`},
		{"unknown TLS version", "tls_minimum: \"1.4\"\n", `1:14: unknown TLS version "1.4"; known are 1.0, 1.1, 1.2, 1.3, and "" for none`},
		{"TLS version without quotes", "tls_minimum: 1.2\n", `1:14: a TLS version must be in quotes, as "1.2"`},
		{"span without a unit", "history: {breaker: {retry: 24}}\n", `1:28: retry must be a time span with its unit, as 90s or 24h, not a whole number`},
		{"span of nothing", "history: {breaker: {retry: 0s}}\n", `1:28: retry: "0s" is no time span; write a positive one with its unit, as 90s or 24h`},
		{"too many failures", "history: {breaker: {failures: 1001}}\n", `1:31: failures must be between 0 and 1000`},
		{"no truth value", "events: {envelope: perhaps}\n", `1:20: true or false expected, not perhaps`},
		{"control character", "events: {path: \"a\\x00b\"}\n", `1:16: a path holds a control character`},
		{"block of text", "mode: |\n  enforce\n", `1:7: mode must be text, not a block of text`},
		{"address without a port", "metrics: {listen: localhost}\n", `1:19: "localhost" is no address to listen at; write it as 127.0.0.1:9525`},
		{"socket too long", "control: {socket: /" + strings.Repeat("s", 107) + "}\n", `1:19: a socket's path has at most 107 octets, this one 108`},
		{"tab", "when:\n\tmidstream: pass\n", `2:1: a tab can't indent YAML; use spaces`},
		{"anchor", "ports: &p [25]\n", `1:8: anchors and aliases are not read; write the value out`},
		{"merge key", "when:\n  <<: x\n", `2:3: anchors and aliases are not read; write the value out`},
		{"tag", "mode: !!str enforce\n", `1:7: tags are not read; write the value without`},
		{"two documents", "mode: enforce\n---\nmode: observe\n", `3:1: a second document; a configuration is one`},
		{"not UTF-8", "mode: enforce\n# caf\xe9\n", `2:6: octet 0xe9 is not UTF-8; save the file as UTF-8`},
		{"nesting in brackets", strings.Repeat("[", 100000), `1:17: nested too deep`},
		{"nesting in dashes", strings.Repeat("- ", 100000), `1:33: nested too deep`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse("f.yaml", []byte(tc.text))
			if err == nil {
				t.Fatal("no error")
			}
			if got := err.Error(); got != "f.yaml:"+tc.want {
				t.Errorf("got  %s\nwant f.yaml:%s", got, tc.want)
			}
		})
	}
}

func TestASyntaxErrorHasAPosition(t *testing.T) {
	for _, text := range []string{"ports: [25\nmode: enforce\n", "mode: 'enforce\n", "a: b: c\n", "mode: \"\\q\"\n", "ports: ]\n", "- a\nb: c\n"} {
		_, err := Parse("f.yaml", []byte(text))
		var list Errors
		if !errors.As(err, &list) || list[0].Line < 1 || list[0].Column < 1 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAllFaultsOfAFileAreReportedInItsOrder(t *testing.T) {
	_, err := Parse("f.yaml", []byte("servers:\n- match: [nonsense]\n  starttls: maybe\nmode: no\nports: [a, b]\nmark: 0\nprots: 1\n"))
	var list Errors
	if !errors.As(err, &list) {
		t.Fatalf("got %v", err)
	}
	var got []int
	for _, e := range list {
		got = append(got, e.Line)
	}
	want := []int{2, 3, 4, 5, 5, 6, 7}
	if len(got) != len(want) {
		t.Fatalf("lines %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("lines %v, want %v", got, want)
			break
		}
	}
	if !strings.HasSuffix(err.Error(), "(and 6 more: keepword check shows all)") || strings.Contains(err.Error(), "\n") {
		t.Errorf("one line for all: %q", err)
	}
}

func TestTheExcerptShowsTheLineAndACaretBelowTheFault(t *testing.T) {
	_, err := Parse("f.yaml", []byte("mode: enforce\nports: [25, nonsense]\n"))
	want := "  2 | ports: [25, nonsense]\n    |             ^\n"
	if got := excerpt(t, err); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestTheCaretCountsCharactersAndSurvivesControlCharacters(t *testing.T) {
	_, err := Parse("f.yaml", []byte("mode: [\"é\\e\x1b\", x]\n"))
	if got := excerpt(t, err); strings.ContainsRune(got, '\x1b') {
		t.Errorf("an escape character reached the terminal: %q", got)
	}
	_, err = Parse("f.yaml", []byte("events: {path: é, pfad: x}\n"))
	want := "  1 | events: {path: é, pfad: x}\n    |                   ^\n"
	if got := excerpt(t, err); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestTheExcerptOfALongLineFitsATerminal(t *testing.T) {
	_, err := Parse("f.yaml", []byte("ports: ["+strings.Repeat("25, ", 1000)+"x]\n"))
	var list Errors
	if !errors.As(err, &list) {
		t.Fatalf("got %v", err)
	}
	for _, e := range list {
		lines := strings.Split(e.Excerpt(), "\n")
		caret := strings.IndexByte(lines[1], '^')
		if len(lines[0]) > 80 || caret >= len(lines[0]) || !strings.ContainsAny(lines[0][caret:caret+1], "2x") {
			t.Fatalf("column %d: the caret points at nothing:\n%s", e.Column, e.Excerpt())
		}
	}
	if len(list) != maxErrors {
		t.Errorf("%d errors reported, not the %d that bound a report", len(list), maxErrors)
	}
}

func excerpt(t *testing.T, err error) string {
	t.Helper()
	var list Errors
	if !errors.As(err, &list) {
		t.Fatalf("got %v", err)
	}
	return list[0].Excerpt()
}

// The parser's time must not grow with a file's depth or a line's length faster
// than a reload can wait for.
func TestAHostileFileIsRefusedInTime(t *testing.T) {
	for name, text := range map[string]string{
		"brackets":   strings.Repeat("[", MaxSize),
		"braces":     strings.Repeat("{a: ", MaxSize/4),
		"dashes":     strings.Repeat("- ", MaxSize/2),
		"questions":  strings.Repeat("? ", MaxSize/2),
		"quote":      "a: \"" + strings.Repeat("x", MaxSize-4),
		"long line":  "events: {path: " + strings.Repeat("x", MaxSize-20) + "}",
		"long block": "a: |\n" + strings.Repeat("  x\n", MaxSize/4-2),
		"staircase":  staircase(1000),
	} {
		start := time.Now()
		_, _ = Parse(name, []byte(text))
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("%s: %s", name, d)
		} else {
			t.Logf("%s: %s", name, d)
		}
	}
}

func staircase(depth int) string {
	var b strings.Builder
	for i := range depth {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte("servers:\n- match: [nonsense]\n  starttls: maybe\n"))
	f.Add([]byte("a: &x [*x]\n? b\n: c\n--- !!str\n%TAG x\n"))
	f.Add([]byte("a: |\n  b\r\n\tc: 'd\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("fuzz", data)
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v with error %v", c, err)
		}
		if err == nil {
			if len(c.Ports) == 0 || len(c.Hooks) == 0 || c.Mark == 0 || int(c.Queues.First)+c.Queues.Count > queueNumbers {
				t.Fatalf("an impossible configuration was read: %+v", c)
			}
			return
		}
		var list Errors
		if !errors.As(err, &list) || len(list) == 0 || strings.Contains(err.Error(), "\n") {
			t.Fatalf("not one line of Errors: %q", err)
		}
		for _, e := range list {
			_ = e.Excerpt()
		}
	})
}
