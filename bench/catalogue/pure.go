package main

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"keepword/dataplane"
	"keepword/inspect"
	"keepword/inspect/history"
	"keepword/inspect/policy"
	v "keepword/inspect/verdict"
)

// pureWire is inspection itself, in this process, with a clock that is only told.
type pureWire struct {
	pipeline *inspect.Pipeline
	now      int64
	id       uint32
	held     map[uint32][]byte                            // as in the kernel
	arrive   map[netip.AddrPort]func(at side, pkt []byte) // by the client
	events   []event
	meddled  []string // what was not just accepted
}

func newPureWire(c policy.Config) *pureWire {
	const begin = 1_800_000_000_000_000_000
	w := &pureWire{now: begin, held: map[uint32][]byte{}, arrive: map[netip.AddrPort]func(side, []byte){}}
	w.pipeline = inspect.New(inspect.Config{
		Policy: policy.New(c), Ports: []uint16{25},
		History:    history.New(history.Config{Servers: 10, Breaker: history.Breaker{Failures: 2, Retry: int64(24 * time.Hour)}}),
		Limits:     inspect.Limits{Flows: 100, Memory: 16 << 20, FlowMemory: 256 << 10},
		MemoryFull: inspect.WhenKill, Midstream: inspect.WhenPass, Sink: w,
	})
	return w
}

// Finding is inspect.Sink's.
func (w *pureWire) Finding(f *inspect.FindingRecord) {
	e := event{finding: f.Finding.String(), action: f.Action.String(), mode: f.Mode.String(), reason: f.Reason}
	if c := f.Breaker; c.Changed() {
		e.change = c.From.String() + " to " + c.To.String()
	}
	w.events = append(w.events, e)
}

// FlowEnd is inspect.Sink's.
func (w *pureWire) FlowEnd(*inspect.FlowRecord) {}

func (w *pureWire) open(from, _ netip.AddrPort, arrive func(at side, pkt []byte)) {
	w.arrive[from] = arrive
}

func (w *pureWire) carry(_ side, pkt []byte) {
	w.now += int64(time.Millisecond)
	w.id++
	b := dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: w.id, Time: w.now, Data: slices.Clone(pkt)}}}
	w.inspect(&b)
	switch p := &b.Packets[0]; p.Verdict {
	case v.Accept:
		w.deliver(pkt)
	case v.Replace:
		w.deliver(p.Data)
	}
	w.inject(&b)
}

func (w *pureWire) rest(d time.Duration) {
	for end := w.now + int64(d); w.now < end; w.now += dataplane.TickInterval {
		b := dataplane.Batch{Now: w.now}
		w.inspect(&b)
		w.inject(&b)
	}
}

// inspect has a batch decided, and delivers what it releases, which goes first.
func (w *pureWire) inspect(b *dataplane.Batch) {
	w.pipeline.Inspect(b)
	for i := range b.Packets {
		if k := b.Packets[i].Verdict; k != v.Accept {
			w.meddled = append(w.meddled, k.String())
		}
		if k := b.Packets[i].Verdict; k == v.Hold {
			w.held[b.Packets[i].ID] = slices.Clone(b.Packets[i].Data)
		}
	}
	for _, r := range b.Released {
		waiting := w.held[r.ID]
		delete(w.held, r.ID)
		switch r.Verdict {
		case v.Accept:
			w.deliver(waiting)
		case v.Replace:
			w.deliver(r.Data)
		}
	}
}

func (w *pureWire) inject(b *dataplane.Batch) {
	for _, pkt := range b.Injected {
		w.meddled = append(w.meddled, "inject")
		w.deliver(pkt)
	}
}

// deliver takes a packet to the end that it is for.
func (w *pureWire) deliver(pkt []byte) {
	from, to := addresses(pkt)
	if arrive, ok := w.arrive[from]; ok {
		arrive(server, pkt)
	} else {
		w.arrive[to](client, pkt)
	}
}

// counts returns what was counted, each as often as it was.
func (w *pureWire) counts() (list []string) {
	for _, c := range w.pipeline.Stats().Findings {
		list = append(list, slices.Repeat([]string{Report{c.Finding, c.Action}.String()}, int(c.Count))...)
	}
	return list
}

// pureCase is one play in this process.
type pureCase struct {
	*Fixture
	setting
	place place // of the action
	ipv6  bool
}

// place is where an action is set.
type place int

const (
	nowhere place = iota
	everywhere
	oneServer
)

