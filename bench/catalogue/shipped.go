package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"keepword/inspect/policy"
	v "keepword/inspect/verdict"
)

// shippedCase is a play through the program as it is shipped. Many are under way in one
// process: each has a server of its own.
type shippedCase struct {
	*Fixture
	setting
	place  place
	server netip.Addr
}

func (c *shippedCase) String() string {
	return fmt.Sprintf("%s: %v %v, %v", c.Name(), c.action, c.place, c.mode)
}

// The networks of the cases' clients and servers, by IP version (RFC 2544 appendix C.2.2,
// RFC 5180 §8: for tests of devices in a network). Neighbours differ in their version.
var networks = map[side][2]netip.Prefix{
	server: {netip.MustParsePrefix("198.18.0.0/16"), netip.MustParsePrefix("2001:2:0:18::/64")},
	client: {netip.MustParsePrefix("198.19.0.0/16"), netip.MustParsePrefix("2001:2:0:19::/64")},
}

// serverOf returns the server of the case with a number.
func serverOf(number int) netip.Addr {
	b := networks[server][number%2].Addr().AsSlice()
	b[len(b)-2], b[len(b)-1] = byte(number>>8), byte(number)
	addr, _ := netip.AddrFromSlice(b)
	return addr
}

// client returns the client of a case.
func (c *shippedCase) client() netip.Addr {
	if c.server.Is4() {
		return networks[client][0].Addr().Next()
	}
	return networks[client][1].Addr().Next()
}

// shippedCases are those of one run in a mode: each fixture with no action set, and with
// each that makes sense set for its server.
func shippedCases(all []*Fixture, mode v.Mode, brief bool) (list []*shippedCase) {
	add := func(f *Fixture, a v.Action, at place) {
		list = append(list, &shippedCase{f, setting{mode: mode, action: a, brief: brief}, at, serverOf(len(list) + 1)})
	}
	for _, f := range all {
		add(f, f.fallback(), nowhere)
		for _, a := range policy.Allowed(f.Finding) {
			add(f, a, oneServer)
		}
	}
	return list
}

// globalCases are those of one run in which an action is set for all servers, for each
// finding for which it makes sense.
func globalCases(all []*Fixture, mode v.Mode, a v.Action) (list []*shippedCase) {
	for _, f := range all {
		if slices.Contains(policy.Allowed(f.Finding), a) {
			list = append(list, &shippedCase{f, setting{mode: mode, action: a}, everywhere, serverOf(len(list) + 1)})
		}
	}
	return list
}

// configuration is what the cases of one run need, as the program reads it. JSON is YAML.
func configuration(cases []*shippedCase) ([]byte, error) {
	type rule struct {
		Match    []string          `json:"match"`
		StartTLS string            `json:"starttls"`
		Actions  map[string]string `json:"actions"`
	}
	global, rules := map[string]string{}, []rule{}
	for _, c := range cases {
		actions := c.pinned()
		switch c.place {
		case everywhere:
			global[c.Finding.String()] = c.action.String()
		case oneServer:
			actions[c.Finding] = c.action
		}
		r := rule{[]string{c.server.String()}, c.StartTLS.String(), map[string]string{}}
		for f, a := range actions {
			r.Actions[f.String()] = a.String()
		}
		rules = append(rules, r)
	}
	return json.Marshal(map[string]any{
		"mode": cases[0].mode.String(), "tls_minimum": "1.2", "actions": global, "servers": rules,
	})
}

// alert is a line of the program's events, as far as it is judged.
type alert struct {
	EventType string     `json:"event_type"`
	DestIP    netip.Addr `json:"dest_ip"`
	Alert     struct {
		SignatureID int                 `json:"signature_id"`
		Metadata    map[string][]string `json:"metadata"`
	} `json:"alert"`
}

// reported reads the program's events, by server.
func reported(lines []byte) (map[netip.Addr][]event, error) {
	all := map[netip.Addr][]event{}
	for line := range bytes.Lines(lines) {
		var a alert
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, fmt.Errorf("event %.200q: %w", line, err)
		}
		told := func(key string) string { return strings.Join(a.Alert.Metadata[key], " ") }
		if a.EventType != "alert" || told("finding") == "" {
			continue
		}
		all[a.DestIP] = append(all[a.DestIP], event{
			finding: told("finding"), action: told("action"), mode: told("mode"), reason: told("reason"), signature: a.Alert.SignatureID, change: told("breaker"),
		})
	}
	return all, nil
}

// judgeReported says what is wrong with the events of a run.
func judgeReported(cases []*shippedCase, events map[netip.Addr][]event) (list []outcome) {
	for _, c := range cases {
		o := outcome{c.Finding, c.action, c.mode, c.String(), judgeEvents(c.Fixture, c.setting, events[c.server])}
		for _, e := range events[c.server] {
			if e.signature == 0 {
				o.faults = append(o.faults, e.finding+" has no signature_id")
			}
		}
		list = append(list, o)
	}
	return list
}

// build builds the program into dir and returns where it is.
func build(dir string) (program string, err error) {
	program = filepath.Join(dir, "keepword")
	cmd := exec.Command("go", "build", "-o", program, "keepword/cmd/keepword")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return program, nil
}
