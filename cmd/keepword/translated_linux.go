package main

import (
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"
)

// legacyTables lists the tables of iptables and ip6tables, those of iptables-nft excepted,
// in the network namespace of the calling thread.
var legacyTables = []string{"/proc/thread-self/net/ip_tables_names", "/proc/thread-self/net/ip6_tables_names"}

// translated says whether addresses may be translated here: there is a chain of type nat, or
// a table of that name of the old iptables. Connections are then tracked anyway.
func translated() (bool, error) {
	for _, name := range legacyTables {
		tables, err := os.ReadFile(name)
		if err == nil && slices.Contains(strings.Fields(string(tables)), "nat") {
			return true, nil
		}
	}
	chains, err := (&nftables.Conn{}).ListChains()
	if err != nil {
		return false, err
	}
	for _, c := range chains {
		if c.Type == nftables.ChainTypeNAT {
			return true, nil
		}
	}
	return false, nil
}
