package explain

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"keepword/cmd/keepword/internal/eve"
	"keepword/cmd/keepword/internal/recent"
)

func TestLinesOfOthersAndTornLinesArePassedOver(t *testing.T) {
	s := sessions(t)["upgraded"]
	var ours bytes.Buffer
	out := eve.NewStream(&ours, eve.Options{Location: time.UTC})
	out.FlowEnd(s.Flow)
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	file := `{"event_type":"dns","flow_id":1234567890123456}` + "\n\n" + ours.String() + `{"event_type":"flow","flow_id":1234567890`
	for id, want := range map[int64]int{0: 1, 1234567890123456: 1, 1234567890: 0} {
		kept := recent.New(4, nobody{})
		if err := ReadEvents(strings.NewReader(file), id, kept); err != nil {
			t.Fatal(err)
		}
		n := 0
		kept.Each(func(uint64, recent.Session) bool { n++; return true })
		if n != want {
			t.Errorf("%d sessions for %d, want %d", n, id, want)
		}
	}
}

func TestAFileWithoutAnyEventIsRefused(t *testing.T) {
	err := ReadEvents(strings.NewReader("{ports: [25]}\n{}x\n"), 0, nobody{})
	if !errors.Is(err, eve.ErrNoJSON) || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("%v", err)
	}
}

func TestAListHasTwentySessionsAndThoseWithFindingsFirst(t *testing.T) {
	good, bad := sessions(t)["upgraded"], sessions(t)["long"]
	var list []recent.Session
	for range 30 {
		list = append(list, good)
	}
	list = append(list, bad)
	var b bytes.Buffer
	if err := List(&b, list, time.UTC); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != 1+maxListed+1 {
		t.Fatalf("%d lines:\n%s", len(lines), &b)
	}
	want := fmt.Sprintf("%d  2026-11-23 17:04:11  killed       smuggling and 2 more", eve.FlowID(bad.Flow.Flow.ID))
	if lines[1] != want {
		t.Errorf("got  %s\nwant %s", lines[1], want)
	}
	if !strings.HasSuffix(lines[2], "upgraded     none") || lines[len(lines)-1] != "and 11 more" {
		t.Errorf("%s", &b)
	}
}
