package inspect

import (
	"keepword/inspect/flow"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// Times, in nanoseconds.
const (
	// timerStep is how far timers may be off.
	timerStep = 10e6
	// settleStep is much longer than the kernel's program takes for a packet.
	settleStep    = 1e9
	idleEmbryonic = 60e9
	// idleOpen is well above RFC 5321 §4.5.3.2's longest timeout of ten minutes.
	idleOpen  = 3600e9
	idleEnded = 30e9
	// silenceLog and silenceKill are the catalogue's limits for a server that said 220
	// and then nothing.
	silenceLog  = 10e9
	silenceKill = 60e9
)

// deadline is one session's, named by slot and id.
type deadline struct {
	at   int64
	id   uint64
	slot uint32
}

// queue holds deadlines in the order of their times: all that are pushed to one queue
// wait equally long.
type queue struct {
	list []deadline
	head int
}

func (q *queue) push(at int64, slot uint32, id uint64) {
	if q.head > 0 && len(q.list) == cap(q.list) {
		n := copy(q.list, q.list[q.head:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, deadline{at, id, slot})
}

// due returns the next deadline that has passed.
func (q *queue) due(now int64) (d deadline, ok bool) {
	if q.head == len(q.list) || q.list[q.head].at > now {
		return d, false
	}
	d = q.list[q.head]
	q.head++
	if q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
	return d, true
}

type timers struct {
	undecided, held, silenceLog, silenceKill queue
}

// expire does what has become due.
func (p *Pipeline) expire() {
	p.sweep(flow.Embryonic, idleEmbryonic)
	p.sweep(flow.Open, idleOpen)
	p.sweep(flow.Ended, idleEnded)
	p.sweep(flow.Reset, idleOpen) // its receiver may be waiting as long
	p.each(&p.timers.undecided, p.holdExpired)
	p.each(&p.timers.held, p.holdExpired)
	p.each(&p.timers.silenceLog, p.silent)
	p.each(&p.timers.silenceKill, p.silentToTheEnd)
	p.flush(verdict.Accept)
}

// sweep removes the flows of a class that were idle too long.
func (p *Pipeline) sweep(c flow.Class, idle int64) {
	for {
		e := p.flows.Oldest(c)
		if e == nil || p.now-e.Touched < idle {
			return
		}
		p.remove(e, EndTimeout)
	}
}

// each calls f for the sessions whose deadline in q has passed.
func (p *Pipeline) each(q *queue, f func(*flow.Entry[session])) {
	for {
		d, ok := q.due(p.now)
		if !ok {
			return
		}
		if e := p.flows.Slotted(d.slot); e != nil && e.Value.id == d.id && e.Value.phase < passing {
			f(e)
		}
	}
}

// isSilent says that the server has said 220, that the client has sent its ClientHello,
// and that nothing has come since.
func (s *session) isSilent() bool {
	return s.led.State() == starttls.ClientHello && !s.led.SawServer() && !s.led.Implicit()
}

// silent is for a session at the first limit of its server's silence.
func (p *Pipeline) silent(e *flow.Entry[session]) {
	s := &e.Value
	if !s.isSilent() {
		return
	}
	s.reported |= 1 << verdict.SilenceAfter220
	p.report(s, verdict.SilenceAfter220, min(s.rules.Action(verdict.SilenceAfter220), verdict.Log), toClient, 220, nil)
	p.timers.silenceKill.push(p.now+silenceKill-silenceLog, e.Slot(), s.id)
}

// silentToTheEnd is for a session at the second limit.
func (p *Pipeline) silentToTheEnd(e *flow.Entry[session]) {
	s := &e.Value
	p.learnSilence(s)
	if s.isSilent() && s.rules.Action(verdict.SilenceAfter220) == verdict.Kill {
		p.act(s, verdict.SilenceAfter220, toClient, 220, nil)
	}
}
