package inject

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func TestTheDestinationIsReadFromTheHeader(t *testing.T) {
	v4, _ := hex.DecodeString("4500002800010000400600000a000001c0000202")
	v6, _ := hex.DecodeString("6000000000140640" + "20010db8000000000000000000000001" + "20010db8000000000000000000000002")
	for name, c := range map[string]struct {
		packet []byte
		want   string
	}{
		"IPv4":       {v4, "192.0.2.2"},
		"IPv6":       {v6, "2001:db8::2"},
		"IPv4 short": {v4[:19], ""},
		"IPv6 short": {v6[:39], ""},
		"empty":      {nil, ""},
		"version 5":  {bytes.Repeat([]byte{0x55}, 64), ""},
	} {
		got, ok := destination(c.packet)
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
	}
}
