package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"keepword/bench/figures"
	"keepword/bench/line/load"
)

// plan is a comparison: every subject under every workload, as often as there are rounds.
type plan struct {
	subjects         []subject
	workloads        []load.Workload
	rounds           int
	warm, window     time.Duration
	ipv6, pipelining bool
	progress         func(string)
}

// sample is what one run has given.
type sample struct {
	load.Figures
	used usage // in the window
}

// results are the samples of a comparison.
type results struct {
	subjects  []subject
	workloads []load.Workload
	// samples are by subject, workload and round.
	samples [][][]sample
	// left are the subjects that could not be had here, with the reason.
	left []string
}

// play runs the plan. In each round the subjects take turns under one workload before
// the next workload begins, so that what is compared was measured within seconds.
func (p *plan) play(ctx context.Context) (_ *results, err error) {
	s, err := newSite(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	s.ipv6, s.pipelining = p.ipv6, p.pipelining
	r := &results{workloads: p.workloads}
	for _, sub := range p.subjects {
		if sub.missing != nil {
			if why := sub.missing(ctx, s); why != "" {
				r.left = append(r.left, sub.name+": "+why)
				p.progress("left out: " + r.left[len(r.left)-1])
				continue
			}
		}
		r.subjects = append(r.subjects, sub)
	}
	r.samples = make([][][]sample, len(r.subjects))
	for i := range r.samples {
		r.samples[i] = make([][]sample, len(r.workloads))
	}
	for round := range p.rounds {
		for k, w := range r.workloads {
			for i, sub := range r.subjects {
				taken, err := p.turn(ctx, s, sub, w)
				if ctx.Err() != nil {
					return nil, context.Cause(ctx)
				}
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", sub.name, w.Name, err)
				}
				r.samples[i][k] = append(r.samples[i][k], taken)
				p.progress(fmt.Sprintf("round %d, %s, %s: %s", round+1, w.Name, sub.name, taken.text(w)))
			}
		}
	}
	return r, nil
}

// turn sets a subject up, measures it under a workload and sets it down.
func (p *plan) turn(ctx context.Context, s *site, sub subject, w load.Workload) (_ sample, err error) {
	at, err := sub.stand(ctx, s)
	if err != nil {
		return sample{}, err
	}
	defer func() { err = errors.Join(err, at.stop()) }()
	var readings []usage
	f, err := s.run(ctx, w, p.warm, p.window, func() error {
		u, err := use(at.pid())
		readings = append(readings, u)
		return err
	})
	if err != nil {
		return sample{}, err
	}
	if f.Failed == 0 && f.Sessions <= 0 {
		return sample{}, errors.New("no session took place")
	}
	return sample{f, readings[1].since(readings[0])}, nil
}

// rate is the figure that a workload is for: octets, sessions, or short commands a second.
func (s *sample) rate(w load.Workload) float64 {
	if w.Bulk() {
		return s.Octets / s.Seconds
	}
	return s.Sessions / s.Seconds
}

// text tells a sample in a few words.
func (s *sample) text(w load.Workload) string {
	if s.Failed > 0 {
		return fmt.Sprintf("INVALID, %d sessions failed; the first: %s", s.Failed, s.Failure)
	}
	switch {
	case w.Name == load.Commands:
		return fmt.Sprintf("p50 %s µs, p99 %s µs", figures.Digits(s.P50*1e6), figures.Digits(s.P99*1e6))
	case w.Bulk():
		return fmt.Sprintf("%.0f MB/s", s.rate(w)/1e6)
	}
	return fmt.Sprintf("%.0f sessions/s", s.rate(w))
}

// column returns the samples of a subject under a workload, nil where there are none, and
// how many sessions failed in them.
func (r *results) column(subject int, workload string) (list []sample, failed int) {
	k := slices.IndexFunc(r.workloads, func(w load.Workload) bool { return w.Name == workload })
	if k < 0 {
		return nil, 0
	}
	list = r.samples[subject][k]
	for _, s := range list {
		failed += s.Failed
	}
	return list, failed
}

// series picks a figure out of samples.
func series(list []sample, figure func(*sample) float64) figures.Series {
	var s figures.Series
	for i := range list {
		s = append(s, figure(&list[i]))
	}
	return s
}

// invalid is the error of a comparison in which a session failed.
func (r *results) invalid() error {
	var errs []error
	for i, sub := range r.subjects {
		for _, w := range r.workloads {
			list, failed := r.column(i, w.Name)
			if failed == 0 {
				continue
			}
			at := slices.IndexFunc(list, func(s sample) bool { return s.Failed > 0 })
			errs = append(errs, fmt.Errorf("%s, %s: %d sessions failed; the first: %s", sub.name, w.Name, failed, list[at].Failure))
		}
	}
	return errors.Join(errs...)
}
