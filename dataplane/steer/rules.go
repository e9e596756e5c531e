package steer

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// The names of what is in the table.
const (
	// markerChain is empty. It says that keepword made the table.
	markerChain = "made-by-keepword"
	// divertChain is where the base chains send the packets of inspected ports.
	divertChain = "divert"
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
	h, ok := ParseHook(c.Name)
	return ok && c.Type == nftables.ChainTypeFilter && c.Policy != nil && *c.Policy == nftables.ChainPolicyAccept &&
		*c.Hooknum == *hookNumbers[h] && *c.Priority == priority
}

// addAll appends to conn's transaction what makes the table, or empties and refills
// the one that is there. A base chain of a hook that is no longer wanted stays, empty.
func addAll(conn *nftables.Conn, table *nftables.Table, cfg *Config, native bool) error {
	conn.AddTable(table)
	conn.FlushTable(table)
	conn.AddChain(&nftables.Chain{Table: table, Name: markerChain})
	ports := portSet(table)
	if err := conn.AddSet(ports, nil); err != nil {
		return fmt.Errorf("add set %s: %w", portsSet, err)
	}
	if err := fillPorts(conn, ports, cfg.Ports); err != nil {
		return err
	}
	for _, name := range counterNames {
		conn.AddObj(&nftables.NamedObj{Table: table, Name: name, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
	}
	divert := conn.AddChain(&nftables.Chain{Table: table, Name: divertChain})
	for _, exprs := range divertRules(cfg, native) {
		conn.AddRule(&nftables.Rule{Table: table, Chain: divert, Exprs: exprs})
	}
	for h := range hooks {
		if !slices.Contains(cfg.Hooks, h) {
			continue
		}
		accept := nftables.ChainPolicyAccept
		chain := conn.AddChain(&nftables.Chain{
			Table: table, Name: h.String(), Type: nftables.ChainTypeFilter,
			Hooknum: hookNumbers[h], Priority: nftables.ChainPriorityRef(priority), Policy: &accept,
		})
		for _, exprs := range hookRules(cfg, h, ports) {
			conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
		}
	}
	return nil
}

func portSet(table *nftables.Table) *nftables.Set {
	return &nftables.Set{Table: table, Name: portsSet, KeyType: nftables.TypeInetService}
}

// fillPorts appends to conn's transaction the replacement of the set's contents.
func fillPorts(conn *nftables.Conn, set *nftables.Set, ports []uint16) error {
	conn.FlushSet(set)
	var elements []nftables.SetElement
	for _, p := range slices.Compact(slices.Sorted(slices.Values(ports))) {
		elements = append(elements, nftables.SetElement{Key: binaryutil.BigEndian.PutUint16(p)})
	}
	if err := conn.SetAddElements(set, elements); err != nil {
		return fmt.Errorf("fill set %s: %w", portsSet, err)
	}
	return nil
}

// hookRules are the rules of a base chain: which packets are inspected at all.
func hookRules(cfg *Config, h Hook, ports *nftables.Set) [][]expr.Any {
	rules := [][]expr.Any{exemptMark(cfg.Mark)}
	if h == Input && slices.Contains(cfg.Hooks, Output) {
		// What comes in by lo has been in the output hook on this same host, and
		// was inspected there.
		rules = append(rules, fromLoopback())
	}
	return append(rules, tcpPort(destinationPort, ports), tcpPort(sourcePort, ports))
}

// exemptMark is `meta mark & MARK == MARK return`.
func exemptMark(mark uint32) []expr.Any {
	m := binary.NativeEndian.AppendUint32(nil, mark)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: reg},
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: 4, Mask: m, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: m},
		&expr.Verdict{Kind: expr.VerdictReturn},
	}
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

// tcpPort is `tcp dport @ports goto divert`, or with sport.
func tcpPort(offset uint32, ports *nftables.Set) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2, DestRegister: reg},
		&expr.Lookup{SourceRegister: reg, SetName: ports.Name, SetID: ports.ID},
		&expr.Verdict{Kind: expr.VerdictGoto, Chain: divertChain},
	}
}

// divertRules are the rules for the packets of inspected ports.
func divertRules(cfg *Config, native bool) [][]expr.Any {
	return [][]expr.Any{
		// The first of these is also what makes the kernel track connections and
		// reassemble fragments in this namespace: it must stay the table's.
		untracked(),
		ipv4Fragment(),
		ipv6Fragment(),
		{count(queuedCounter), queue(cfg, native)},
	}
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

// queue is `queue flags bypass to FIRST-LAST`. It never spreads packets by CPU: the
// two directions of a flow would part.
func queue(cfg *Config, native bool) expr.Any {
	if native {
		var flags expr.QueueFlag
		if cfg.Bypass {
			flags = expr.QueueFlagBypass
		}
		return &expr.Queue{Num: cfg.FirstQueue, Total: cfg.Queues, Flag: flags}
	}
	info := xt.Unknown(nfqueueInfo(cfg.FirstQueue, cfg.Queues, cfg.Bypass))
	return &expr.Target{Name: "NFQUEUE", Rev: 3, Info: &info}
}

// nfqueueInfo is struct xt_NFQ_info_v3 of linux/netfilter/xt_NFQUEUE.h, padded as
// XT_ALIGN does: three numbers of 16 bits in the host's order.
func nfqueueInfo(first, queues uint16, bypass bool) []byte {
	const (
		size       = 8
		flagBypass = 1 // NFQ_FLAG_BYPASS
	)
	info := make([]byte, size)
	binary.NativeEndian.PutUint16(info[0:], first)
	binary.NativeEndian.PutUint16(info[2:], queues)
	if bypass {
		binary.NativeEndian.PutUint16(info[4:], flagBypass)
	}
	return info
}
