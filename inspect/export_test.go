package inspect

// Lent returns the octets that sessions hold of the pipeline's memory.
func (p *Pipeline) Lent() int64 {
	lent, _ := p.memory.Used()
	return lent
}
