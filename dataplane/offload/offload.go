// Package offload is the process's side of the kernel's own share (package bpf): it loads the
// program, attaches it to interfaces, hands it what inspection grants, and brings up what it
// has logged.
//
// All functions act in the network namespace of the calling thread.
package offload

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"keepword/bpf"
	"keepword/dataplane"
	"keepword/dataplane/internal/privilege"
)

// ErrUnsupported is returned by Open and Attach where the kernel has not what the program
// needs.
var ErrUnsupported = errors.New("this kernel can't run the program that follows dialogues (BPF with ring buffers, tcx or clsact)")

// ErrPrivilege is returned by Open where this process may not load programs.
var ErrPrivilege = errors.New("the program that follows dialogues needs the capabilities CAP_BPF and CAP_PERFMON")

// Config says what the program is to do.
type Config struct {
	// Ports are the inspected TCP ports.
	Ports []uint16
	// Mark exempts packets from the queues.
	Mark uint32
	// Window is the most octets that a sender may have in flight, so that a retransmission
	// can be compared with what was inspected; 0: as many as it likes.
	Window uint32
	// Flows bounds the connections that the program knows; 0: a million.
	Flows uint32
	// Log is the size of each worker's log in octets, a power of two and a multiple of the
	// page size; 0: 16 MiB.
	Log uint32
	// Large is the size in octets from which on packets of mail data are read by the program
	// alone, and kept in a ring; 0: those that it can't log.
	Large uint32
	// Workers is their number, at most 64, and Worker which of them gets the connections of
	// a client's port.
	Workers int
	Worker  func(clientPort uint16) int
	// Clsact has the program attached as on kernels without tcx.
	Clsact bool
	// Pins is the BPF file system (BPFFS) where maps and links are pinned, so that connections
	// in TLS go on when the process is killed; "": they end with it. Where nothing can be
	// pinned that is no error: Pinned says why.
	Pins string
}

// aliveTime is how long a worker counts as alive that has not read its log.
const aliveTime = 2 * time.Second

// Offload is the loaded program. Its methods may be called by any goroutine, those of a
// Worker by the goroutine of its engine.
type Offload struct {
	objects bpf.FollowObjects
	control *ebpf.Memory
	logs    []*ebpf.Map
	workers []*Worker
	memory  []byte // of rings
	rings   []dataplane.Ring

	mu       sync.Mutex         // of what follows
	attached map[int]attachment // by the interface's index
	clsact   bool               // not tcx
	settings bpf.FollowSettings
	pins     *pins // nil: nothing is pinned, and unpinned says why
	unpinned error
	kept     map[string]*ebpf.Map // those that outlive the process
	started  bool                 // what was adopted is taken over, or there was nothing
	// unclaimed are the interfaces that a killed process was attached to, and this one was not
	// asked to be yet.
	unclaimed map[int]bool
}

// Open loads the program. It does nothing until it is attached. What a killed process has
// left goes on as it is until Start.
func Open(cfg Config) (o *Offload, err error) {
	if cfg.Workers < 1 || cfg.Workers > maxWorkers {
		return nil, fmt.Errorf("offload: %d workers, want 1 to %d", cfg.Workers, maxWorkers)
	}
	spec, err := bpf.LoadFollow()
	if err != nil {
		return nil, fmt.Errorf("read the program: %w", err)
	}
	if cfg.Flows > 0 {
		spec.Maps[bpf.FollowMapFlows].MaxEntries = cfg.Flows
		spec.Maps[bpf.FollowMapGrants].MaxEntries = cfg.Flows
	}
	logs := spec.Maps[bpf.FollowMapLogs]
	if cfg.Log > 0 {
		logs.InnerMap.MaxEntries = cfg.Log
	}
	o = &Offload{attached: make(map[int]attachment), clsact: cfg.Clsact, unclaimed: make(map[int]bool), started: true}
	defer func() {
		if err != nil {
			_ = o.Close()
			o = nil
		}
	}()
	var known map[string]*ebpf.Map
	if cfg.Pins != "" {
		if o.pins, o.unpinned = openPins(cfg.Pins, spec); o.pins != nil && o.pins.adopted != nil {
			known, o.started = o.pins.adopted, false
		}
	}
	if err = o.load(spec, known); err != nil {
		for _, c := range []privilege.Capability{privilege.BPF, privilege.Perfmon} {
			if !privilege.Has(c) {
				return o, ErrPrivilege
			}
		}
		return o, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if o.control, err = o.objects.Control.Memory(); err != nil {
		return o, fmt.Errorf("map the program's settings: %w", err)
	}
	for i := range cfg.Workers {
		log, err := ebpf.NewMap(logs.InnerMap)
		if err != nil {
			return o, fmt.Errorf("make log %d: %w", i, err)
		}
		o.logs = append(o.logs, log)
		if err := o.objects.Logs.Put(uint32(i), log); err != nil {
			return o, fmt.Errorf("set log %d: %w", i, err)
		}
		r, err := openRing(log)
		if err != nil {
			return o, err
		}
		o.workers = append(o.workers, &Worker{o: o, index: i, ring: r, fd: log.FD()})
	}
	if err := o.objects.Present.Put(uint32(0), o.objects.KeepwordPresent); err != nil {
		return o, fmt.Errorf("set the program that follows: %w", err)
	}
	if err := o.openRings(); err != nil {
		return o, err
	}
	if err := o.probe(); err != nil {
		return o, err
	}
	return o, o.configure(&cfg)
}

// load loads the program with maps that there are already, and new ones for all others.
func (o *Offload) load(spec *ebpf.CollectionSpec, known map[string]*ebpf.Map) error {
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: known})
	if err != nil {
		return err
	}
	defer c.Close()
	o.kept = make(map[string]*ebpf.Map)
	for name := range outliving(spec) {
		o.kept[name] = c.Maps[name]
	}
	return c.Assign(&o.objects) // which owns them from here on
}

