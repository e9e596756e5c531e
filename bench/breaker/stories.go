package main

import (
	"slices"
	"strings"
	"time"
)

// stories returns all, in the order of the document.
func stories() []*story {
	return slices.Concat([]*story{
		{name: "pix", title: "A server behind a PIX", text: `The box between gateway and server swallows STARTTLS and says 250 OK in the server's place:
the failure of 1999. The client would begin TLS with a server that was never asked.`, tell: behindPIX},
		{name: "exchange", title: "An Exchange 5.5 that refuses what it offers",
			text: `The server offers STARTTLS and answers 554 Unable to initialize security subsystem.`, tell: refusing},
		{name: "deaf", title: "A server that says 220 and goes on in clear text",
			text: `It does not know what it has said, and takes the ClientHello for commands. One such session is
enough: the client's TLS fails, so that its mail waits for the next attempt.`, tell: deaf},
		{name: "silent", title: "A server that says 220 and nothing more",
			text: `The client gives up after 12 seconds (Postfix by itself after 300), the mail waits.`, tell: silent},
		{name: "certificate", title: "A server whose certificate is not there yet",
			text: `It offers STARTTLS and answers 454. A sound server says so under load, too: therefore only five
in a row have the offer hidden.`, tell: withoutCertificate},
		{name: "required", require: true, title: "The same server, set to require TLS",
			text: `With starttls: require the offer is never hidden, and nothing goes in clear text. A server whose
TLS has never worked is refused by 530, and Postfix tells the sender at once. Of one whose TLS has
worked keepword knows that somebody may take TLS away: 421 has the client keep the mail.`, tell: required},
		{name: "trusted", hasty: true, title: "A server whose TLS worked today",
			text: `Who can forge refusals shall not turn TLS off for others: within a day of a handshake that
worked the breaker stays closed, however many come. Whoever forges for a whole day without one
success is no different from a broken server.`, tell: trusted},
		{name: "provoked", title: "A client that wants TLS off",
			text: `That a sound server refuses other words than STARTTLS, and waits for the end of a TLS record that
does not come, is no failure of its own.`, tell: provoked},
	}, strippings(), []*story{
		{name: "shared", title: "Two gateways that share what they know",
			text: `The second gateway, before the same server, has seen no session of it. Its client is swaks.`, tell: shared},
	})
}

func behindPIX(t, _ *telling) {
	const corrected = "answered-for-server correct"
	t.is("honest")
	t.between("pix-answers")
	t.mail("the first mail to this server", inVain, closed, corrected)
	t.mail("the second", inVain, opened, corrected, opens)
	t.mail("the third", unasked, opened)
	t.mail("the fourth", unasked, opened)
	t.aDayPasses()
	t.mail("a day later, the box stands", inVain, opened, tries, corrected, reopens)
	t.mail("the next", unasked, opened)
	t.between("")
	t.mail("the box is taken away", unasked, opened)
	t.aDayPasses()
	t.mail("a day later", inTLS, closed, tries, recovers)
	t.mail("the next", inTLS, closed)
}

func refusing(t, _ *telling) {
	const refused = "offer-refused log"
	t.is("exchange55")
	t.mail("the first mail to this server", inVain, closed, refused)
	t.mail("the second", inVain, opened, refused, opens)
	t.mail("the third", unasked, opened)
	t.slow(3 * time.Second)
	t.is("exchange55")
	t.aDayPasses()
	done := t.begins("a day later; the server is slow to answer", inVain, opened, tries, refused, reopens)
	t.mail("meanwhile, another mail", unasked, halfOpen)
	done()
	t.mail("the next", unasked, opened)
	t.slow(0)
	t.is("honest")
	t.mail("the server is mended", unasked, opened)
	t.aDayPasses()
	t.mail("a day later", inTLS, closed, tries, recovers)
	t.mail("the next", inTLS, closed)
}

func deaf(t, _ *telling) {
	const ended = "plaintext-from-server-after-220 kill"
	t.is("clear-after-220")
	m := t.mail("the first mail to this server", putOff, opened, ended, opens)
	t.retries(m, "Postfix tries again", unasked, opened)
	t.mail("the second mail", unasked, opened)
	t.aDayPasses()
	m = t.mail("a day later", putOff, opened, tries, ended, reopens)
	t.retries(m, "Postfix tries again", unasked, opened)
	t.is("honest")
	t.aDayPasses()
	t.mail("the server is mended, a day later", inTLS, closed, tries, recovers)
	t.mail("the next", inTLS, closed)
}

func silent(t, _ *telling) {
	const logged, failed = "silence-after-220 log", "handshake-failed log"
	t.is("silent-after-220")
	m := t.mail("the first mail to this server", putOff, closed, logged, failed)
	t.retries(m, "Postfix tries again", putOff, opened, logged, failed, opens)
	t.retries(m, "and again", unasked, opened)
	t.mail("the second mail", unasked, opened)
	t.is("honest")
	t.aDayPasses()
	t.mail("the server is mended, a day later", inTLS, closed, tries, recovers)
	t.mail("the next", inTLS, closed)
}

