package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"keepword/inspect/maildata"
)

// largestFile is how long a file is at most that somebody mails, in octets.
const largestFile = 20 << 20

// judgeFiles reads every regular file below dir as if it were mailed as it is: with its
// line ends as they are, and with each of lineEnds in the place of LF. It names those that
// the guard against smuggling would end the connection for. A file that can't be read is
// left out.
func judgeFiles(dir string, out io.Writer) error {
	files, octets, ended := 0, 0, 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil
		}
		if info, err := entry.Info(); err != nil || info.Size() == 0 || info.Size() > largestFile {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		files++
		octets += len(text)
		for _, end := range lineEnds[1:] {
			mailed := bytes.ReplaceAll(text, []byte("\n"), []byte(end.end))
			if what := smuggledIn(mailed); what != "" {
				ended++
				fmt.Fprintf(out, "%s, %s: %s\n", path, end.name, what)
			}
		}
		return nil
	})
	fmt.Fprintf(out, "%d files, %d octets, %d messages of %d would be ended\n", files, octets, ended, files*len(lineEnds[1:]))
	return err
}

// smuggledIn returns what looks smuggled in mail data, or "". A line of one dot between
// CRLFs is passed over: whoever mails it doubles the dot.
func smuggledIn(text []byte) string {
	var s maildata.Scanner
	s.Init()
	for at := 0; at < len(text); {
		n, ev := s.Scan(text[at:])
		switch at += n; ev.Kind {
		case maildata.Smuggling:
			const shown = 80
			return fmt.Sprintf("%v, %q", ev.Ending, text[max(0, at-shown):at])
		case maildata.EndOfData:
			s.Init()
		}
	}
	return ""
}
