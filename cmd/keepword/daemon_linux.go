package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"keepword/cmd/keepword/internal/config"
	"keepword/cmd/keepword/internal/control"
	"keepword/cmd/keepword/internal/eve"
	"keepword/cmd/keepword/internal/recent"
	"keepword/cmd/keepword/internal/store"
	"keepword/dataplane"
	"keepword/dataplane/nfqueue"
	"keepword/dataplane/steer"
	"keepword/inspect"
	"keepword/inspect/policy"
)

// daemon is keepword at work: one worker for each queue, and what they share.
type daemon struct {
	path    string // of the configuration, "" for the built-in one
	log     *slog.Logger
	started time.Time

	// cfg is the configuration in force. What of it can't change while running is
	// as it was at the start.
	cfg        atomic.Pointer[config.Config]
	lastReload atomic.Pointer[control.Reload]

	workers []worker
	table   *steer.Table // nil until it diverts
	share   share        // the kernel's own
	// tableLost is how often it had to be restored.
	tableLost atomic.Uint64
	events    *eve.Writer
	history   *store.Store
	servers   []listener // answered from when the table diverts

	// changing is held by a reload and while the table is restored, and guards stopped.
	changing sync.Mutex
	stopped  bool

	// failed gets the first error that ends the daemon's work.
	failed chan error
	// The workers and the servers are stopped apart: status answers while the
	// queues are emptied.
	stopWorkers, stopServers context.CancelFunc
	running, serving         sync.WaitGroup
}

// worker is one queue and the inspection of its packets.
type worker struct {
	engine   *nfqueue.Engine
	pipeline *inspect.Pipeline
	recent   *recent.Sessions
}

// startDaemon starts everything, diverting last: when it returns, packets are being
// inspected. On an error nothing is left behind.
func startDaemon(path string, cfg *config.Config, log *slog.Logger) (*daemon, error) {
	d := &daemon{path: path, log: log, started: time.Now(), failed: make(chan error, 1)}
	d.cfg.Store(cfg)
	workers, stopWorkers := context.WithCancel(context.Background())
	servers, stopServers := context.WithCancel(context.Background())
	d.stopWorkers, d.stopServers = stopWorkers, stopServers

	if err := d.start(workers, servers, cfg); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return d, nil
}

func (d *daemon) start(workers, servers context.Context, cfg *config.Config) error {
	count := queueCount(cfg)
	if err := d.share.open(cfg, count, d.log); err != nil {
		return err
	}
	// The queues come first: another program's queue, or a lack of privileges, is
	// found before anything else is touched.
	engines, err := openQueues(cfg, count, d.share.follower)
	for _, e := range engines {
		d.workers = append(d.workers, worker{engine: e})
	}
	if err != nil {
		return err
	}
	d.events, err = eve.Open(cfg.Events.Path, eventOptions(cfg, eve.InterfaceNames()), d.log)
	if err != nil {
		return err
	}
	d.history = store.Open(cfg.History.Path, breakerLimits(cfg), d.log)
	for i := range d.workers {
		w := &d.workers[i]
		w.recent = recent.New(rememberedSessions/len(d.workers), d.events)
	}
	if err := d.listen(cfg); err != nil {
		return err
	}
	if err := d.alone(); err != nil {
		return err
	}
	if d.table, err = d.share.divert(cfg, len(d.workers)); err != nil {
		return err
	}
	// From here on packets wait.
	for i := range d.workers {
		w := &d.workers[i]
		w.pipeline = newPipeline(cfg, len(d.workers), told(cfg, w.recent), d.history, &d.share)
	}
	if err := d.share.takeOver(cfg, d.workers[0].pipeline.Window()); err != nil {
		return err
	}
	for _, w := range d.workers {
		d.running.Go(func() {
			if err := w.engine.Run(workers, w.pipeline); err != nil {
				d.fail(err)
			}
		})
	}
	if err := d.share.start(cfg); err != nil {
		return err
	}
	d.running.Go(func() { d.guardTable(workers) })
	for _, s := range d.servers {
		d.serving.Go(func() {
			if err := s.Serve(servers); err != nil {
				d.fail(err)
			}
		})
	}
	return nil
}

// fail ends the daemon's work with err; later failures are only logged.
func (d *daemon) fail(err error) {
	select {
	case d.failed <- err:
	default:
		d.log.Error("also failed", "error", err)
	}
}

// queueCount is how many queues there are to be.
func queueCount(cfg *config.Config) int {
	if cfg.Queues.Count > 0 {
		return cfg.Queues.Count
	}
	return min(runtime.NumCPU(), steer.MaxQueues)
}

// openQueues opens an engine for each of count queues; follower gives the kernel's own share
// of each. With an error it returns the engines that are open all the same.
func openQueues(cfg *config.Config, count int, follower func(int) dataplane.Follower) ([]*nfqueue.Engine, error) {
	const queueNumbers = 1 << 16
	if int(cfg.Queues.First)+count > queueNumbers {
		return nil, fmt.Errorf("%d queues from %d on are more than there are; set queues.first or queues.count", count, cfg.Queues.First)
	}
	var engines []*nfqueue.Engine
	for i := range count {
		e, err := nfqueue.Open(nfqueue.Config{
			Queue:    cfg.Queues.First + uint16(i),
			FailOpen: cfg.When.QueueFull == config.Pass,
			Mark:     cfg.Mark,
			Portable: engine(cfg) == config.EnginePortable,
			Follower: follower(i),
			// Inspection has packets marked where a rule minds it.
			MarkExempt: true,
		})
		if err != nil {
			return engines, err
		}
		engines = append(engines, e)
	}
	return engines, nil
}

