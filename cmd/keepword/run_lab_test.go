//go:build lab

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"keepword/cmd/keepword/internal/eve/schema"
)

// Each file of testdata/lab is one scenario of the running daemon, with testdata/mail.py beside
// it and what is shipped at $SHIPPED. What it starts with unshare(1) has a network namespace
// of its own, which ends with it.
func TestTheDaemonStartsAndStopsAsPromised(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("the lab tests make network namespaces: run them as root")
	}
	var events *schema.Schema
	t.Run("schema", func(t *testing.T) { events = schema.Get(t) })
	testscript.Run(t, testscript.Params{
		Dir: "testdata/lab",
		Setup: func(e *testscript.Env) error {
			shipped, err := filepath.Abs("../../packaging")
			if err != nil {
				return err
			}
			e.Setenv("SHIPPED", shipped)
			mail, err := os.ReadFile("testdata/mail.py")
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(e.WorkDir, "mail.py"), mail, 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"valid-events": func(ts *testscript.TestScript, _ bool, files []string) { validLog(t, events, ts, files) },
		},
		Deadline: time.Now().Add(2 * time.Minute),
	})
}

// validLog is the command valid-events of the scripts: each file has whole lines, at least
// one, and each is a valid event; without the schema, for which events is nil, JSON.
func validLog(t *testing.T, events *schema.Schema, ts *testscript.TestScript, files []string) {
	for _, file := range files {
		log := ts.ReadFile(file)
		if !strings.HasSuffix(log, "\n") {
			ts.Fatalf("%s does not end with a whole line", file)
		}
		counts := make(map[string]int)
		validEvents(t, events, log, counts)
		logCounts(t, counts)
	}
}
