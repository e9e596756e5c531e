//go:build lab

package links_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"keepword/dataplane/internal/links"
	"keepword/dataplane/internal/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watched runs Watch in h until the test ends. What it reports comes as "+name" and
// "-name".
func watched(t *testing.T, h *netns.Host, names ...string) <-chan string {
	t.Helper()
	reports, listed := make(chan string, 100), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- h.Try(func() error {
			known := map[int]string{}
			return links.Watch(ctx, names, func(index int, name string) {
				if old, ok := known[index]; ok {
					t.Errorf("%s added, which is there as %s", name, old)
				}
				known[index] = name
				reports <- "+" + name
			}, func(index int) {
				if known[index] == "" {
					t.Errorf("%d removed, which is not there", index)
				}
				reports <- "-" + known[index]
				delete(known, index)
			}, func() { close(listed) })
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-listed:
	case <-time.After(5 * time.Second):
		t.Fatal("the interfaces are never listed")
	}
	return reports
}

// want waits for reports, in any order.
func want(t *testing.T, reports <-chan string, want ...string) {
	t.Helper()
	var got []string
	for len(got) < len(want) {
		select {
		case r := <-reports:
			got = append(got, r)
		case <-time.After(5 * time.Second):
			t.Fatalf("reported %q, want %q", got, want)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("reported %q, want %q", got, want)
	}
}

// ip runs commands of ip(8), one a line.
func ip(h *netns.Host, commands string) {
	for line := range strings.Lines(commands) {
		h.Run("ip", strings.Fields(line)...)
	}
}

func TestInterfacesAreReportedThoseThatExistFirst(t *testing.T) {
	h := netns.New(t)
	ip(h, "link add name a type bridge")
	reports := watched(t, h)
	want(t, reports, "+a")
	ip(h, "link add name b type bridge")
	want(t, reports, "+b")
	ip(h, `link set dev a up
		link set dev a mtu 1400
		link set dev b down
		link del dev a`)
	want(t, reports, "-a")
	ip(h, "link add name a type bridge")
	want(t, reports, "+a")
}

func TestNamedInterfacesAreReportedWhileTheyHaveTheirNames(t *testing.T) {
	h := netns.New(t)
	ip(h, "link add name other type bridge")
	reports := watched(t, h, "lo", "wan")
	want(t, reports, "+lo")
	ip(h, "link set other name wan")
	want(t, reports, "+wan")
	ip(h, `link set wan name other
		link add name wan type bridge`)
	want(t, reports, "-wan", "+wan")
}

func TestARenamedInterfaceStaysWhereAllAreMeant(t *testing.T) {
	h := netns.New(t)
	ip(h, "link add name a type bridge")
	reports := watched(t, h)
	want(t, reports, "+a")
	ip(h, `link set dev a name b
		link add name c type bridge
		link del dev b`)
	want(t, reports, "+c", "-a")
}

func TestAnInterfaceIsNotReportedWhileItIsAPort(t *testing.T) {
	h := netns.New(t)
	ip(h, `link add name br type bridge
		link add name port type veth peer name end`)
	reports := watched(t, h)
	want(t, reports, "+br", "+port", "+end")
	ip(h, "link set port master br")
	want(t, reports, "-port")
	ip(h, "link set port nomaster")
	want(t, reports, "+port")
}

func TestAPortThatIsNamedIsReported(t *testing.T) {
	h := netns.New(t)
	ip(h, `link add name br type bridge
		link add name port type veth peer name end
		link set port master br`)
	want(t, watched(t, h, "port"), "+port")
}

func TestAnInterfaceThatComesBackWithItsIndexIsAddedAnew(t *testing.T) {
	h := netns.New(t)
	ip(h, "link add name a index 77 type bridge")
	reports := watched(t, h)
	want(t, reports, "+a")
	ip(h, `link del dev a
		link add name a index 77 type bridge`)
	want(t, reports, "-a")
	want(t, reports, "+a")
}

// More than the socket's buffer holds while the reports are not taken.
func TestWhatWasMissedIsFoundByListing(t *testing.T) {
	h := netns.New(t)
	stop := make(chan struct{})
	reports := make(chan string)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- h.Try(func() error {
			return links.Watch(ctx, nil, func(_ int, name string) {
				select {
				case reports <- "+" + name:
				case <-stop:
				}
			}, func(index int) {
				select {
				case reports <- fmt.Sprint("-", index):
				case <-stop:
				}
			}, func() {})
		})
	}()
	defer func() {
		close(stop)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	ip(h, "link add name stays index 10 type bridge")
	want(t, reports, "+stays")
	ip(h, "link add name goes index 11 type bridge")
	// Nobody takes that report until the buffer has long overflown.
	var batch strings.Builder
	for i := range 600 {
		fmt.Fprintf(&batch, "link set stays mtu %d\n", 1000+i)
	}
	batch.WriteString("link del goes\nlink add name late index 12 type bridge\n")
	h.Run("bash", "-c", "ip -batch - <<'END'\n"+batch.String()+"END")
	want(t, reports, "+goes")
	want(t, reports, "-11", "+late")
}
