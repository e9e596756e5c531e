package tlsrecord

import "strconv"

// alertNames are IANA's names of the alerts, RFC 8446 section 6 and, for those that
// TLS 1.3 has no use for, RFC 5246 section 7.2.
var alertNames = map[uint8]string{
	0:   "close_notify",
	10:  "unexpected_message",
	20:  "bad_record_mac",
	21:  "decryption_failed",
	22:  "record_overflow",
	30:  "decompression_failure",
	40:  "handshake_failure",
	41:  "no_certificate",
	42:  "bad_certificate",
	43:  "unsupported_certificate",
	44:  "certificate_revoked",
	45:  "certificate_expired",
	46:  "certificate_unknown",
	47:  "illegal_parameter",
	48:  "unknown_ca",
	49:  "access_denied",
	50:  "decode_error",
	51:  "decrypt_error",
	52:  "too_many_cids_requested",
	60:  "export_restriction",
	70:  "protocol_version",
	71:  "insufficient_security",
	80:  "internal_error",
	86:  "inappropriate_fallback",
	90:  "user_canceled",
	100: "no_renegotiation",
	109: "missing_extension",
	110: "unsupported_extension",
	111: "certificate_unobtainable",
	112: "unrecognized_name",
	113: "bad_certificate_status_response",
	114: "bad_certificate_hash_value",
	115: "unknown_psk_identity",
	116: "certificate_required",
	120: "no_application_protocol",
	121: "ech_required",
}

// AlertLevel returns the level of the last alert in clear: 1 is a warning, 2 fatal.
func (p *Parser) AlertLevel() uint8 { return p.alert[0] }

// AlertDescription returns the description of the last alert in clear, as a number.
func (p *Parser) AlertDescription() uint8 { return p.alert[1] }

// AlertName returns the name of the last alert in clear, as IANA writes it. It
// allocates where the alert has none.
func (p *Parser) AlertName() string {
	if name, ok := alertNames[p.alert[1]]; ok {
		return name
	}
	return "alert " + strconv.Itoa(int(p.alert[1]))
}
