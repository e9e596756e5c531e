package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"keepword": main})
}

// Each file of testdata/script is one scenario of the command line, run with the
// captures of capture_test.go beside it, and the recorded ones in captures.
func TestTheCommandLineKeepsItsPromises(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			return errors.Join(writeCaptures(e.WorkDir), os.CopyFS(filepath.Join(e.WorkDir, "captures"), os.DirFS("testdata/captures")))
		},
	})
}

// writeCaptures writes what the scripts replay: the session of 1999 whole, cut in the
// middle of a packet, and with a record length that can't be.
func writeCaptures(dir string) error {
	whole := captureOf1999()
	cut := whole[:len(whole)-7]
	damaged := append([]byte(nil), whole...)
	copy(damaged[fileHeader+8:], "\xff\xff\xff\x7f")
	for name, data := range map[string][]byte{"1999.pcap": whole, "cut.pcap": cut, "damaged.pcap": damaged, "empty.pcap": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
