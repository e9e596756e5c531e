package eve

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"keepword/inspect"
	"keepword/inspect/starttls"
)

// appendFlow appends the line for r, newline included.
//
// There is a flow event for every session, so that its cost decides how many sessions a
// second keepword follows: this is encoding/json written out by hand for the event of event.go,
// which stays the specification. A test compares the two, octet for octet.
func (e *encoder) appendFlow(b []byte, r *inspect.FlowRecord) []byte {
	b = append(b, `{"timestamp":"`...)
	end := len(b)
	b = e.local.append(b, r.End)
	ended := len(b)
	b = e.appendEndpoints(b, r.Flow)

	isTLS := r.Outcome == starttls.OutcomeUpgraded || slices.Contains(r.Steps, starttls.StepServerHello)
	// TLS from the first octet never was SMTP that could be seen.
	wasSMTP := r.HELO != "" || slices.Contains(r.Steps, starttls.StepAsked)
	switch {
	case isTLS && wasSMTP:
		b = append(b, `,"app_proto":"tls","app_proto_orig":"smtp"`...)
	case isTLS:
		b = append(b, `,"app_proto":"tls"`...)
	default:
		b = append(b, `,"app_proto":"smtp"`...)
	}

	b = append(b, `,"flow":{"pkts_toserver":`...)
	b = strconv.AppendUint(b, r.ToServer.Packets, 10)
	b = append(b, `,"pkts_toclient":`...)
	b = strconv.AppendUint(b, r.ToClient.Packets, 10)
	b = append(b, `,"bytes_toserver":`...)
	b = strconv.AppendUint(b, r.ToServer.Bytes, 10)
	b = append(b, `,"bytes_toclient":`...)
	b = strconv.AppendUint(b, r.ToClient.Bytes, 10)
	b = append(b, `,"start":"`...)
	b = e.local.append(b, r.Start)
	b = append(b, `","end":"`...)
	b = append(b, b[end:ended]...)
	b = append(b, `","age":`...)
	b = strconv.AppendInt(b, max(0, (r.End-r.Start)/int64(time.Second)), 10)
	if r.Bypassed {
		// The record does not count what passed unread, so the object stays empty.
		by := "local"
		if slices.Contains(r.Steps, starttls.StepOffloaded) {
			by = "capture" // the kernel took it before the capture point
		}
		b = append(b, `,"bypass":"`...)
		b = append(b, by...)
		b = append(b, `","bypassed":{}`...)
	}
	b = append(b, `,"state":`...)
	b = appendString(b, string(r.State))
	b = append(b, `,"reason":`...)
	b = appendString(b, string(endReason(r.Reason)))
	b = append(b, `,"alerted":`...)
	b = strconv.AppendBool(b, r.Alerted)
	b = append(b, '}')

	b = e.appendSMTP(b, r)
	b = appendTLS(b, r, wasSMTP)
	b = e.appendMetadata(b, r)
	return append(b, "}\n"...)
}

// endReason maps our reasons to those of Suricata, which has no word for an ordinary
// end: it logs a closed flow when the short timeout of closed flows has run.
func endReason(r inspect.EndReason) inspect.EndReason {
	if r == inspect.EndClosed {
		return inspect.EndTimeout
	}
	return r
}

// appendEndpoints appends what stands between timestamp, whose quote is still open, and
// app_proto.
func (e *encoder) appendEndpoints(b []byte, f inspect.Endpoints) []byte {
	client, server := unmap(f.Client), unmap(f.Server)
	b = append(b, `","flow_id":`...)
	b = strconv.AppendInt(b, FlowID(f.ID), 10)
	if name := e.iface(f); name != "" {
		b = append(b, `,"in_iface":`...)
		b = appendString(b, name)
	}
	b = append(b, `,"event_type":"flow","src_ip":`...)
	b = appendAddr(b, client.Addr())
	b = append(b, `,"src_port":`...)
	b = strconv.AppendUint(b, uint64(client.Port()), 10)
	b = append(b, `,"dest_ip":`...)
	b = appendAddr(b, server.Addr())
	b = append(b, `,"dest_port":`...)
	b = strconv.AppendUint(b, uint64(server.Port()), 10)
	b = append(b, `,"proto":"TCP","ip_v":`...)
	b = strconv.AppendInt(b, int64(ipVersion(client.Addr())), 10)
	b = append(b, `,"pkt_src":"wire/pcap"`...)
	if e.opt.HideCommunityID {
		return b
	}
	b = append(b, `,"community_id":"`...)
	b = appendCommunityID(b, client, server)
	return append(b, '"')
}

// appendAddr appends a as a JSON string. What has no zone needs no escapes.
func appendAddr(b []byte, a netip.Addr) []byte {
	if !a.IsValid() || a.Zone() != "" {
		return appendString(b, a.String())
	}
	b = append(b, '"')
	b = a.AppendTo(b)
	return append(b, '"')
}

// appendSMTP appends smtp, where anything of it was seen and is shown.
func (e *encoder) appendSMTP(b []byte, r *inspect.FlowRecord) []byte {
	shown := !e.opt.HideEnvelope && (r.MailFrom != "" || len(r.RcptTo) > 0)
	if r.HELO == "" && !shown {
		return b
	}
	b = append(b, `,"smtp":{`...)
	b = appendMember(b, `"helo":`, r.HELO)
	if shown {
		b = appendMember(b, `"mail_from":`, r.MailFrom)
		if len(r.RcptTo) > 0 {
			b = append(b, `"rcpt_to":[`...)
			for _, to := range r.RcptTo {
				b = appendString(b, to)
				b = append(b, ',')
			}
			b = append(endList(b, ']'), ',')
		}
	}
	return endList(b, '}')
}

// appendTLS appends tls, where anything of it was seen.
func appendTLS(b []byte, r *inspect.FlowRecord, wasSMTP bool) []byte {
	if r.TLSVersion == 0 && r.SNI == "" {
		return b
	}
	b = append(b, `,"tls":{`...)
	b = appendMember(b, `"version":`, TLSVersion(r.TLSVersion))
	b = appendMember(b, `"sni":`, r.SNI)
	if wasSMTP {
		b = append(b, `"from_proto":"smtp",`...)
	}
	return endList(b, '}')
}

// appendMetadata appends metadata. Our own vocabulary, unlike what the wire had, needs no
// escapes.
func (e *encoder) appendMetadata(b []byte, r *inspect.FlowRecord) []byte {
	b = append(b, `,"metadata":{`...)
	if len(r.Steps) > 0 {
		b = append(b, `"flowbits":[`...)
		for _, s := range r.Steps {
			b = append(b, '"')
			b = append(b, s.String()...)
			b = append(b, `",`...)
		}
		b = append(endList(b, ']'), ',')
	}
	b = append(b, `"flowvars":[{"starttls.outcome":"`...)
	b = append(b, r.Outcome.String()...)
	if r.ReplyCode != 0 {
		b = append(b, `"},{"starttls.reply":"`...)
		b = appendCode(b, r.ReplyCode)
	}
	if len(r.Said) > 0 {
		b = append(b, `"},{"smtp.dialogue":"`...)
		b = appendDialogue(b, r.Said, &e.utc)
	}
	return append(b, `"}]}`...)
}
