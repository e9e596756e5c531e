package store

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"keepword/inspect/history"
)

// Entry is what is remembered of one server. As JSON it is an object that stands on a line
// of an export, in the file and on the control socket.
type Entry struct {
	Server netip.AddrPort
	Record history.Record
}

// document is an Entry as JSON. Its names are relied upon: what changes them, or adds one,
// is another version of the file.
type document struct {
	Server           string     `json:"server"`
	First            moment     `json:"first_seen"`
	Last             moment     `json:"last_seen"`
	Offer            *offer     `json:"last_offer,omitempty"`
	LastWithoutOffer moment     `json:"last_without_offer,omitzero"`
	Handshake        *handshake `json:"last_handshake,omitempty"`
	Refusal          *refusal   `json:"last_refusal,omitempty"`
	Failures         uint16     `json:"failures"`
	Lasting          uint16     `json:"failures_lasting"`
	Breaker          breaker    `json:"breaker"`
}

type offer struct {
	Time   moment `json:"time"`
	Others uint32 `json:"others"`
}

type handshake struct {
	Time moment `json:"time"`
	TLS  string `json:"tls"`
}

type refusal struct {
	Time moment `json:"time"`
	Kind string `json:"kind"`
	Code int    `json:"code,omitempty"`
	Text string `json:"text"`
}

type breaker struct {
	State string `json:"state"`
	Since moment `json:"since,omitzero"`
	Trial moment `json:"trial,omitzero"`
}

// moment is a time in nanoseconds of the Unix epoch, 0 for never; as JSON in RFC 3339.
type moment int64

// MarshalJSON writes m in UTC, to the nanosecond.
func (m moment) MarshalJSON() ([]byte, error) {
	return []byte(time.Unix(0, int64(m)).UTC().Format(`"` + time.RFC3339Nano + `"`)), nil
}

// UnmarshalJSON reads a time after 1970 and before 2262, where nanoseconds end.
func (m *moment) UnmarshalJSON(text []byte) error {
	t, err := time.Parse(`"`+time.RFC3339Nano+`"`, string(text))
	if err != nil {
		return fmt.Errorf("%s is no time; write it as \"2006-01-02T15:04:05Z\"", text)
	}
	if *m = moment(t.UnixNano()); *m <= 0 || !time.Unix(0, int64(*m)).Equal(t) {
		return fmt.Errorf("%s lies outside of 1970 to 2262", text)
	}
	return nil
}

// TLSVersion names a TLS version of the wire: "1.3", or its number where it has no name.
func TLSVersion(v uint16) string {
	if v >= 0x0301 && v <= 0x0304 {
		return "1." + strconv.Itoa(int(v)-0x0301)
	}
	return fmt.Sprintf("%#04x", v)
}

func parseTLSVersion(s string) (uint16, error) {
	if minor, ok := strings.CutPrefix(s, "1."); ok && len(minor) == 1 && minor >= "0" && minor <= "3" {
		return 0x0301 + uint16(minor[0]-'0'), nil
	}
	v, err := strconv.ParseUint(s, 0, 16)
	if err != nil || TLSVersion(uint16(v)) != s {
		return 0, fmt.Errorf("unknown TLS version %q", s)
	}
	return uint16(v), nil
}

// plain returns text with what can't be printed replaced, a server may say anything. It does
// not become longer.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, text)
}

// MarshalJSON writes the object of e.
func (e Entry) MarshalJSON() ([]byte, error) {
	r := &e.Record
	d := document{
		Server: e.Server.String(), First: moment(r.First), Last: moment(r.Last),
		LastWithoutOffer: moment(r.Missing),
		Failures:         r.Promise.Failures, Lasting: r.Promise.Lasting,
		Breaker: breaker{r.Promise.State.String(), moment(r.Promise.Since), moment(r.Promise.Tried)},
	}
	if r.Offer.Time != 0 {
		d.Offer = &offer{moment(r.Offer.Time), r.Offer.Others}
	}
	if r.Promise.Worked != 0 {
		d.Handshake = &handshake{moment(r.Promise.Worked), TLSVersion(r.Promise.Version)}
	}
	if r.Refusal.Time != 0 {
		d.Refusal = &refusal{moment(r.Refusal.Time), r.Refusal.Kind.String(), r.Refusal.Code, plain(r.Refusal.Text)}
	}
	return json.Marshal(d)
}

// change is the writing of e to a file.
func (e Entry) change() change {
	value, err := e.MarshalJSON()
	if err != nil {
		panic(err) // strings and numbers only
	}
	return change{[]byte(e.Server.String()), value}
}

