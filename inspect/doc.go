// Package inspect is one worker's pipeline: packet, flow, reassembly, smtp, tlsrecord,
// starttls ledger, policy, verdict. It has no clock, no I/O, no goroutine and no log:
// time comes in with the batch, findings go out through the Sink.
package inspect
