package main

import (
	"bytes"
	"strings"
)

// item is what the octets of a direction consist of: a line, or a TLS record (RFC 8446
// section 5.1). All actors and the judge read with the same eyes.
type item struct {
	octets []byte
	start  int // of its first octet in the direction
	record bool
	whole  bool // its last octet is there
}

func (i *item) end() int { return i.start + len(i.octets) }

// text is a line without its end.
func (i *item) text() string { return strings.TrimRight(string(i.octets), "\r\n") }

// Record types, RFC 8446 appendix B.1.
const (
	changeCipherSpec = 20
	alert            = 21
	handshake        = 22
	applicationData  = 23
)

const recordHeader = 5

// cutItem returns the first item of octets that are not empty.
func cutItem(b []byte) item {
	if t := b[0]; changeCipherSpec <= t && t <= applicationData && (len(b) < 2 || b[1] == 3) {
		n := recordHeader
		if len(b) >= n {
			n += int(b[3])<<8 + int(b[4])
		}
		return item{octets: b[:min(n, len(b))], record: true, whole: n <= len(b)}
	}
	n := bytes.IndexByte(b, '\n') + 1
	if n == 0 {
		return item{octets: b}
	}
	return item{octets: b[:n], whole: true}
}

// items returns all items of a direction.
func items(b []byte) (list []item) {
	for at := 0; at < len(b); {
		i := cutItem(b[at:])
		i.start = at
		at = i.end()
		list = append(list, i)
	}
	return list
}

// inbox are octets that an actor has received and not read.
type inbox []byte

// next takes the first item, or returns false while it is not whole.
func (b *inbox) next() (i item, ok bool) {
	if len(*b) == 0 {
		return i, false
	}
	if i = cutItem(*b); !i.whole {
		return i, false
	}
	*b = (*b)[len(i.octets):]
	return i, true
}

// reply is one reply (RFC 5321 section 4.2). A line that has no code is one with code 0.
type reply struct {
	code  int
	lines []item
}

func (r *reply) start() int { return r.lines[0].start }

// positive says that it lets its command succeed or go on.
func (r *reply) positive() bool { return 200 <= r.code && r.code < 400 }

// refuses says that it is a refusal.
func (r *reply) refuses() bool { return 400 <= r.code && r.code < 600 }

// keywords returns those of an EHLO reply.
func (r *reply) keywords() (list []string) {
	for _, l := range r.lines[1:] {
		if f := strings.Fields(l.text()[min(4, len(l.text())):]); len(f) > 0 {
			list = append(list, strings.ToUpper(f[0]))
		}
	}
	return list
}

// offers says that an EHLO reply offers STARTTLS.
func (r *reply) offers() bool {
	for _, k := range r.keywords() {
		if k == "STARTTLS" {
			return r.positive()
		}
	}
	return false
}

// add takes the reply's next line, and says whether it was the last.
func (r *reply) add(i item) (final bool) {
	r.lines = append(r.lines, i)
	line, code := i.octets, 0
	if len(line) > 3 {
		for _, c := range line[:3] {
			if c < '0' || c > '9' {
				code = 0
				break
			}
			code = code*10 + int(c-'0')
		}
	}
	if len(r.lines) == 1 {
		r.code = code
	}
	return code == 0 || line[3] != '-'
}

// replies returns the whole replies at the beginning of a server's items.
func replies(list []item) (all []reply) {
	var r reply
	for _, i := range list {
		if i.record || !i.whole {
			break
		}
		if r.add(i) {
			all = append(all, r)
			r = reply{}
		}
	}
	return all
}

// commands returns the whole command lines at the beginning of a client's items.
func commands(list []item) []item {
	for n, i := range list {
		if i.record || !i.whole {
			return list[:n]
		}
	}
	return list
}

// asksTLS says that a line asks for TLS, or that a careless server may think so: the verb
// behind blanks, in any case, and whatever follows it.
func asksTLS(line string) bool {
	line = strings.ToUpper(strings.TrimLeft(line, " \t"))
	return strings.HasPrefix(line, "STARTTLS") || strings.HasPrefix(line, "X-ANONYMOUSTLS")
}

// isQuestion says that a line's verb is one that asks for TLS, whatever stands around it.
func isQuestion(line string) bool {
	verb := verbOf(line)
	return verb == "STARTTLS" || verb == "X-ANONYMOUSTLS"
}

// verbOf returns a line's first word.
func verbOf(line string) string {
	f := strings.Fields(strings.ToUpper(line))
	if len(f) == 0 {
		return ""
	}
	return f[0]
}

// The records of a handshake of TLS 1.3, as far as they are in clear text.
var (
	clientHello = record(handshake, hello(1, "\x00\x02\x13\x01\x01\x00"+"\x00\x07\x00\x2b\x00\x03\x02\x03\x04"))
	serverHello = record(handshake, hello(2, "\x13\x01\x00"+"\x00\x06\x00\x2b\x00\x02\x03\x04"))
	protected   = record(applicationData, "............")
	fatalAlert  = record(alert, "\x02\x28") // handshake_failure
)

func record(kind byte, body string) string {
	return string([]byte{kind, 3, 3, 0, byte(len(body))}) + body
}

// hello is a ClientHello or ServerHello with no session's id (RFC 8446 section 4.1.2).
func hello(kind byte, rest string) string {
	body := "\x03\x03" + strings.Repeat("r", 32) + "\x00" + rest
	return string([]byte{kind, 0, 0, byte(len(body))}) + body
}
