package eve

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"keepword/inspect"
	"keepword/inspect/history"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// schemaVariable names the file with Suricata's etc/schema.json.
const schemaVariable = "KEEPWORD_EVE_SCHEMA"

func TestEveryEventIsValidAgainstSuricatasSchema(t *testing.T) {
	path := os.Getenv(schemaVariable)
	if path == "" {
		t.Skipf("set %s to Suricata's etc/schema.json: it is not published with us", schemaVariable)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	s := schema{root: root}
	checked := 0
	check := func(line string) {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		if faults := s.check(root, v, "event"); len(faults) > 0 {
			t.Errorf("%s\n%s", strings.Join(faults, "\n"), line)
		}
		checked++
	}
	for _, opt := range []Options{utc, {HideEnvelope: true}} {
		for f := verdict.NoFinding + 1; f < verdict.Findings; f++ {
			for _, kind := range []verdict.Kind{verdict.Accept, verdict.Replace, verdict.Drop, verdict.Hold} {
				r := aFinding()
				r.Finding, r.Packet, r.Detail, r.Code, r.Said = f, kind, "\xff\x00detail", int(f)*10, talk()
				check(findingLine(t, opt, r))
				r.Breaker = history.Change{To: history.Open}
				check(findingLine(t, opt, r))
			}
		}
		for o := starttls.OutcomeUnknown; o <= starttls.OutcomeKilled; o++ {
			full := aFlow()
			full.Outcome, full.Bypassed, full.Said = o, true, talk()
			check(flowLine(t, opt, full))
			empty := &inspect.FlowRecord{Flow: endpoints, Outcome: o, State: inspect.FlowNew, Reason: inspect.EndForced}
			check(flowLine(t, opt, empty))
		}
	}
	if faults := s.check(root, map[string]any{"event_type": 1.5, "nonsense": true}, "event"); len(faults) != 3 {
		t.Errorf("the validator finds %q in an event with three faults", faults)
	}
	t.Logf("%d events checked", checked)
}

// schema is a validator for the part of JSON Schema that the schema of the events
// uses.
type schema struct{ root map[string]any }

// keywords are those that check understands or that hold no condition. Any other
// one fails the test, so that a rule is never passed over in silence.
var keywords = []string{"$ref", "$defs", "type", "required", "properties", "additionalProperties", "items",
	"minItems", "enum", "oneOf", "pattern", "description", "suricata"}

func (s schema) check(rule map[string]any, v any, at string) (faults []string) {
	fault := func(format string, args ...any) {
		faults = append(faults, at+": "+fmt.Sprintf(format, args...))
	}
	for k := range rule {
		if !slices.Contains(keywords, k) {
			fault("the validator does not know the keyword %q", k)
		}
	}
	if ref, ok := rule["$ref"].(string); ok {
		target := any(s.root)
		for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			target = target.(map[string]any)[part]
		}
		return append(faults, s.check(target.(map[string]any), v, at)...)
	}
	if want, ok := rule["type"].(string); ok && !isType(v, want) {
		fault("%v is not of type %s", v, want)
		return faults
	}
	if enum, ok := rule["enum"].([]any); ok && !slices.Contains(enum, v) {
		fault("%v is none of %v", v, enum)
	}
	if pattern, ok := rule["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(v.(string)) {
		fault("%q does not match %s", v, pattern)
	}
	if choices, ok := rule["oneOf"].([]any); ok {
		if !slices.ContainsFunc(choices, func(c any) bool { return len(s.check(c.(map[string]any), v, at)) == 0 }) {
			fault("%v fits none of the choices", v)
		}
	}
	switch v := v.(type) {
	case map[string]any:
		faults = append(faults, s.checkObject(rule, v, at)...)
	case []any:
		if least, ok := rule["minItems"].(float64); ok && len(v) < int(least) {
			fault("%d items, at least %v are due", len(v), least)
		}
		if items, ok := rule["items"].(map[string]any); ok {
			for i, item := range v {
				faults = append(faults, s.check(items, item, fmt.Sprintf("%s[%d]", at, i))...)
			}
		}
	}
	return faults
}

func (s schema) checkObject(rule, v map[string]any, at string) (faults []string) {
	if required, ok := rule["required"].([]any); ok {
		for _, name := range required {
			if _, ok := v[name.(string)]; !ok {
				faults = append(faults, fmt.Sprintf("%s: %v is missing", at, name))
			}
		}
	}
	properties, _ := rule["properties"].(map[string]any)
	for name, member := range v {
		if p, ok := properties[name].(map[string]any); ok {
			faults = append(faults, s.check(p, member, at+"."+name)...)
		} else if rule["additionalProperties"] == false {
			faults = append(faults, fmt.Sprintf("%s: %s is not in the schema", at, name))
		}
	}
	return faults
}

func isType(v any, want string) bool {
	switch v := v.(type) {
	case string:
		return want == "string"
	case bool:
		return want == "boolean"
	case float64:
		return want == "number" || want == "integer" && v == float64(int64(v))
	case []any:
		return want == "array"
	case map[string]any:
		return want == "object"
	}
	return false
}
