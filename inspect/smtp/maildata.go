package smtp

import "keepword/inspect/maildata"

// mailData consumes octets of mail data up to the next event.
func (d *Dialogue) mailData(b []byte, spare *Spare) (n int, ev ClientEvent) {
	n, found := d.data.Scan(b)
	switch found.Kind {
	case maildata.EndOfData:
		ev = d.expect(ClientEvent{Kind: ClientEndOfData, Verb: VerbEndOfData})
		d.mode = Commands
		spare.scanners.put(&d.data)
		d.client.over()
		return n, ev
	case maildata.Smuggling:
		ev = ClientEvent{Kind: ClientSmuggling, Ending: found.Ending}
		ev.Line, ev.Start = d.smuggled(b[:n-1], found.Start, spare)
		return n, ev
	case maildata.LongLine:
		ev.Kind = ClientLongLine
	case maildata.EndlessLine:
		ev.Kind = ClientEndlessLine
	}
	// A line that may be a command behind a lenient ending is kept until it is known.
	if found.Start >= 0 || !d.data.Following() {
		d.client.over()
	}
	if d.data.Following() {
		d.client.keep(b[max(found.Start, 0):n], spare)
	}
	return n, ev
}

// smuggled returns the line that ends with b, and where it begins: at start in b, or, if
// that is negative, with what was kept.
func (d *Dialogue) smuggled(b []byte, start int, spare *Spare) (line []byte, at int) {
	if start < 0 {
		at = -d.client.length()
		d.client.keep(b, spare)
		line = d.client.partial()
	} else {
		line, at = b[start:min(len(b), start+MaxHead)], start
	}
	d.client.over() // its buffer is given back with the next call
	return line, at
}
