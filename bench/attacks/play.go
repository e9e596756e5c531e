package main

import (
	"keepword/inspect"
	"keepword/inspect/history"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// setting is how keepword is set, and what the peers are like.
type setting uint8

const (
	// enforcing: keepword's defaults, in mode enforce.
	enforcing setting = iota
	// observing: the same, in mode observe.
	observing
	// logging is the failing control: every action is log. The attacks must succeed.
	logging
	settings
)

// cut says where octets are parted into segments; the zero value leaves them whole, and
// everywhere parts all.
type cut struct{ first, second int }

var everywhere = cut{-1, -1}

// segments cuts octets.
func (c cut) segments(octets []byte) (all [][]byte) {
	if c == everywhere {
		for i := range octets {
			all = append(all, octets[i:i+1])
		}
		return all
	}
	for _, at := range [...]int{c.second, c.first} {
		if 0 < at && at < len(octets) {
			all = append([][]byte{octets[at:]}, all...)
			octets = octets[:at]
		}
	}
	return append([][]byte{octets}, all...)
}

// cuts are all cuttings of n octets, from octet cold on, into one or two segments, of those
// before hot into three, and of all into single octets.
func cuts(cold, n, hot int) []cut {
	if hot == 0 {
		hot = n
	}
	all := []cut{{}, everywhere}
	for second := cold + 1; second < n; second++ {
		all = append(all, cut{0, second})
	}
	for second := cold + 2; second < hot; second++ {
		for first := cold + 1; first < second; first++ {
			all = append(all, cut{first, second})
		}
	}
	return all
}

// cell is one way of playing a fixture.
type cell struct {
	*fixture
	setting     setting
	cut         cut
	serverFirst bool
	careless    bool // the peers are
}

// found is one finding as it was reported.
type found struct {
	finding verdict.Finding
	action  verdict.Action
}

// acts says that the finding has consequences.
func (f found) acts() bool { return f.action > verdict.Log }

// outcome is what became of a cell, measured at the ends.
type outcome struct {
	*cell
	road     *road
	client   *client
	server   *server
	findings []found
}

// notes is a Sink that keeps the findings.
type notes struct{ findings []found }

// Finding is inspect.Sink's.
func (n *notes) Finding(f *inspect.FindingRecord) {
	n.findings = append(n.findings, found{f.Finding, f.Action})
}

// FlowEnd is inspect.Sink's.
func (n *notes) FlowEnd(*inspect.FlowRecord) {}

// policyOf is keepword's policy in a cell.
func (c *cell) policyOf() *policy.Policy {
	config := policy.Config{}
	if c.setting == observing {
		config.Mode = verdict.Observe
	}
	if c.require {
		config.Servers = []policy.Server{{StartTLS: policy.Require}}
	}
	if c.setting == logging {
		config.Actions = map[verdict.Finding]verdict.Action{}
		for f := verdict.NoFinding + 1; f < verdict.Findings; f++ {
			config.Actions[f] = verdict.Log
		}
	}
	return policy.New(config)
}

// limits are enough for a cell's sessions.
var limits = inspect.Limits{Flows: 8, Memory: 4 << 20, FlowMemory: 1 << 18}

// begin is when the pure play begins, in nanoseconds of the Unix epoch.
const begin = 1_700_000_000_000 * millisecond

// honest is nobody's attack: the session before one whose findings need memory.
var honest = &fixture{class: &class{}, plan: toMail}

// player plays cells, one after the other.
type player struct {
	hello     []byte
	pipelines map[setup]*stage
}

// setup is what a Pipeline is made for.
type setup struct {
	setting setting
	require bool
}

// stage is a Pipeline with what it told.
type stage struct {
	pipeline *inspect.Pipeline
	told     notes
	now      int64
	port     uint16
}

// newPlayer makes a player.
func newPlayer() *player {
	return &player{hello: clientHello(), pipelines: map[setup]*stage{}}
}

// newStage makes a Pipeline for a cell.
func newStage(c *cell) *stage {
	st := &stage{now: begin}
	var memory inspect.History // only where it is wanted: it would hide the offers of later cells
	if len(c.learned) > 0 {
		memory = history.New(history.Config{Servers: 1})
	}
	st.pipeline = inspect.New(inspect.Config{
		History: memory,
		Policy:  c.policyOf(), Ports: []uint16{serverAddr.Port()}, Limits: limits,
		MemoryFull: inspect.WhenKill, Midstream: inspect.WhenPass, Sink: &st.told,
	})
	return st
}

// session plays a cell. Sessions share a Pipeline, but for those that need its memory of
// the session before.
func (p *player) session(c *cell) *outcome {
	if len(c.learned) > 0 {
		st := newStage(c)
		st.session(&cell{fixture: honest}, p.hello)
		return st.session(c, p.hello)
	}
	key := setup{c.setting, c.require}
	if p.pipelines[key] == nil {
		p.pipelines[key] = newStage(c)
	}
	return p.pipelines[key].session(c, p.hello)
}

// session plays one connection.
func (st *stage) session(c *cell, hello []byte) *outcome {
	const ports = 20_000
	st.port = st.port%ports + 1
	st.told.findings = nil
	r := newRoad(st.pipeline, ports+st.port, st.now)
	var w ways
	if c.careless {
		w = c.class.careless.and(c.lenient)
	}
	cl := &client{talker: talker{fixture: c.fixture, ways: w}, plan: c.plan, now: atGreeting, hello: hello}
	sv := &server{talker: talker{fixture: c.fixture, ways: w}}
	c.seat(r.client, &cl.talker, cl.hear, c.fixture.client)
	c.seat(r.server, &sv.talker, sv.hear, c.fixture.server)
	sv.greet()
	r.run(c.serverFirst)
	st.pipeline.Flush(r.now)
	st.now = r.now
	return &outcome{cell: c, road: r, client: cl, server: sv, findings: st.told.findings}
}

// seat gives a model end its TCP. What it says at cutAt is cut.
func (c *cell) seat(e *end, t *talker, hear func([]byte), attacks map[step]string) {
	e.hear = hear
	e.hangUp = t.close
	t.leave = func() { e.leaves = true }
	evil, cuts := attacks[c.cutAt]
	t.say = func(octets []byte) {
		how := cut{}
		if cuts && string(octets) == evil {
			how = c.cut
		}
		e.outbox = append(e.outbox, how.segments(octets)...)
	}
}
