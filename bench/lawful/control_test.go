package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keepword/dataplane"
	"keepword/inspect/packet"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// unlawful are dialogues that are to be ended or altered. They are the judge's failing
// control: one that found nothing in them would prove nothing by finding nothing in others.
func unlawful() map[verdict.Finding][]*dialogue {
	list := map[verdict.Finding][]*dialogue{}
	add := func(f verdict.Finding, name string, outcome starttls.Outcome, says ...say) {
		list[f] = append(list[f], &dialogue{name: name, outcome: outcome, says: says})
	}
	for name, ending := range map[string]string{
		"LF.LF": "\n.\n", "LF.CRLF": "\n.\r\n", "CRLF.LF": "\r\n.\n", "CR.CR": "\r.\r", "CR.LF": "\r.\n", "CRLF.CR": "\r\n.\r",
		"CRCRLF.CRCRLF": "\r\r\n.\r\r\n", "NUL": "\r\n\x00.\r\n",
	} {
		g := &generator{Rand: rand.New(rand.NewPCG(0, 0)), d: &dialogue{}}
		g.session("Subject: a\r\n\r\ntext" + ending + "MAIL FROM:<admin@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n")
		add(verdict.Smuggling, "smuggling behind "+name, starttls.OutcomeNotOffered, g.d.says...)
	}
	client := func(s string) say { return say{true, []byte(s)} }
	server := func(s string) say { return say{false, []byte(s)} }
	opening := []say{server("220 mx.example ESMTP\r\n"), client("EHLO client.example\r\n"), server("250-mx.example\r\n250-PIPELINING\r\n250 STARTTLS\r\n")}
	with := func(says ...say) []say { return slices.Concat(opening, says) }
	for _, early := range []string{"RSET\r\n", "EHLO a\r\n", "MAIL FROM:<eve@example.net>\r\n", "Q"} {
		add(verdict.CommandInjection, "behind STARTTLS "+early, starttls.OutcomeUpgraded, with(client("STARTTLS\r\n"+early), server("220 go\r\n"))...)
	}
	for _, surplus := range []string{"250 forged\r\n", "2"} {
		add(verdict.ResponseInjection, "behind 220 "+surplus, starttls.OutcomeUpgraded, with(client("STARTTLS\r\n"), server("220 go\r\n"+surplus))...)
	}
	add(verdict.AnsweredForServer, "250 to STARTTLS", starttls.OutcomeRefused, with(client("STARTTLS\r\n"), server("250 OK\r\n"), client("QUIT\r\n"), server("221 Bye\r\n"))...)
	add(verdict.PlaintextFromClientAfter220, "clear text behind 220", starttls.OutcomeUpgraded, with(client("STARTTLS\r\n"), server("220 go\r\n"), client("EHLO a\r\n"))...)
	add(verdict.BDATMalformed, "a chunk without a size", starttls.OutcomeNotAsked, with(client("BDAT LAST\r\n"), server("501 what\r\n"))...)
	return list
}

func TestTheJudgeFailsOnUnlawfulDialogues(t *testing.T) {
	for f, dialogues := range unlawful() {
		for _, d := range dialogues {
			j := judge(d)
			if len(j.actions) == 0 || len(j.faults) == 0 || j.findings[f] != uint64(2*len(cuts)) {
				t.Errorf("%s: %d actions, %d faults, findings: %s; want %v in each of %d connections", d.name, len(j.actions), len(j.faults), logged(&j.findings), f, 2*len(cuts))
			}
		}
	}
}

// What is octet by octet an attack is apart from the corpus, and the worst of it is ended.
func TestTheBoundaryIsNoPartOfTheCorpus(t *testing.T) {
	ended := 0
	for _, d := range boundary() {
		j := judge(d)
		if strings.Contains(string(d.says[9].octets), "\n.\nMAIL FROM:<admin@example.org>") {
			if ended++; len(j.actions) == 0 {
				t.Errorf("%s: nothing was done", d.name)
			}
		}
	}
	if ended == 0 {
		t.Error("no message of the boundary smuggles")
	}
}

