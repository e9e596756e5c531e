package maildata

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNothingOutsideTheSliceIsRead lays text against pages that can't be read: a load
// beyond either end would end the test binary.
func TestNothingOutsideTheSliceIsRead(t *testing.T) {
	page := os.Getpagesize()
	pages, err := unix.Mmap(-1, 0, 3*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Munmap(pages); err != nil {
			t.Error(err)
		}
	}()
	text := pages[page : 2*page]
	copy(text, ordinary["text"])
	for _, guard := range [][]byte{pages[:page], pages[2*page:]} {
		if err := unix.Mprotect(guard, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 300 {
		sameSkip(t, text[:n], -1, 1000, false)
		sameSkip(t, text[page-n:], -1, 1000, false)
	}
	sameSkip(t, text, -1, 1000, false)
}
