package lab

import (
	"strings"
	"testing"
)

// Two messages in one log, the second of them twice, the processes interleaved.
const senderLog = `Nov 23 12:00:00 client postfix/master[14]: daemon started -- version 3.7.11
Nov 23 12:00:01 client postfix/cleanup[20]: AAAA: message-id=<1@client>
Nov 23 12:00:01 client postfix/cleanup[20]: BBBB: message-id=<2@client>
Nov 23 12:00:01 client postfix/smtp[31]: Trusted TLS connection established to 203.0.113.25
Nov 23 12:00:01 client postfix/smtp[32]: SSL_connect error to 203.0.113.25
Nov 23 12:00:01 client postfix/smtp[31]: AAAA: to=<bob@example.test>, dsn=2.0.0, status=sent (250 Ok)
Nov 23 12:00:01 client postfix/smtp[32]: BBBB: to=<bob@example.test>, dsn=4.7.5, status=deferred (Cannot start TLS)
Nov 23 12:00:09 client postfix/smtp[31]: BBBB: to=<bob@example.test>, dsn=5.7.1, status=bounced (no)
`

func TestAnAttemptIsReadFromTheLog(t *testing.T) {
	for _, test := range []struct {
		id      string
		n       int
		want    Outcome
		tls     bool
		excerpt int // lines
	}{
		{"<1@client>", 1, Delivered, true, 2},
		{"<2@client>", 1, Deferred, false, 2},
		{"<2@client>", 2, Refused, false, 1},
	} {
		got, done := attempt(senderLog, test.id, test.n)
		if !done || got.Outcome != test.want || got.TLS != test.tls || strings.Count(got.Transcript, "\n") != test.excerpt {
			t.Errorf("attempt %d of %s: %v, %+v", test.n, test.id, done, got)
		}
	}
	if got, done := attempt(senderLog, "<1@client>", 2); done {
		t.Errorf("an attempt that was not made: %+v", got)
	}
}
