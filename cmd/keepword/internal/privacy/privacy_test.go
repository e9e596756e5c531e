package privacy

import (
	"net/netip"
	"testing"

	"keepword/inspect"
)

// kept keeps the last records.
type kept struct {
	finding inspect.FindingRecord
	flow    inspect.FlowRecord
}

func (k *kept) Finding(r *inspect.FindingRecord) { k.finding = *r }
func (k *kept) FlowEnd(r *inspect.FlowRecord)    { k.flow = *r }

func TestOfTheClientOnlyItsNetworkAndPortAreTold(t *testing.T) {
	server := netip.MustParseAddrPort("198.51.100.25:25")
	for client, want := range map[string]string{
		"192.0.2.129:40000":                    "192.0.2.0:40000",
		"[::ffff:192.0.2.129]:40000":           "192.0.2.0:40000",
		"[2001:db8:aaaa:bbbb:cccc::1]:1":       "[2001:db8:aaaa::]:1",
		"[fe80::1:2:3%eth0]:65535":             "[fe80::]:65535",
		"[2001:db8:ffff:ffff:ffff:ffff:1:1]:9": "[2001:db8:ffff::]:9",
	} {
		var k kept
		s := Sink(&k)
		flow := inspect.Endpoints{ID: 7, Client: netip.MustParseAddrPort(client), Server: server, Iface: 3}
		finding := &inspect.FindingRecord{Flow: flow, Detail: "OK", Code: 250}
		end := &inspect.FlowRecord{Flow: flow, HELO: "client.example", MailFrom: "<a@example.net>", SNI: "mx.example"}
		s.Finding(finding)
		s.FlowEnd(end)
		for _, got := range []inspect.Endpoints{k.finding.Flow, k.flow.Flow} {
			if got.Client.String() != want || got.Server != server || got.ID != 7 || got.Iface != 3 {
				t.Errorf("%s: %+v, want %s", client, got, want)
			}
		}
		if k.flow.HELO != "" || k.flow.MailFrom != end.MailFrom || k.flow.SNI != end.SNI || k.finding.Detail != "OK" || k.finding.Code != 250 {
			t.Errorf("%+v, %+v", k.flow, k.finding)
		}
		if finding.Flow != flow || end.Flow != flow || end.HELO == "" {
			t.Error("the records that were lent are altered")
		}
	}
}

func TestARecordCostsNoAllocation(t *testing.T) {
	s := Sink(&kept{})
	flow := &inspect.FlowRecord{Flow: inspect.Endpoints{Client: netip.MustParseAddrPort("[2001:db8::1]:1")}}
	if n := testing.AllocsPerRun(100, func() { s.FlowEnd(flow) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
