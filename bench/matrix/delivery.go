package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strconv"

	"keepword/bench/lab"
)

// delivery is a message of one size from Postfix to a real server, without keepword
// and with it in enforce.
type delivery struct {
	server  string
	inTLS   bool
	ipv6    bool
	size    int
	seconds map[setting]float64 // the median of so many
	outcome string              // of the flow events
}

// repeats is of how many deliveries the median is taken.
const repeats = 3

// sizes of the messages, in octets.
var sizes = []int{1 << 20, 20_000_000}

// deliverAll makes all deliveries, each server with TLS and without in a lab of its
// own, one after the other so that the times are comparable. Its error is that a
// message did not arrive octet for octet, or that keepword did not tell the truth.
func deliverAll(ctx context.Context) (all []*delivery, err error) {
	for _, server := range []string{"postfix", "exim", "opensmtpd"} {
		for _, inTLS := range []bool{true, false} {
			some, err := deliverTo(ctx, server, inTLS)
			if err != nil {
				return nil, fmt.Errorf("%s, TLS %v: %w", server, inTLS, err)
			}
			all = append(all, some...)
		}
	}
	return all, nil
}

// deliverTo makes all deliveries to one server.
func deliverTo(ctx context.Context, kind string, inTLS bool) (all []*delivery, err error) {
	l, err := lab.New(lab.Options{})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	server, err := lab.StartServer(ctx, l.Server, kind, inTLS)
	if err != nil {
		return nil, err
	}
	for _, ipv6 := range []bool{false, true} {
		for _, size := range sizes {
			all = append(all, &delivery{server: kind, inTLS: inTLS, ipv6: ipv6, size: size, seconds: map[setting]float64{}})
		}
	}
	if err := deliverEach(ctx, server, all, without, l.Client); err != nil {
		return nil, err
	}
	keepword, err := l.Keepword(ctx, "")
	if err != nil {
		return nil, err
	}
	if err := deliverEach(ctx, server, all, enforce, l.Client); err != nil {
		return nil, err
	}
	if err := keepword.Stop(); err != nil {
		return nil, err
	}
	return all, checkOutcomes(keepword, all)
}

// deliverEach makes deliveries in one setting.
func deliverEach(ctx context.Context, server *lab.Server, all []*delivery, s setting, client *lab.Host) error {
	for _, ipv6 := range []bool{false, true} {
		relay := netip.AddrPortFrom(server.Host.Addr(ipv6), smtpPort)
		sender, err := lab.StartSender(ctx, client, lab.SenderOptions{Relay: relay, Mode: lab.IfOffered})
		if err != nil {
			return err
		}
		for _, d := range all {
			if d.ipv6 != ipv6 {
				continue
			}
			var times []float64
			for range repeats {
				seconds, err := d.once(ctx, sender, server)
				if err != nil {
					return fmt.Errorf("%d octets, IPv6 %v, %s: %w", d.size, ipv6, s, err)
				}
				times = append(times, seconds)
			}
			slices.Sort(times)
			d.seconds[s] = times[len(times)/2]
		}
		if err := sender.Stop(); err != nil {
			return err
		}
	}
	return nil
}

// once delivers one message and returns how long Postfix says that it took from the
// connection to the server's last word.
func (d *delivery) once(ctx context.Context, sender *lab.Sender, server *lab.Server) (seconds float64, err error) {
	m := lab.NewMessage(d.size)
	if err := sender.Submit(ctx, m); err != nil {
		return 0, err
	}
	result, err := sender.Await(ctx, m, 1)
	if err != nil {
		return 0, err
	}
	if result.Outcome != lab.Delivered || result.TLS != d.inTLS {
		return 0, fmt.Errorf("%s, TLS %v:\n%s", result.Outcome, result.TLS, result.Transcript)
	}
	if err := server.AwaitMessage(ctx, m); err != nil {
		return 0, err
	}
	// Room for the next: the host's files are in memory.
	if _, err := server.Host.Command(ctx, "find", "/var/mail/lab", "-type", "f", "-delete").Output(); err != nil {
		return 0, err
	}
	match := delays.FindStringSubmatch(result.Transcript)
	if match == nil {
		return 0, fmt.Errorf("no delays in %s", result.Transcript)
	}
	for _, part := range match[1:] {
		s, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return 0, err
		}
		seconds += s
	}
	return seconds, nil
}

// delays matches the parts of a=queue/b=manager/c=connection/d=transmission that have
// to do with the server, in Postfix's log.
var delays = regexp.MustCompile(`delays=[^/]+/[^/]+/([0-9.]+)/([0-9.]+)`)

// checkOutcomes compares what keepword told of the deliveries with what happened.
func checkOutcomes(k *lab.Keepword, all []*delivery) error {
	events, err := k.Events()
	if err != nil {
		return err
	}
	want := "not-offered"
	if all[0].inTLS {
		want = "upgraded"
	}
	flows := 0
	for _, e := range events {
		switch {
		case e.EventType != "flow":
			return fmt.Errorf("a finding: %s", e.Raw)
		case e.Outcome() != want:
			return fmt.Errorf("outcome %s, want %s: %s", e.Outcome(), want, e.Raw)
		}
		flows++
	}
	if flows != len(all)*repeats {
		return fmt.Errorf("%d flow events of %d deliveries", flows, len(all)*repeats)
	}
	for _, d := range all {
		d.outcome = want
	}
	return nil
}

// writeDeliveries writes the table of the deliveries.
func writeDeliveries(w io.Writer, all []*delivery) {
	fmt.Fprintf(w, `
## Large messages

Postfix through the gateway to a real server, keepword as it comes, in enforce. Every
message arrived octet for octet, and keepword reported nothing but one flow event for each,
with the outcome below. The times are the medians of %d, in seconds, from the connection to
the server's last word as Postfix logs them (delays, c and d), with client, gateway and
server on one machine.

`, repeats)
	var body [][]string
	for _, d := range all {
		body = append(body, []string{
			d.server, map[bool]string{true: "TLS", false: "clear"}[d.inTLS], map[bool]string{true: "IPv6", false: "IPv4"}[d.ipv6],
			fmt.Sprint(d.size), d.outcome, fmt.Sprintf("%.2f", d.seconds[without]), fmt.Sprintf("%.2f", d.seconds[enforce]),
		})
	}
	table(w, []string{"server", "by", "over", "octets", "outcome", "without keepword", "with keepword"}, body)
}
