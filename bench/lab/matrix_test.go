//go:build lab

package lab

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"keepword/bench/lab/broken"
	"keepword/inspect/verdict"
)

// patience is how long a client may take in the matrix: longer than the 10 s after
// which keepword reports a silence. Where nobody ends it the client is given up, and
// its cell says so.
const patience = 12 * time.Second

// unseen are the kinds whose finding no client of the lab provokes: none says EHLO
// twice in clear text or knows Exchange's verb.
var unseen = []string{"inconsistent-ehlo", "x-anonymoustls"}

// alsoRight are findings that may stand for the one expected: whether a forged reply
// comes before the ClientHello or behind it is a matter of time.
var alsoRight = map[string]verdict.Finding{"injects-before-server-hello": verdict.PlaintextFromServerAfter220}

// Every broken kind against every client: without keepword, in observe and in
// enforce. The table goes to the test's log. Whatever happens, no positive reply may
// be keepword's own, and no command may be altered on its way to the server.
func TestTheMatrix(t *testing.T) {
	kinds := broken.Kinds()
	rows := make([]string, len(kinds))
	t.Run("kinds", func(t *testing.T) { // ends when all in it have
		for i, kind := range kinds {
			t.Run(kind.Name, func(t *testing.T) {
				t.Parallel()
				rows[i] = matrixRows(t, kind)
			})
		}
	})
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "kind\tkeepword")
	for _, client := range Clients {
		fmt.Fprint(w, "\t", client.Name)
	}
	fmt.Fprint(w, "\tfindings\n", strings.Join(rows, ""))
	w.Flush()
	t.Log("\n" + table.String())
}

// matrixRows plays one kind in a lab of its own and returns its rows of the table.
func matrixRows(t *testing.T, kind broken.Kind) string {
	ctx, l := newLab(t, Options{Box: kind.Role == broken.RoleMiddlebox})
	config := broken.ServerConfig{Kind: "honest"}
	if kind.Role == broken.RoleServer {
		config.Kind = kind.Name
	}
	server, err := l.BreakServer(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if kind.Role == broken.RoleMiddlebox {
		box, err := l.BreakBox(ctx, kind.Name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { box.Close() })
	}
	var rows strings.Builder
	for _, mode := range []string{"without", "observe", "enforce"} {
		cells, found := matrixRow(ctx, t, l, kind, mode)
		fmt.Fprintf(&rows, "%s\t%s\t%s\t%s\n", kind.Name, mode, strings.Join(cells, "\t"), strings.Join(found, " "))
	}
	return rows.String()
}

// matrixRow sends by every client under one mode, and checks what went by. It returns
// what became of each message and what keepword found.
func matrixRow(ctx context.Context, t *testing.T, l *Lab, kind broken.Kind, mode string) (cells, found []string) {
	t.Helper()
	var k *Keepword
	var before int
	if mode != "without" {
		var err error
		if k, err = l.Keepword(ctx, "mode: "+mode+"\n"); err != nil {
			t.Fatal(err)
		}
		earlier, err := k.Events()
		if err != nil {
			t.Fatal(err)
		}
		before = len(earlier)
	}
	sides := record(ctx, t, l, func() {
		cells = make([]string, len(Clients))
		var sending sync.WaitGroup
		for i, client := range Clients {
			sending.Go(func() { cells[i] = cell(ctx, l, client) })
		}
		sending.Wait()
	})
	for port, near := range sides[0] {
		if far := sides[1][port]; far != nil {
			checkPassage(t, mode, near, far)
		}
	}
	if k == nil {
		return cells, nil
	}
	if err := k.Stop(); err != nil {
		t.Fatal(err)
	}
	events, err := k.Events()
	if err != nil {
		t.Fatal(err)
	}
	found = findings(events[before:])
	for _, want := range kind.Findings {
		if slices.Contains(unseen, kind.Name) || slices.Contains(found, want.String()) ||
			slices.Contains(found, alsoRight[kind.Name].String()) {
			continue
		}
		t.Errorf("%s: no finding %s", mode, want)
	}
	return cells, found
}

// cell sends one message and says in a word what became of it.
func cell(ctx context.Context, l *Lab, client Client) string {
	mode := IfOffered
	if !client.Can(mode) {
		mode = Required
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	got, err := client.Send(ctx, l.Client, smtpAt(l.Server.IPv4), NewMessage(100), mode)
	switch {
	case ctx.Err() != nil:
		return "hangs"
	case err != nil:
		return "fails: " + err.Error()
	case got.Outcome == Delivered && got.TLS:
		return "TLS"
	case got.Outcome == Delivered:
		return "clear"
	}
	return string(got.Outcome)
}

// record captures both sides of the gateway while f runs, and returns their sessions
// by the client's address.
func record(ctx context.Context, t *testing.T, l *Lab, f func()) (sides [2]map[netip.AddrPort]*Conversation) {
	t.Helper()
	var captures [2]*Capture
	for i, side := range []string{ClientSide, ServerSide} {
		var err error
		if captures[i], err = l.Gateway.Capture(ctx, side, filepath.Join(t.TempDir(), "capture.pcap")); err != nil {
			t.Fatal(err)
		}
	}
	f()
	for i, c := range captures {
		if err := c.Stop(); err != nil {
			t.Fatal(err)
		}
		conversations, err := c.Conversations()
		if err != nil {
			t.Fatal(err)
		}
		sides[i] = map[netip.AddrPort]*Conversation{}
		for _, conversation := range conversations {
			sides[i][conversation.Client] = conversation
		}
	}
	return sides
}

// checkPassage compares a session on the client's side of the gateway with the same
// on the server's side. Edits keep every length, so that offsets are the same.
func checkPassage(t *testing.T, mode string, near, far *Conversation) {
	t.Helper()
	received, sent := near.Sent(false), far.Sent(false)
	commands, arrived := near.Sent(true), far.Sent(true)
	if mode != "enforce" {
		if !bytes.Equal(received, sent) || !bytes.Equal(commands, arrived) {
			t.Errorf("%s: altered:\n%q\n%q\n%q\n%q", mode, sent, received, commands, arrived)
		}
		return
	}
	if !bytes.HasPrefix(commands, arrived) {
		t.Errorf("commands altered:\n%q\n%q", commands, arrived)
	}
	for at := 0; at < len(received); {
		length := bytes.IndexByte(received[at:], '\n') + 1
		if length == 0 || received[at] < ' ' {
			return // TLS, or the last octets of a session that was cut
		}
		line := received[at : at+length]
		if positive := line[0] == '2' || line[0] == '3'; positive && !bytes.HasPrefix(sent[min(at, len(sent)):], line) {
			t.Errorf("the client received %q, which its server did not send: %q", line, sent)
		}
		at += length
	}
}

// findings returns the ids in the events, each once.
func findings(events []Event) []string {
	var ids []string
	for _, e := range events {
		if id := e.Finding(); id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
