// Package steer owns the nftables table `inet keepword`, which diverts the TCP
// packets of the inspected ports to netfilter queues (nf_tables; NFT queue statement
// or the NFQUEUE target).
//
// Divert is the default and a mark only exempts: every TCP packet from or to an
// inspected port is queued, in both directions of a flow to the same queue, unless it
// carries the exempt mark.
//
// # Which queue
//
// The queue follows from the client's port alone (QueueOf). The kernel would spread
// flows by itself, by a hash of their addresses with a secret of each boot; but a
// program that works beside the table, and reports what it let through to the worker
// that would have got it, can't compute that hash. A port can be masked and looked up
// by both. A client chooses its port, and so its queue: whoever wants to burden one
// queue with all his connections can, as he could burden all of them.
//
// # Where in netfilter
//
// The base chains have priority 10: after connection tracking (-200) and destination
// NAT (-100), before source NAT (100), and just after the administrator's own filter
// (0), so that only what that filter lets through costs an inspection. Between these
// two NAT points both directions of a flow show the same pair of addresses in each of
// the three hooks: the forward hook sees the real server (after DNAT) and the real
// client (before SNAT), in the replies too. Nothing behind us alters octets of SMTP.
//
// # By connection mark
//
// With Config.Connmark a verdict that marks a packet exempts its connection: what comes
// behind the packet is not queued, but for segments with SYN, FIN or RST, by which user
// space knows the connection's end. A SYN without ACK takes the exemption back before
// anything else is looked at: the tracked connection may be one that is over, whose ports
// are used again.
//
// A packet goes on behind the queue at the next base chain, so a second one at each hook,
// with priority 11, saves the mark of the packet in its connection. It must not save that
// of a packet which bore the mark before: the 421 and the RSTs that end a connection bear
// it so as not to be queued, and the connection that they end must not become exempt; and
// who marks single packets does not mean all of them. Nothing in a packet tells these from
// the ones that a verdict marked. Therefore the chains that divert take the mark off them
// when it has done its work, and what bears it at the second chain has it from a verdict.
//
// All writes are masked: bits of other programs stay, in both marks. A program that uses
// our bit as well must be given another, or Config.Mark be changed: it exempts the packets
// that it marks, and loses its bit on those of inspected ports; and it exempts the
// connections that it marks. So do rules that copy whole marks from packets to connections,
// or back: they must leave this bit out.
//
// # Fragments
//
// The queue gets whole packets: the kernel reassembles the fragments of IPv4 and IPv6
// (priority -400) before any chain of ours sees them. It does so where connections are
// tracked, which a `ct` expression in the table asks for; but tracking costs every packet
// of the namespace. With Config.NoTracking a BPF program of two instructions, attached
// with a flag, asks for reassembly alone. Unlike the table it lives as long as our process:
// after a kill, fragments are dropped until the next start.
//
// A fragment can come this far only so, and where somebody has exempted it from tracking
// even before priority -400.
// The first fragment of a packet shows the ports: where they are inspected ones the
// fragment is counted and dropped, because without the rest it can't be inspected. The
// later fragments show no port and so can be anybody's; they pass, and are of no use
// to anyone: without its first fragment, which alone holds the octets with the ports
// (RFC 791 section 3.2, RFC 8200 section 4.5), no packet can be put together.
//
// # Without a moment's gap
//
// Each change is one transaction of nf_tables: a packet sees the rules before it or
// those after it. A table that a killed instance left behind is taken over by filling
// its chains anew, not by deleting them: deleting a hooked base chain drops every
// packet that waits in any queue of the namespace, other programs' queues included.
// That happens in Close, and where another version has hung the chains elsewhere. The
// same happens when nobody in the namespace needs connection tracking any more, as where
// Config.NoTracking takes the place of tracking, and when the program for fragments is
// detached: in Close, and if our process is killed. Chains and maps of the older table
// that are not needed any more stay, without rules.
//
// All functions act in the network namespace of the calling thread.
package steer

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"keepword/dataplane/internal/privilege"
)

// DefaultName is the table's name where Config has none.
const DefaultName = "keepword"

var (
	// ErrPrivilege is returned by every function where the kernel refuses nftables to
	// this process.
	ErrPrivilege = privilege.Err
	// ErrForeignTable is returned by Open where a table of our name exists that
	// keepword did not make.
	ErrForeignTable = errors.New("the table was not made by keepword")
	// ErrNoQueue is returned by Open where the kernel has neither the queue statement
	// of nftables nor the NFQUEUE target.
	ErrNoQueue = errors.New("this kernel can't queue packets from nftables: load the module nft_queue, or nft_compat and xt_NFQUEUE")
	// ErrNoConnmark is returned by Open where the kernel has no connection marks.
	ErrNoConnmark = errors.New("this kernel has no connection marks (CONFIG_NF_CONNTRACK_MARK): use `offload: bpf` or `offload: off`")
	// ErrConfig is returned by Open and Update for values that make no sense.
	ErrConfig = errors.New("bad steering configuration")
)