// engine is the engine that cfg asks for.
func engine(cfg *config.Config) config.Engine {
	if cfg.Engine == config.EngineAuto {
		return config.EngineFast
	}
	return cfg.Engine
}

// newPipeline makes the inspection of one of n workers, who share a history.
func newPipeline(cfg *config.Config, n int, sink inspect.Sink, servers inspect.History, s *share) *inspect.Pipeline {
	return inspect.New(inspect.Config{
		Policy:     policy.New(cfg.Policy()),
		Ports:      cfg.Ports,
		Limits:     limits(cfg, n),
		MemoryFull: whens[cfg.When.MemoryFull],
		Midstream:  whens[cfg.When.Midstream],
		Sink:       sink,
		Seed:       rand.Uint64(),
		History:    servers,
		Follows:    s.on(),
		Rings:      s.rings(),
		Exempts:    s.connmark,
		Account:    account / n,
	})
}

func steering(cfg *config.Config, queues int, s *share) steer.Config {
	var hooks []steer.Hook
	for _, name := range cfg.Hooks {
		// The configuration knows the same hooks by the same names.
		if h, ok := steer.ParseHook(string(name)); ok {
			hooks = append(hooks, h)
		}
	}
	return steer.Config{
		Ports:      cfg.Ports,
		Hooks:      hooks,
		FirstQueue: cfg.Queues.First,
		Queues:     uint16(queues),
		Mark:       cfg.Mark,
		Bypass:     cfg.When.DaemonDown == config.Pass,
		NoTracking: s.on() && !s.connmark,
		Connmark:   s.connmark,
	}
}

// historyCloseTime bounds how long a stop waits for the last write of the history.
const historyCloseTime = 5 * time.Second

// stop ends everything in an order in which traffic flows on, and leaves no trace in
// the host but the event log. It stops a daemon that has started in part only, too.
func (d *daemon) stop() error {
	d.changing.Lock() // no reload is going on, and with stopped none begins
	d.stopped = true
	d.changing.Unlock()
	var errs []error
	d.share.detach() // from here on everything comes up, as far as it still comes
	if d.table != nil {
		errs = append(errs, d.table.StopDiverting())
	}
	d.stopWorkers()
	d.running.Wait() // the queues are empty now
	if d.table != nil {
		errs = append(errs, d.table.Close())
	}
	now := time.Now().UnixNano()
	for _, w := range d.workers {
		errs = append(errs, w.engine.Close())
		if w.pipeline != nil {
			w.pipeline.Flush(now)
		}
	}
	errs = append(errs, d.share.close())
	if d.history != nil {
		ctx, cancel := context.WithTimeout(context.Background(), historyCloseTime)
		if err := d.history.Close(ctx); err != nil {
			d.log.Error("the last of what was learned of servers is lost", "error", err)
		}
		cancel()
	}
	if d.events != nil {
		errs = append(errs, d.events.Close())
	}
	if d.table == nil { // nobody serves them
		for _, s := range d.servers {
			errs = append(errs, s.Close())
		}
	}
	d.stopServers()
	d.serving.Wait()
	return errors.Join(errs...)
}

// reload reads the configuration again and puts in force what can change while
// running. On an error, which it logs and returns, the old one stays.
func (d *daemon) reload() error {
	d.changing.Lock()
	defer d.changing.Unlock()
	if d.stopped {
		return errors.New("keepword is stopping")
	}
	result := &control.Reload{Time: time.Now()}
	defer d.lastReload.Store(result)

	if err := d.change(); err != nil {
		d.log.Error("reload failed, the old configuration stays in force", "error", err)
		result.Error = err.Error()
		return err
	}
	return nil
}

// change reads the configuration and puts it in force, or changes nothing.
func (d *daemon) change() error {
	next, err := load(d.path)
	if err != nil {
		return err
	}
	old := d.cfg.Load()
	cfg, fixed := merge(old, next)
	// Inspection learns of ports before the kernel does: a packet of a port that it
	// does not know would be let through unread.
	d.setPorts(cfg.Ports)
	if !slices.Equal(cfg.Ports, old.Ports) {
		if err := d.table.Update(cfg.Ports...); err != nil {
			d.setPorts(old.Ports)
			return fmt.Errorf("ports not changed: %w", err)
		}
	}
	rules := policy.New(cfg.Policy())
	for _, w := range d.workers {
		w.pipeline.SetPolicy(rules)
	}
	if err := d.share.set(cfg, d.workers[0].pipeline.Window()); err != nil {
		return err
	}
	d.history.SetBreaker(breakerLimits(cfg))
	d.cfg.Store(cfg)
	for _, key := range fixed {
		d.log.Warn(key + " changed: takes effect at the next start")
	}
	d.log.Info("reloaded", "mode", cfg.Mode.String(), "servers", len(cfg.Servers), "actions", len(cfg.Actions))
	return nil
}

func (d *daemon) setPorts(ports []uint16) {
	for _, w := range d.workers {
		w.pipeline.SetPorts(ports)
	}
}
