package main

import (
	"fmt"
	"strings"

	"keepword/inspect/verdict"
)

// Stripping: the offer is taken away, so that mail goes in clear text. Durumeric and others
// counted networks that do it ("Neither Snow Nor Rain Nor MITM", 2015): most by
// overwriting the command or the keyword with as many X.

var stripping = &class{
	name: "stripping",
	about: "The offer of STARTTLS, or the client's way to it, is taken away, so that a client that would have used TLS sends in clear text. " +
		"The session before this one was honest; starttls: require is to hold the mail back.",
	harm: clearMail,
	holds: func(o *outcome) string {
		if !o.require {
			return disagreement(o)
		}
		return clearMail(o) + disagreement(o)
	},
}

// clearMail says what of a mail transaction reached the server in clear text.
func clearMail(o *outcome) string {
	for _, c := range o.server.obeyed {
		if c.tls == inTheClear && strings.HasPrefix(c.line, string(atMAIL)) {
			return fmt.Sprintf("the server obeyed %q in clear text", c.line)
		}
	}
	return ""
}

// onEHLO makes an edit of EHLO replies.
func onEHLO(edit func(reply string) string) func(step, string) string {
	return func(at step, reply string) string {
		if at != atEHLO {
			return reply
		}
		return edit(reply)
	}
}

// overwrite puts another keyword in the offer's place.
func overwrite(keyword string) func(step, string) string {
	return onEHLO(func(reply string) string { return strings.Replace(reply, "STARTTLS", keyword, 1) })
}

// strips are the fixtures, each without starttls: require and with it.
func strips() (all []*fixture) {
	vanished := []verdict.Finding{verdict.OfferVanished}
	add := func(f fixture) {
		f.class, f.plan = stripping, toMail
		all = append(all, &f)
		g := f
		g.require = true
		g.findings = append(g.findings[:len(g.findings):len(g.findings)], verdict.TLSRequired)
		all = append(all, &g)
	}
	add(fixture{
		name: "the line deleted", hostile: boxBehind, about: "250-STARTTLS is not in the EHLO reply",
		tamper:  onEHLO(func(reply string) string { return strings.Replace(reply, "250-STARTTLS\r\n", "", 1) }),
		learned: vanished,
	})
	add(fixture{
		name: "all lines deleted", hostile: boxBehind, about: "the EHLO reply is cut down to its first line",
		tamper:  onEHLO(func(string) string { return "250 mx.example\r\n" }),
		learned: vanished,
	})
	for _, keyword := range []string{"XXXXXXXX", "XXXXXXXA"} {
		add(fixture{
			name: "masked by " + keyword, hostile: boxBehind, about: "250-" + keyword + " in the place of 250-STARTTLS",
			tamper: overwrite(keyword), findings: []verdict.Finding{verdict.OfferMasked}, learned: vanished,
		})
	}
	for _, keyword := range []string{"STARTTLX", "STARTTL", "XTARTTLS", "startxls", "S.TARTTLS", "STARTTLS-"} {
		add(fixture{
			name: "misspelled as " + keyword, hostile: boxBehind, about: "250-" + keyword + " in the place of 250-STARTTLS",
			tamper: overwrite(keyword), learned: vanished,
		})
	}
	for _, code := range []string{"500", "502"} {
		for _, who := range []hostile{serverSide, boxInPlace} {
			add(fixture{
				name: "EHLO refused by " + code, hostile: who, about: "EHLO is answered " + code + ", and HELO is taken",
				server: map[step]string{atEHLO: code + " forged\r\n"}, learned: []verdict.Finding{verdict.EHLORefused},
			})
		}
	}
	for _, c := range []struct {
		answer  string
		finding verdict.Finding
	}{
		{"250 OK", verdict.AnsweredForServer}, {"200 OK", verdict.AnsweredForServer}, {"354 go on", verdict.UnfitAnswer},
		{"454 not now", verdict.OfferRefusedTemporarily}, {"500 what?", verdict.OfferRefused},
		{"502 no", verdict.OfferRefused}, {"554 no", verdict.OfferRefused},
	} {
		for _, who := range []hostile{serverSide, boxInPlace} {
			add(fixture{
				name: "STARTTLS answered " + c.answer[:3], hostile: who, about: fmt.Sprintf("STARTTLS is answered %q", c.answer),
				server: map[step]string{atSTARTTLS: c.answer + "\r\n"}, findings: []verdict.Finding{c.finding},
			})
		}
	}
	add(fixture{
		name: "the greeting masked", hostile: boxBehind, about: "220 and asterisks, so that a client says HELO",
		tamper: func(at step, reply string) string {
			switch at {
			case atGreeting:
				return "220 ****************\r\n"
			case atEHLO:
				return "250 mx.example\r\n"
			}
			return reply
		},
		findings: []verdict.Finding{verdict.GreetingMasked}, learned: vanished,
	})
	return all
}