// Hook is a place in netfilter where packets are diverted.
type Hook uint8

// The hooks, named as in nftables and in the configuration.
const (
	// Forward is where packets pass that this host routes.
	Forward Hook = iota
	// Input is where packets pass that are for this host.
	Input
	// Output is where packets pass that this host has made.
	Output

	hooks
)

var hookNames = [hooks]string{"forward", "input", "output"}

// String returns the hook's name.
func (h Hook) String() string {
	if h < hooks {
		return hookNames[h]
	}
	return "invalid"
}

// ParseHook returns the hook of that name, and false where there is none.
func ParseHook(name string) (Hook, bool) {
	i := slices.Index(hookNames[:], name)
	return Hook(max(i, 0)), i >= 0
}

// Config says what is diverted and whereto.
type Config struct {
	// Name is the table's name; empty: DefaultName.
	Name string
	// Ports are the inspected TCP ports, at least one, none of them 0.
	Ports []uint16
	// Hooks are the places to divert at, at least one.
	Hooks []Hook
	// FirstQueue is the number of the first queue.
	FirstQueue uint16
	// Queues is the number of queues, at least 1. Flows are spread over the first
	// MaxQueues of them by QueueOf.
	Queues uint16
	// Mark exempts: packets with all these bits set in their mark are not diverted. The
	// bits must be nobody else's.
	Mark uint32
	// Bypass lets packets pass while no program listens on their queue; without it
	// they are dropped.
	Bypass bool
	// NoTracking has fragments reassembled without connection tracking, where the
	// kernel can: Linux 6.6 and CAP_BPF. Table.Tracking tells.
	NoTracking bool
	// Connmark exempts whole connections by the bits of Mark in their connection mark:
	// those of which a verdict has marked a packet. It needs tracking.
	Connmark bool
}

func (c *Config) check() error {
	switch {
	case len(c.Hooks) == 0:
		return fmt.Errorf("%w: no hooks", ErrConfig)
	case slices.ContainsFunc(c.Hooks, func(h Hook) bool { return h >= hooks }):
		return fmt.Errorf("%w: unknown hook", ErrConfig)
	case c.Queues == 0:
		return fmt.Errorf("%w: no queues", ErrConfig)
	case int(c.FirstQueue)+int(c.Queues)-1 > 0xffff:
		return fmt.Errorf("%w: %d queues from %d on pass the last number, 65535", ErrConfig, c.Queues, c.FirstQueue)
	case c.Mark == 0:
		return fmt.Errorf("%w: the exempt mark has no bit", ErrConfig)
	case c.Connmark && c.NoTracking:
		return fmt.Errorf("%w: connection marks need connection tracking", ErrConfig)
	}
	return checkPorts(c.Ports)
}

func checkPorts(ports []uint16) error {
	if len(ports) == 0 {
		return fmt.Errorf("%w: no ports", ErrConfig)
	}
	if slices.Contains(ports, 0) {
		return fmt.Errorf("%w: port 0", ErrConfig)
	}
	return nil
}

// Table is our table in the kernel. It stays there until Close, also when the process
// ends without calling it. It may be used by one goroutine at a time, but for Counters.
type Table struct {
	cfg    Config
	table  *nftables.Table
	native bool
	closed bool
	// tracking says that the table has the kernel track connections; whyTracking, why
	// it does against the configuration.
	tracking    bool
	whyTracking error
	defrag      defragmenter // empty where tracking does its work
}

// Open makes the table, or takes over the one that a killed instance has left, and
// diverts from then on. The queues should be listened on before.
//
// It returns ErrConfig, ErrPrivilege, ErrForeignTable, ErrNoQueue or ErrNoConnmark,
// wrapped, or another error of the kernel.
func Open(cfg Config) (*Table, error) {
	if cfg.Name == "" {
		cfg.Name = DefaultName
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	t := &Table{cfg: cfg, table: &nftables.Table{Name: cfg.Name, Family: nftables.TableFamilyINet}}
	left, err := t.left()
	if err != nil {
		return nil, t.fail("read", err)
	}
	if err := t.probe(); err != nil {
		return nil, t.fail("prepare", err)
	}
	t.tracking = !cfg.NoTracking
	if cfg.NoTracking {
		t.defrag, t.whyTracking = defragment(cfg.Hooks)
		t.tracking = t.whyTracking != nil
	}
	err = t.install(left)
	if missing(err) && cfg.Connmark {
		err = ErrNoConnmark
	}
	if err != nil {
		return nil, errors.Join(t.fail("make", err), t.defrag.close())
	}
	return t, nil
}

// probe finds out which way to queue packets the kernel has, by transactions that have
// no effect. The transaction that makes the table would tell as well, but if it failed
// the kernel would take its base chains off their hooks again, and that drops what waits
// in other programs' queues. It returns ErrNoQueue where there is no way.
func (t *Table) probe() error {
	for _, t.native = range []bool{true, false} {
		conn := &nftables.Conn{}
		table := conn.AddTable(&nftables.Table{Name: t.table.Name + "-probe", Family: t.table.Family})
		chain := conn.AddChain(&nftables.Chain{Table: table, Name: t.cfg.queueChain(0)})
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{queue(t.cfg.FirstQueue, t.cfg.Bypass, t.native)}})
		conn.DelTable(table)
		if err := conn.Flush(); !missing(err) {
			return err
		}
	}
	return ErrNoQueue
}

