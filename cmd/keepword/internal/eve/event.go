// Package eve writes findings and sessions as EVE JSON, one object a line, valid
// against the schema of Suricata's events, so that dashboards made for those read
// keepword's too.
//
// Writer is for the daemon: it never blocks the packet path. Stream is for replay:
// it writes in order. Both are inspect.Sinks.
package eve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"keepword/cmd/keepword/internal/catalogue"
	"keepword/inspect"
	"keepword/inspect/history"
	"keepword/inspect/verdict"
)

// Options say what goes into the events. The zero value is fit for replay.
type Options struct {
	// HideEnvelope leaves out smtp.mail_from and smtp.rcpt_to, which are personal
	// data. smtp.helo names a host and stays.
	HideEnvelope bool
	// HideCommunityID leaves out community_id, from which an address can be found by
	// trying, and which is another one where a part of the address is gone.
	HideCommunityID bool
	// Location is the time zone of the timestamps; nil is the host's.
	Location *time.Location
	// Interface turns an interface index into the name for in_iface, "" where it
	// has none. It is called from one goroutine at a time. Nil leaves in_iface out,
	// as replay must: a capture's indexes are not this host's.
	Interface func(index uint32) string
}

// The members of an event, in the order in which they are written. What has no
// value is left out.
type event struct {
	Timestamp    string    `json:"timestamp"`
	FlowID       int64     `json:"flow_id"`
	InIface      string    `json:"in_iface,omitempty"`
	EventType    string    `json:"event_type"`
	SrcIP        string    `json:"src_ip"`
	SrcPort      uint16    `json:"src_port"`
	DestIP       string    `json:"dest_ip"`
	DestPort     uint16    `json:"dest_port"`
	Proto        string    `json:"proto"`
	IPVersion    int       `json:"ip_v"`
	PktSrc       string    `json:"pkt_src"`
	CommunityID  string    `json:"community_id,omitempty"`
	AppProto     string    `json:"app_proto,omitempty"`
	AppProtoOrig string    `json:"app_proto_orig,omitempty"`
	Direction    string    `json:"direction,omitempty"`
	Alert        *alert    `json:"alert,omitempty"`
	Verdict      *outcome  `json:"verdict,omitempty"`
	Flow         *flow     `json:"flow,omitempty"`
	SMTP         *smtp     `json:"smtp,omitempty"`
	TLS          *tls      `json:"tls,omitempty"`
	Metadata     *metadata `json:"metadata,omitempty"`
}

type alert struct {
	Action      string        `json:"action"`
	GID         int           `json:"gid"`
	SignatureID int           `json:"signature_id"`
	Rev         int           `json:"rev"`
	Signature   string        `json:"signature"`
	Category    string        `json:"category"`
	Severity    int           `json:"severity"`
	Metadata    alertMetadata `json:"metadata"`
}

// alertMetadata holds arrays because that is the form of Suricata's rule metadata.
type alertMetadata struct {
	Finding []string `json:"finding"`
	Action  []string `json:"action"`
	Mode    []string `json:"mode"`
	Reason  []string `json:"reason"`
	RFC     []string `json:"rfc"`
	Breaker []string `json:"breaker,omitempty"`
	Reply   []string `json:"reply,omitempty"`
	Detail  []string `json:"detail,omitempty"`
}

type outcome struct {
	Action string `json:"action"`
}

type flow struct {
	PktsToServer  uint64    `json:"pkts_toserver"`
	PktsToClient  uint64    `json:"pkts_toclient"`
	BytesToServer uint64    `json:"bytes_toserver"`
	BytesToClient uint64    `json:"bytes_toclient"`
	Start         string    `json:"start"`
	End           string    `json:"end"`
	Age           int64     `json:"age"`
	Bypass        string    `json:"bypass,omitempty"`
	Bypassed      *struct{} `json:"bypassed,omitempty"`
	State         string    `json:"state"`
	Reason        string    `json:"reason"`
	Alerted       bool      `json:"alerted"`
}

