package steer

import (
	"slices"

	"github.com/google/nftables"
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
	chains, err := conn.ListChainsOfTableFamily(t.table.Family)
	if err != nil {
		return nil, t.fail("read", err)
	}
	var queues []uint16
	for _, c := range chains {
		if c.Table.Name != t.table.Name {
			continue
		}
		rules, err := conn.GetRules(t.table, c)
		if missing(err) {
			continue // deleted since
		}
		if err != nil {
			return nil, t.fail("read", err)
		}
		for _, r := range rules {
			for _, e := range r.Exprs {
				first, count := queuesOf(e)
				for i := range count {
					queues = append(queues, first+i)
				}
			}
		}
	}
	slices.Sort(queues)
	return slices.Compact(queues), nil
}

// Restore puts the table back if somebody else has deleted it or taken chains or rules
// out of it, as `nft flush ruleset` does, and says whether it had to. The errors are
// those of Open. The contents of sets and maps are not looked at.
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

// whole says whether each chain has all its rules.
func (t *Table) whole() (bool, error) {
	conn := &nftables.Conn{}
	there, err := conn.ListChainsOfTableFamily(t.table.Family)
	if err != nil {
		return false, err
	}
	for _, want := range t.chains() {
		if !slices.ContainsFunc(there, func(c *nftables.Chain) bool {
			return c.Table.Name == t.table.Name && c.Name == want.Name
		}) {
			return false, nil
		}
		rules, err := conn.GetRules(t.table, want.Chain)
		if missing(err) {
			return false, nil // deleted since
		}
		if err != nil || len(rules) != len(want.rules) {
			return false, err
		}
	}
	return true, nil
}