// missing says whether err is what nf_tables answers to an expression that the kernel
// does not have.
func missing(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP)
}

// fail describes err as the failure to do something with the table.
func (t *Table) fail(what string, err error) error {
	if privilege.Refused(err) {
		err = privilege.Needs(privilege.NetAdmin)
	}
	return fmt.Errorf("%s nftables table inet %s: %w", what, t.table.Name, err)
}

// leftover is what is there before we come.
type leftover uint8

const (
	// nothing: no table of our name.
	nothing leftover = iota
	// usable: a table of ours whose base chains hang where we want them.
	usable
	// outdated: a table of ours that another version hung elsewhere.
	outdated
)

// left finds out what is there. It returns ErrForeignTable for a table without our
// marker chain.
func (t *Table) left() (leftover, error) {
	conn := &nftables.Conn{}
	tables, err := conn.ListTablesOfFamily(t.table.Family)
	if err != nil {
		return nothing, err
	}
	if !slices.ContainsFunc(tables, func(o *nftables.Table) bool { return o.Name == t.table.Name }) {
		return nothing, nil
	}
	chains, err := conn.ListChainsOfTableFamily(t.table.Family)
	if err != nil {
		return nothing, err
	}
	found, ours := usable, false
	for _, c := range chains {
		if c.Table.Name != t.table.Name {
			continue
		}
		if c.Name == markerChain {
			ours = true
		}
		if c.Hooknum != nil && !hungAsOurs(c) {
			found = outdated
		}
	}
	if !ours {
		return nothing, fmt.Errorf("%w: delete it with `nft delete table inet %s`, if nobody needs it", ErrForeignTable, t.table.Name)
	}
	return found, nil
}

// install puts the whole table in place in one transaction.
func (t *Table) install(left leftover) error {
	conn := &nftables.Conn{}
	if left == outdated {
		conn.DelTable(t.table)
	}
	if err := t.addAll(conn); err != nil {
		return err
	}
	return conn.Flush()
}

// Native says whether the kernel has the queue statement of nftables; otherwise the
// table uses the NFQUEUE target.
func (t *Table) Native() bool { return t.native }

// Tracking says whether the table has the kernel track connections, and where that is
// against Config.NoTracking, why.
func (t *Table) Tracking() (on bool, why error) { return t.tracking, t.whyTracking }

// Update changes the inspected ports in one transaction. Flows of ports that are no
// longer among them are not queued any more from their next packet on. It returns
// ErrConfig, wrapped, for an empty list or port 0, and then changes nothing.
func (t *Table) Update(ports ...uint16) error {
	if err := checkPorts(ports); err != nil {
		return err
	}
	conn := &nftables.Conn{}
	if err := refill(conn, portSet(t.table), portElements(ports)); err != nil {
		return t.fail("update", err)
	}
	if err := conn.Flush(); err != nil {
		return t.fail("update", err)
	}
	t.cfg.Ports = slices.Clone(ports)
	return nil
}

// StopDiverting lets all further packets pass, in one transaction. Packets that
// already wait in a queue stay there to be decided: so a program that stops can finish
// its queues before Close, which drops what still waits.
func (t *Table) StopDiverting() error {
	conn := &nftables.Conn{}
	// The other chains stay as they are: without a `ct` expression the kernel might
	// take connection tracking off its hooks, and that empties all queues as well.
	for _, h := range t.cfg.Hooks {
		conn.FlushChain(&nftables.Chain{Table: t.table, Name: h.String()})
		if t.cfg.Connmark {
			// Else it would save the marks that the rules above no longer take off.
			conn.FlushChain(&nftables.Chain{Table: t.table, Name: h.String() + saveSuffix})
		}
	}
	if err := conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return t.fail("empty", err)
	}
	return nil
}

// Close removes the table and all that is in it. A table that is gone already is no
// error, nor is a second call.
func (t *Table) Close() error {
	if t.closed {
		return nil
	}
	conn := &nftables.Conn{}
	conn.DelTable(t.table)
	if err := conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return t.fail("delete", err)
	}
	t.closed = true
	// Not before the table is gone, which drops fragments.
	return t.defrag.close()
}