type smtp struct {
	HELO     string   `json:"helo,omitempty"`
	MailFrom string   `json:"mail_from,omitempty"`
	RcptTo   []string `json:"rcpt_to,omitempty"`
}

type tls struct {
	Version   string `json:"version,omitempty"`
	SNI       string `json:"sni,omitempty"`
	FromProto string `json:"from_proto,omitempty"`
}

type metadata struct {
	FlowBits []string  `json:"flowbits,omitempty"`
	FlowVars []flowVar `json:"flowvars,omitempty"`
}

// flowVar is one object of flowvars: exactly one member is set.
type flowVar struct {
	Outcome  string `json:"starttls.outcome,omitempty"`
	Reply    string `json:"starttls.reply,omitempty"`
	Dialogue string `json:"smtp.dialogue,omitempty"`
}

// FlowID returns the flow_id under which the flow of that inspect.Endpoints.ID
// appears in events. It has at most 53 bits, because readers that keep numbers as
// floating point, JavaScript's among them, would round a longer one.
func FlowID(id uint64) int64 {
	const exact = 1<<53 - 1
	if low := int64(id & exact); low != 0 {
		return low
	}
	return exact
}

// encoder turns records into lines. It is used by one goroutine at a time.
type encoder struct {
	opt   Options
	local stamps // in opt.Location
	utc   stamps
	flow  []byte // memory of flowEnd
	buf   bytes.Buffer
	json  *json.Encoder
}

func newEncoder(opt Options) *encoder {
	if opt.Location == nil {
		opt.Location = time.Local
	}
	e := &encoder{opt: opt, local: stamps{zone: opt.Location}, utc: stamps{zone: time.UTC}}
	e.json = json.NewEncoder(&e.buf)
	e.json.SetEscapeHTML(false) // <user@example.org> is no HTML, and is read by people
	return e
}

// finding returns the line for r, newline included. It is lent until the next call.
func (e *encoder) finding(r *inspect.FindingRecord) ([]byte, error) {
	ev := e.common(r.Flow, r.Time, "alert")
	ev.Direction = "to_client"
	if r.ToServer {
		ev.Direction = "to_server"
	}
	entry := catalogue.Of(r.Finding)
	ev.Alert = &alert{
		Action:      allowedOrBlocked(r),
		GID:         1, // the generator id of ordinary rules
		SignatureID: entry.Signature,
		Rev:         entry.Rev,
		Signature:   entry.Title,
		Category:    entry.Category,
		Severity:    entry.Severity,
		Metadata: alertMetadata{
			Finding: []string{r.Finding.String()},
			Action:  []string{r.Action.String()},
			Mode:    []string{r.Mode.String()},
			Reason:  []string{r.Reason},
			RFC:     entry.RFC,
		},
	}
	if r.Code != 0 {
		ev.Alert.Metadata.Reply = []string{replyCode(r.Code)}
	}
	if r.Detail != "" {
		ev.Alert.Metadata.Detail = []string{r.Detail}
	}
	ev.Verdict = &outcome{Action: packetVerdict(r)}
	if r.Breaker.Changed() {
		describeChange(ev.Alert, r.Breaker)
	}
	if d := Dialogue(r.Said); d != "" {
		ev.Metadata = &metadata{FlowVars: []flowVar{{Dialogue: d}}}
	}
	return e.line(&ev)
}

// change is what an alert says of a breaker's change to a state. Its numbers, as those of
// the findings (package catalogue), are never given to anything else.
type change struct {
	signature int
	title     string
}

var changes = map[history.State]change{
	history.Open:     {1_990_101, "Circuit breaker: the server's offer of STARTTLS is hidden from new sessions"},
	history.HalfOpen: {1_990_102, "Circuit breaker: one session sees the server's offer of STARTTLS again"},
	history.Closed:   {1_990_103, "Circuit breaker: the server's offer of STARTTLS is no longer hidden"},
}

