package smtp

import "keepword/inspect/maildata"

// mailData consumes octets of mail data up to the next event.
func (d *Dialogue) mailData(b []byte, spare *Spare) (n int, ev *ClientEvent) {
	n, found := d.data.Scan(b)
	ev = &nothing
	if found.Kind != maildata.None {
		ev = &spare.client
		*ev = ClientEvent{}
	}
	switch found.Kind {
	case maildata.EndOfData:
		ev.Kind, ev.Verb = ClientEndOfData, VerbEndOfData
		d.expect(ev)
		d.mode = Commands
		spare.scanners.put(&d.data)
		d.client.over()
		return n, ev
	case maildata.Smuggling:
		ev.Kind, ev.Ending = ClientSmuggling, found.Ending
		ev.Line, ev.Start = d.smuggled(b[:n-1], found.Start, spare)
		return n, ev
	case maildata.LongLine:
		ev.Kind = ClientLongLine
	case maildata.EndlessLine:
		ev.Kind = ClientEndlessLine
	}
	// A line that may be a command behind a lenient ending is kept until it is known.
	following := d.data.Following()
	if found.Start >= 0 || !following {
		d.client.over()
	}
	if following {
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
