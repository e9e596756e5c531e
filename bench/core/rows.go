package main

import (
	"fmt"

	"keepword/bench/figures"
	"keepword/bench/traffic"
)

// How much one sample measures: enough for tens of milliseconds.
const (
	sampleSegments  = 1 << 17
	sampleOctets    = 1 << 29
	sampleSessions  = 1 << 14
	samplePackets   = 1 << 18
	recordedSession = 400
)

// bench makes the rows of the table.
type bench struct {
	rounds, flows int
	// part is how many times shorter than usual a sample is: 1, but for tests of the
	// command itself.
	part            int
	classic, modern traffic.Hello
	progress        func(string)
}

func newBench(rounds, flows int, progress func(string)) (*bench, error) {
	b := &bench{rounds: rounds, flows: flows, part: 1, progress: progress}
	var err error
	if b.classic, err = traffic.Shake(traffic.OpenSSL...); err != nil {
		return nil, err
	}
	b.modern, err = traffic.Shake()
	return b, err
}

// all returns every row.
func (b *bench) all() (rows []row, err error) {
	for _, part := range []struct {
		name string
		rows func() ([]row, error)
	}{
		{"segments", b.segments}, {"STARTTLS dialogues", b.dialogues}, {"mail data", b.scans}, {"captures", b.captures},
		{"memory", b.memory}, {"idle sessions", b.resident}, {"many flows", b.spread}, {"memory latency", b.latency}, {"two workers", b.workers}, {"allocations", b.allocations},
	} {
		b.progress(part.name)
		add, err := part.rows()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
		rows = append(rows, add...)
	}
	return rows, nil
}

const byGopacket = "gopacket"

func (b *bench) segments() (rows []row, err error) {
	sampled := func(s *segments) sampler {
		n := min(sampleSegments, sampleOctets/len(s.data.text)) / b.part
		return func() ([]float64, error) {
			segment, ack := s.run(n)
			return []float64{segment, ack}, s.check(s.octets)
		}
	}
	for _, octets := range []int{1, 100, mss, 60000} {
		kw, single, verified := newSegments(newKeepword(batchSize), octets), newSegments(newKeepword(batchSize), octets), newSegments(newKeepword(batchSize), octets)
		single.single, verified.verified = true, true
		s, err := inTurn(b.rounds, sampled(kw), sampled(single), sampled(verified), sampled(newSegments(newBaseline(), octets)))
		if err != nil {
			return nil, err
		}
		add := func(what string, limit target, ours, base figures.Series) {
			rows = append(rows, row{what: what, target: limit, unit: nanoseconds, ours: ours, by: byGopacket, base: base})
		}
		segment, ack := s[0][0], s[0][1]
		base, baseAck := s[3][0], s[3][1]
		name := fmt.Sprintf("in-order segment of %s octets", grouped(octets))
		if octets == 1 {
			name = "in-order segment of 1 octet"
			add(name, atMost(100), segment, base)
			add("the acknowledgement that follows", target{}, ack, baseAck)
			add("segment and acknowledgement", target{}, sum(segment, ack), sum(base, baseAck))
			add("segment and acknowledgement, each packet a batch of its own", target{}, sum(s[1][0], s[1][1]), sum(base, baseAck))
		} else {
			add(name, target{}, segment, base)
		}
		add(name+", its checksum verified", target{}, s[2][0], base)
	}
	return rows, nil
}

func (b *bench) dialogues() (rows []row, err error) {
	sampled := func(s *dialogues) sampler {
		return func() ([]float64, error) { return []float64{s.run(sampleSessions / b.part)}, s.check(s.octets) }
	}
	for _, h := range []traffic.Hello{b.classic, b.modern} {
		single := newDialogues(newKeepword(crowd), h, false)
		single.single = true
		kw := newDialogues(newKeepword(crowd), h, false)
		s, err := inTurn(b.rounds, sampled(kw), sampled(single), sampled(newDialogues(newBaseline(), h, false)),
			sampled(newDialogues(newKeepword(crowd), h, true)), sampled(newDialogues(newBaseline(), h, true)))
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("STARTTLS dialogue, greeting to ServerHello, %d segments, ClientHello of %s octets", len(kw.dialogue), grouped(len(h.Client)))
		rows = append(rows,
			row{what: name, unit: nanoseconds, target: atMost(2000), ours: s[0][0], by: byGopacket, base: s[2][0]},
			row{what: "the same, each packet a batch of its own", unit: nanoseconds, ours: s[1][0], by: byGopacket, base: s[2][0]},
			row{what: "its whole connection, SYN to the last FIN's acknowledgement", unit: nanoseconds, ours: s[3][0], by: byGopacket, base: s[4][0]})
	}
	return rows, nil
}

