//go:build lab

package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newLab builds a lab for one test and a context that ends with it.
func newLab(t *testing.T, o Options) (context.Context, *Lab) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return ctx, l
}

// start runs a server in the lab's server host until the test ends.
func start(ctx context.Context, t *testing.T, l *Lab, kind string, offerTLS bool) *Server {
	t.Helper()
	s, err := StartServer(ctx, l.Server, kind, offerTLS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func smtpAt(addr netip.Addr) netip.AddrPort { return netip.AddrPortFrom(addr, smtpPort) }

// Both families in clear and in TLS, from Postfix to every real server that can do
// TLS, with a message of 1 MiB.
func TestPostfixDeliversToEveryServerOctetForOctet(t *testing.T) {
	for _, kind := range []string{"postfix", "exim", "opensmtpd"} {
		for _, offerTLS := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/tls=%v", kind, offerTLS), func(t *testing.T) {
				ctx, l := newLab(t, Options{})
				server := start(ctx, t, l, kind, offerTLS)
				for _, ipv6 := range []bool{false, true} {
					m := NewMessage(1 << 20)
					got, err := Clients[0].Send(ctx, l.Client, smtpAt(l.Server.Addr(ipv6)), m, IfOffered)
					if err != nil {
						t.Fatal(err)
					}
					if got.Outcome != Delivered || got.TLS != offerTLS {
						t.Fatalf("IPv6 %v: %s, TLS %v:\n%s", ipv6, got.Outcome, got.TLS, got.Transcript)
					}
					if err := server.AwaitMessage(ctx, m); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

func TestEveryClientDeliversToPostfixInEveryMode(t *testing.T) {
	ctx, l := newLab(t, Options{})
	server := start(ctx, t, l, "postfix", true)
	for i, client := range Clients {
		for _, mode := range Modes {
			if !client.Can(mode) {
				continue
			}
			t.Run(client.Name+"/"+string(mode), func(t *testing.T) {
				m := NewMessage(10_000)
				got, err := client.Send(ctx, l.Client, smtpAt(l.Server.Addr(i%2 == 0)), m, mode)
				if err != nil {
					t.Fatal(err)
				}
				if got.Outcome != Delivered || got.TLS != (mode != InClear) {
					t.Fatalf("%s, TLS %v:\n%s", got.Outcome, got.TLS, got.Transcript)
				}
				if err := server.AwaitMessage(ctx, m); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

func TestNoClientThatDemandsTLSDeliversWithoutIt(t *testing.T) {
	ctx, l := newLab(t, Options{})
	server := start(ctx, t, l, "exim", false)
	for _, client := range Clients {
		t.Run(client.Name, func(t *testing.T) {
			got, err := client.Send(ctx, l.Client, smtpAt(l.Server.IPv4), NewMessage(100), Required)
			if err != nil {
				t.Fatal(err)
			}
			if got.Outcome == Delivered || got.TLS {
				t.Errorf("%s, TLS %v:\n%s", got.Outcome, got.TLS, got.Transcript)
			}
		})
	}
	if messages, err := server.Messages(); err != nil || len(messages) != 0 {
		t.Errorf("%d messages arrived, error %v", len(messages), err)
	}
}

func TestDebian12sOpenSMTPDOffersWhatItCannotDo(t *testing.T) {
	if !onBookworm() {
		t.Skip("only Debian 12's package has this fault")
	}
	ctx, l := newLab(t, Options{})
	start(ctx, t, l, "opensmtpd-6.8", true)
	got, err := Clients[0].Send(ctx, l.Client, smtpAt(l.Server.IPv4), NewMessage(100), IfOffered)
	if err != nil {
		t.Fatal(err)
	}
	if got.Outcome != Deferred || got.TLS || !strings.Contains(got.Transcript, "handshake failure") {
		t.Errorf("%s, TLS %v:\n%s", got.Outcome, got.TLS, got.Transcript)
	}
}

func TestTheGatewayChangesNoOctet(t *testing.T) {
	ctx, l := newLab(t, Options{Box: true})
	server := start(ctx, t, l, "postfix", false)
	var sides []*Capture
	for _, side := range []string{ClientSide, ServerSide} {
		c, err := l.Gateway.Capture(ctx, side, filepath.Join(t.TempDir(), side+".pcap"))
		if err != nil {
			t.Fatal(err)
		}
		sides = append(sides, c)
	}
	m := NewMessage(1 << 20)
	if _, err := Clients[len(Clients)-1].Send(ctx, l.Client, smtpAt(l.Server.IPv6), m, InClear); err != nil {
		t.Fatal(err)
	}
	if err := server.AwaitMessage(ctx, m); err != nil {
		t.Fatal(err)
	}
	var seen []*Conversation
	for _, c := range sides {
		if err := c.Stop(); err != nil {
			t.Fatal(err)
		}
		conversations, err := c.Conversations()
		if err != nil || len(conversations) != 1 {
			t.Fatalf("%d conversations, error %v", len(conversations), err)
		}
		seen = append(seen, conversations[0])
	}
	for _, fromClient := range []bool{true, false} {
		here, there := string(seen[0].Sent(fromClient)), string(seen[1].Sent(fromClient))
		if here != there {
			t.Errorf("from client %v: %d octets on one side, %d on the other, not the same", fromClient, len(here), len(there))
		}
	}
	if !strings.Contains(string(seen[0].Sent(true)), string(m.stuffed())) {
		t.Error("the message is not in the capture")
	}
}

func TestABoxThatInterceptsGetsTheConnection(t *testing.T) {
	ctx, l := newLab(t, Options{Box: true})
	ln, err := l.Box.Intercept(ctx, smtpPort)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(conn, "220 box\r\n")
			conn.Close()
		}
	}()
	for _, ipv6 := range []bool{false, true} {
		greeting, err := l.Client.greeting(ctx, smtpAt(l.Server.Addr(ipv6)))
		if err != nil || greeting != "220 box\r\n" {
			t.Errorf("IPv6 %v: greeting %q, error %v", ipv6, greeting, err)
		}
	}
}

func TestAHostSeesItselfAlone(t *testing.T) {
	ctx, l := newLab(t, Options{})
	out, err := l.Server.Command(ctx, "sh", "-c",
		"hostname; ls /proc | grep -c '^[0-9]'; ls /var/spool /var/mail; getent hosts client | wc -l").Output()
	if err != nil {
		t.Fatal(err)
	}
	// Its processes: the first one, sh, ls, grep.
	if got, want := string(out), "server.example.test\n4\n/var/mail:\n\n/var/spool:\n1\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// abandonedLab is set where this test program is to build a lab and wait to be killed.
const abandonedLab = "LAB_TEST_ABANDONED"

func TestHostsEndWithTheProgramThatMadeThem(t *testing.T) {
	if os.Getenv(abandonedLab) != "" {
		ctx, l := newLab(t, Options{})
		if err := l.Server.Command(ctx, "sleep", "600").Start(); err != nil {
			t.Fatal(err)
		}
		fmt.Println("first process", l.Server.keeper.Process.Pid)
		select {}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), abandonedLab+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscanf(out, "first process %d\n", &pid); err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait()
	// Process 1 of a namespace is not gone before all others in it are.
	err = await(ctx, 10*time.Second, "the end of the host", func() (bool, error) {
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(state), ") Z "), nil
	})
	if err != nil {
		t.Error(err)
	}
}
