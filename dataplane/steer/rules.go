package steer

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The names of what is in the table.
const (
	// markerChain is empty. It says that keepword made the table.
	markerChain = "made-by-keepword"
	// serverChain is where the base chains send the packets to inspected ports.
	serverChain = "divert-to-server"
	// clientChain is where they send the packets from inspected ports.
	clientChain = "divert-to-client"
	// portsSet holds the inspected ports.
	portsSet = "ports"
)

// priority is that of the base chains; the package comment says why.
const priority nftables.ChainPriority = 10

var hookNumbers = [hooks]*nftables.ChainHook{
	Forward: nftables.ChainHookForward,
	Input:   nftables.ChainHookInput,
	Output:  nftables.ChainHookOutput,
}

// reg is the register that all comparisons use: the first one of 16 octets.
const reg = unix.NFT_REG_1

// hungAsOurs says whether c is one of our base chains in the place where we hang it,
// so that it can be filled anew instead of being deleted.
func hungAsOurs(c *nftables.Chain) bool {
	name, saves := strings.CutSuffix(c.Name, saveSuffix)
	want := priority
	if saves {
		want = savePriority
	}
	h, ok := ParseHook(name)
	return ok && c.Type == nftables.ChainTypeFilter && c.Policy != nil && *c.Policy == nftables.ChainPolicyAccept &&
		*c.Hooknum == *hookNumbers[h] && *c.Priority == want
}

// chain is a chain of the table with its rules.
type chain struct {
	*nftables.Chain
	rules [][]expr.Any
}

// chains are all chains that the table must have.
func (t *Table) chains() []chain {
	table, cfg := t.table, &t.cfg
	ports, slots := portSet(table), slotMap(table, cfg)
	regular := func(name string, rules ...[]expr.Any) chain {
		return chain{&nftables.Chain{Table: table, Name: name}, rules}
	}
	all := []chain{
		regular(markerChain),
		regular(serverChain, t.divertRules(sourcePort, ports, slots)...),
		regular(clientChain, t.divertRules(destinationPort, ports, slots)...),
	}
	for n := range min(cfg.Queues, MaxQueues) {
		all = append(all, regular(cfg.queueChain(n), []expr.Any{queue(cfg.FirstQueue+n, cfg.Bypass, t.native)}))
	}
	accept := nftables.ChainPolicyAccept
	base := func(name string, h Hook, p nftables.ChainPriority, rules [][]expr.Any) chain {
		return chain{&nftables.Chain{
			Table: table, Name: name, Type: nftables.ChainTypeFilter,
			Hooknum: hookNumbers[h], Priority: &p, Policy: &accept,
		}, rules}
	}
	for _, h := range slices.Compact(slices.Sorted(slices.Values(cfg.Hooks))) {
		all = append(all, base(h.String(), h, priority, hookRules(cfg, h, ports)))
		if cfg.Connmark {
			all = append(all, base(h.String()+saveSuffix, h, savePriority, saveRules(cfg.Mark, ports)))
		}
	}
	return all
}

// addAll appends to conn's transaction what makes the table, or empties and refills
// the one that is there. What is no longer wanted of that stays, empty.
func (t *Table) addAll(conn *nftables.Conn) error {
	table, cfg := t.table, &t.cfg
	conn.AddTable(table)
	conn.FlushTable(table)
	for _, name := range counterNames {
		conn.AddObj(&nftables.NamedObj{Table: table, Name: name, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
	}
	all := t.chains()
	for _, c := range all {
		conn.AddChain(c.Chain)
	}
	if err := refill(conn, portSet(table), portElements(cfg.Ports)); err != nil {
		return err
	}
	if err := refill(conn, slotMap(table, cfg), cfg.slots()); err != nil {
		return err
	}
	for _, c := range all {
		for _, exprs := range c.rules {
			conn.AddRule(&nftables.Rule{Table: table, Chain: c.Chain, Exprs: exprs})
		}
	}
	return nil
}

// refill appends to conn's transaction the set, and the replacement of its contents.
func refill(conn *nftables.Conn, set *nftables.Set, elements []nftables.SetElement) error {
	if err := conn.AddSet(set, nil); err != nil {
		return fmt.Errorf("add set %s: %w", set.Name, err)
	}
	conn.FlushSet(set)
	if err := conn.SetAddElements(set, elements); err != nil {
		return fmt.Errorf("fill set %s: %w", set.Name, err)
	}
	return nil
}

func portSet(table *nftables.Table) *nftables.Set {
	return &nftables.Set{Table: table, Name: portsSet, KeyType: nftables.TypeInetService}
}

func portElements(ports []uint16) (elements []nftables.SetElement) {
	for _, p := range slices.Compact(slices.Sorted(slices.Values(ports))) {
		elements = append(elements, nftables.SetElement{Key: binaryutil.BigEndian.PutUint16(p)})
	}
	return elements
}

// hookRules are the rules of a base chain: which packets are inspected at all.
func hookRules(cfg *Config, h Hook, ports *nftables.Set) (rules [][]expr.Any) {
	if !cfg.Connmark {
		rules = append(rules, exemptMark(cfg.Mark))
	}
	if h == Input && slices.Contains(cfg.Hooks, Output) {
		// What comes in by lo has been in the output hook on this same host, and
		// was inspected there.
		rules = append(rules, fromLoopback())
	}
	return append(rules, gotoChain(destinationPort, ports, serverChain), gotoChain(sourcePort, ports, clientChain))
}

// exemptMark is `meta mark & MARK == MARK return`.
func exemptMark(mark uint32) []expr.Any {
	return append(marked(mark), &expr.Verdict{Kind: expr.VerdictReturn})
}

// fromLoopback is `meta iiftype loopback return`.
func fromLoopback() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFTYPE, Register: reg},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: binary.NativeEndian.AppendUint16(nil, unix.ARPHRD_LOOPBACK)},
		&expr.Verdict{Kind: expr.VerdictReturn},
	}
}

