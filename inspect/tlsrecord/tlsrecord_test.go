package tlsrecord

import (
	"encoding/binary"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// record returns a record of that type.
func record(kind byte, body string) []byte {
	b := []byte{kind, 3, 3}
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return append(b, body...)
}

// message returns a handshake message.
func message(kind byte, body string) string {
	return string([]byte{kind, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}) + body
}

// clientHello returns a ClientHello of TLS 1.2 with these extensions; an empty
// string leaves the list of extensions out.
func clientHello(extensions string) string {
	body := "\x03\x03" + strings.Repeat("r", 32) + "\x00" + "\x00\x02\x13\x01" + "\x01\x00"
	if extensions != "" {
		body += string(binary.BigEndian.AppendUint16(nil, uint16(len(extensions)))) + extensions
	}
	return message(messageClientHello, body)
}

// extension returns an extension.
func extension(kind uint16, body string) string {
	b := binary.BigEndian.AppendUint16(nil, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return string(b) + body
}

// names returns a server_name extension with that host name.
func names(name string) string {
	entry := "\x00" + string(binary.BigEndian.AppendUint16(nil, uint16(len(name)))) + name
	return extension(extServerName, string(binary.BigEndian.AppendUint16(nil, uint16(len(entry))))+entry)
}

func TestAHelloSaysWhatItsFieldsSay(t *testing.T) {
	long := strings.Repeat("n", maxName+1)
	tests := []struct {
		name string
		body string
		want seen
	}{
		{"no extensions", clientHello(""), seen{Event: ClientHello, Version: 0x0303}},
		{"versions among GREASE and drafts", clientHello(extension(43, "\x08\x8a\x8a\x7f\x1c\x03\x03\x03\x01")),
			seen{Event: ClientHello, Version: 0x0303}},
		{"only unknown versions", clientHello(extension(43, "\x02\x8a\x8a")), seen{Event: ClientHello, Version: 0x0303}},
		{"the longest name", clientHello(names(long[1:])), seen{Event: ClientHello, Version: 0x0303, SNI: long[1:]}},
		{"a name that is too long", clientHello(names(long)), seen{Event: ClientHello, Version: 0x0303}},
		{"the first name counts", clientHello(extension(0, "\x00\x0d\x07\x00\x01z\x00\x00\x01a\x00\x00\x02bb")),
			seen{Event: ClientHello, Version: 0x0303, SNI: "a"}},
		{"nothing", message(1, ""), seen{Event: ClientHello, Alert: "malformed"}},
		{"cut in its random", message(1, "\x03\x03rrr"), seen{Event: ClientHello, Version: 0x0303, Alert: "malformed"}},
		{"session id over 32", message(1, "\x03\x03"+strings.Repeat("r", 32)+"\x21"+strings.Repeat("s", 50)),
			seen{Event: ClientHello, Version: 0x0303, Alert: "malformed"}},
		{"extensions shorter than the rest", clientHello("\x00\x00") + "", seen{Event: ClientHello, Version: 0x0303, Alert: "malformed"}},
		{"an extension longer than the list", clientHello(names("ok") + "\x00\x23\x00\x09x"),
			seen{Event: ClientHello, Version: 0x0303, SNI: "ok", Alert: "malformed"}},
		{"a list of names longer than its extension", clientHello(extension(0, "\x00\x09\x00\x00\x01a")),
			seen{Event: ClientHello, Version: 0x0303, Alert: "malformed"}},
		{"a name longer than its list", clientHello(extension(0, "\x00\x04\x00\x00\x02a") + extension(1, "x")),
			seen{Event: ClientHello, Version: 0x0303, Alert: "malformed"}},
		{"an empty name", clientHello(names("")), seen{Event: ClientHello, Version: 0x0303, Alert: "malformed"}},
		{"an odd list of versions", clientHello(extension(43, "\x03\x03\x03\x03")),
			seen{Event: ClientHello, Version: 0x0303, Alert: "malformed"}},
		{"two selected versions", message(2, "\x03\x03"+strings.Repeat("r", 32)+"\x00\x13\x01\x00\x00\x08"+extension(43, "\x03\x03\x03\x04")),
			seen{Event: ServerHello, Version: 0x0303, Alert: "malformed"}},
		{"behind a HelloRequest", message(0, "") + clientHello(""), seen{Event: ClientHello, Version: 0x0303}},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			expect(t, parse(t, record(typeHandshake, c.body)), c.want)
			// The same, each octet in a record of its own.
			var scattered []byte
			for i := range len(c.body) {
				scattered = append(scattered, record(typeHandshake, c.body[i:i+1])...)
			}
			expect(t, parse(t, scattered), c.want)
		})
	}
}

