package ra

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/timespan"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

var (
	testMAC = []byte{0x52, 0x54, 0, 0x12, 0x34, 0x56}
	router  = addr("fe80::1")
	other   = addr("fe80::2")
)

// advert makes an advertisement: flags, router lifetime, options.
func advert(flags byte, life uint16, options ...[]byte) []byte {
	b := []byte{typeAdvertisement, 0, 0, 0, 64, flags, byte(life >> 8), byte(life), 0, 0, 0, 0, 0, 0, 0, 0}
	return append(b, slices.Concat(options...)...)
}

func be32(n ...uint32) []byte {
	var b []byte
	for _, v := range n {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func prefix(s string, flags byte, valid, preferred uint32) []byte {
	p := netip.MustParsePrefix(s)
	a := p.Addr().As16()
	return slices.Concat([]byte{optPrefix, 4, byte(p.Bits()), flags}, be32(valid, preferred, 0), a[:])
}

func route(s string, pref byte, life uint32) []byte {
	p := netip.MustParsePrefix(s)
	a := p.Addr().As16()
	n := (p.Bits() + 63) / 64
	return slices.Concat([]byte{optRoute, byte(1 + n), byte(p.Bits()), pref << 3}, be32(life), a[:8*n])
}

func rdnss(life uint32, servers ...string) []byte {
	b := slices.Concat([]byte{optRDNSS, byte(1 + 2*len(servers)), 0, 0}, be32(life))
	for _, s := range servers {
		a := addr(s).As16()
		b = append(b, a[:]...)
	}
	return b
}

func dnssl(life uint32, names string) []byte {
	b := slices.Concat([]byte{optDNSSL, 0, 0, 0}, be32(life), []byte(names))
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	b[1] = byte(len(b) / 8)
	return b
}

func mtu(n uint32) []byte { return slices.Concat([]byte{optMTU, 1, 0, 0}, be32(n)) }

func newClient() *Client {
	return New(Config{MAC: testMAC, ID: EUI64(testMAC), Rand: rand.New(rand.NewPCG(1, 1)).Uint32})
}

// show is settings in a few words; times are whole seconds.
func (s Settings) show() string {
	var b strings.Builder
	at := func(d time.Duration) string {
		if d == Never {
			return "ever"
		}
		return fmt.Sprint(int64(d / time.Second))
	}
	for _, a := range s.Addrs {
		fmt.Fprintf(&b, "addr %s %s/%s; ", a.Addr, at(a.PreferredUntil), at(a.ValidUntil))
	}
	for _, r := range s.Routes {
		fmt.Fprintf(&b, "route %s", r.Dst)
		if r.Via.IsValid() {
			fmt.Fprintf(&b, " via %s", r.Via)
		}
		if r.Preference != Medium {
			fmt.Fprintf(&b, " %+d", r.Preference)
		}
		fmt.Fprintf(&b, " %s; ", at(r.Until))
	}
	if s.DNS != nil || s.Search != nil {
		fmt.Fprintf(&b, "dns %v %v; ", s.DNS, s.Search)
	}
	if s.MTU != 0 {
		fmt.Fprintf(&b, "mtu %d; ", s.MTU)
	}
	if s.Managed {
		b.WriteString("managed; ")
	}
	if s.Other {
		b.WriteString("other; ")
	}
	return strings.TrimSuffix(b.String(), "; ")
}

func TestWhatARouterSaysBecomesSettings(t *testing.T) {
	const me = "2001:db8::5054:ff:fe12:3456"
	for _, test := range []struct {
		what, want string
		packet     []byte
	}{
		{"a usual router", "addr " + me + "/64 1800/3600; route 2001:db8::/64 3600; route ::/0 via fe80::1 1800; dns [2001:db8::53] [example.org a]; mtu 1400",
			advert(0, 1800, prefix("2001:db8::/64", 0xc0, 3600, 1800), mtu(1400), rdnss(600, "2001:db8::53", "::1"), dnssl(600, "\x07example\x03org\x00\x01a\x00"))},
		{"addresses by DHCPv6", "route 2001:db8::/64 3600; route ::/0 via fe80::1 1800; managed; other",
			advert(0xc0, 1800, prefix("2001:db8::/64", 0x80, 3600, 1800))},
		{"the rest by DHCPv6", "addr " + me + "/64 ever/ever; route 2001:db8::/64 ever; route ::/0 via fe80::1 1800; other",
			advert(0x40, 1800, prefix("2001:db8::/64", 0xc0, 1<<32-1, 1<<32-1))},
		{"not on the link", "addr " + me + "/128 1800/3600; route ::/0 via fe80::1 1800", advert(0, 1800, prefix("2001:db8::/64", 0x40, 3600, 1800))},
		{"no default router", "addr " + me + "/64 1800/3600; route 2001:db8::/64 3600", advert(0, 0, prefix("2001:db8::/64", 0xc0, 3600, 1800))},
		{"deprecated", "addr " + me + "/64 0/3600; route 2001:db8::/64 3600", advert(0, 0, prefix("2001:db8::/64", 0xc0, 3600, 0))},
		{"routes of its own", "route 2001:db8:1::/48 via fe80::1 +1 60; route ::/0 via fe80::1 -1 70; route 2001:db8:2::1/128 via fe80::1 -1 ever",
			advert(0, 1800, route("2001:db8:1::/48", 1, 60), route("::/0", 3, 70), route("2001:db8:2::1/128", 3, 1<<32-1))},
		{"a preferred router", "route ::/0 via fe80::1 +1 9", advert(8, 9)},
		{"not 64 bits", "route 2001:db8::/56 3600", advert(0, 0, prefix("2001:db8::/56", 0xc0, 3600, 1800))},
		{"hostile prefixes", "", advert(0, 0, prefix("fe80::/64", 0xc0, 9, 9), prefix("ff02::/64", 0xc0, 9, 9), prefix("2001:db8::/64", 0xc0, 9, 10),
			prefix("::/0", 0xc0, 9, 9), prefix("2001:db8:9::/64", 0xc0, 0, 0))},
		{"hostile values", "", advert(0, 0, mtu(1279), mtu(1<<20), rdnss(9, "::", "ff02::1", "::1"), dnssl(9, "\x03a\nb\x00\x03ab"),
			route("ff02::/16", 0, 9), route("fe80::/64", 0, 9), route("2001:db8::/64", 2, 9))},
		{"unknown options", "", advert(0, 0, []byte{99, 1, 0, 0, 0, 0, 0, 0}, []byte{optPrefix, 1, 64, 0xc0, 0, 0, 0, 0}, []byte{optRDNSS, 1, 0, 0, 0, 0, 0, 9})},
		{"taken back", "", advert(0, 0, rdnss(0, "2001:db8::53"), dnssl(0, "\x01a\x00"), route("2001:db8::/64", 0, 0))},
	} {
		c := newClient()
		c.Link(0, true)
		out := c.Packet(0, test.packet, router, 255)
		if got := c.Settings().show(); got != test.want || !out.Changed || !c.Heard() {
			t.Errorf("%s:\n got %s\nwant %s", test.what, got, test.want)
		}
	}
}

func TestSolicitationsGoOutAtOnceAndMoreSeldom(t *testing.T) {
	c := newClient()
	if c.Next() != Never {
		t.Errorf("%v", c.Next())
	}
	out := c.Link(time.Second, true)
	if want := []byte{133, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56}; !bytes.Equal(out.Send, want) {
		t.Errorf("%x", out.Send)
	}
	last, want := time.Second, time.Second
	for i := range 10 {
		wait := c.Next() - last
		if wait < want-want/10 || wait > want+want/10 {
			t.Errorf("wait %d: %v, want %v", i, wait, want)
		}
		last = c.Next()
		if out := c.Deadline(last); out.Send == nil || out.Changed {
			t.Errorf("%+v", out)
		}
		want = min(2*want, longestWait)
	}
	if c.Explain() != "no router has answered 11 solicitations" {
		t.Error(c.Explain())
	}
	c.Packet(last, advert(0x80, 1800), router, 255)
	if c.Next() != last+1800*time.Second || c.Explain() != "the router leaves addresses to DHCPv6" {
		t.Errorf("%v %s", c.Next(), c.Explain())
	}
	if b := Solicitation(make([]byte, 20)); len(b) != 32 || b[9] != 3 {
		t.Errorf("%x", b)
	}
	if b := Solicitation(nil); len(b) != 8 {
		t.Errorf("%x", b)
	}
}

func TestOnlyTheLinkItselfIsBelieved(t *testing.T) {
	good := advert(0, 1800)
	for what, test := range map[string]struct {
		b    []byte
		from netip.Addr
		hops int
	}{
		"from elsewhere": {good, addr("2001:db8::1"), 255}, "through a router": {good, router, 254},
		"short": {good[:15], router, 255}, "another type": {append([]byte{135}, good[1:]...), router, 255},
		"another code": {append([]byte{134, 1}, good[2:]...), router, 255}, "a cut option": {append(slices.Clone(good), 3, 4, 0), router, 255},
		"an option of no length": {append(slices.Clone(good), 3, 0, 0, 0, 0, 0, 0, 0), router, 255},
	} {
		c := newClient()
		c.Link(0, true)
		if out := c.Packet(0, test.b, test.from, test.hops); out.Changed || c.Heard() {
			t.Errorf("%s: %+v", what, c.Settings())
		}
	}
	c := newClient()
	if out := c.Packet(0, good, router, 255); out.Changed {
		t.Error("without a link")
	}
	c.Link(0, true)
	c.Packet(0, good[:15], router, 255)
	if c.Explain() != "no router has answered 1 solicitation; fe80::1: router advertisement is too short" {
		t.Error(c.Explain())
	}
}

// RFC 4862, section 5.5.3 (e): an advertisement can make an address live
// longer, and shorter only down to two hours.
func TestNobodyTakesAnAddressAwayAtOnce(t *testing.T) {
	c := newClient()
	c.Link(0, true)
	say := func(now time.Duration, valid, preferred uint32) time.Duration {
		c.Packet(now, advert(0, 0, prefix("2001:db8::/64", 0xc0, valid, preferred)), router, 255)
		s := c.Settings()
		if len(s.Addrs) == 0 {
			return 0
		}
		return s.Addrs[0].ValidUntil - now
	}
	h := time.Hour
	for i, test := range []struct {
		now   time.Duration
		valid uint32
		want  time.Duration
	}{
		{0, 10 * 3600, 10 * h}, {h, 0, 2 * h}, {h, 3600, 2 * h}, {2 * h, 60, h}, {2 * h, 3 * 3600, 3 * h}, {2*h + h/2, 100000, 100000 * time.Second},
	} {
		if got := say(test.now, test.valid, 0); got != test.want {
			t.Errorf("step %d: %v, want %v", i, got, test.want)
		}
	}
	c = newClient()
	c.Link(0, true)
	say(0, 60, 30)
	if out := c.Deadline(60 * time.Second); !out.Changed || len(c.Settings().Addrs) != 0 {
		t.Errorf("%+v", c.Settings())
	}
}

func TestSeveralRoutersAndTheirEnd(t *testing.T) {
	c := newClient()
	c.Link(0, true)
	c.Packet(0, advert(0, 100, rdnss(50, "2001:db8::53")), router, 255)
	c.Packet(0, advert(8, 200, rdnss(200, "2001:db8::54"), mtu(1300)), other, 255)
	if got := c.Settings().show(); got != "route ::/0 via fe80::2 +1 200; route ::/0 via fe80::1 100; dns [2001:db8::53 2001:db8::54] []; mtu 1300" {
		t.Error(got)
	}
	var log []string
	for c.Next() != Never {
		now := c.Next()
		if out := c.Deadline(now); !out.Changed {
			t.Fatalf("at %v nothing changes", now)
		}
		log = append(log, c.Settings().show())
	}
	want := []string{
		"route ::/0 via fe80::2 +1 200; route ::/0 via fe80::1 100; dns [2001:db8::54] []; mtu 1300",
		"route ::/0 via fe80::2 +1 200; dns [2001:db8::54] []; mtu 1300", "",
	}
	if !slices.Equal(log, want) {
		t.Errorf("%q", log)
	}
	// A router that goes says so.
	c.Packet(300*time.Second, advert(0, 100), router, 255)
	if c.Packet(301*time.Second, advert(0, 0), router, 255); c.Settings().show() != "" {
		t.Error(c.Settings().show())
	}
	// No more are kept than there is room for.
	for i := range 100 {
		a := netip.AddrFrom16([16]byte{0xfe, 0x80, 15: byte(i)})
		var options [][]byte
		for j := range 40 {
			options = append(options, prefix(fmt.Sprintf("2001:db8:%x:%x::/64", i, j), 0xc0, 100, 100), route(fmt.Sprintf("2001:db8:%x:%x::/64", i, j), 0, 100))
		}
		c.Packet(400*time.Second, advert(0, 100, options...), a, 255)
	}
	if s := c.Settings(); len(s.Addrs) > maxAddrs || len(s.Routes) > 2*maxKept {
		t.Errorf("%d addresses, %d routes", len(s.Addrs), len(s.Routes))
	}
}

func TestAnAddressOfAnotherMachineIsNotUsed(t *testing.T) {
	c := newClient()
	c.Link(0, true)
	ad := advert(0, 0, prefix("2001:db8::/64", 0xc0, 3600, 1800))
	c.Packet(0, ad, router, 255)
	if out := c.Conflict(addr("2001:db8::9")); out.Changed {
		t.Error("another address")
	}
	if out := c.Conflict(addr("2001:db8::5054:ff:fe12:3456")); !out.Changed || len(c.Settings().Addrs) != 0 {
		t.Errorf("%+v", c.Settings())
	}
	if !strings.Contains(c.Explain(), "is another machine's") {
		t.Error(c.Explain())
	}
	c.Packet(time.Second, ad, router, 255)
	if len(c.Settings().Addrs) != 0 {
		t.Error("the address comes back")
	}
	c = New(Config{ID: func(_ netip.Prefix, n int) ([8]byte, bool) { return [8]byte{7: byte(n + 1)}, true }, Rand: func() uint32 { return 0 }})
	c.Link(0, true)
	c.Packet(0, ad, router, 255)
	for i := range maxDAD {
		want := addr(fmt.Sprintf("2001:db8::%d", i+1))
		if s := c.Settings(); s.Addrs[0].Addr.Addr() != want {
			t.Fatalf("%+v", s.Addrs)
		}
		c.Conflict(want)
	}
	if len(c.Settings().Addrs) != 0 {
		t.Error("tried without end")
	}
}

func TestALinkThatComesBackAsksAgainAndForgetsNothing(t *testing.T) {
	c := newClient()
	c.Link(0, true)
	c.Packet(0, advert(0, 1800, prefix("2001:db8::/64", 0xc0, timeForever, timeForever)), router, 255)
	c.Link(time.Second, false)
	if c.Settings().Addrs == nil || c.Explain() != "no carrier or no link-local address" {
		t.Errorf("%+v", c.Settings())
	}
	if out := c.Link(2*time.Second, true); out.Send == nil || c.Heard() {
		t.Errorf("%+v", out)
	}
	if timespan.Forever != Never {
		t.Error("two sorts of forever")
	}
}

const timeForever = 1<<32 - 1

// The identifiers of RFC 4291 and RFC 4391.
func TestIdentifiersOfHardwareAddresses(t *testing.T) {
	p := netip.MustParsePrefix("2001:db8::/64")
	if id, ok := EUI64(testMAC)(p, 0); !ok || id != [8]byte{0x50, 0x54, 0, 0xff, 0xfe, 0x12, 0x34, 0x56} {
		t.Errorf("%x", id)
	}
	ib := append(make([]byte, 12), 0x00, 0x02, 0xc9, 3, 4, 5, 6, 7)
	if id, ok := EUI64(ib)(p, 0); !ok || id != [8]byte{2, 2, 0xc9, 3, 4, 5, 6, 7} {
		t.Errorf("%x", id)
	}
	if _, ok := EUI64(testMAC)(p, 1); ok {
		t.Error("a second one")
	}
	if _, ok := EUI64(nil)(p, 0); ok {
		t.Error("of nothing")
	}
}

func FuzzClient(f *testing.F) {
	f.Add(advert(0xc0, 1800, prefix("2001:db8::/64", 0xc0, 3600, 1800), rdnss(9, "2001:db8::1"), dnssl(9, "\x01a\x00"), route("2001:db8::/48", 1, 9), mtu(1400)),
		advert(0, 0, prefix("2001:db8::/64", 0xc0, 0, 0)), uint32(5))
	f.Fuzz(func(t *testing.T, first, second []byte, after uint32) {
		c := newClient()
		c.Link(0, true)
		now := time.Duration(0)
		for _, b := range [][]byte{first, second, first} {
			c.Packet(now, b, router, 255)
			s := c.Settings()
			if len(s.Addrs) > maxAddrs || len(s.Routes) > 2*maxKept || len(s.DNS) > maxEach || len(s.Search) > maxEach || c.Explain() == "" {
				t.Fatalf("%+v", s)
			}
			for _, a := range s.Addrs {
				if a.PreferredUntil > a.ValidUntil || a.ValidUntil <= now || a.Addr.Addr().IsLinkLocalUnicast() {
					t.Fatalf("%+v", a)
				}
			}
			for _, n := range s.Search {
				if strings.ContainsAny(n, " \n\t\x00'\"$;/\\") || n == "" {
					t.Fatalf("%q", n)
				}
			}
			for i := 0; c.Next() != Never && i < 200; i++ {
				if c.Next() <= now {
					t.Fatalf("next %v at %v", c.Next(), now)
				}
				if c.Next() > now+time.Duration(after) {
					break
				}
				now = c.Next()
				c.Deadline(now)
			}
			now = later(now, time.Duration(after))
			for i := 0; c.Next() <= now && i < 100; i++ {
				c.Deadline(now)
			}
		}
	})
}
