package inspect

import (
	"net/netip"

	"keepword/inspect/history"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// Endpoints names a flow to the outside: the SMTP client first, whoever sent the
// packet at hand.
type Endpoints struct {
	ID             uint64 // stable for the flow's life, never 0
	Client, Server netip.AddrPort
	Iface          uint32 // interface index of the flow's first packet, 0 where unknown
}

// FindingRecord is one finding as it is reported. It is lent to the Sink for the
// call; its strings may be kept.
type FindingRecord struct {
	Flow    Endpoints
	Time    int64 // nanoseconds of the Unix epoch
	Finding verdict.Finding
	Action  verdict.Action // what was done; in mode observe, what would have been
	Mode    verdict.Mode
	Packet  verdict.Kind // what became of the packet at hand
	// ToServer says which way the packet at hand went.
	ToServer bool
	// Code is the reply code that the finding is about, 0 where there is none.
	Code int
	// Detail is the alert's name, the masked keyword, the verb: what Reason
	// needs to be understood. It has at most 128 octets and may hold any octet
	// that the wire had: escape it.
	Detail string
	// Reason is one plain sentence, or two.
	Reason string
	// Breaker is a change of the circuit breaker's state, which this record reports in
	// place of a finding; Finding is then the one that was its cause.
	Breaker history.Change
	// Said is the session up to here, in order; lent for the call. It may lack its
	// beginning.
	Said []Said

	trail uint32
}

// FlowState is the TCP state at a flow's end, in Suricata's words.
type FlowState string

// The flow states of the events.
const (
	FlowNew         FlowState = "new"
	FlowEstablished FlowState = "established"
	FlowClosed      FlowState = "closed"
	FlowBypassed    FlowState = "bypassed"
)

// EndReason is why a flow left the table, in Suricata's words.
type EndReason string

// The reasons of the events.
const (
	EndTimeout  EndReason = "timeout"  // idle
	EndForced   EndReason = "forced"   // evicted: the table was full
	EndShutdown EndReason = "shutdown" // keepword stops, or the capture ended
	EndClosed   EndReason = "closed"   // both ends said goodbye, or a reset
)

// Counts are one direction's packets and octets.
type Counts struct {
	Packets uint64
	Bytes   uint64 // IP packets' total length, headers included
	Octets  uint64 // TCP payload as received, retransmissions included
}

// FlowRecord is a session at its end. It is lent to the Sink for the call; its
// strings may be kept.
type FlowRecord struct {
	Flow               Endpoints
	Start, End         int64 // nanoseconds of the Unix epoch
	ToServer, ToClient Counts
	State              FlowState
	Reason             EndReason
	Alerted            bool // a finding was reported
	Bypassed           bool // the rest of the flow was let through unread
	// Steps in order of happening, each at most once.
	Steps   []starttls.Step
	Outcome starttls.Outcome
	// ReplyCode answers STARTTLS, 0 where nothing did.
	ReplyCode int
	// HELO, MailFrom and RcptTo are as the client sent them, first transaction;
	// they may hold any octet that the wire had.
	HELO, MailFrom string
	RcptTo         []string
	// TLSVersion is the version that the ServerHello chose (0x0304 is TLS 1.3), 0
	// where none was seen.
	TLSVersion uint16
	SNI        string
	// Said is what was said, in order; lent for the call. It may lack its beginning, and
	// of a long session its end.
	Said []Said
}

// Sink takes what inspection has to tell. It is called from the worker's goroutine,
// on the packet path: it must neither block nor keep the record.
type Sink interface {
	// Finding takes a finding with what was done about it.
	Finding(*FindingRecord)
	// FlowEnd takes the end of a flow that carried an octet, once a flow.
	FlowEnd(*FlowRecord)
}