func TestWhatFollowsTheHelloIsNotRead(t *testing.T) {
	b := record(typeHandshake, clientHello("")+clientHello(names("later")))
	b = append(b, record(typeHandshake, clientHello(names("later")))...)
	b = append(b, record(typeHeartbeat, "\x01")...)
	expect(t, parse(t, b), seen{Event: ClientHello, Version: 0x0303})
}

func TestOnlyTheFirstApplicationDataIsReported(t *testing.T) {
	b := append(record(typeApplicationData, ""), record(typeApplicationData, "secret")...)
	b = append(b, record(typeAlert, strings.Repeat("e", minProtectedAlert))...)
	expect(t, parse(t, b), seen{Event: ApplicationData}, seen{Event: EncryptedAlert})
}

func TestAlertsInClearHaveTheirNames(t *testing.T) {
	b := append(record(typeAlert, "\x02\x28"), record(typeAlert, "\x01\xfe")...)
	b = append(b, record(typeAlert, "\x01\x00\x02\x28")...)
	expect(t, parse(t, b), seen{Event: Alert, Alert: "handshake_failure"}, seen{Event: Alert, Alert: "alert 254"},
		seen{Event: Alert, Alert: "close_notify"})
	var p Parser
	if n, ev := p.Parse(b); n != 7 || ev != Alert || p.AlertLevel() != 2 || p.AlertDescription() != 40 {
		t.Errorf("%d octets, %v, level %d, description %d", n, ev, p.AlertLevel(), p.AlertDescription())
	}
}

func TestOctetsThatNoRecordHasAreNotTLS(t *testing.T) {
	hello := record(typeHandshake, clientHello(""))
	tests := []struct {
		name string
		b    string
		at   int
	}{
		{"a reply", "220 ready\r\n", 0},
		{"type 19", "\x13\x03\x01", 0},
		{"type 25", "\x19\x03\x01", 0},
		{"major 2", "\x16\x02\x01", 1},
		{"minor 5", "\x16\x03\x05", 2},
		{"too long a first record", "\x16\x03\x01\x40\x01", 4},
		{"an empty handshake record", "\x16\x03\x01\x00\x00", 4},
		{"clear text behind a record", string(hello) + "EHLO a\r\n", len(hello)},
		{"too long a later record", string(hello) + "\x17\x03\x03\x48\x01", len(hello) + 4},
		{"SSLv2 behind a record", string(hello) + "\x80\x2e\x01", len(hello)},
		{"SSLv2 that is too short", "\x80\x08\x01", 1},
		{"SSLv2 with another message", "\x80\x2e\x02", 2},
		{"SSLv2 with version 1", "\x80\x2e\x01\x00\x01", 4},
		{"SSLv2 with version 3.5", "\x80\x2e\x01\x03\x05", 4},
		{"SSLv2 with version 4", "\x80\x2e\x01\x04\x00", 3},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			list := parse(t, []byte(c.b))
			if last := list[len(list)-1]; last.Event != NotTLS || last.At != c.at {
				t.Errorf("%v at %d, want NotTLS at %d", last.Event, last.At, c.at)
			}
			var p Parser
			for b := []byte(c.b); ; {
				n, ev := p.Parse(b)
				if b = b[n:]; ev == NotTLS {
					break
				}
			}
			if n, ev := p.Parse(hello); n != 0 || ev != NotTLS {
				t.Errorf("afterwards: %d octets, %v", n, ev)
			}
		})
	}
}

