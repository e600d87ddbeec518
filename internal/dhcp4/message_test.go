package dhcp4

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/timespan"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// answer is a complete one, which tests change.
func answer(t Type, options ...Option) *Message {
	m := &Message{
		Op: OpReply, HType: 1, HWAddr: testMAC, XID: 1, YIAddr: addr("10.0.0.5"), SIAddr: addr("10.0.0.2"),
		Options: Options{
			{OptType, []byte{byte(t)}},
			{OptServer, addr("10.0.0.1").AsSlice()},
			{OptLeaseTime, be32(3600)},
			{OptNetmask, []byte{255, 255, 255, 0}},
		},
	}
	for _, o := range options {
		m.set(o)
	}
	return m
}

// set puts an option in place of the one that is there; without data and not
// even an empty slice it takes it out.
func (m *Message) set(o Option) {
	m.Options = slices.DeleteFunc(m.Options, func(have Option) bool { return have.Code == o.Code })
	if o.Data != nil {
		m.Options = append(m.Options, o)
	}
}

var testMAC = []byte{0x52, 0x54, 0, 0x12, 0x34, 0x56}

// wire is the message as it is after it has been sent and received.
func wire(t testing.TB, m *Message) *Message {
	t.Helper()
	got, err := Parse(m.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestMessageSurvivesTheWire(t *testing.T) {
	long := bytes.Repeat([]byte("abcdefgh"), 100) // three pieces
	m := answer(Ack, Option{OptRootPath, long}, Option{OptRapidCommit, []byte{}})
	m.Secs, m.Broadcast, m.Hops = 7, true, 3
	m.CIAddr, m.GIAddr = addr("10.0.0.9"), addr("10.0.0.254")
	m.SName, m.File = []byte("boot"), []byte("pxelinux.0")
	got := wire(t, m)
	if !bytes.Equal(got.Append(nil), m.Append(nil)) {
		t.Errorf("\n%+v\nbecame\n%+v", m, got)
	}
	if !bytes.Equal(got.Options.Get(OptRootPath), long) {
		t.Error("a long option is not put together")
	}
	if !got.Options.Has(OptRapidCommit) || got.Options.Has(OptDNS) {
		t.Error("an option without data is not told from one that is not there")
	}
}

func TestShortMessagesArePaddedForOldRelays(t *testing.T) {
	if n := len((&Message{Op: OpRequest}).Append(nil)); n != 300 {
		t.Errorf("%d bytes", n)
	}
}

func TestOptionsGoOnInTheFieldsForNames(t *testing.T) {
	m := answer(Ack, Option{OptOverload, []byte{3}}, Option{OptRootPath, []byte("nfs:")})
	b := m.Append(nil)
	copy(b[offFile:], []byte{byte(OptRootPath), 5, '1', '0', '.', '0', '.', optEnd})
	copy(b[offSName:], []byte{byte(OptRootPath), 4, '0', '.', '1', ':', byte(OptHostName), 2, 'h', '1', optEnd})
	got, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(got.Options.Get(OptRootPath)); s != "nfs:10.0.0.1:" {
		t.Errorf("root path %q", s)
	}
	l, err := got.Lease()
	if err != nil || l.HostName != "h1" || l.BootFile != "" || l.TFTPServer != "" {
		t.Errorf("%+v, %v", l, err)
	}
	b = answer(Ack, Option{OptOverload, []byte{1}}).Append(nil)
	b[offFile], b[offFile+1] = byte(OptRootPath), 200 // beyond the field
	if _, err := Parse(b); err == nil {
		t.Error("an option beyond the field is taken")
	}
}

func TestMessagesThatAreNoneAreRefused(t *testing.T) {
	good := answer(Ack).Append(nil)
	for what, change := range map[string]func([]byte) []byte{
		"empty":              func(b []byte) []byte { return nil },
		"a cookie missing":   func(b []byte) []byte { return b[:headerLen] },
		"another cookie":     func(b []byte) []byte { b[headerLen]++; return b },
		"no operation":       func(b []byte) []byte { b[0] = 3; return b },
		"hardware address":   func(b []byte) []byte { b[2] = 17; return b },
		"option without end": func(b []byte) []byte { return append(b[:headerLen+4], byte(OptDNS), 4, 1, 2) },
		"option without len": func(b []byte) []byte { return append(b[:headerLen+4], byte(OptDNS)) },
	} {
		if _, err := Parse(change(bytes.Clone(good))); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	if _, err := Parse(append(good[:headerLen+4:headerLen+4], byte(OptType), 1, byte(Ack))); err != nil {
		t.Errorf("without an end mark: %v", err)
	}
}

func TestLeaseHasEverythingThatTheServerSaid(t *testing.T) {
	m := answer(Ack,
		Option{OptRouter, addr("10.0.0.254").AsSlice()},
		Option{OptDNS, slices.Concat(addr("10.0.0.3").AsSlice(), addr("127.0.0.1").AsSlice(), addr("10.0.0.3").AsSlice(), addr("8.8.8.8").AsSlice())},
		Option{OptNTP, addr("10.0.0.4").AsSlice()},
		Option{OptBroadcast, addr("10.0.0.255").AsSlice()},
		Option{OptHostName, []byte("node-1\x00")}, Option{OptDomain, []byte("example.org")},
		Option{OptMTU, []byte{0x23, 0x28}}, Option{OptRootPath, []byte("10.0.0.2:/srv/root,vers=4.2")},
		Option{OptTFTPServer, []byte("tftp.example.org")}, Option{OptBootFile, []byte("grub.efi")},
		Option{OptRenewal, be32(1000)}, Option{OptRebinding, be32(2000)}, Option{OptVendor, []byte{1, 2}},
		Option{OptRelayInfo, []byte{1, 1, 'x'}})
	m.SName, m.File = []byte("not this"), []byte("nor this")
	l, err := wire(t, m).Lease()
	if err != nil {
		t.Fatal(err)
	}
	if l.Addr != netip.MustParsePrefix("10.0.0.5/24") || l.Server != addr("10.0.0.1") || l.NextServer != addr("10.0.0.2") ||
		l.Broadcast != addr("10.0.0.255") || !slices.Equal(l.DNS, []netip.Addr{addr("10.0.0.3"), addr("8.8.8.8")}) ||
		!slices.Equal(l.NTP, []netip.Addr{addr("10.0.0.4")}) || l.HostName != "node-1" || l.Domain != "example.org" ||
		!slices.Equal(l.Search, []string{"example.org"}) || l.MTU != 9000 || l.RootPath != "10.0.0.2:/srv/root,vers=4.2" ||
		l.TFTPServer != "tftp.example.org" || l.BootFile != "grub.efi" || l.Lifetime != time.Hour ||
		l.Renew != 1000*time.Second || l.Rebind != 2000*time.Second || !bytes.Equal(l.Vendor, []byte{1, 2}) {
		t.Errorf("%+v", l)
	}
	if want := []Route{{Dst: netip.MustParsePrefix("0.0.0.0/0"), Via: addr("10.0.0.254")}}; !slices.Equal(l.Routes, want) {
		t.Errorf("routes %v", l.Routes)
	}
	if len(l.Notes) > 0 {
		t.Errorf("notes %q", l.Notes)
	}
	m.set(Option{Code: OptTFTPServer})
	m.set(Option{Code: OptBootFile})
	m.SName, m.File = []byte("sname"), []byte("file")
	if l, err = wire(t, m).Lease(); err != nil || l.TFTPServer != "sname" || l.BootFile != "file" {
		t.Errorf("%q %q %v", l.TFTPServer, l.BootFile, err)
	}
}

// The examples of RFC 3442 and of clouds that give one address alone.
func TestClasslessRoutes(t *testing.T) {
	for _, test := range []struct{ hex, want string }{
		{"00 0a110001", "0.0.0.0/0 via 10.17.0.1 onlink"},
		{"08 0a 0a000001", "10.0.0.0/8 via 10.0.0.1"},
		{"18 0a0000 0a000001", "10.0.0.0/24 via 10.0.0.1"},
		{"10 0a11 0a000001", "10.17.0.0/16 via 10.0.0.1"},
		{"18 0a1b81 0a000001", "10.27.129.0/24 via 10.0.0.1"},
		{"19 0ae58080 0a000001", "10.229.128.128/25 via 10.0.0.1"},
		{"20 0ac6c0a8 0a000001", "10.198.192.168/32 via 10.0.0.1"},
		{"14 ac1fff 0a000001", "172.31.240.0/20 via 10.0.0.1"},                                // with host bits
		{"20 0a800001 00000000 00 0a800001", "10.128.0.1/32 0.0.0.0/0 via 10.128.0.1 onlink"}, // Google's
		{"00 0a000005", ""}, // itself
		{"00 7f000001", ""}, // no router
		{"08 7f 0a000001 18 0a0900 0a000001", "10.9.0.0/24 via 10.0.0.1"},      // to the machine itself
		{"21 0a000000 0a000001", "0.0.0.0/0 via 10.0.0.254"},                   // no prefix: the router counts
		{"18 0a00 0a0000", "0.0.0.0/0 via 10.0.0.254"},                         // cut
		{"00 0a000001 00 0a000002", "0.0.0.0/0 via 10.0.0.1"},                  // the first one counts
		{strings.Repeat("18 0a0100 0a000001 ", 3), "10.1.0.0/24 via 10.0.0.1"}, // once
	} {
		v, err := hex.DecodeString(strings.ReplaceAll(test.hex, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range []Code{OptRoutes, OptRoutesMS} {
			l, err := answer(Ack, Option{code, v}, Option{OptRouter, addr("10.0.0.254").AsSlice()}).Lease()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range l.Routes {
				s := r.Dst.String()
				if r.Via.IsValid() {
					s += " via " + r.Via.String()
				}
				if r.OnLink {
					s += " onlink"
				}
				got = append(got, s)
			}
			if s := strings.Join(got, " "); s != test.want {
				t.Errorf("%s: %q, want %q", test.hex, s, test.want)
			}
		}
	}
	many := bytes.Repeat([]byte{32, 10, 1, 0, 0, 10, 0, 0, 1}, 200)
	for i := range 200 {
		many[i*9+4] = byte(i)
	}
	if l, err := answer(Ack, Option{OptRoutes, many}).Lease(); err != nil || len(l.Routes) != maxRoutes {
		t.Errorf("%d routes, %v", len(l.Routes), err)
	}
}

// The example of RFC 3397, and what is no list.
func TestSearchListIsDecompressed(t *testing.T) {
	list := []byte("\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04")
	l, err := answer(Ack, Option{OptSearch, list}, Option{OptDomain, []byte("other.org")}).Lease()
	if err != nil || !slices.Equal(l.Search, []string{"eng.apple.com", "marketing.apple.com"}) || l.Domain != "other.org" {
		t.Errorf("%q %q %v", l.Search, l.Domain, err)
	}
	for _, bad := range []string{
		"\xc0\x00", "\x01a\xc0\x00", "\x01a\xc0\x05", "\x03ab", "\x40abc\x00", "\x01a", "\x01a\xc0",
		strings.Repeat("\x3f"+strings.Repeat("a", 63), 5) + "\x00",
	} {
		if l, err := answer(Ack, Option{OptSearch, []byte(bad)}).Lease(); err != nil || len(l.Search) > 0 || len(l.Notes) != 1 {
			t.Errorf("%q: %q, notes %q, %v", bad, l.Search, l.Notes, err)
		}
	}
	// What must not get into resolv.conf is left out, the rest stays.
	l, err = answer(Ack, Option{OptSearch, []byte("\x0ba\nnameserve\x00\x02ok\x00")}).Lease()
	if err != nil || !slices.Equal(l.Search, []string{"ok"}) {
		t.Errorf("%q %v", l.Search, err)
	}
	long := bytes.Repeat([]byte("\x01a\x00"), 500)
	if l, err := answer(Ack, Option{OptSearch, long}).Lease(); err != nil || len(l.Search) != maxSearch {
		t.Errorf("%d domains, %v", len(l.Search), err)
	}
}

func TestHostileAnswersGiveNoLease(t *testing.T) {
	for _, test := range []struct {
		want   string
		change func(*Message)
	}{
		{"no address", func(m *Message) { m.YIAddr = netip.Addr{} }},
		{"127.0.0.1 is not", func(m *Message) { m.YIAddr = addr("127.0.0.1") }},
		{"224.0.0.1 is not", func(m *Message) { m.YIAddr = addr("224.0.0.1") }},
		{"0.1.2.3 is not", func(m *Message) { m.YIAddr = addr("0.1.2.3") }},
		{"the network itself", func(m *Message) { m.YIAddr = addr("10.0.0.0") }},
		{"broadcast address", func(m *Message) { m.YIAddr = addr("10.0.0.255") }},
		{"which server", func(m *Message) { m.set(Option{Code: OptServer}) }},
		{"which server", func(m *Message) { m.set(Option{OptServer, []byte{255, 255, 255, 255}}) }},
		{"which server", func(m *Message) { m.set(Option{OptServer, []byte{10, 0}}) }},
		{"netmask", func(m *Message) { m.set(Option{OptNetmask, []byte{255, 0, 255, 0}}) }},
		{"netmask", func(m *Message) { m.set(Option{OptNetmask, []byte{0, 0, 0, 0}}) }},
		{"netmask", func(m *Message) { m.set(Option{OptNetmask, []byte{255, 255}}) }},
		{"a lease of 0 s", func(m *Message) { m.set(Option{OptLeaseTime, be32(0)}) }},
		{"a lease of 9 s", func(m *Message) { m.set(Option{OptLeaseTime, be32(9)}) }},
	} {
		m := answer(Ack)
		test.change(m)
		if l, err := wire(t, m).Lease(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("want %q: %+v, %v", test.want, l, err)
		}
	}
}

func TestHostileValuesAreLeftOut(t *testing.T) {
	for _, test := range []struct {
		note string
		opt  Option
		ok   func(*Lease) bool
	}{
		{"MTU 67", Option{OptMTU, []byte{0, 67}}, func(l *Lease) bool { return l.MTU == 0 }},
		{"", Option{OptMTU, []byte{2, 64}}, func(l *Lease) bool { return l.MTU == 576 }},
		{"host name", Option{OptHostName, []byte("a b")}, func(l *Lease) bool { return l.HostName == "" }},
		{"host's name has", Option{OptHostName, []byte("a\nb")}, func(l *Lease) bool { return l.HostName == "" }},
		{"host name", Option{OptHostName, []byte("$(reboot)")}, func(l *Lease) bool { return l.HostName == "" }},
		{"host name", Option{OptHostName, bytes.Repeat([]byte("a"), 65)}, func(l *Lease) bool { return l.HostName == "" }},
		{"domain", Option{OptDomain, []byte("-x.org")}, func(l *Lease) bool { return l.Domain == "" && l.Search == nil }},
		{"", Option{OptDomain, []byte("a.org b.org")}, func(l *Lease) bool { return l.Domain == "a.org" && len(l.Search) == 2 }},
		{"path of the root", Option{OptRootPath, []byte("/a\nb")}, func(l *Lease) bool { return l.RootPath == "" }},
		{"path of the root", Option{OptRootPath, []byte("/\xff")}, func(l *Lease) bool { return l.RootPath == "" }},
		{"path of the root", Option{OptRootPath, []byte("/\u2028")}, func(l *Lease) bool { return l.RootPath == "" }},
		{"path of the root", Option{OptRootPath, bytes.Repeat([]byte("/"), 1025)}, func(l *Lease) bool { return l.RootPath == "" }},
		{"", Option{OptRootPath, []byte("/srv/größe")}, func(l *Lease) bool { return l.RootPath == "/srv/größe" }},
		{"broadcast", Option{OptBroadcast, addr("192.168.0.255").AsSlice()}, func(l *Lease) bool { return !l.Broadcast.IsValid() }},
		{"broadcast", Option{OptBroadcast, addr("10.0.0.5").AsSlice()}, func(l *Lease) bool { return !l.Broadcast.IsValid() }},
		{"renewal", Option{OptRenewal, be32(3600)}, func(l *Lease) bool { return l.Renew == 30*time.Minute }},
		{"renewal", Option{OptRebinding, be32(3600)}, func(l *Lease) bool { return l.Rebind == 3150*time.Second }},
		{"renewal", Option{OptRenewal, be32(0)}, func(l *Lease) bool { return l.Renew == 30*time.Minute }},
		{"no lease time", Option{Code: OptLeaseTime}, func(l *Lease) bool { return l.Lifetime == time.Hour }},
		{"", Option{OptLeaseTime, be32(1<<32 - 1)}, func(l *Lease) bool { return l.Lifetime == timespan.Forever }},
		{"", Option{OptLeaseTime, be32(1<<32 - 2)}, func(l *Lease) bool { return l.Lifetime > 136*365*24*time.Hour }},
		{"no netmask", Option{Code: OptNetmask}, func(l *Lease) bool { return l.Addr.Bits() == 8 }},
		{"cannot be a router", Option{OptRouter, addr("10.0.0.5").AsSlice()}, func(l *Lease) bool { return l.Routes == nil }},
		{"not in 10.0.0.0/24", Option{OptRouter, addr("192.168.0.1").AsSlice()}, func(l *Lease) bool { return l.Routes[0].OnLink }},
		{"", Option{OptRouter, []byte{255, 255, 255, 255, 10, 0, 0, 7}}, func(l *Lease) bool { return l.Routes[0].Via == addr("10.0.0.7") }},
		{"", Option{OptDNS, []byte{1, 2, 3}}, func(l *Lease) bool { return l.DNS == nil }},
		{"", Option{OptDNS, bytes.Repeat([]byte{10, 0, 0, 1, 10, 0, 0, 2}, 90)}, func(l *Lease) bool { return len(l.DNS) == 2 }},
	} {
		l, err := wire(t, answer(Ack, test.opt)).Lease()
		if err != nil {
			t.Errorf("%v: %v", test.opt, err)
			continue
		}
		notes := strings.Join(l.Notes, "; ")
		if !test.ok(l) || test.note == "" && notes != "" || !strings.Contains(notes, test.note) {
			t.Errorf("%v: %+v", test.opt, l)
		}
	}
	for a, bits := range map[string]int{"126.0.0.1": 8, "172.16.0.1": 16, "192.168.1.1": 24} {
		m := answer(Ack, Option{Code: OptNetmask})
		m.YIAddr = addr(a)
		if l, err := m.Lease(); err != nil || l.Addr.Bits() != bits {
			t.Errorf("%s: %+v, %v", a, l, err)
		}
	}
	for _, mask := range []byte{254, 255} { // RFC 3021, and a network of one
		if l, err := answer(Ack, Option{OptNetmask, []byte{255, 255, 255, mask}}).Lease(); err != nil {
			t.Errorf("%+v, %v", l, err)
		}
	}
}

func TestFrameSurvivesTheWire(t *testing.T) {
	from, to := netip.MustParseAddrPort("0.0.0.0:68"), netip.MustParseAddrPort("255.255.255.255:67")
	for n := range 5 {
		payload := []byte("abcd")[:n]
		b := AppendFrame(nil, from, to, payload)
		f, o, p, err := ParseFrame(append(bytes.Clone(b), 0, 0, 0), false) // Ethernet pads
		if err != nil || f != from || o != to || !bytes.Equal(p, payload) {
			t.Fatalf("%v %v %q %v", f, o, p, err)
		}
		for i := range b {
			bad := bytes.Clone(b)
			bad[i] ^= 0x11
			if _, _, _, err := ParseFrame(bad, false); err == nil {
				t.Errorf("byte %d changed: taken", i)
			}
		}
		b[26]++ // of UDP's checksum
		if _, _, _, err := ParseFrame(b, true); err != nil {
			t.Errorf("checksum not computed yet: %v", err)
		}
		b[26], b[27] = 0, 0
		if _, _, _, err := ParseFrame(b, false); err != nil {
			t.Errorf("without a checksum: %v", err)
		}
	}
	// A header of an RFC 1071 example, computed by hand: 45 00 … of 20 bytes.
	if s := sum(0, []byte{0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7}); s != 0xddf2 {
		t.Errorf("%#x", s)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(answer(Ack, Option{OptRoutes, []byte{24, 10, 1, 2, 10, 0, 0, 1}}, Option{OptSearch, []byte("\x01a\x00\x01b\xc0\x00")}).Append(nil))
	over := answer(Ack, Option{OptOverload, []byte{3}}).Append(nil)
	f.Add(over)
	f.Add(AppendFrame(nil, netip.MustParseAddrPort("1.2.3.4:67"), netip.MustParseAddrPort("1.2.3.4:68"), over))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, p, err := ParseFrame(b, true); err == nil && len(p) > len(b) {
			t.Fatal("payload is longer than the packet")
		}
		m, err := Parse(b)
		if err != nil {
			return
		}
		size := 0
		for _, o := range m.Options {
			size += len(o.Data)
		}
		if size > len(b) {
			t.Fatalf("%d bytes of options from %d", size, len(b))
		}
		m.set(Option{Code: OptOverload})
		if m2, err := Parse(m.Append(nil)); err != nil || !bytes.Equal(m2.Append(nil), m.Append(nil)) {
			t.Fatalf("%+v\n%+v\n%v", m, m2, err)
		}
		if l, err := m.Lease(); err == nil {
			checkLease(t, l)
		}
	})
}

// checkLease is what has to be true of every lease, whatever was received.
func checkLease(t testing.TB, l *Lease) {
	t.Helper()
	if !isHost(l.Addr.Addr()) || l.Addr.Bits() < 1 || !isHost(l.Server) {
		t.Fatalf("%+v", l)
	}
	if l.Renew <= 0 || l.Renew > l.Rebind || l.Rebind > l.Lifetime {
		t.Fatalf("times %v %v %v", l.Renew, l.Rebind, l.Lifetime)
	}
	if len(l.Routes) > maxRoutes || len(l.DNS) > maxAddrs || len(l.Search) > maxSearch || len(l.Notes) > maxNotes {
		t.Fatalf("%+v", l)
	}
	for _, s := range append([]string{l.HostName, l.Domain}, l.Search...) {
		if s != "" && (!ValidDomain(s) || strings.ContainsAny(s, " \t\n'\"$`\\;/")) {
			t.Fatalf("name %q", s)
		}
	}
	for _, s := range append([]string{l.RootPath, l.TFTPServer, l.BootFile}, l.Notes...) {
		if strings.ContainsAny(s, "\x00\n\r\x1b") {
			t.Fatalf("text %q", s)
		}
	}
	for _, r := range l.Routes {
		if r.Dst != r.Dst.Masked() || r.Via.IsValid() && !isHost(r.Via) {
			t.Fatalf("route %+v", r)
		}
	}
}
