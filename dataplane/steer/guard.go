package steer

import (
	"encoding/binary"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
)

// Queues returns the queues that the table named so diverts to, in order, and none
// where there is no such table or keepword did not make it. Where a process listens on
// one of them the table is in use, and Open would take it away from its owner.
func Queues(name string) ([]uint16, error) {
	t := &Table{table: &nftables.Table{Name: name, Family: nftables.TableFamilyINet}}
	if left, err := t.left(); err != nil || left == nothing {
		return nil, nil // what is wrong with it, Open says
	}
	conn := &nftables.Conn{}
	rules, err := conn.GetRules(t.table, &nftables.Chain{Table: t.table, Name: divertChain})
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, t.fail("read", err)
	}
	var queues []uint16
	for _, r := range rules {
		for _, e := range r.Exprs {
			first, count := queuesOf(e)
			for i := range count {
				queues = append(queues, first+i)
			}
		}
	}
	return queues, nil
}

// queuesOf returns the first queue and the number of queues that queue, in rules.go,
// has written into e, and no queue for another expression.
func queuesOf(e expr.Any) (first, count uint16) {
	switch e := e.(type) {
	case *expr.Queue:
		return e.Num, e.Total
	case *expr.Target:
		if info, ok := e.Info.(*xt.Unknown); ok && e.Name == "NFQUEUE" && len(*info) >= 4 {
			return binary.NativeEndian.Uint16((*info)[0:]), binary.NativeEndian.Uint16((*info)[2:])
		}
	}
	return 0, 0
}

// Restore puts the table back if somebody else has deleted it or taken chains or rules
// out of it, as `nft flush ruleset` does, and says whether it had to. The errors are
// those of Open. The contents of the set of ports are not looked at.
func (t *Table) Restore() (restored bool, err error) {
	left, err := t.left()
	if err != nil {
		return false, t.fail("read", err)
	}
	if left == usable {
		whole, err := t.whole()
		if err != nil {
			return false, t.fail("read", err)
		}
		if whole {
			return false, nil
		}
	}
	if err := t.install(left); err != nil {
		return false, t.fail("restore", err)
	}
	return true, nil
}

// whole says whether each chain that diverts has all its rules.
func (t *Table) whole() (bool, error) {
	want := map[string]int{divertChain: len(divertRules(&t.cfg, t.native))}
	for _, h := range t.cfg.Hooks {
		want[h.String()] = len(hookRules(&t.cfg, h, portSet(t.table)))
	}
	conn := &nftables.Conn{}
	chains, err := conn.ListChainsOfTableFamily(t.table.Family)
	if err != nil {
		return false, err
	}
	for name, n := range want {
		there := slices.ContainsFunc(chains, func(c *nftables.Chain) bool {
			return c.Table.Name == t.table.Name && c.Name == name
		})
		if !there {
			return false, nil
		}
		rules, err := conn.GetRules(t.table, &nftables.Chain{Table: t.table, Name: name})
		if missing(err) {
			return false, nil // deleted since
		}
		if err != nil || len(rules) != n {
			return false, err
		}
	}
	return true, nil
}