func TestAFileThatSmugglesIsNamed(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"letter": "one\n.\ntwo\n", "attack": "one\n.\nMAIL FROM:<admin@example.org>\n", "empty": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	if err := judgeFiles(dir, &out); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Count(got, "attack") != 3 || strings.Contains(got, "letter") || !strings.HasSuffix(got, "2 files, 46 octets, 3 messages of 6 would be ended\n") {
		t.Error(got)
	}
}

// meddler stands in the inspection's place, and does something to the packets.
type meddler struct {
	*referee
	meddle func(b *dataplane.Batch, came [][]byte)
}

// Inspect is dataplane.Inspector's.
func (m *meddler) Inspect(b *dataplane.Batch) {
	m.keep(b.Packets)
	for i := range b.Packets {
		b.Packets[i].Verdict = verdict.Accept
	}
	m.meddle(b, m.came)
	m.settle(b)
}

func TestTheRefereeTellsWhatIsAnActionFromWhatIsNone(t *testing.T) {
	edit := func(f func(v *packet.View, pk *dataplane.Packet)) func(*dataplane.Batch, [][]byte) {
		return func(b *dataplane.Batch, _ [][]byte) {
			for i := range b.Packets {
				pk := &b.Packets[i]
				var v packet.View
				if packet.Parse(pk.Data, &v) == packet.OK && len(v.Payload) > 0 {
					pk.Verdict = verdict.Replace
					f(&v, pk)
					v.SetChecksums()
				}
			}
		}
	}
	for name, c := range map[string]struct {
		meddle func(b *dataplane.Batch, came [][]byte)
		action bool
	}{
		"nothing":        {func(*dataplane.Batch, [][]byte) {}, false},
		"a lower window": {edit(func(v *packet.View, _ *dataplane.Packet) { v.SetWindow(v.Window / 2) }), false},
		"a higher acknowledgement": {edit(func(v *packet.View, pk *dataplane.Packet) {
			const ack = 20 + 8 // of an IPv4 packet
			pk.Data[ack]++
		}), true},
		"another octet":    {edit(func(v *packet.View, _ *dataplane.Packet) { v.Payload[0] ^= 1 }), true},
		"a shorter packet": {edit(func(v *packet.View, pk *dataplane.Packet) { pk.Data = v.Truncate(1) }), true},
		"a wrong checksum": {func(b *dataplane.Batch, _ [][]byte) {
			b.Packets[0].Verdict = verdict.Replace
			b.Packets[0].Data[20+16]++
		}, true},
		"a drop":             {func(b *dataplane.Batch, _ [][]byte) { b.Packets[0].Verdict = verdict.Drop }, true},
		"no verdict":         {func(b *dataplane.Batch, _ [][]byte) { b.Packets[0].Verdict = verdict.None }, true},
		"a hold for ever":    {func(b *dataplane.Batch, _ [][]byte) { b.Packets[0].Verdict = verdict.Hold }, true},
		"a packet of ours":   {func(b *dataplane.Batch, _ [][]byte) { b.Injected = append(b.Injected, b.Packets[0].Data) }, true},
		"a hold and release": {func(b *dataplane.Batch, _ [][]byte) { wait(b, verdict.Accept) }, false},
		"a hold and drop":    {func(b *dataplane.Batch, _ [][]byte) { wait(b, verdict.Drop) }, true},
		"a shorter packet and then the whole": {func(b *dataplane.Batch, came [][]byte) {
			edit(func(v *packet.View, pk *dataplane.Packet) { pk.Data = v.Truncate(1) })(b, nil)
			for i, pk := range b.Packets {
				if pk.Verdict == verdict.Replace {
					b.Injected = append(b.Injected, came[i])
				}
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := Generate(1)
			m := &meddler{newReferee(), c.meddle}
			tr := tracer{insp: m, now: began}
			tr.play(d, cuts[0], 0, false, 1000)
			if j := m.finish(tr.now); (len(j.actions) > 0) != c.action {
				t.Errorf("actions %q", j.actions)
			}
		})
	}
}

// wait holds the first packet and lets it go at once.
func wait(b *dataplane.Batch, then verdict.Kind) {
	b.Packets[0].Verdict = verdict.Hold
	b.Released = append(b.Released, dataplane.Release{ID: b.Packets[0].ID, Verdict: then})
}
