package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"keepword/bench/lab"
	v "keepword/inspect/verdict"
)

// liveAll plays each mode's cases, both modes at the same time.
func liveAll(ctx context.Context, all []*Fixture) ([]outcome, error) {
	modes := []v.Mode{v.Enforce, v.Observe}
	lists, errs := make([][]outcome, len(modes)), make([]error, len(modes))
	var playing sync.WaitGroup
	for i, mode := range modes {
		playing.Go(func() { lists[i], errs[i] = live(ctx, shippedCases(all, mode, true)) })
	}
	playing.Wait()
	return slices.Concat(lists...), errors.Join(errs...)
}

// live plays cases, of one mode all, at the same time through keepword on the gateway of a
// lab of their own, and judges what arrived, was reported and was counted.
func live(ctx context.Context, cases []*shippedCase) ([]outcome, error) {
	l, err := lab.New(lab.Options{})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if err := routes(ctx, l); err != nil {
		return nil, err
	}
	text, err := configuration(cases)
	if err != nil {
		return nil, err
	}
	k, err := l.Keepword(ctx, string(text))
	if err != nil {
		return nil, err
	}
	faults, err := playAll(l, cases)
	var counted []outcome
	if err == nil {
		counted, err = judgeMetrics(ctx, l, cases)
	}
	if err := errors.Join(err, k.Stop()); err != nil {
		return nil, err
	}
	events, err := k.Events()
	if err != nil {
		return nil, err
	}
	var lines strings.Builder
	for _, e := range events {
		lines.WriteString(e.Raw + "\n")
	}
	told, err := reported([]byte(lines.String()))
	if err != nil {
		return nil, err
	}
	outcomes := judgeReported(cases, told)
	for i := range outcomes {
		outcomes[i].faults = append(outcomes[i].faults, faults[i]...)
	}
	return append(outcomes, counted...), nil
}

// routes has the gateway lead the cases' networks to both hosts, whose kernels take no
// notice of them.
func routes(ctx context.Context, l *lab.Lab) error {
	ip := func(h *lab.Host, args ...string) error {
		_, err := h.Command(ctx, "ip", args...).Output()
		return err
	}
	for at, host := range map[side]*lab.Host{client: l.Client, server: l.Server} {
		for i, network := range networks[at] {
			via := host.Addr(i == 1).String()
			if err := errors.Join(
				ip(l.Gateway, "route", "add", network.String(), "via", via),
				ip(host, "route", "add", "blackhole", network.String())); err != nil {
				return err
			}
		}
	}
	return nil
}

// playAll plays all cases at once, and returns what is wrong with what became of the octets
// of each.
func playAll(l *lab.Lab, cases []*shippedCase) ([][]string, error) {
	y, err := newYard(l)
	if err != nil {
		return nil, err
	}
	defer y.close()
	var port atomic.Uint32
	port.Store(10000)
	faults, errs := make([][]string, len(cases)), make([]error, len(cases))
	var playing sync.WaitGroup
	for i, c := range cases {
		playing.Go(func() {
			w := newLiveWire(y)
			p := start(w, c.client(), c.server, func() uint16 { return uint16(port.Add(1)) })
			c.play(p, c.setting)
			faults[i], errs[i] = judge(c.Fixture, c.setting, p), w.err
		})
	}
	playing.Wait()
	return faults, errors.Join(errs...)
}

// judgeMetrics judges the counters of findings; each that is not as it must be is an outcome.
func judgeMetrics(ctx context.Context, l *lab.Lab, cases []*shippedCase) (list []outcome, err error) {
	const settled = 500 * time.Millisecond // the counters are published now and then
	time.Sleep(settled)
	want := map[string]int{}
	for _, c := range cases {
		for _, name := range c.counts(c.setting) {
			want[name]++
		}
	}
	got, err := metrics(ctx, l)
	if err != nil {
		return nil, err
	}
	for f := v.NoFinding + 1; f < v.Findings; f++ {
		for a := v.Pass; a <= v.Kill; a++ {
			if name := (Report{f, a}).String(); got[name] != want[name] {
				fault := fmt.Sprintf("counted %d times, want %d", got[name], want[name])
				list = append(list, outcome{f, a, cases[0].mode, "metrics: " + name, []string{fault}})
			}
		}
	}
	return list, nil
}

// metrics returns the counters of findings, as a Report is written.
func metrics(ctx context.Context, l *lab.Lab) (map[string]int, error) {
	const limit = 5 * time.Second
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return l.Gateway.Dial(ctx, network, addr)
	}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:9525/metrics", nil)
	if err != nil {
		return nil, err
	}
	answer, err := (&http.Client{Transport: transport, Timeout: limit}).Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	all := map[string]int{}
	for line := range strings.Lines(string(text)) {
		labels, ok := strings.CutPrefix(line, `keepword_findings_total{action="`)
		if !ok {
			continue
		}
		action, labels, _ := strings.Cut(labels, `",finding="`)
		finding, number, _ := strings.Cut(labels, `"} `)
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil {
			return nil, fmt.Errorf("metrics: %q: %w", line, err)
		}
		all[finding+" "+action] = int(n)
	}
	return all, nil
}
