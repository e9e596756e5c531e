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

// live plays cases, of one mode all, at the same time through keepword on the gateway of a
// lab of their own, and says what is wrong with what arrived, was reported and was counted.
func live(ctx context.Context, cases []*shippedCase) (faults []string, err error) {
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
	faults, err = playAll(l, cases)
	if err == nil {
		var more []string
		more, err = judgeMetrics(ctx, l, cases)
		faults = append(faults, more...)
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
	return append(faults, judgeReported(cases, told)...), nil
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

// playAll plays all cases at once.
func playAll(l *lab.Lab, cases []*shippedCase) ([]string, error) {
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
			for _, f := range judge(c.Fixture, c.setting, p) {
				faults[i] = append(faults[i], fmt.Sprintf("%v: %s", c, f))
			}
			errs[i] = w.err
		})
	}
	playing.Wait()
	return slices.Concat(faults...), errors.Join(errs...)
}

// judgeMetrics says what is wrong with the counters of findings.
func judgeMetrics(ctx context.Context, l *lab.Lab, cases []*shippedCase) (faults []string, err error) {
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
				faults = append(faults, fmt.Sprintf("metrics, %v: %s is counted %d times, want %d", cases[0].mode, name, got[name], want[name]))
			}
		}
	}
	return faults, nil
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
