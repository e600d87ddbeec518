package rtnl

import (
	"bytes"
	"net/netip"
	"testing"
)

// link is what the kernel says of a link.
func link(index int, flags uint32, name string, mac []byte) []byte {
	r := newRequest(typeNewLink, 0)
	r.fixed(0, 0, 1, 0)
	r.u32fixed(uint32(index))
	r.u32fixed(flags)
	r.u32fixed(0)
	r.attr(attrName, append([]byte(name), 0))
	r.attr(attrAddress, mac)
	r.u32(attrMTU, 1500)
	if name == "dummy0" {
		r.attr(attrInfo, []byte{10, 0, attrKind, 0, 'd', 'u', 'm', 'm', 'y', 0, 0, 0})
	}
	return r.bytes(7)
}

func TestCarrierAndNameOfALinkAreRead(t *testing.T) {
	mac := []byte{0x52, 0x54, 0, 1, 2, 3}
	b := append(link(2, flagUp, "eth0", mac), link(3, flagUp|flagLowerUp, "enp1s0", mac)...)
	b = append(b, link(4, 0, "dummy0", mac)...)
	got := Parse(b)
	if len(got) != 3 || got[2].Link.Kind != "dummy" || got[0].Link.Kind != "" {
		t.Fatalf("%d events", len(got))
	}
	l, m := got[0].Link, got[1].Link
	if l.Name != "eth0" || l.Index != 2 || l.Type != 1 || !l.Up || l.Carrier || l.MTU != 1500 || !bytes.Equal(l.Address, mac) {
		t.Errorf("%+v", l)
	}
	if m.Name != "enp1s0" || !m.Carrier {
		t.Errorf("%+v", m)
	}
}

// What has not all of a link in it would take its address and its state away: a radio's
// event, and what a bridge says of a port that it lets go.
func TestMessagesThatAreNoNewsOfALinkAreLeftOut(t *testing.T) {
	radio := newRequest(typeNewLink, 0)
	radio.fixed(0, 0, 1, 0)
	radio.u32fixed(5)
	radio.u32fixed(flagUp | flagLowerUp)
	radio.u32fixed(0)
	radio.attr(attrName, []byte("wlan1\x00"))
	radio.attr(attrWireless, make([]byte, 16))
	port := link(3, flagUp, "eth0", []byte{2, 0, 0, 0, 0, 1})
	port[headerSize] = 7 // AF_BRIDGE
	native.PutUint16(port[4:], typeDelLink)
	if got := Parse(append(radio.bytes(1), port...)); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// An address that somebody else has is told apart from one that is not sure yet.
func TestStatesOfDuplicateDetectionAreRead(t *testing.T) {
	for flags, want := range map[uint32][2]bool{flagPermanent: {false, false}, flagTentative: {true, false}, flagTentative | flagDADFailed: {true, true}} {
		r := newRequest(typeNewAddr, 0)
		r.fixed(10, 64, byte(flags), 0)
		r.u32fixed(2)
		a := netip.MustParseAddr("fe80::1")
		r.attr(attrIfaAddress, a.AsSlice())
		r.u32(attrIfaFlags, flags)
		got := Parse(r.bytes(1))
		if len(got) != 1 || got[0].Address.Prefix != netip.MustParsePrefix("fe80::1/64") || got[0].Address.Tentative != want[0] || got[0].Address.Failed != want[1] {
			t.Errorf("%#x: %+v", flags, got)
		}
	}
}

// What is asked for is what the kernel reads: the requests, read as messages.
func TestRequestsSayWhatIsMeant(t *testing.T) {
	net := netip.MustParsePrefix("10.1.2.3/24")
	for m := range messages(address(typeNewAddr, flagCreate, 2, net, netip.Addr{}, netip.MustParseAddr("10.1.2.255"), 600).bytes(9)) {
		a, ok := parseAddress(m.body)
		if !ok || a.Prefix != net || a.Link != 2 || a.Peer.IsValid() || m.seq != 9 {
			t.Errorf("%+v", a)
		}
	}
	var dst, gw []byte
	for m := range messages(route(typeNewRoute, flagCreate, Route{Link: 3, To: netip.MustParsePrefix("10.9.8.7/16"), Gateway: netip.MustParseAddr("10.1.2.1")}).bytes(1)) {
		if m.body[1] != 16 || m.body[6] != scopeGlobal {
			t.Errorf("length %d, scope %d", m.body[1], m.body[6])
		}
		for typ, v := range attributes(m.body, 12) {
			switch typ {
			case attrDst:
				dst = v
			case attrGateway:
				gw = v
			}
		}
	}
	if !bytes.Equal(dst, []byte{10, 9, 0, 0}) || !bytes.Equal(gw, []byte{10, 1, 2, 1}) {
		t.Errorf("to %v by %v", dst, gw)
	}
}

func TestNamesThatTheKernelRefuses(t *testing.T) {
	for _, name := range []string{"", ".", "..", "a/b", "a b", "a:b", "sixteen-letters-", "a\x00b"} {
		if ValidName(name) {
			t.Errorf("%q", name)
		}
	}
	if !ValidName("enp0s31f6") || !ValidName("fifteen-letters") {
		t.Error("a good name is refused")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(link(2, flagUp, "eth0", []byte{1, 2, 3, 4, 5, 6}))
	f.Add(address(typeNewAddr, 0, 2, netip.MustParsePrefix("10.0.0.1/8"), netip.Addr{}, netip.Addr{}, 1).bytes(1))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, e := range Parse(b) {
			if (e.Link == nil) == (e.Address == nil) {
				t.Fatalf("%+v", e)
			}
			if e.Link != nil && (e.Link.Index <= 0 || !ValidName(e.Link.Name) || len(e.Link.Address) > maxHardware) {
				t.Fatalf("%+v", e.Link)
			}
			if e.Address != nil && !e.Address.Prefix.IsValid() {
				t.Fatalf("%+v", e.Address)
			}
		}
	})
}
