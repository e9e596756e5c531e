package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"keepword/dataplane"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// A failing control: a firewall that breaks a truth, which the search must find out.
type control struct {
	name   string
	breaks truth
	scene  scene
	depth  int
}

// tampered is a Pipeline whose verdicts somebody changes on their way to the kernel.
type tampered struct {
	dataplane.Inspector
	// decide changes the verdict on a packet, of which came is what the kernel has.
	decide func(came []byte, toServer bool, kind *verdict.Kind, data *[]byte)
	came   map[uint32][]byte
}

func tamper(decide func(came []byte, toServer bool, kind *verdict.Kind, data *[]byte)) func(dataplane.Inspector) dataplane.Inspector {
	return func(in dataplane.Inspector) dataplane.Inspector {
		return &tampered{Inspector: in, decide: decide, came: map[uint32][]byte{}}
	}
}

func (t *tampered) Inspect(b *dataplane.Batch) {
	for _, p := range b.Packets {
		t.came[p.ID] = bytes.Clone(p.Data)
	}
	t.Inspector.Inspect(b)
	for i := range b.Packets {
		p := &b.Packets[i]
		t.change(p.ID, &p.Verdict, &p.Data)
		if p.Verdict != verdict.Hold {
			delete(t.came, p.ID)
		}
	}
	// What was let go at once is not there to be released.
	b.Released = slices.DeleteFunc(b.Released, func(r dataplane.Release) bool { return t.came[r.ID] == nil })
	for i := range b.Released {
		r := &b.Released[i]
		t.change(r.ID, &r.Verdict, &r.Data)
		delete(t.came, r.ID)
	}
}

func (t *tampered) change(id uint32, kind *verdict.Kind, data *[]byte) {
	var v packet.View
	came := t.came[id]
	packet.Parse(came, &v)
	if len(v.Payload) > 0 {
		t.decide(came, v.DstPort == serverAddr.Port(), kind, data)
	}
}

// unedited lets what was edited on its way to one side go as it came.
func unedited(toServer bool) func(dataplane.Inspector) dataplane.Inspector {
	return tamper(func(came []byte, to bool, kind *verdict.Kind, data *[]byte) {
		if to == toServer && *kind == verdict.Replace {
			*data = came
		}
	})
}

// with is mode enforce with one action other than the catalogue's.
func with(f verdict.Finding, a verdict.Action) policy.Config {
	return policy.Config{Actions: map[verdict.Finding]verdict.Action{f: a}}
}

// onLine is a box that does one thing to lines with a word.
func onLine(word string, d deed) func(string) deed {
	return func(line string) deed {
		if strings.HasPrefix(line, word) {
			return d
		}
		return pass
	}
}

var hide = policy.Config{Servers: []policy.Server{{StartTLS: policy.Hide}}}

var controls = []control{
	// The PIX in keepword's place: it says OK for the server, or lets a NOOP's OK pass.
	{"the PIX that answers", T1, scene{instead: onLine("STARTTLS", answerOK)}, 0},
	{"the PIX that answers, to T2", T2, scene{instead: onLine("STARTTLS", answerOK)}, 0},
	{"the PIX that answers, to T3", T3, scene{instead: onLine("STARTTLS", answerOK)}, 0},
	{"the PIX that says NOOP", T1, scene{instead: onLine("STARTTLS", noop)}, 0},
	{"the PIX that says NOOP, to T4", T4, scene{instead: onLine("STARTTLS", noop)}, 0},
	{"the ASA that masks the command", T4, scene{instead: onLine("STARTTLS", mask)}, 0},
	{"a wall that answers itself and lets pass", OneReply, scene{instead: onLine("NOOP", alsoOK)}, 1},
	{"a wall that answers STARTTLS with 220", T3, scene{instead: onLine("STARTTLS", answer220)}, 0},
	{"a wall that swallows NOOP", T2, scene{instead: onLine("NOOP", swallow)}, 1},
	{"a wall that swallows NOOP, to the client", NoDeadlock, scene{instead: onLine("NOOP", swallow)}, 1},

	// Keepword with one action of its policy changed.
	{"answered-for-server: log", T3, scene{policy: with(verdict.AnsweredForServer, verdict.Log)}, 1},
	{"command-injection: pass", T3, scene{policy: with(verdict.CommandInjection, verdict.Pass)}, 1},
	{"response-injection: log", T3, scene{policy: with(verdict.ResponseInjection, verdict.Log)}, 1},
	{"surplus-reply: log", T1, scene{policy: with(verdict.SurplusReply, verdict.Log)}, 1},
	{"early-client-hello: pass", T3, scene{policy: with(verdict.EarlyClientHello, verdict.Pass)}, 1},
	{"silence-after-220: log", NoDeadlock, scene{policy: with(verdict.SilenceAfter220, verdict.Log)}, 1},
	{"plaintext-from-server-after-220: log", T3, scene{policy: with(verdict.PlaintextFromServerAfter220, verdict.Log)}, 1},
	{"plaintext-from-client-after-220: log", T3, scene{policy: with(verdict.PlaintextFromClientAfter220, verdict.Log)}, 1},

	// Keepword with a verdict of its own changed on the way.
	{"the reply to a refused command passes", T1, scene{policy: policies[1].Config, control: unedited(false)}, 1},
	{"the reply to a refused command passes, to T2", T2, scene{policy: policies[1].Config, control: unedited(false)}, 1},
	{"hidden, and not refused", T4, scene{policy: hide, control: unedited(true)}, 1},
	{"nothing is held", T3, scene{control: tamper(func(came []byte, _ bool, kind *verdict.Kind, data *[]byte) {
		if *kind == verdict.Hold {
			*kind, *data = verdict.Accept, came
		}
	})}, 1},
	{"one octet is altered in mode observe", Unaltered, scene{
		policy: policy.Config{Mode: verdict.Observe},
		control: tamper(func(came []byte, toServer bool, kind *verdict.Kind, data *[]byte) {
			if i := bytes.Index(came, []byte("STARTTLS")); i > 0 && toServer {
				var v packet.View
				packet.Parse(came, &v)
				came[i] |= 0x20
				v.SetChecksums()
				*kind, *data = verdict.Replace, came
			}
		}),
	}, 0},
}

func TestEachTruthThatIsBrokenOnPurposeIsFoundToFall(t *testing.T) {
	var broken [truths]int
	for _, c := range controls {
		t.Run(c.name, func(t *testing.T) {
			r := explore(c.scene, c.depth, func(r *result) bool { return r.fallen[c.breaks] > 0 })
			if r.fallen[c.breaks] == 0 {
				t.Fatalf("%v did not fall in %d runs, but %v", c.breaks, r.executions, r.falls)
			}
			broken[c.breaks]++
		})
	}
	for k, n := range broken[:OneMind] {
		if n == 0 {
			t.Errorf("no control breaks %v", truth(k))
		}
	}
}