// Worker returns the follower of worker i.
func (o *Offload) Worker(i int) *Worker { return o.workers[i] }

// Rings are what the program keeps mail data in, for the Inspectors of all workers. They are lent
// until Close.
func (o *Offload) Rings() []dataplane.Ring { return o.rings }

// Program returns the program, for tests.
func (o *Offload) Program() *ebpf.Program { return o.objects.KeepwordSteer }

// Close takes the program off all interfaces and frees what it has, pins too. Packets go to the
// queues from then on. Before Start it leaves what a killed process has left as it is.
func (o *Offload) Close() error {
	o.DetachAll()
	var errs []error
	if o.pins != nil {
		errs = append(errs, o.pins.close(o.started))
	}
	for _, w := range o.workers {
		errs = append(errs, w.ring.close())
	}
	errs = append(errs, o.closeRings())
	for _, m := range o.logs {
		errs = append(errs, m.Close())
	}
	o.workers, o.logs = nil, nil
	o.mu.Lock()
	defer o.mu.Unlock()
	return errors.Join(append(errs, o.objects.Close())...)
}

// Counts are the program's counters, of packets where nothing else is said.
type Counts struct {
	// Followed were let through and logged, Silent let through without: acknowledgements and
	// SYNs; Passed in TLS.
	Followed, Silent, Passed, PassedOctets uint64
	// Diverted came up, by reason.
	Diverted []Count
	// Busy were dropped, since two CPUs had packets of one connection, and one held it too
	// long.
	Busy uint64
	// Taken are the grants that were taken up.
	Taken uint64
}

// Count is one counter by its name.
type Count struct {
	Name  string
	Count uint64
}

// reasons are why packets come up.
var reasons = []struct {
	name string
	at   bpf.FollowCounter
}{
	{"unknown", bpf.FollowCounterCOUNT_UNKNOWN},
	{"owned", bpf.FollowCounterCOUNT_OWNED},
	{"void", bpf.FollowCounterCOUNT_VOID},
	{"headers", bpf.FollowCounterCOUNT_HEADERS},
	{"order", bpf.FollowCounterCOUNT_ORDER},
	{"large", bpf.FollowCounterCOUNT_LARGE},
	{"checksum", bpf.FollowCounterCOUNT_CHECKSUM},
	{"words", bpf.FollowCounterCOUNT_WORDS},
	{"log_full", bpf.FollowCounterCOUNT_LOG_FULL},
}

// Counts reads the counters. After Close it returns an error.
func (o *Offload) Counts() (c Counts, err error) {
	o.mu.Lock() // against Close
	defer o.mu.Unlock()
	var sums [bpf.FollowCounterCOUNTERS]uint64
	for i := range sums {
		var each []uint64
		if err := o.objects.Counters.Lookup(uint32(i), &each); err != nil {
			return c, fmt.Errorf("read the program's counters: %w", err)
		}
		for _, n := range each {
			sums[i] += n
		}
	}
	c = Counts{
		Followed: sums[bpf.FollowCounterCOUNT_FOLLOWED], Silent: sums[bpf.FollowCounterCOUNT_SILENT],
		Passed: sums[bpf.FollowCounterCOUNT_PASSED], PassedOctets: sums[bpf.FollowCounterCOUNT_PASSED_OCTETS],
		Busy: sums[bpf.FollowCounterCOUNT_BUSY], Taken: sums[bpf.FollowCounterCOUNT_TAKEN],
	}
	for _, r := range reasons {
		c.Diverted = append(c.Diverted, Count{r.name, sums[r.at]})
	}
	return c, nil
}

// monotonic is the kernel's clock of the log, in nanoseconds since boot.
func monotonic() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // it can't fail for a clock that there is
	return t.Nano()
}

func address(a netip.Addr) (words [4]uint32) {
	b := a.As16()
	for i := range words {
		words[i] = nativeWord(b[4*i:])
	}
	return words
}

// connOf names a connection as the program does.
func connOf(g *dataplane.Grant) bpf.FollowConn {
	return bpf.FollowConn{
		Client: address(g.Client.Addr()), ClientPort: networkOrder(g.Client.Port()),
		Server: address(g.Server.Addr()), ServerPort: networkOrder(g.Server.Port()),
	}
}

func serverOf(g *dataplane.Grant) bpf.FollowServer {
	return bpf.FollowServer{Addr: address(g.Server.Addr()), Port: networkOrder(g.Server.Port())}
}
