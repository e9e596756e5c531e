package smtp

// Command is one command as it waits for its reply.
type Command struct {
	Verb Verb
	// Note is the caller's own mark on the command, given back with its reply
	// (see Dialogue.Refused).
	Note uint8
}

// pending are the commands that wait for their reply, in order: RFC 5321 §4.2,
// every command is answered by exactly one reply; RFC 2920 §3, in order.
type pending struct {
	first  [8]Command // most dialogues need no more
	more   *[]Command // a ring of a power of two, once first is too small; nil until then
	head   uint16
	length uint16
}

func (p *pending) ring() []Command {
	if p.more != nil {
		return *p.more
	}
	return p.first[:]
}

// push appends c, and says whether there was room.
func (p *pending) push(c Command) bool {
	r := p.ring()
	if int(p.length) == len(r) {
		if len(r) >= MaxPending {
			return false
		}
		grown := make([]Command, 2*len(r))
		for i := range r {
			grown[i] = r[(int(p.head)+i)&(len(r)-1)]
		}
		p.more, p.head, r = &grown, 0, grown
	}
	r[(int(p.head)+int(p.length))&(len(r)-1)] = c
	p.length++
	return true
}

func (p *pending) empty() bool { return p.length == 0 }

// front returns the command that the next reply answers; there must be one.
func (p *pending) front() *Command { return &p.ring()[p.head] }

// back returns the newest command; there must be one.
func (p *pending) back() *Command {
	r := p.ring()
	return &r[(int(p.head)+int(p.length)-1)&(len(r)-1)]
}

func (p *pending) pop() Command {
	r := p.ring()
	c := r[p.head]
	p.head = uint16((int(p.head) + 1) & (len(r) - 1))
	p.length--
	return c
}
