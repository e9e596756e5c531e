package steer

import (
	"encoding/binary"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// saveSuffix makes of a hook's name that of the base chain that saves marks there.
const saveSuffix = "-save"

// savePriority is that of these chains: the next behind the chains that divert. A packet
// goes on there when its verdict has come, not at the next rule of its chain.
const savePriority = priority + 1

// saveRules are the rules of such a chain. The exempt mark that a packet of an inspected
// port bears here is that of a verdict: connmarkRules have taken off any other.
func saveRules(mark uint32, ports *nftables.Set) (rules [][]expr.Any) {
	for _, port := range []uint32{destinationPort, sourcePort} {
		rules = append(rules, slices.Concat(marked(mark), tcpPort(port, ports), setConnmark(^mark, mark)))
	}
	return rules
}

// connmarkRules are the rules that come first where packets are diverted by connection
// mark.
func connmarkRules(mark uint32) [][]expr.Any {
	leave := &expr.Verdict{Kind: expr.VerdictReturn}
	return [][]expr.Any{
		// tcp flags & (fin | syn | rst) == 0 ct mark & MARK == MARK return
		append(tcpFlags(flagFIN|flagSYN|flagRST, 0),
			&expr.Ct{Key: expr.CtKeyMARK, Register: reg}, bitwise(mark, 0), equal(mark), leave),
		// tcp flags & (syn | ack) == syn ct mark set ct mark & ~MARK
		append(tcpFlags(flagSYN|flagACK, flagSYN), setConnmark(^mark, 0)...),
		// meta mark & MARK == MARK meta mark set meta mark & ~MARK return
		append(marked(mark),
			&expr.Meta{Key: expr.MetaKeyMARK, Register: reg}, bitwise(^mark, 0),
			&expr.Meta{Key: expr.MetaKeyMARK, Register: reg, SourceRegister: true}, leave),
	}
}

// The control bits of TCP (RFC 9293 section 3.1).
const (
	flagFIN = 1 << 0
	flagSYN = 1 << 1
	flagRST = 1 << 2
	flagACK = 1 << 4
)

// tcpFlags is `tcp flags & MASK == VALUE`.
func tcpFlags(mask, value byte) []expr.Any {
	const flags = 13 // octets from the header's beginning
	return []expr.Any{
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: flags, Len: 1, DestRegister: reg},
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: 1, Mask: []byte{mask}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: []byte{value}},
	}
}

// marked is `meta mark & MARK == MARK`.
func marked(mark uint32) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: reg}, bitwise(mark, 0), equal(mark)}
}

// setConnmark is `ct mark set ct mark & MASK ^ XOR`. A packet without a connection ends
// the rule.
func setConnmark(mask, xor uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeyMARK, Register: reg}, bitwise(mask, xor),
		&expr.Ct{Key: expr.CtKeyMARK, Register: reg, SourceRegister: true},
	}
}

// bitwise is `& MASK ^ XOR` of a mark.
func bitwise(mask, xor uint32) expr.Any {
	return &expr.Bitwise{
		SourceRegister: reg, DestRegister: reg, Len: 4,
		Mask: binary.NativeEndian.AppendUint32(nil, mask), Xor: binary.NativeEndian.AppendUint32(nil, xor),
	}
}

func equal(mark uint32) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: binary.NativeEndian.AppendUint32(nil, mark)}
}
