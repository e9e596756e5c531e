package history

import "net/netip"

// pair is a client and a server.
type pair struct {
	client netip.Addr
	server netip.AddrPort
}

// pairs are the failures of the last maxPairs pairs that had one.
type pairs struct {
	last map[pair]int64
	list []pair // in the order in which they came
	next int    // in list: who leaves when it is full
}

func (p *pairs) add(client netip.Addr, server netip.AddrPort, now int64) {
	k := pair{client, server}
	if _, ok := p.last[k]; !ok {
		if p.last == nil {
			p.last = map[pair]int64{}
		}
		if len(p.list) < maxPairs {
			p.list = append(p.list, k)
		} else {
			delete(p.last, p.list[p.next])
			p.list[p.next] = k
			p.next = (p.next + 1) % maxPairs
		}
	}
	p.last[k] = now
}

func (p *pairs) within(client netip.Addr, server netip.AddrPort, now int64) bool {
	return within(p.last[pair{client, server}], now, FailureLapse)
}
