package figures

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// markers stand in a page before and behind the part of that name.
func markers(name string) (begin, end string) {
	return "<!-- " + name + ": begin -->\n", "<!-- " + name + ": end -->\n"
}

// Place writes text into a file in place of what stands between the two comments that mark
// the part of that name; nothing else is altered. A file that is not there is made.
func Place(file, name, text string) error {
	beginMarker, endMarker := markers(name)
	old, err := os.ReadFile(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		old = []byte(beginMarker + endMarker)
	case err != nil:
		return err
	}
	before, rest, ok := strings.Cut(string(old), beginMarker)
	_, after, closed := strings.Cut(rest, endMarker)
	if !ok || !closed {
		return fmt.Errorf("%s has no lines %q and %q for the table to stand between: add them", file, strings.TrimSpace(beginMarker), strings.TrimSpace(endMarker))
	}
	return os.WriteFile(file, []byte(before+beginMarker+"\n"+text+"\n"+endMarker+after), 0o644)
}
