package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	"keepword/inspect/packet"
)

// hello is what both ends of a TLS handshake say first.
type hello struct{ client, server []byte }

// shake plays a TLS 1.3 handshake of crypto/tls in memory and returns the first flights.
// The groups are the client's; none: Go's own choice, whose first is post-quantum and
// makes a ClientHello of about 1,500 octets.
func shake(groups ...tls.CurveID) (hello, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return hello{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx7.example.org"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return hello{}, err
	}
	a, b := net.Pipe()
	defer a.Close()
	var h hello
	failed := make(chan error, 1)
	go func() {
		defer b.Close()
		failed <- tls.Server(&listener{Conn: b, heard: &h.client, said: &h.server}, &tls.Config{
			Certificates:           []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
			SessionTicketsDisabled: true,
		}).Handshake()
	}()
	err = tls.Client(a, &tls.Config{ServerName: "mx7.example.org", InsecureSkipVerify: true, CurvePreferences: groups}).Handshake()
	if err == nil {
		err = <-failed
	}
	if err != nil {
		return hello{}, fmt.Errorf("the handshake to be replayed failed: %w", err)
	}
	return h, nil
}

// listener keeps what was read before anything was written, and what was written at
// first.
type listener struct {
	net.Conn
	heard, said *[]byte
}

// Read reads, and keeps the first flight.
func (l *listener) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if len(*l.said) == 0 {
		*l.heard = append(*l.heard, b[:n]...)
	}
	return n, err
}

// Write writes, and keeps what was written.
func (l *listener) Write(b []byte) (int, error) {
	*l.said = append(*l.said, b...)
	return l.Conn.Write(b)
}

// flight cuts octets into segments.
func flight(from end, octets []byte) (list []step) {
	for len(octets) > 0 {
		n := min(mss, len(octets))
		list = append(list, step{from, packet.ACK, octets[:n]})
		octets = octets[n:]
	}
	return list
}

// upgrade is a session's part from STARTTLS to the segment with the ServerHello.
func upgrade(h hello) []step {
	list := []step{say(client, "STARTTLS\r\n"), say(server, "220 2.0.0 Ready to start TLS\r\n")}
	list = append(list, flight(client, h.client)...)
	return append(list, ack(server), flight(server, h.server)[0])
}

// secret is what follows the first flights: protected records, whose octets nobody
// reads.
func secret(n int) []byte {
	const most = 1 << 14
	var b []byte
	for n > 0 {
		size := min(n, most)
		b = append(b, 23, 3, 3, byte(size>>8), byte(size))
		b = append(b, make([]byte, size)...)
		n -= size
	}
	return b
}

// dialogues are whole STARTTLS sessions on many connections. Their segments come mixed
// as on a gateway: in one batch, each connection is somewhere else in its dialogue.
type dialogues struct {
	*gateway
	// whole says that all of a session is timed, from SYN to the last acknowledgement of
	// a FIN; else greeting to ServerHello.
	whole    bool
	dialogue []step // greeting to ServerHello
	after    []step
	order    []int // of connections, each as often as dialogue has steps
	at       []int // next step of each connection
}

// crowd is how many dialogues go on at once.
const crowd = 512

func newDialogues(s subject, h hello, whole bool) *dialogues {
	d := &dialogues{gateway: newGateway(s, crowd), whole: whole, at: make([]int, crowd)}
	d.dialogue = slices.Concat(introduction, upgrade(h))
	d.after = append(d.after, flight(server, h.server)[1:]...)
	d.after = append(d.after, say(client, string(secret(64))), say(server, string(secret(64))))
	d.after = append(d.after, closing...)
	if whole {
		d.dialogue = slices.Concat(opening, d.dialogue, d.after)
	}
	for range d.dialogue {
		for i := range crowd {
			d.order = append(d.order, i)
		}
	}
	chance(3).Shuffle(len(d.order), func(i, j int) { d.order[i], d.order[j] = d.order[j], d.order[i] })
	return d
}

// run plays at least n sessions and returns what one takes in nanoseconds.
func (d *dialogues) run(n int) (each float64) {
	played := 0
	for ; played < n; played += crowd {
		if !d.whole {
			d.play(0, crowd, opening)
		}
		clear(d.at)
		for _, i := range d.order {
			d.put(i, &d.dialogue[d.at[i]])
			d.at[i]++
		}
		each += d.took()
		if !d.whole {
			d.play(0, crowd, d.after)
		}
	}
	return each / float64(played)
}

// allocations returns how many a session makes, once memory has been made for as many
// as go on at once.
func (d *dialogues) allocations() float64 {
	d.run(2 * crowd)
	return testing.AllocsPerRun(5, func() { d.run(1) }) / crowd
}
