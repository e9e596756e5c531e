//go:build lab

package lab

import (
	"bytes"
	"context"
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

// flowTo waits for the flow event of the session over the given IP version.
func flowTo(ctx context.Context, t *testing.T, k *Keepword, server string) Event {
	t.Helper()
	e, err := k.AwaitEvent(ctx, "the flow event to "+server, func(e Event) bool {
		return e.EventType == "flow" && e.DestIP == server
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestKeepwordPassesMailAndSaysTrulyWhetherItWasInTLS(t *testing.T) {
	for _, offerTLS := range []bool{false, true} {
		t.Run(map[bool]string{false: "clear", true: "tls"}[offerTLS], func(t *testing.T) {
			ctx, l := newLab(t, Options{})
			server := start(ctx, t, l, "postfix", offerTLS)
			k := keepwordIn(ctx, t, l, "")
			want := map[bool]string{false: "not-offered", true: "upgraded"}[offerTLS]
			for _, ipv6 := range []bool{false, true} {
				addr := l.Server.Addr(ipv6)
				m := NewMessage(1 << 20)
				got, err := Clients[0].Send(ctx, l.Client, smtpAt(addr), m, IfOffered)
				if err != nil {
					t.Fatal(err)
				}
				if got.Outcome != Delivered || got.TLS != offerTLS {
					t.Fatalf("%s, TLS %v:\n%s\n%s", got.Outcome, got.TLS, got.Transcript, k.Log())
				}
				if err := server.AwaitMessage(ctx, m); err != nil {
					t.Fatal(err)
				}
				if flow := flowTo(ctx, t, k, addr.String()); flow.Outcome() != want {
					t.Errorf("outcome %q, want %q: %s", flow.Outcome(), want, flow.Raw)
				}
			}
		})
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

			m := NewMessage(1000)
			got, err := Clients[0].Send(ctx, l.Client, smtpAt(l.Server.IPv4), m, IfOffered)
			if err != nil {
				t.Fatal(err)
			}
			if got.Outcome != Deferred || !strings.Contains(got.Transcript, "Cannot start TLS") {
				t.Fatalf("without keepword: %s:\n%s", got.Outcome, got.Transcript)
			}

			k := keepwordIn(ctx, t, l, "")
			m = NewMessage(1000)
			got, err = Clients[0].Send(ctx, l.Client, smtpAt(l.Server.IPv4), m, IfOffered)
			if err != nil {
				t.Fatal(err)
			}
			if got.Outcome != Delivered || got.TLS {
				t.Fatalf("with keepword: %s, TLS %v:\n%s\n%s", got.Outcome, got.TLS, got.Transcript, k.Log())
			}
			if err := server.AwaitMessage(ctx, m); err != nil {
				t.Fatal(err)
			}
			if flow := flowTo(ctx, t, k, l.Server.IPv4.String()); flow.Outcome() != "corrected" {
				t.Errorf("outcome %q: %s", flow.Outcome(), flow.Raw)
			}
			events, err := k.Events()
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(events, func(e Event) bool {
				return e.Finding() == "answered-for-server" && e.Action() == "correct" && e.Reason() != ""
			}) {
				t.Errorf("no answered-for-server among %d events", len(events))
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
