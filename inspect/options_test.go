package inspect_test

import (
	"bytes"
	"testing"

	"keepword/dataplane"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

func lost(w *wire, cause, when string) (n uint64) {
	for _, l := range w.p.Stats().Lost {
		if l.Cause == cause && l.Policy == when {
			n += l.Count
		}
	}
	return n
}

func TestOptionsOfASYNHaveNoEffectElsewhere(t *testing.T) {
	w := newWire(t, setup{})
	upToOffer(w)
	late := []byte{2, 4, 0, 9, 3, 3, 14, 4, 2, 1} // MSS 9, window scale, SACK permitted
	w.put(w.optioned(w.client, w.client.snd, packet.ACK, late, []byte("STARTTLS\r\n")))
	w.client.snd += 10
	w.wantHeard(w.server, "STARTTLS\r\n")
	w.s("250 OK\r\n")
	w.wantHeard(w.client, "454 No\r\n")
}

// What stands in the options of a segment has no say in where its octets go: selective
// acknowledgements of nothing, T/TCP's connection counts, timestamps never agreed on,
// unknown ones, and such as end in their middle.
func TestNoOptionChangesWhichOctetsAreRead(t *testing.T) {
	for name, options := range map[string][]byte{
		"SACK of a wrong length":       {5, 9, 1, 2, 3, 4, 5, 6, 7},
		"SACK with edges swapped":      {5, 10, 0, 0, 0, 9, 0, 0, 0, 1},
		"SACK of what was never sent":  {5, 10, 127, 0, 0, 0, 127, 0, 0, 9},
		"SACK of what is acknowledged": {5, 10, 0, 0, 0, 0, 0, 0, 0, 9},
		"T/TCP":                        {11, 6, 0, 0, 0, 1, 13, 6, 0, 0, 0, 1},
		"timestamps not agreed on":     timestamps(1, 1),
		"MD5 not agreed on":            append([]byte{19, 18}, make([]byte, 16)...),
		"unknown":                      {200, 4, 1, 2},
		"length 0":                     {200, 0, 1, 2},
		"length 1":                     {200, 1, 1, 2},
		"beyond the header":            {200, 40, 1, 2},
		"behind the end":               {0, 30, 12, 200},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, setup{})
			upToOffer(w)
			w.put(w.optioned(w.client, w.client.snd, packet.ACK, options, []byte("STARTTLS\r\n")))
			w.client.snd += 10
			w.wantHeard(w.server, "STARTTLS\r\n")
			w.s("250 OK\r\n")
			w.wantHeard(w.client, "454 No\r\n")
		})
	}
}

func TestAnEchoOfATimestampThatWasNeverSentChangesNothing(t *testing.T) {
	w := newWire(t, setup{})
	w.again(41000)
	w.shake(timestamps(1000, 0), timestamps(5000, 1000))
	upToOffer(w)
	w.put(w.optioned(w.client, w.client.snd, packet.ACK, timestamps(1001, 77), []byte("STARTTLS\r\n")))
	w.client.snd += 10
	w.wantHeard(w.server, "STARTTLS\r\n")
	w.s("250 OK\r\n")
	w.wantHeard(w.client, "454 No\r\n")
}

func TestMultipathIsTakenOffEverySYN(t *testing.T) {
	capable := []byte{1, 30, 12, 1, 0x81, 1, 2, 3, 4, 5, 6, 7, 8, 2, 4, 5, 180}
	w := newWire(t, setup{})
	w.again(41000)
	for i, syn := range w.shake(capable, capable) {
		if bytes.Contains(syn, capable[1:4]) || !bytes.Contains(syn, []byte{2, 4, 5, 180}) {
			t.Errorf("SYN %d left as %x", i, syn)
		}
	}
	upToOffer(w)
	w.c("STARTTLS\r\n")
	w.wantHeard(w.server, "STARTTLS\r\n")
}

var (
	optionMD5 = append([]byte{19, 18}, make([]byte, 16)...)
	optionAO  = append([]byte{29, 16}, make([]byte, 14)...)
)

func TestAConnectionThatBothEndsSignPassesUnreadAndIsCounted(t *testing.T) {
	for _, option := range [][]byte{optionMD5, optionAO} {
		w := newWire(t, setup{})
		w.again(41000)
		w.shake(option, option)
		upToOffer(w)
		w.c("STARTTLS\r\n")
		w.s("250 OK\r\n")
		w.wantHeard(w.client, "250 OK\r\n")
		if lost(w, "signed", "pass") != 1 {
			t.Errorf("lost sight: %+v", w.p.Stats().Lost)
		}
	}
}

func TestWhereTLSIsRequiredASignedConnectionDoesNotOpen(t *testing.T) {
	w := newWire(t, setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}})
	w.again(41000)
	if left := w.shake(optionMD5, optionMD5); left[0] == nil || left[1] != nil {
		t.Errorf("SYNs left: %x", left)
	}
	w.c(message)
	w.wantHeard(w.server, "")
	if lost(w, "signed", "drop") != 1 {
		t.Errorf("lost sight: %+v", w.p.Stats().Lost)
	}
}

// A server without the option's code answers a signed SYN as any other.
func TestAClientThatSignsAloneIsInspected(t *testing.T) {
	w := newWire(t, setup{})
	w.again(41000)
	w.shake(optionMD5, nil)
	upToOffer(w)
	w.c("STARTTLS\r\n")
	w.s("250 OK\r\n")
	w.wantHeard(w.client, "454 No\r\n")
}

// A window scale stands though another option of the SYN is malformed: Linux reads it.
func TestTheWindowOfASYNWithAMalformedOptionIsScaled(t *testing.T) {
	w := newWire(t, setup{})
	w.again(41000)
	options := []byte{3, 3, 7, 8, 4, 0, 0, 1} // a timestamp too short behind the scale
	w.shake(options, options)
	b := dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: 1, Data: w.segment(w.server, w.server.snd, packet.ACK, nil)}}}
	w.p.Inspect(&b)
	var v packet.View
	packet.Parse(b.Packets[0].Data, &v)
	const kept = 128 << 10 // the half of FlowMemory
	if got := int(v.Window) << 7; b.Packets[0].Verdict != verdict.Replace || got > kept || got < kept/2 {
		t.Errorf("%v, a window of %d octets", b.Packets[0].Verdict, got)
	}
}
