package smtp

import "keepword/inspect/maildata"

// mailData consumes octets of mail data up to the next event.
func (d *Dialogue) mailData(b []byte, spare *Spare) (n int, ev *ClientEvent) {
	n, kind, ev := d.scan(b, spare)
	switch kind {
	case maildata.EndOfData:
		ev.Kind, ev.Verb = ClientEndOfData, VerbEndOfData
		d.expect(ev)
		d.mode = Commands
		spare.scanners.put(&d.data)
		d.client.over()
	case maildata.LongLine:
		ev.Kind = ClientLongLine
	case maildata.EndlessLine:
		ev.Kind = ClientEndlessLine
	}
	return n, ev
}

// chunkData consumes octets of a BDAT up to the next event.
func (d *Dialogue) chunkData(b []byte, spare *Spare) (n int, ev *ClientEvent) {
	if uint64(len(b)) > d.chunk {
		b = b[:d.chunk]
	}
	n, kind, ev := d.scan(b, spare)
	if d.chunk -= uint64(n); d.chunk > 0 {
		return n, ev
	}
	d.mode = Commands
	d.client.over() // what was kept of a line behind a lenient ending is no command
	if d.lastChunk {
		spare.scanners.put(&d.data)
	}
	if kind == maildata.None {
		ev = &spare.client
		*ev = ClientEvent{Kind: ClientEndOfChunk, Verb: VerbBDAT}
	}
	return n, ev
}

// InText says that the client is in the middle of a line of mail data, and that all before it
// was plain.
func (d *Dialogue) InText() bool {
	return d.mode == MailData && d.data != nil && d.data.Plain()
}

// InLine returns how many octets the line of mail data at hand has so far, without a dot put
// before it.
func (d *Dialogue) InLine() int { return d.data.Length() }

// MayReadText says that what comes next is mail data, of which nothing before could be taken for
// another end.
func (d *Dialogue) MayReadText() bool {
	return d.mode == MailData && d.data != nil && d.data.Clean()
}

// Text takes note of mail data that somebody else has read, where MayReadText says so (see
// maildata.Scanner.Text).
func (d *Dialogue) Text(length int) { d.data.Text(length) }

// scan has the scanner read octets of the message, up to its next event.
func (d *Dialogue) scan(b []byte, spare *Spare) (n int, kind maildata.Kind, ev *ClientEvent) {
	n, found := d.data.Scan(b)
	ev = &nothing
	if found.Kind != maildata.None {
		ev = &spare.client
		*ev = ClientEvent{}
	}
	if found.Kind == maildata.Smuggling {
		ev.Kind, ev.Ending = ClientSmuggling, found.Ending
		ev.Line, ev.Start = d.smuggled(b[:n-1], found.Start, spare)
		return n, found.Kind, ev
	}
	// A line that may be a command behind a lenient ending is kept until it is known.
	following := d.data.Following()
	if found.Start >= 0 || !following {
		d.client.over()
	}
	if following {
		d.client.keep(b[max(found.Start, 0):n], spare)
	}
	return n, found.Kind, ev
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
