package netup

import (
	"net/netip"
	"testing"
)

var here, there = netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("10.0.0.1")

func TestARPIsReadAsItWasWritten(t *testing.T) {
	a := arp{Op: arpRequest, Sender: [6]byte{2, 0, 0, 0, 0, 1}, SenderAddr: here, TargetAddr: there}
	got, ok := parseARP(a.bytes())
	if !ok || got != a {
		t.Errorf("%+v", got)
	}
	if _, ok := parseARP(a.bytes()[:27]); ok {
		t.Error("half a packet was read")
	}
}

func FuzzARP(f *testing.F) {
	f.Add(arp{Op: arpReply, SenderAddr: here, TargetAddr: there}.bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, ok := parseARP(b); ok && (!a.SenderAddr.Is4() || !a.TargetAddr.Is4() || string(a.bytes()[6:]) != string(b[6:arpSize])) {
			t.Fatalf("%+v", a)
		}
	})
}
