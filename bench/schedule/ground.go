package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"crypto/tls"

	"keepword/bench/lab"
	"keepword/dataplane"
	"keepword/dataplane/nfqueue"
	"keepword/dataplane/steer"
	"keepword/inspect"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// ground is a lab with inspection on its gateway, in this process, and a box behind the
// gateway in which packets of the client expire. Both its client and its server have an
// end in their kernels and one outside of them.
type ground struct {
	lab    *lab.Lab
	wires  [2]*wire // by side
	server *server
	read   *inspected
	table  *steer.Table
	engine *nfqueue.Engine
	share  *share // nil: the kernel decides nothing
	end    context.CancelFunc
	ended  chan error
	ports  atomic.Uint32
}

const (
	// exempt is the mark of packets that inspection has made.
	exempt = 0x10000000
	// maxQueue is as many packets as may wait for inspection: what hundreds of sessions
	// send at once.
	maxQueue = 1 << 14
	// firstPort is the first of the clients' ports; each schedule has one of its own
	// until they have all been used.
	firstPort, ports = 4096, 1<<16 - 4096
)

// keepword is the inspection that is shipped.
func keepword(read *inspected) dataplane.Inspector { return pipeline(read, nil) }

// pipeline is keepword's; with a share it grants what the kernel may do.
func pipeline(read *inspected, s *share) *inspect.Pipeline {
	c := inspect.Config{
		Policy: policy.New(policy.Config{Mode: verdict.Enforce, Servers: serverRules()}),
		Ports:  inspectedPorts(),
		Limits: inspect.Limits{Flows: 1 << 17, Memory: 1 << 30, FlowMemory: 256 << 10},
		Sink:   read,
		Tap:    read,
	}
	if s != nil {
		c.Follows, c.Rings = true, s.program.Rings()
	}
	return inspect.New(c)
}

// newGround builds the lab; what inspects its packets is made by in. It must be closed.
func newGround(ctx context.Context, in func(*inspected) dataplane.Inspector) (*ground, error) {
	g := &ground{read: &inspected{flows: map[uint16][]*readFlow{}}}
	return g.build(ctx, func() (dataplane.Inspector, error) { return in(g.read), nil })
}

// newSharedGround is newGround with keepword, and the kernel's own share of it.
func newSharedGround(ctx context.Context, s *share) (*ground, error) {
	g := &ground{read: &inspected{flows: map[uint16][]*readFlow{}}, share: s}
	if err := s.load(); err != nil { // a host of the lab lacks what the loader looks at
		return nil, err
	}
	p := pipeline(g.read, s)
	s.witness.Inspector = p
	if err := s.program.Set(inspectedPorts(), uint32(p.Window())); err != nil {
		return nil, err
	}
	return g.build(ctx, func() (dataplane.Inspector, error) {
		return &s.witness, s.attach()
	})
}

// build builds the lab. in is called in the gateway.
func (g *ground) build(ctx context.Context, in func() (dataplane.Inspector, error)) (_ *ground, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	if g.lab, err = lab.New(lab.Options{Box: true}); err != nil {
		return nil, err
	}
	if err := g.deafen(ctx); err != nil {
		return nil, err
	}
	if err := g.listen(); err != nil {
		return nil, err
	}
	var inspector dataplane.Inspector
	err = g.lab.Gateway.Do(func() (err error) {
		if inspector, err = in(); err != nil {
			return err
		}
		queue := nfqueue.Config{MaxLen: maxQueue, Buffer: 64 << 20, Mark: exempt}
		if g.share != nil {
			queue.Follower = g.share.follower()
		}
		if g.engine, err = nfqueue.Open(queue); err != nil {
			return err
		}
		g.table, err = steer.Open(steer.Config{Ports: inspectedPorts(), Hooks: []steer.Hook{steer.Forward}, Queues: 1, Mark: exempt})
		return err
	})
	if err != nil {
		return nil, err
	}
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	g.end, g.ended = end, make(chan error, 1)
	go func() { g.ended <- g.engine.Run(running, inspector) }()
	if g.wires[ClientSide], err = openWire(ClientSide, g.lab.Client, g.lab.Gateway, lab.ClientSide); err != nil {
		return nil, err
	}
	g.wires[ServerSide], err = openWire(ServerSide, g.lab.Server, g.lab.Box, lab.ServerSide)
	return g, err
}

// deafen keeps the kernels of both sides from the connections that they know nothing of
// and would reset: raw sockets get packets before they do. The client's also discards
// what comes from the server with its last hop, as a box between it and the gateway would.
func (g *ground) deafen(ctx context.Context) error {
	const table = "add table inet deaf; add chain inet deaf c { type filter hook input priority 0; }; "
	last := int(policies) - 1
	client := fmt.Sprintf(table+"add rule inet deaf c tcp sport %d-%d drop; add rule inet deaf c ip ttl 1 drop; add rule inet deaf c ip6 hoplimit 1 drop",
		linuxPort, linuxPort+last)
	server := fmt.Sprintf(table+"add rule inet deaf c tcp dport %d-%d drop", rawPort, rawPort+last)
	if _, err := g.lab.Client.Command(ctx, "nft", client).Output(); err != nil {
		return err
	}
	_, err := g.lab.Server.Command(ctx, "nft", server).Output()
	return err
}

// listen starts the server above its kernel.
func (g *ground) listen() error {
	var listeners []net.Listener
	for p := range policies {
		l, err := g.lab.Server.Listen("tcp", fmt.Sprintf(":%d", p.port(ClientSide)))
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			return err
		}
		listeners = append(listeners, l)
	}
	g.server = startServer(g.serverTLS(), listeners)
	return nil
}

// serverTLS is how servers speak TLS. clientTLS is a client's way; old asks for TLS 1.2,
// in which protected data is told otherwise.
func (g *ground) serverTLS() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{g.lab.Certificate()}}
}

func (g *ground) clientTLS(old bool) *tls.Config {
	c := g.lab.TLSConfig()
	if old {
		c.MaxVersion = tls.VersionTLS12
	}
	return c
}

// stop ends inspection.
func (g *ground) stop() (err error) {
	if g.end != nil {
		g.end()
		err = <-g.ended
		g.end = nil
	}
	return err
}

func (g *ground) close() (err error) {
	for _, w := range g.wires {
		if w != nil {
			w.close()
		}
	}
	if g.server != nil {
		g.server.stop()
	}
	err = g.stop()
	if g.engine != nil {
		err = errors.Join(err, g.engine.Close())
	}
	if g.share != nil && g.share.program != nil {
		err = errors.Join(err, g.share.program.Close())
	}
	if g.lab != nil {
		g.lab.Close() // and with it the table
	}
	return err
}
