package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"keepword/bench/lab"
)

// Outcome is what became of a schedule.
type Outcome struct {
	*Schedule
	// Complete: the client has said all, and every octet of the schedule was
	// acknowledged. Answered: and it has received every reply.
	Complete, Answered bool
	// Reset: the connection was ended.
	Reset bool
	// Edited: an edit was made.
	Edited bool
	// Violation says in what the property fails; empty: it holds.
	Violation string
}

// account is what the two ends of a schedule have said and got. By the side that says it.
type account struct {
	said [2][]byte
	got  [2][][]byte // of each connection
	// acted are the server's commands that a policy may forbid.
	acted []string
}

// play plays one schedule and judges it.
func (g *ground) play(s *Schedule) (o Outcome) {
	o.Schedule = s
	from := netip.AddrPortFrom(g.lab.Client.Addr(s.IPv6), uint16(firstPort+g.ports.Add(1)%ports))
	to := netip.AddrPortFrom(g.lab.Server.Addr(s.IPv6), s.Policy.port(s.Side))
	var a account
	if s.Side == ClientSide {
		a = g.playClient(&o, from, to)
	} else {
		a = g.playServer(&o, from, to)
	}
	g.share.inspects()
	o.judge(&a, g.read.finish(from))
	return o
}

// isOld says that a schedule's TLS is the older version.
func (s *Schedule) isOld() bool { return s.Seed%3 == 0 }

// playClient has the client outside of the kernel.
func (g *ground) playClient(o *Outcome, from, to netip.AddrPort) (a account) {
	s, w := o.Schedule, g.wires[ClientSide]
	p := newPeer(s, from, to, w, w.take(from.Port()))
	defer w.give(from.Port())
	if p.open() == nil {
		o.Complete, o.Answered = s.talk(p, g.clientTLS(s.isOld()))
	}
	for _, c := range g.server.finish(from) {
		a.got[ClientSide] = append(a.got[ClientSide], c.read)
		a.said[ServerSide] = append(a.said[ServerSide], c.said...)
		a.acted = append(a.acted, c.acted...)
	}
	p.drain()
	a.said[ClientSide], a.got[ServerSide] = s.Text(), [][]byte{p.octets}
	o.Reset = p.over
	return a
}

// playServer has the server outside of the kernel.
func (g *ground) playServer(o *Outcome, from, to netip.AddrPort) (a account) {
	s, w := o.Schedule, g.wires[ServerSide]
	p := newPeer(s, to, from, w, w.take(from.Port()))
	c := newServed(p)
	go func() {
		if p.accept() != nil {
			close(c.done)
			return
		}
		c.serve(g.serverTLS())
	}()
	var client recorder
	if conn, err := dial(g.lab.Client, from, to); err == nil {
		client.Conn = conn
		o.Complete, o.Answered = s.talk(&client, g.clientTLS(s.isOld()))
		// What has arrived is read, or the connection has ended.
		_ = client.SetReadDeadline(time.Now().Add(afterwards))
		for buf := make([]byte, 1<<14); err == nil; {
			_, err = client.Read(buf)
		}
		timeout, isError := err.(net.Error)
		o.Reset = !isError || !timeout.Timeout()
	}
	w.give(from.Port())
	<-c.done
	if client.Conn != nil {
		client.Close()
	}
	o.Complete = o.Complete && !p.stalled
	o.Reset = o.Reset || p.wasReset
	a.said[ServerSide], a.said[ClientSide] = s.Text(), client.said
	a.got[ServerSide], a.got[ClientSide] = [][]byte{client.read}, [][]byte{p.octets}
	a.acted = c.acted
	return a
}

// dial opens a connection of the client's kernel.
func dial(h *lab.Host, from, to netip.AddrPort) (conn *net.TCPConn, err error) {
	err = h.Do(func() error {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(from), Timeout: lawfulWait}
		c, err := d.Dial("tcp", to.String())
		if err != nil {
			return err
		}
		conn = c.(*net.TCPConn)
		return conn.SetLinger(0) // no TIME-WAIT may outlive the schedule
	})
	return conn, err
}

// playAll plays the schedules of n seeds from first on, so many at the same time, and
// tells each outcome.
func (g *ground) playAll(ctx context.Context, first uint64, n, parallel int, tell func(Outcome)) error {
	var next atomic.Uint64
	var mu sync.Mutex
	var playing sync.WaitGroup
	for range parallel {
		playing.Go(func() {
			for i := next.Add(1) - 1; i < uint64(n) && ctx.Err() == nil; i = next.Add(1) - 1 {
				o := g.play(Generate(first + i))
				mu.Lock()
				tell(o)
				mu.Unlock()
			}
		})
	}
	playing.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("not all schedules were played: %w", ctx.Err())
	}
	return nil
}