// The offsets of the ports in the TCP header (RFC 9293 section 3.1).
const (
	sourcePort      = 0
	destinationPort = 2
)

// gotoChain is `tcp dport @ports goto CHAIN`, or with sport.
func gotoChain(offset uint32, ports *nftables.Set, chain string) []expr.Any {
	return append(tcpPort(offset, ports), &expr.Verdict{Kind: expr.VerdictGoto, Chain: chain})
}

// tcpPort is `tcp dport @ports`, or with sport.
func tcpPort(offset uint32, ports *nftables.Set) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: []byte{unix.IPPROTO_TCP}},
		loadPort(offset),
		&expr.Lookup{SourceRegister: reg, SetName: ports.Name, SetID: ports.ID},
	}
}

// loadPort is `tcp sport` or `tcp dport`.
func loadPort(offset uint32) expr.Any {
	return &expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2, DestRegister: reg}
}

// divertRules are the rules for the packets to, or from, inspected ports. clientPort is
// where they have the client's port.
func (t *Table) divertRules(clientPort uint32, ports, slots *nftables.Set) (rules [][]expr.Any) {
	if t.cfg.Connmark {
		rules = connmarkRules(t.cfg.Mark)
	}
	if t.tracking {
		// This is also what makes the kernel track connections and reassemble
		// fragments in this namespace: it must stay the table's.
		rules = append(rules, untracked())
	}
	rules = append(rules, ipv4Fragment(), ipv6Fragment(), []expr.Any{count(queuedCounter)})
	if t.cfg.Queues > 1 {
		rules = append(rules, bySlot(clientPort, ports, slots))
	}
	// Where there is one queue, where both ports are inspected ones, and should anybody
	// have emptied the map.
	return append(rules, []expr.Any{queue(t.cfg.FirstQueue, t.cfg.Bypass, t.native)})
}

// untracked is `ct state untracked counter`.
func untracked() []expr.Any {
	bit := binary.NativeEndian.AppendUint32(nil, expr.CtStateBitUNTRACKED)
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: reg},
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: 4, Mask: bit, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg, Data: make([]byte, 4)},
		count(untrackedCounter),
	}
}

// ipv4Fragment is `ip frag-off & 0x3fff != 0 counter drop`: there is an offset, or
// more fragments follow (RFC 791 section 3.1).
func ipv4Fragment() []expr.Any {
	const flagsAndOffset = 6
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: reg},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: []byte{unix.NFPROTO_IPV4}},
		&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: flagsAndOffset, Len: 2, DestRegister: reg},
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: 2, Mask: []byte{0x3f, 0xff}, Xor: make([]byte, 2)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg, Data: make([]byte, 2)},
		count(fragmentsCounter),
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}

// ipv6Fragment is `exthdr frag exists counter drop` (RFC 8200 section 4.5).
func ipv6Fragment() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: reg},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: []byte{unix.NFPROTO_IPV6}},
		&expr.Exthdr{
			DestRegister: reg, Type: unix.IPPROTO_FRAGMENT, Len: 1,
			Flags: unix.NFT_EXTHDR_F_PRESENT, Op: expr.ExthdrOpIpv6,
		},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: []byte{1}},
		count(fragmentsCounter),
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}

func count(name string) expr.Any {
	return &expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: name}
}
