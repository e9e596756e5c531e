package inspect_test

import (
	"strings"
	"testing"

	"keepword/inspect/packet"
)

func TestAHandshakeThatAClientSpoiledDoesNotOpenTheBreaker(t *testing.T) {
	ch, _ := hellos(t)
	// The hello is complete, its record is not: the server waits for the rest.
	unfinished := ch[:3] + "\x40\x00" + ch[5:]
	const alert = "\x15\x03\x01\x00\x02\x02\x28"
	for name, play := range map[string]func(*wire){
		"a record that has no end": func(w *wire) {
			w.c(unfinished)
			w.wait(11e9)
		},
		"a record that has no end, to the limit": func(w *wire) {
			w.c(unfinished)
			w.wait(61e9)
		},
		"an alert, and then clear text": func(w *wire) { // Exim with OpenSSL: each line behind the alert gets a 554
			w.c(ch)
			w.s(alert)
			w.c("\x15\x03\x01\x00\x02\x01\x0a")
			w.s("554 Security failure\r\n")
		},
		"a hello that never arrived": func(w *wire) { // of too short a TTL
			w.inspect(w.segment(w.client, w.client.snd, packet.ACK|packet.PSH, []byte(ch)), func([]byte) {}, func([]byte) {})
			w.wait(61e9)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, remembering(setup{}))
			for range 3 {
				w.greets(offers)
				w.c("STARTTLS\r\n")
				w.s("220 go\r\n")
				play(w)
				w.close()
				if got := w.breakers(); len(got) > 0 {
					t.Error(strings.Join(got, ", "))
				}
				w.another()
			}
		})
	}
}

func TestARefusalOfWhatIsNotSTARTTLSDoesNotOpenTheBreaker(t *testing.T) {
	for _, c := range [][2]string{
		{"X-ANONYMOUSTLS\r\n", "502 5.5.2 Error: command not recognized\r\n"},
		{"STARTTLSX\r\n", "502 5.5.2 Error: command not recognized\r\n"},
		{" STARTTLS\r\n", "500 5.5.2 what?\r\n"},
		{"STARTTLS now\r\n", "501 5.5.4 Syntax: STARTTLS\r\n"},
		{"STARTTLS now\r\n", "504 5.5.4 no such parameter\r\n"},
		{"STARTTLS\tx\r\n", "502 5.5.2 Error: command not recognized\r\n"},
		{"STARTTLS\x00\r\n", "500 5.5.2 what?\r\n"},
		{"STARTTLS\n", "500 5.5.2 what?\r\n"},
		{"MAIL FROM:<a@example>\r\nSTARTTLS\r\n", "250 ok\r\n554 in a transaction\r\n"},
	} {
		t.Run(c[0], func(t *testing.T) {
			w := newWire(t, remembering(setup{}))
			for range 2 {
				w.greets(offers)
				q, a := strings.SplitAfter(c[0], "\n"), strings.SplitAfter(c[1], "\n")
				for i := range q {
					if q[i] != "" {
						w.c(q[i])
						w.s(a[i])
					}
				}
				w.c("QUIT\r\n")
				w.s("221 bye\r\n")
				w.close()
				if got := w.breakers(); len(got) > 0 {
					t.Error(strings.Join(got, ", "))
				}
				w.another()
			}
		})
	}
}
