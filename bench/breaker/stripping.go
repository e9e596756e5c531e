package main

// theft is a way to take TLS away from a server that has it.
type theft struct {
	name, title, text string
	box               string // a middlebox's kind; or
	verb, reply       string // what is said in the server's place
	// What becomes of mail, and what is reported, where TLS is wanted and where it is
	// required.
	auto, require             ending
	autoEvents, requireEvents []string
}

var thefts = []theft{
	{
		name: "deleted", title: "A box deletes the line", box: "strip-line",
		text: `The EHLO reply is the server's, without STARTTLS.`,
		auto: unasked, autoEvents: []string{"offer-vanished log"},
		require: putOff, requireEvents: []string{"offer-vanished kill"},
	}, {
		name: "masked", title: "A box masks the keyword", box: "asa-mask",
		text: `A Cisco ASA writes XXXXXXXA over STARTTLS.`,
		auto: unasked, autoEvents: []string{"offer-masked log", "offer-vanished log"},
		require: putOff, requireEvents: []string{"offer-masked log", "offer-vanished kill"},
	}, {
		name: "noehlo", title: "Somebody refuses EHLO", verb: "EHLO", reply: "502 5.5.1 Command not implemented",
		text: `The client says HELO then, in whose reply nothing is offered.`,
		auto: unasked, autoEvents: []string{"ehlo-refused log"},
		require: putOff, requireEvents: []string{"ehlo-refused kill"},
	}, {
		name: "greeting", title: "A box masks the greeting", box: "mask-greeting",
		text: `A Cisco PIX writes asterisks over the greeting. Postfix, which knows the mark, says HELO to such a
box when mail has waited for 500 seconds (here: at once), and sees no offer.`,
		auto: unasked, autoEvents: []string{"greeting-masked log"},
		require: putOff, requireEvents: []string{"greeting-masked log", "tls-required kill"},
	}, {
		name: "notnow", title: "Somebody says 454", verb: "STARTTLS", reply: "454 4.7.0 TLS not available",
		text: `The refusal of a sound server under load, in the place of its 220.`,
		auto: inVain, autoEvents: []string{"offer-refused-temporarily log"},
		require: putOff, requireEvents: []string{"offer-refused-temporarily log", "tls-required kill"},
	}, {
		name: "never", title: "Somebody says 554", verb: "STARTTLS", reply: "554 5.7.0 TLS not available",
		text: `A refusal for good, in the place of the 220 of a server whose TLS has worked.`,
		auto: inVain, autoEvents: []string{"offer-refused log"},
		require: putOff, requireEvents: []string{"offer-refused log", "tls-required kill"},
	}, {
		name: "swallowed", title: "A box swallows STARTTLS", box: "pix-answers",
		text: `It says 250 OK in the place of a server whose TLS has worked.`,
		auto: inVain, autoEvents: []string{"answered-for-server correct"},
		require: putOff, requireEvents: []string{"answered-for-server correct", "tls-required kill"},
	},
}

// strippings are two stories for each theft: TLS is wanted, and TLS is required.
func strippings() (all []*story) {
	for _, th := range thefts {
		all = append(all,
			&story{name: th.name, title: th.title, text: th.text, tell: th.tell(th.auto, th.autoEvents)},
			&story{name: th.name + "-required", title: th.title + ", TLS is required", require: true,
				text: "The same with `starttls: require`.", tell: th.tell(th.require, th.requireEvents)})
	}
	return all
}

func (th theft) tell(end ending, events []string) func(t, _ *telling) {
	return func(t, _ *telling) {
		t.is("honest")
		t.mail("the first mail to this server", inTLS, closed)
		if th.box != "" {
			t.between(th.box)
		}
		t.forges(th.verb, th.reply)
		m := t.mail("TLS is taken away", end, closed, events...)
		if th.box != "" {
			t.between("")
		}
		t.forges("", "")
		if end == putOff {
			t.retries(m, "it is no more: Postfix tries again", inTLS, closed)
		} else {
			t.mail("it is no more: the next mail", inTLS, closed)
		}
	}
}
