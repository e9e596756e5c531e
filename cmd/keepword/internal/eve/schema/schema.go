// Package schema holds events against the schema that Suricata publishes for its own
// (etc/schema.json in its source). It is for tests only; the schema is not ours to publish,
// and make test fetches it.
package schema

import (
	"bytes"
	"os"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// variable names the file with the schema.
const variable = "KEEPWORD_EVE_SCHEMA"

// Schema is the schema of the events.
type Schema struct{ events *jsonschema.Schema }

// Get returns the schema, or skips the test where the environment names none. With CI=true
// that is a failure.
func Get(t testing.TB) *Schema {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		const message = "events are not validated: set %s to etc/schema.json of Suricata 8, as make test does"
		if os.Getenv("CI") == "true" {
			t.Fatalf(message, variable)
		}
		t.Skipf(message, variable)
	}
	events, err := jsonschema.NewCompiler().Compile(path)
	if err != nil {
		t.Fatal(err)
	}
	return &Schema{events}
}

// Check returns what is wrong with an event, a line of JSON; nil for nothing. A nil Schema
// takes whatever is JSON.
func (s *Schema) Check(line []byte) error {
	event, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
	if err != nil {
		return err
	}
	if s == nil {
		return nil
	}
	return s.events.Validate(event)
}
