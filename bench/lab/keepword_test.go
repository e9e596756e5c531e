//go:build lab

package lab

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// keepwordIn runs keepword with its default configuration until the test ends.
func keepwordIn(ctx context.Context, t *testing.T, l *Lab, config string) *Keepword {
	t.Helper()
	k, err := l.Keepword(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Stop(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// flows waits for n flow events and returns them.
func flows(ctx context.Context, t *testing.T, k *Keepword, n int) []Event {
	t.Helper()
	var found []Event
	err := await(ctx, startTime, fmt.Sprintf("%d flow events", n), func() (bool, error) {
		events, err := k.Events()
		found = slices.DeleteFunc(events, func(e Event) bool { return e.EventType != "flow" })
		return len(found) >= n, err
	})
	if err != nil || len(found) != n {
		t.Fatalf("%d flow events, want %d: %v\n%s", len(found), n, err, k.Log())
	}
	return found
}

// A message of 1 MiB and one of 20 MB, from Postfix to every real server that can do
// TLS, in clear and in TLS, over both families.
func TestKeepwordPassesMailAndSaysTrulyWhetherItWasInTLS(t *testing.T) {
	for _, kind := range []string{"postfix", "exim", "opensmtpd"} {
		for _, offerTLS := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/tls=%v", kind, offerTLS), func(t *testing.T) {
				ctx, l := newLab(t, Options{})
				server := start(ctx, t, l, kind, offerTLS)
				k := keepwordIn(ctx, t, l, "")
				sent := 0
				for _, ipv6 := range []bool{false, true} {
					for _, size := range []int{1 << 20, 20_000_000} {
						m := NewMessage(size)
						got, err := Clients[0].Send(ctx, l.Client, smtpAt(l.Server.Addr(ipv6)), m, IfOffered)
						if err != nil {
							t.Fatal(err)
						}
						if got.Outcome != Delivered || got.TLS != offerTLS {
							t.Fatalf("IPv6 %v, %d octets: %s, TLS %v:\n%s\n%s", ipv6, size, got.Outcome, got.TLS, got.Transcript, k.Log())
						}
						if err := server.AwaitMessage(ctx, m); err != nil {
							t.Fatal(err)
						}
						sent++
					}
				}
				want := map[bool]string{false: "not-offered", true: "upgraded"}[offerTLS]
				for _, flow := range flows(ctx, t, k, sent) {
					if flow.Outcome() != want {
						t.Errorf("outcome %q, want %q: %s", flow.Outcome(), want, flow.Raw)
					}
				}
			})
		}
	}
}

// The failure of 1999, and its cure.
func TestKeepwordCuresAPIXThatAnswersForTheServer(t *testing.T) {
	for _, kind := range []string{"pix-answers", "pix-noop"} {
		t.Run(kind, func(t *testing.T) {
			ctx, l := newLab(t, Options{Box: true})
			server := start(ctx, t, l, "postfix", true)
			pix, err := l.BreakBox(ctx, kind)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { pix.Close() })
			families := []bool{false, true}

			for _, ipv6 := range families {
				got, err := Clients[0].Send(ctx, l.Client, smtpAt(l.Server.Addr(ipv6)), NewMessage(1000), IfOffered)
				if err != nil {
					t.Fatal(err)
				}
				if got.Outcome != Deferred || !strings.Contains(got.Transcript, "Cannot start TLS") {
					t.Fatalf("without keepword, IPv6 %v: %s:\n%s", ipv6, got.Outcome, got.Transcript)
				}
			}
			k := keepwordIn(ctx, t, l, "")
			for _, ipv6 := range families {
				m := NewMessage(1000)
				got, err := Clients[0].Send(ctx, l.Client, smtpAt(l.Server.Addr(ipv6)), m, IfOffered)
				if err != nil {
					t.Fatal(err)
				}
				if got.Outcome != Delivered || got.TLS {
					t.Fatalf("with keepword, IPv6 %v: %s, TLS %v:\n%s\n%s", ipv6, got.Outcome, got.TLS, got.Transcript, k.Log())
				}
				if err := server.AwaitMessage(ctx, m); err != nil {
					t.Fatal(err)
				}
			}
			for _, flow := range flows(ctx, t, k, len(families)) {
				if flow.Outcome() != "corrected" {
					t.Errorf("outcome %q: %s", flow.Outcome(), flow.Raw)
				}
			}
			events, err := k.Events()
			if err != nil {
				t.Fatal(err)
			}
			told := slices.DeleteFunc(events, func(e Event) bool {
				return e.Finding() != "answered-for-server" || e.Action() != "correct" || e.Reason() == ""
			})
			if len(told) != len(families) {
				t.Errorf("answered-for-server was reported %d times, want %d", len(told), len(families))
			}
		})
	}
}

// T1 on the wire: with observe, both sides of the gateway carry the same octets.
func TestKeepwordInObserveChangesNoOctet(t *testing.T) {
	ctx, l := newLab(t, Options{Box: true})
	start(ctx, t, l, "postfix", true)
	pix, err := l.BreakBox(ctx, "pix-answers")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pix.Close() })
	keepwordIn(ctx, t, l, "mode: observe\n")
	var captures []*Capture
	for _, side := range []string{ClientSide, ServerSide} {
		c, err := l.Gateway.Capture(ctx, side, filepath.Join(t.TempDir(), side+".pcap"))
		if err != nil {
			t.Fatal(err)
		}
		captures = append(captures, c)
	}
	for _, client := range Clients {
		if _, err := client.Send(ctx, l.Client, smtpAt(l.Server.IPv4), NewMessage(1000), Required); err != nil {
			t.Fatal(err)
		}
	}
	var sides [2][]*Conversation
	for i, c := range captures {
		if err := c.Stop(); err != nil {
			t.Fatal(err)
		}
		if sides[i], err = c.Conversations(); err != nil {
			t.Fatal(err)
		}
	}
	if len(sides[0]) < len(Clients) || len(sides[0]) != len(sides[1]) {
		t.Fatalf("%d and %d conversations of %d clients", len(sides[0]), len(sides[1]), len(Clients))
	}
	for i := range sides[0] {
		for _, fromClient := range []bool{true, false} {
			if here, there := sides[0][i].Sent(fromClient), sides[1][i].Sent(fromClient); !bytes.Equal(here, there) {
				t.Errorf("conversation %d, from client %v:\n%q\n%q", i, fromClient, here, there)
			}
		}
	}
}
