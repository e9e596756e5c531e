//go:build lab

package steer

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"

	"keepword/dataplane/internal/netns"
)

// openFirstLayout makes the table as the first version did: one chain that diverts, in
// which one rule spreads flows over the queues.
func openFirstLayout(t *testing.T, h *netns.Host) {
	t.Helper()
	h.Do(func() error {
		conn := &nftables.Conn{}
		table := conn.AddTable(&nftables.Table{Name: DefaultName, Family: nftables.TableFamilyINet})
		conn.AddChain(&nftables.Chain{Table: table, Name: markerChain})
		for _, name := range counterNames {
			conn.AddObj(&nftables.NamedObj{Table: table, Name: name, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
		}
		ports := portSet(table)
		if err := conn.AddSet(ports, []nftables.SetElement{{Key: binaryutil.BigEndian.PutUint16(25)}}); err != nil {
			return err
		}
		divert := conn.AddChain(&nftables.Chain{Table: table, Name: "divert"})
		info := xt.Unknown(nfqueueInfo(labConfig.FirstQueue, true))
		binary.NativeEndian.PutUint16(info[2:], 2) // queues
		for _, exprs := range [][]expr.Any{untracked(), ipv4Fragment(), ipv6Fragment(),
			{count(queuedCounter), &expr.Target{Name: "NFQUEUE", Rev: 3, Info: &info}}} {
			conn.AddRule(&nftables.Rule{Table: table, Chain: divert, Exprs: exprs})
		}
		for _, hook := range labConfig.Hooks {
			accept := nftables.ChainPolicyAccept
			base := conn.AddChain(&nftables.Chain{
				Table: table, Name: hook.String(), Type: nftables.ChainTypeFilter,
				Hooknum: hookNumbers[hook], Priority: nftables.ChainPriorityRef(priority), Policy: &accept,
			})
			for _, exprs := range [][]expr.Any{exemptMark(labConfig.Mark),
				gotoChain(destinationPort, ports, divert.Name), gotoChain(sourcePort, ports, divert.Name)} {
				conn.AddRule(&nftables.Rule{Table: table, Chain: base, Exprs: exprs})
			}
		}
		return conn.Flush()
	})
}

func TestTheTableOfTheFirstVersionIsTakenOver(t *testing.T) {
	h := netns.New(t)
	openFirstLayout(t, h)
	var queues []uint16
	h.Do(func() (err error) {
		queues, err = Queues(DefaultName)
		return err
	})
	if !slices.Equal(queues, []uint16{2500, 2501}) {
		t.Errorf("its queues are %v", queues)
	}
	handle := func(chain string) string {
		for line := range strings.Lines(h.Run("nft", "-a", "list", "chains", "inet")) {
			if strings.HasPrefix(strings.TrimSpace(line), "chain "+chain+" ") {
				return line
			}
		}
		return ""
	}
	before := handle("input")
	table := open(t, h, labConfig)
	if after := handle("input"); before == "" || after != before {
		t.Errorf("a base chain was made anew: %s, was %s", after, before)
	}
	for _, chain := range []string{"forward", "input", "output"} {
		if got := h.Run("nft", "list chain inet keepword "+chain); strings.Contains(got, "goto divert\n") || !strings.Contains(got, "goto divert-to-server") {
			t.Errorf("after taking over:\n%s", got)
		}
	}
	if got := h.Run("nft", "list chain inet keepword divert"); strings.Contains(got, "counter") {
		t.Errorf("the old chain still diverts:\n%s", got)
	}
	h.Do(func() error {
		if restored, err := table.Restore(); err != nil || restored {
			t.Errorf("restored at once: %t, %v", restored, err)
		}
		return nil
	})
	s := listenOn(t, h, labConfig.FirstQueue, labConfig.Queues, nil)
	knock(t, h, 20_002, 25)
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.queues[20_002]; !slices.Equal(got[0], []uint16{2501}) || !slices.Equal(got[1], []uint16{2501}) {
		t.Errorf("came to %v", got)
	}
}

func TestATableWithFewerQueuesIsTakenOver(t *testing.T) {
	h := netns.New(t)
	for _, queues := range []uint16{3, 1, 2} {
		cfg := labConfig
		cfg.Queues = queues
		open(t, h, cfg)
		var got, want []uint16
		h.Do(func() (err error) {
			got, err = Queues(DefaultName)
			return err
		})
		for q := range queues {
			want = append(want, cfg.FirstQueue+q)
		}
		if !slices.Equal(got, want) {
			t.Errorf("queues %v, want %v", got, want)
		}
	}
}