func (p place) String() string {
	return [...]string{"by default", "set globally", "set for the server"}[p]
}

func (c pureCase) String() string {
	ip := 4
	if c.ipv6 {
		ip = 6
	}
	return fmt.Sprintf("%s: %v %v, %v, IPv%d", c.Name(), c.action, c.place, c.mode, ip)
}

// pureCases are all: each fixture under each action that makes sense, set in both places,
// in both modes, over both IP versions.
func pureCases(all []*Fixture) (list []pureCase) {
	for _, f := range all {
		for _, mode := range []v.Mode{v.Enforce, v.Observe} {
			for _, ipv6 := range []bool{false, true} {
				list = append(list, pureCase{f, setting{mode: mode, action: f.fallback()}, nowhere, ipv6})
				for _, a := range policy.Allowed(f.Finding) {
					list = append(list,
						pureCase{f, setting{mode: mode, action: a}, everywhere, ipv6},
						pureCase{f, setting{mode: mode, action: a}, oneServer, ipv6})
				}
			}
		}
	}
	return list
}

// The servers of a case: the one that its settings are for, and another.
var pureServers = map[bool][2]netip.Addr{
	false: {netip.MustParseAddr("198.51.100.25"), netip.MustParseAddr("198.51.100.26")},
	true:  {netip.MustParseAddr("2001:db8:25::25"), netip.MustParseAddr("2001:db8:25::26")},
}

// config is the policy of a case. What the fixture itself needs is set for both servers.
func (c pureCase) config() policy.Config {
	servers := pureServers[c.ipv6]
	p := policy.Config{Mode: c.mode, MinTLS: minTLS}
	other := policy.Server{StartTLS: c.StartTLS, Actions: c.pinned()}
	matching := other
	switch c.place {
	case everywhere:
		p.Actions = map[v.Finding]v.Action{c.Finding: c.action}
	case oneServer:
		matching.Actions = c.pinned()
		matching.Actions[c.Finding] = c.action
	}
	matching.Match = []netip.Prefix{netip.PrefixFrom(servers[0], servers[0].BitLen())}
	p.Servers = []policy.Server{matching, other}
	return p
}

// minTLS is the lowest version without a finding, 1.2.
const minTLS = 0x0303

// pureAll plays all of them.
func pureAll(all []*Fixture) (list []outcome) {
	for _, c := range pureCases(all) {
		list = append(list, outcome{c.Finding, c.action, c.mode, c.String(), c.play()})
	}
	return list
}

// play plays a case and returns what is wrong with it. Where the action is set for one
// server, another's connection must keep the default.
func (c pureCase) play() (faults []string) {
	servers := pureServers[c.ipv6]
	for i, addr := range servers {
		m := c.setting
		if i == 1 && c.place == oneServer {
			m.action = c.fallback()
		}
		for _, f := range c.playWith(addr, m) {
			faults = append(faults, fmt.Sprintf("server %d (%v): %s", i+1, m.action, f))
		}
	}
	return faults
}

func (c pureCase) playWith(to netip.Addr, m setting) []string {
	w := newPureWire(c.config())
	from := netip.MustParseAddr("192.0.2.1")
	if c.ipv6 {
		from = netip.MustParseAddr("2001:db8::1")
	}
	port := uint16(40000)
	p := start(w, from, to, func() uint16 { port++; return port })
	c.Fixture.play(p, m)
	faults := judge(c.Fixture, m, p)
	if m.mode == v.Observe && len(w.meddled) > 0 {
		faults = append(faults, fmt.Sprintf("in observe: %q", w.meddled))
	}
	w.pipeline.Flush(w.now)
	faults = append(faults, judgeEvents(c.Fixture, m, w.events)...)
	if got, want := slices.Sorted(slices.Values(w.counts())), slices.Sorted(slices.Values(c.counts(m))); !slices.Equal(got, want) {
		faults = append(faults, fmt.Sprintf("counted %q, want %q", got, want))
	}
	return faults
}

// addresses are a packet's ends.
func addresses(pkt []byte) (from, to netip.AddrPort) {
	port := func(at int) uint16 { tp := transport(pkt); return uint16(tp[at])<<8 | uint16(tp[at+1]) }
	if pkt[0]>>4 == 4 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(pkt[12:])), port(0)), netip.AddrPortFrom(netip.AddrFrom4([4]byte(pkt[16:])), port(2))
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(pkt[8:])), port(0)), netip.AddrPortFrom(netip.AddrFrom16([16]byte(pkt[24:])), port(2))
}