// UnmarshalJSON reads an object with the names and values that MarshalJSON writes. Of a name
// that stands there twice the last counts, and capitals are as good as small letters.
func (e *Entry) UnmarshalJSON(text []byte) error {
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	var d document
	if err := in.Decode(&d); err == io.EOF {
		return errors.New("it is empty")
	} else if err != nil {
		return explain(err)
	}
	if _, err := in.Token(); err != io.EOF {
		return errors.New("there is something behind the object")
	}
	return d.entry(e)
}

// explain says in our words what is no JSON of ours.
func explain(err error) error {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Errorf("%s can't be a %s", kind.Field, kind.Value)
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

// entry checks d, and makes e of it.
func (d *document) entry(e *Entry) error {
	server, err := netip.ParseAddrPort(d.Server)
	if err != nil || server.String() != d.Server || server.Port() == 0 || server.Addr().Zone() != "" || server.Addr().Is4In6() {
		return fmt.Errorf("server: %q is no address with a port; write it as 192.0.2.25:25 or [2001:db8::25]:25", d.Server)
	}
	state, ok := history.ParseState(d.Breaker.State)
	switch {
	case d.First == 0:
		return errors.New("first_seen is missing")
	case d.First > d.Last:
		return errors.New("last_seen is missing, or before first_seen")
	case !ok:
		return fmt.Errorf("breaker.state: %q is none; possible are closed, open, half-open", d.Breaker.State)
	case state != history.Closed && d.Breaker.Since == 0:
		return errors.New("breaker.since is missing")
	case d.Lasting > d.Failures:
		return errors.New("failures_lasting is more than failures")
	}
	r := history.Record{
		First: int64(d.First), Last: int64(d.Last), Missing: int64(d.LastWithoutOffer),
		Promise: history.Promise{
			Since: int64(d.Breaker.Since), State: state, Tried: int64(d.Breaker.Trial),
			Failures: d.Failures, Lasting: d.Lasting,
		},
	}
	if d.Offer != nil {
		if r.Offer = (history.Offer{Time: int64(d.Offer.Time), Others: d.Offer.Others}); r.Offer.Time == 0 {
			return errors.New("last_offer.time is missing")
		}
	}
	if d.Handshake != nil {
		if r.Promise.Version, err = parseTLSVersion(d.Handshake.TLS); err != nil {
			return fmt.Errorf("last_handshake.tls: %w", err)
		}
		if r.Promise.Worked = int64(d.Handshake.Time); r.Promise.Worked == 0 {
			return errors.New("last_handshake.time is missing")
		}
	}
	if d.Refusal != nil {
		if r.Refusal, err = d.Refusal.record(); err != nil {
			return fmt.Errorf("last_refusal.%w", err)
		}
	}
	*e = Entry{server, r}
	return nil
}

func (d *refusal) record() (history.Refusal, error) {
	const maxCode = 999 // three digits, RFC 5321 §4.2
	kind, ok := history.ParseKind(d.Kind)
	switch {
	case d.Time == 0:
		return history.Refusal{}, errors.New("time is missing")
	case !ok || !kind.Fails():
		return history.Refusal{}, fmt.Errorf("kind: %q is none", d.Kind)
	case d.Code < 0 || d.Code > maxCode:
		return history.Refusal{}, fmt.Errorf("code: %d is none", d.Code)
	case len(d.Text) > history.MaxText || plain(d.Text) != d.Text:
		return history.Refusal{}, fmt.Errorf("text: at most %d octets that can be printed", history.MaxText)
	}
	return history.Refusal{Time: int64(d.Time), Kind: kind, Code: d.Code, Text: d.Text}, nil
}

// latest is the latest time in e.
func (e *Entry) latest() int64 {
	r := &e.Record
	return max(r.Last, r.Offer.Time, r.Missing, r.Refusal.Time, r.Promise.Worked, r.Promise.Since, r.Promise.Tried)
}

const (
	// maxLine bounds a line of an export in octets: an entry has less than 2 KB.
	maxLine = 16 << 10
	// maxAhead is how far the clock of another gateway may be ahead of ours. What lies
	// in the future would win every merge until then.
	maxAhead = 24 * time.Hour
)

// ReadEntries calls each for every line of an export. An error names the line, and ends it.
func ReadEntries(r io.Reader, now time.Time, each func(Entry)) error {
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxLine)
	line := 1
	for ; in.Scan(); line++ {
		var e Entry
		if err := e.UnmarshalJSON(in.Bytes()); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		if t := time.Unix(0, e.latest()); t.Sub(now) > maxAhead {
			return fmt.Errorf("line %d: %s lies in the future: set the clock of that gateway, or of this", line, t.UTC().Format(time.RFC3339))
		}
		each(e)
	}
	if err := in.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("line %d: longer than %d octets", line, maxLine)
	} else if err != nil {
		return fmt.Errorf("line %d: %w", line, err)
	}
	return nil
}