// notNow is what refusedForNow says of a 454.
const notNow = "offer-refused-temporarily log"

func withoutCertificate(t, _ *telling) {
	t.is("refuses-454")
	for _, which := range []string{"the first mail to this server", "the second", "the third", "the fourth"} {
		t.mail(which, inVain, closed, notNow)
	}
	t.mail("the fifth", inVain, opened, notNow, opens)
	t.mail("the sixth", unasked, opened)
	t.is("honest")
	t.mail("the certificate is installed", unasked, opened)
	t.aDayPasses()
	t.probes(probe{"a day later, a client that never asks", time.Second, []string{"QUIT\r\n"}}, halfOpen, tries)
	t.mail("the next tries", inTLS, closed, recovers)
	t.mail("the next", inTLS, closed)
}

func required(t, _ *telling) {
	const refused, held = "tls-required refuse", "tls-required kill"
	t.is("refuses-454")
	for _, which := range []string{"the first mail to this server", "the second", "the third", "the fourth", "the fifth", "the sixth"} {
		t.mail(which, bounced, closed, notNow, refused)
	}
	t.is("honest")
	t.mail("the certificate is installed", inTLS, closed)
	t.is("refuses-454")
	m := t.mail("the certificate is lost", putOff, closed, notNow, held)
	for range 5 {
		t.retries(m, "Postfix tries again", putOff, closed, notNow, held)
	}
	t.is("honest")
	t.retries(m, "it is installed again", inTLS, closed)
}

func trusted(t, _ *telling) {
	const corrected, refused = "answered-for-server correct", "offer-refused log"
	t.is("honest")
	t.mail("the first mail to this server", inTLS, closed)
	t.forges("STARTTLS", "554 5.7.0 not today")
	t.mail("somebody refuses in the server's place", inVain, closed, refused)
	t.mail("and again", inVain, closed, refused)
	t.mail("and again", inVain, closed, refused)
	t.forges("STARTTLS", "250 OK")
	t.mail("and answers for it", inVain, closed, corrected)
	t.mail("and again", inVain, closed, corrected)
	t.forges("STARTTLS", "454 4.7.0 not now")
	t.mail("and refuses for now", inVain, closed, notNow)
	t.forges("", "")
	t.mail("the forger rests", inTLS, closed)
	t.release()
	t.forges("STARTTLS", "554 5.7.0 not today")
	t.aDayPasses()
	t.mail("a day without a handshake later", inVain, closed, refused)
	t.mail("the second refusal in a row", inVain, opened, refused, opens)
	t.mail("the next", unasked, opened)
	t.forges("", "")
	t.aDayPasses()
	t.mail("the forger is gone, a day later", inTLS, closed, tries, recovers)
}

func provoked(t, _ *telling) {
	const soon, long = 200 * time.Millisecond, 11 * time.Second // keepword calls 10 seconds silence
	t.is("honest")
	for _, line := range []string{"X-ANONYMOUSTLS", "STARTTLSX", "STARTTLS now", " STARTTLS"} {
		t.probes(probe{"a client says `" + line + "`, twice", soon, []string{line + "\r\n", line + "\r\n"}}, closed)
	}
	// A ClientHello (RFC 8446 section 4.1.2) in a record that is longer.
	hello := "\x16\x03\x01\x40\x00" + "\x01\x00\x00\x29\x03\x03" + strings.Repeat("r", 32) + "\x00" + "\x00\x02\x13\x01" + "\x01\x00"
	for _, news := range []string{"it does not end its ClientHello's record", "and again"} {
		t.probes(probe{news, long, []string{"STARTTLS\r\n", hello}}, closed)
	}
	t.mail("Postfix sends a mail", inTLS, closed)
}

func shared(t, other *telling) {
	const refused = "offer-refused log"
	const export, import_ = "/tmp/export.json", "/tmp/import.json"
	// carry brings what one gateway knows to the other.
	carry := func(from, to *telling) {
		from.keepword("history", "export", export)
		to.do(func() error {
			text, err := from.Gateway.ReadFile(export)
			if err != nil {
				return err
			}
			return to.Gateway.WriteFile(import_, text, 0o600)
		})
		to.keepword("history", "merge", import_)
	}
	t.is("exchange55")
	other.is("exchange55")
	t.mail("gateway 1: the first mail to this server", inVain, closed, refused)
	t.mail("gateway 1: the second", inVain, opened, refused, opens)
	carry(t, other)
	other.mail("gateway 2 takes up what gateway 1 exports; its first mail to this server", unasked, opened)
	other.restarts()
	other.mail("keepword on gateway 2 is restarted", unasked, opened)
	other.keepword("history", "forget", other.addr.String())
	other.mail("gateway 2 is told to forget it", inVain, closed, refused)
	t.is("honest")
	other.is("honest")
	other.mail("the server is mended; gateway 2", inTLS, closed)
	t.mail("gateway 1 does not know", unasked, opened)
	carry(other, t)
	t.mail("gateway 1 takes up what gateway 2 exports", inTLS, closed)
}