const (
	categoryBreaker = "Circuit breaker"
	// notable is the severity of what harms nobody by itself.
	notable = 3
	// between stands between the states of a change.
	between = " to "
)

// describeChange makes a, which is of the finding that was the cause, one of a change of
// the breaker's state: no finding is claimed again.
func describeChange(a *alert, c history.Change) {
	a.Action = "allowed"
	a.SignatureID, a.Rev, a.Signature = changes[c.To].signature, 1, changes[c.To].title
	a.Category, a.Severity = categoryBreaker, notable
	a.Metadata.Breaker = []string{c.From.String() + between + c.To.String()}
}

// allowedOrBlocked says whether the finding had consequences: the packet was dropped
// or altered, or the flow was corrected, refused or ended.
func allowedOrBlocked(r *inspect.FindingRecord) string {
	if r.Packet == verdict.Drop || r.Packet == verdict.Replace {
		return "blocked"
	}
	if r.Mode == verdict.Enforce {
		switch r.Action {
		case verdict.Correct, verdict.Refuse, verdict.Kill:
			return "blocked"
		}
	}
	return "allowed"
}

// packetVerdict says what happened to the packet at hand.
func packetVerdict(r *inspect.FindingRecord) string {
	switch {
	case r.Packet == verdict.Drop:
		return "drop"
	case r.Action == verdict.Pass:
		return "pass"
	default:
		return "alert"
	}
}

// flowEnd returns the line for r, newline included. It is lent until the next call. The
// error is that of finding, and always nil.
func (e *encoder) flowEnd(r *inspect.FlowRecord) ([]byte, error) {
	e.flow = e.appendFlow(e.flow[:0], r)
	return e.flow, nil
}

// replyCode writes a reply code with its three digits (RFC 5321 section 4.2).
func replyCode(code int) string { return string(appendCode(nil, code)) }

// appendCode appends it.
func appendCode(b []byte, code int) []byte { return appendPadded(b, int64(code), 3) }

// TLSVersion names a version as Suricata does; 0 gives "".
func TLSVersion(v uint16) string {
	if v == 0 {
		return ""
	}
	if name, ok := tlsVersions[v]; ok {
		return name
	}
	return "0x" + strconv.FormatUint(uint64(v), 16)
}

var tlsVersions = map[uint16]string{0x0300: "SSLv3", 0x0301: "TLSv1", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}

// common returns an event with the members that all events have.
func (e *encoder) common(f inspect.Endpoints, at int64, eventType string) event {
	client, server := unmap(f.Client), unmap(f.Server)
	ev := event{
		Timestamp: e.time(at),
		FlowID:    FlowID(f.ID),
		EventType: eventType,
		SrcIP:     client.Addr().String(),
		SrcPort:   client.Port(),
		DestIP:    server.Addr().String(),
		DestPort:  server.Port(),
		Proto:     "TCP",
		IPVersion: ipVersion(client.Addr()),
		PktSrc:    "wire/pcap",
	}
	if !e.opt.HideCommunityID {
		ev.CommunityID = CommunityID(client, server)
	}
	ev.InIface = e.iface(f)
	return ev
}

// iface returns the name of the interface that f came in by, "" where it is not known.
func (e *encoder) iface(f inspect.Endpoints) string {
	if f.Iface == 0 || e.opt.Interface == nil {
		return ""
	}
	return e.opt.Interface(f.Iface)
}

func ipVersion(a netip.Addr) int {
	if a.Is4() {
		return 4
	}
	return 6
}

func (e *encoder) time(ns int64) string {
	return string(e.local.append(nil, ns))
}

// line encodes ev. Octets of the wire that are no UTF-8 become U+FFFD, and control
// characters are escaped: encoding/json does both.
func (e *encoder) line(ev *event) ([]byte, error) {
	e.buf.Reset()
	if err := e.json.Encode(ev); err != nil {
		return nil, fmt.Errorf("encode a %s event: %w", ev.EventType, err)
	}
	return e.buf.Bytes(), nil
}