func (b *bench) scans() (rows []row, err error) {
	for _, mail := range []struct {
		name   string
		octets []byte
	}{{"base64", traffic.Base64Mail(scanned)}, {"text", traffic.TextMail(scanned)}} {
		for _, piece := range []int{mss, 60000} {
			s, err := newScan(mail.octets, piece)
			if err != nil {
				return nil, err
			}
			speed := func(f func(int) (float64, error)) sampler {
				return func() ([]float64, error) {
					v, err := f(sampleOctets / b.part)
					return []float64{v}, err
				}
			}
			got, err := inTurn(b.rounds, speed(s.run), speed(s.index))
			if err != nil {
				return nil, err
			}
			rows = append(rows, row{
				what: fmt.Sprintf("mail data scanned, %s in pieces of %s octets", mail.name, grouped(piece)), unit: gigaoctets,
				target: atLeast(10), ours: got[0][0], by: "bytes.Index", base: got[1][0],
			})
		}
	}
	return rows, nil
}

// captures has the rows about recordings. Their figures are packets a second.
func (b *bench) captures() (rows []row, err error) {
	sampled := func(s *replays) sampler {
		return func() ([]float64, error) {
			return []float64{1e9 / s.run(samplePackets/b.part)}, s.check(s.gateway.octets)
		}
	}
	for _, disorder := range []bool{false, true} {
		r := record(recordedSession, b.modern, disorder)
		verified := newReplays(newKeepword(recordedSession), r)
		verified.verified = true
		plain := newBaseline()
		plain.plain = true
		s, err := inTurn(b.rounds, sampled(newReplays(newKeepword(recordedSession), r)), sampled(verified),
			sampled(newReplays(newBaseline(), r)), sampled(newReplays(plain, r)))
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("capture of %d sessions, %s packets", r.sessions, grouped(len(r.packets)))
		if disorder {
			name += ", 5% out of order and 5% twice"
		}
		rows = append(rows,
			row{what: name, unit: perSecond, target: atLeastTimes(10), ours: s[0][0], by: byGopacket, base: s[2][0]},
			row{what: "the same, gopacket as its examples use it", unit: perSecond, ours: s[0][0], by: byGopacket + ".NewPacket", base: s[3][0]},
			row{what: "the same, checksums verified too", unit: perSecond, ours: s[1][0], by: byGopacket, base: s[2][0]})
	}
	return rows, nil
}

func (b *bench) memory() (rows []row, err error) {
	for _, at := range []struct {
		name  string
		steps [][]step
		idle  bool
	}{{"idle flow, EHLO answered and acknowledged", [][]step{opening, introduction, {ack(client)}}, true}, {"half-open flow, a SYN seen", [][]step{opening[:1]}, false}} {
		sampled := func(fresh func(int) subject) sampler {
			return func() ([]float64, error) {
				s, err := memory(fresh, b.flows, at.steps...)
				return []float64{s.each, s.total}, err
			}
		}
		s, err := inTurn(b.rounds, sampled(func(n int) subject { return newKeepword(n) }), sampled(func(int) subject { return newBaseline() }))
		if err != nil {
			return nil, err
		}
		each := row{what: "state of an " + at.name, unit: octetsUnit, ours: s[0][0], by: byGopacket, base: s[1][0]}
		if !at.idle {
			each.what = "state of a " + at.name
			rows = append(rows, each)
			continue
		}
		each.target = atMost(512)
		total := row{what: grouped(b.flows) + " of them, table and index included", unit: octetsUnit, target: atMost(1 << 30), ours: s[0][1], by: byGopacket, base: s[1][1]}
		rows = append(rows, each, total)
	}
	return rows, nil
}

func (b *bench) allocations() ([]row, error) {
	count := func(f func() float64) sampler {
		return func() ([]float64, error) { return []float64{f()}, nil }
	}
	s, err := inTurn(b.rounds,
		count(newSegments(newKeepword(batchSize), mss).allocations), count(newSegments(newBaseline(), mss).allocations),
		count(newDialogues(newKeepword(crowd), b.modern, true).allocations), count(newDialogues(newBaseline(), b.modern, true).allocations))
	if err != nil {
		return nil, err
	}
	return []row{
		{what: "allocations of a segment and its acknowledgement", unit: number, target: atMost(0), ours: s[0][0], by: byGopacket, base: s[1][0]},
		{what: "allocations of a whole STARTTLS connection", unit: number, ours: s[2][0], by: byGopacket, base: s[3][0]},
	}, nil
}
