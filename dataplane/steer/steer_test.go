package steer

import (
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

var config = Config{
	Ports: []uint16{25, 587}, Hooks: []Hook{Forward},
	FirstQueue: 2500, Queues: 4, Mark: 0x10000000,
}

func TestAConfigurationThatMakesNoSenseIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(c *Config){
		"no ports":          func(c *Config) { c.Ports = nil },
		"port 0":            func(c *Config) { c.Ports = []uint16{25, 0} },
		"no hooks":          func(c *Config) { c.Hooks = nil },
		"unknown hook":      func(c *Config) { c.Hooks = []Hook{hooks} },
		"no queues":         func(c *Config) { c.Queues = 0 },
		"queues past 65535": func(c *Config) { c.FirstQueue = 0xfffd },
		"no mark":           func(c *Config) { c.Mark = 0 },
		"untracked marks":   func(c *Config) { c.Connmark, c.NoTracking = true, true },
	} {
		c := config
		spoil(&c)
		if _, err := Open(c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
	}
	last := config
	last.FirstQueue = 0xfffc
	if err := last.check(); err != nil {
		t.Errorf("queues up to 65535: %v", err)
	}
}

func TestHooksHaveTheNamesOfTheConfiguration(t *testing.T) {
	for h, name := range map[Hook]string{Forward: "forward", Input: "input", Output: "output"} {
		if got, ok := ParseHook(name); h.String() != name || got != h || !ok {
			t.Errorf("%v: %v, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "prerouting", "Forward"} {
		if got, ok := ParseHook(name); ok {
			t.Errorf("%q is %v", name, got)
		}
	}
}

func TestTheNativeStatementIsWrittenAsTheTarget(t *testing.T) {
	for _, bypass := range []bool{false, true} {
		q, ok := queue(2500, bypass, true).(*expr.Queue)
		if !ok || q.Num != 2500 || q.Total != 1 || (q.Flag == expr.QueueFlagBypass) != bypass || q.Flag&expr.QueueFlagFanout != 0 {
			t.Errorf("native, bypass %v: %+v", bypass, q)
		}
		target, ok := queue(2500, bypass, false).(*expr.Target)
		if !ok || target.Name != "NFQUEUE" || target.Rev != 3 {
			t.Fatalf("target: %+v", target)
		}
	}
}

func TestTheTargetIsLaidOutAsTheKernelExpects(t *testing.T) {
	for _, bypass := range []bool{false, true} {
		info := nfqueueInfo(2500, bypass)
		field := func(i int) uint16 { return binary.NativeEndian.Uint16(info[i:]) }
		if len(info) != 8 || field(0) != 2500 || field(2) != 1 || (field(4) == 1) != bypass || field(4) > 1 || field(6) != 0 {
			t.Errorf("bypass %v: %x", bypass, info)
		}
	}
}

func TestPortsOfOneParityAreSpreadEvenly(t *testing.T) {
	for _, queues := range []uint16{1, 2, 4, 64} {
		flows := make([]int, queues)
		const first, last = 32768, 60999 // Linux's ephemeral ports
		for port := first; port <= last; port += 2 {
			flows[QueueOf(uint16(port), queues)]++
		}
		if least, most := slices.Min(flows), slices.Max(flows); most-least > MaxQueues {
			t.Errorf("%d queues get from %d to %d flows", queues, least, most)
		}
	}
}

func TestMoreQueuesThanSlotsStayIdle(t *testing.T) {
	used := map[uint16]bool{}
	for port := range 1 << 16 {
		used[QueueOf(uint16(port), 100)] = true
	}
	for q := range uint16(100) {
		if used[q] != (q < MaxQueues) {
			t.Errorf("queue %d used: %t", q, used[q])
		}
	}
}

func TestOnlyInputBesideOutputLeavesLoopbackAlone(t *testing.T) {
	set := &nftables.Set{Name: portsSet}
	count := func(h Hook, on ...Hook) (n int) {
		c := config
		c.Hooks = on
		for _, rule := range hookRules(&c, h, set) {
			if reflect.DeepEqual(rule, fromLoopback()) {
				n++
			}
		}
		return n
	}
	if count(Input, Input, Output) != 1 || count(Input, Input, Forward) != 0 || count(Output, Input, Output) != 0 {
		t.Error("loopback is left alone elsewhere, or not there")
	}
}

func TestTheExemptMarkComesFirst(t *testing.T) {
	for h := range hooks {
		rules := hookRules(&config, h, &nftables.Set{Name: portsSet})
		if !reflect.DeepEqual(rules[0], exemptMark(config.Mark)) {
			t.Errorf("%v: %+v", h, rules[0])
		}
	}
}