func TestAnSSLv2HelloIsAClientHello(t *testing.T) {
	for version, want := range map[string]uint16{"\x03\x01": 0x0301, "\x00\x02": 0x0002} {
		b := []byte("\x80\x1c\x01" + version + "\x00\x03\x00\x00\x00\x10" + "\x00\x00\x2f" + strings.Repeat("c", 16))
		b = append(b, record(typeChangeCipherSpec, "\x01")...)
		expect(t, parse(t, b), seen{Event: ClientHello, Version: want}, seen{Event: ChangeCipherSpec})
		for n := 1; n <= len(b); n++ {
			if !MayBeClientHello(b[:n]) {
				t.Errorf("its first %d octets can't be a ClientHello", n)
			}
		}
	}
}

func TestAPrefixOfAClientHelloMayBeOne(t *testing.T) {
	b := record(typeHandshake, clientHello(""))
	for n := 1; n <= len(b); n++ {
		if !MayBeClientHello(b[:n]) {
			t.Errorf("the first %d octets can't be a ClientHello", n)
		}
	}
	for _, s := range []string{"", "E", "\x15", "\x16\x02", "\x16\x03\x05", "\x16\x03\x01\x00\x00", "\x16\x03\x01\x40\x01",
		"\x16\x03\x01\x00\x40\x02", "\x17\x03\x01\x00\x40\x01", "\x17\x03\x03\x00\x40", "\x80\x01"} {
		if MayBeClientHello([]byte(s)) {
			t.Errorf("% x may be a ClientHello", s)
		}
	}
}

func TestParsingAllocatesNothing(t *testing.T) {
	f := flights(t)["TLS 1.3"]
	var p Parser
	if n := testing.AllocsPerRun(50, func() {
		p = Parser{}
		for b := f.client; len(b) > 0; {
			n, _ := p.Parse(b)
			b = b[n:]
		}
		if !MayBeClientHello(f.client) {
			t.Fatal("no ClientHello")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAParserIsSmall(t *testing.T) {
	// One is kept for each direction of each flow that has asked for TLS.
	const limit = 400
	if n := reflect.TypeFor[Parser]().Size(); n > limit {
		t.Errorf("a Parser has %d octets, the limit is %d", n, limit)
	}
}

func TestEventsHaveNames(t *testing.T) {
	if ClientHello.String() != "ClientHello" || ApplicationData.String() != "application data" || Event(99).String() != "invalid" {
		t.Error(ClientHello, ApplicationData, Event(99))
	}
}

// FuzzParse cuts any octets anywhere: the events must not change.
func FuzzParse(f *testing.F) {
	for _, fl := range flights(f) {
		f.Add(fl.client[:min(len(fl.client), 3000)], uint16(7))
		f.Add(fl.server[:min(len(fl.server), 3000)], uint16(1))
	}
	f.Add(record(typeHandshake, clientHello(names("a")+extension(43, "\x02\x03\x04"))), uint16(3))
	f.Add([]byte("\x80\x1c\x01\x03\x01\x00\x03\x00\x00\x00\x10\x00\x00\x2fcccccccccccccccc"), uint16(5))
	f.Fuzz(func(t *testing.T, b []byte, step uint16) {
		whole := parse(t, b)
		var pieces [][]byte
		for rest, size := b, int(step%64)+1; len(rest) > 0; {
			n := min(size, len(rest))
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		if got := parse(t, pieces...); !slices.Equal(got, whole) {
			t.Fatalf("in pieces of %d: %v,\nwhole: %v", step%64+1, got, whole)
		}
	})
}

func BenchmarkClientHello(b *testing.B) {
	f := flights(b)["TLS 1.3"]
	b.SetBytes(int64(len(f.client)))
	b.ReportAllocs()
	for b.Loop() {
		var p Parser
		if _, ev := p.Parse(f.client); ev != ClientHello {
			b.Fatal(ev)
		}
	}
}
