package nfqueue

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheTableOfQueuesIsRead(t *testing.T) {
	const table = " 2500  32008     3 2 65531     7     2      129  1\n" +
		"65535 -1234     0 2 65531     0     0        0  1\n"
	if _, err := parseQueues(strings.NewReader(table)); err == nil {
		t.Error("a negative port id passed")
	}
	got, err := parseQueues(strings.NewReader(strings.Replace(table, "-1234", "4294966062", 1)))
	want := []Status{
		{Queue: 2500, PortID: 32008, Depth: 3, Dropped: 7, UserDropped: 2, LastID: 129},
		{Queue: 65535, PortID: 4294966062},
	}
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestATableOfQueuesWithTooFewColumnsIsAnError(t *testing.T) {
	if got, err := parseQueues(strings.NewReader("2500 1 2 3\n")); err == nil {
		t.Errorf("got %+v", got)
	}
	if got, err := parseQueues(strings.NewReader("")); err != nil || len(got) != 0 {
		t.Errorf("an empty table: %+v, %v", got, err)
	}
}

const netlinkTable = `sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
0000000086fd1ab6 0   77         00000000 0        0        0     2        0        4
00000000244879a3 12  77         00000000 0        0        0     2        5        564
0000000067efcaf4 12  4294966062 00000000 0        0        0     2        0        566
`

func TestOnlyNetfilterSocketsAreRead(t *testing.T) {
	got, err := parseSockets(strings.NewReader(netlinkTable))
	if err != nil || len(got) != 2 || got[77] != (socket{inode: 564, drops: 5}) || got[4294966062].inode != 566 {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"0 12 77\n", strings.Repeat("12 ", 9) + "x\n"} {
		if got, err := parseSockets(strings.NewReader("heading\n" + bad)); err == nil {
			t.Errorf("%q gives %+v", bad, got)
		}
	}
}

func TestTheOwnerOfASocketIsFoundByItsDescriptor(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []struct{ path, link string }{
		{"12/fd/0", "socket:[563]"},
		{"123/fd/3", "/dev/null"},
		{"123/fd/4", "socket:[564]"},
		{"self/fd/1", "socket:[565]"},
	} {
		path := filepath.Join(dir, f.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(f.link, path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "123/comm"), []byte("suricata\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := ownerOf(dir, 564), (Process{PID: 123, Name: "suricata"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, inode := range []uint64{565, 9} {
		if got := ownerOf(dir, inode); got != (Process{}) {
			t.Errorf("inode %d is %+v's", inode, got)
		}
	}
}
