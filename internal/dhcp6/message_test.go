package dhcp6

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/timespan"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

var (
	testDUID   = []byte{0, 3, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56}
	serverDUID = []byte{0, 1, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	fromServer = addr("fe80::1")
)

const testIAID = 0x00123456

func be32(n ...uint32) []byte {
	var b []byte
	for _, v := range n {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func iaAddr(a string, preferred, valid uint32, inner ...Option) Option {
	v := addr(a).As16()
	b := append(v[:], be32(preferred, valid)...)
	return Option{OptIAAddr, Options(inner).append(b)}
}

func ia(iaid, t1, t2 uint32, inner ...Option) Option {
	return Option{OptIANA, Options(inner).append(be32(iaid, t1, t2))}
}

func statusOption(s Status, words string) Option {
	return Option{OptStatus, append([]byte{0, byte(s)}, words...)}
}

// answer is a complete one.
func answer(t Type, options ...Option) *Message {
	m := &Message{Type: t, Options: Options{{OptClientID, testDUID}, {OptServerID, serverDUID}}}
	if !slices.ContainsFunc(options, func(o Option) bool { return o.Code == OptIANA }) {
		m.Options = append(m.Options, ia(testIAID, 0, 0, iaAddr("2001:db8::5", 1800, 3600)))
	}
	m.Options = append(m.Options, options...)
	return m
}

func wire(t testing.TB, m *Message) *Message {
	t.Helper()
	got, err := Parse(m.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Append(nil), m.Append(nil)) {
		t.Fatalf("%+v became %+v", m, got)
	}
	return got
}

func TestMessagesThatAreNoneAreRefused(t *testing.T) {
	for what, b := range map[string][]byte{
		"empty": nil, "short": {1, 2, 3}, "a relay's": {12, 0, 0, 0}, "half a head": {1, 0, 0, 0, 0, 1, 0},
		"a cut option": {1, 0, 0, 0, 0, 1, 0, 5, 1}, "options without end": append([]byte{1, 0, 0, 0}, make([]byte, 4*200)...),
	} {
		if m, err := Parse(b); err == nil {
			t.Errorf("%s: %+v", what, m)
		}
	}
}

func TestLeaseHasEverythingThatTheServerSaid(t *testing.T) {
	dns, ntp := addr("2001:db8::53").As16(), addr("2001:db8::123").As16()
	lo := addr("::1").As16()
	m := answer(Reply, ia(testIAID, 1000, 1600, iaAddr("2001:db8::5", 1800, 3600), iaAddr("2001:db8::6", 1<<32-1, 1<<32-1)),
		Option{OptDNS, slices.Concat(dns[:], lo[:], dns[:])}, Option{OptNTP, slices.Concat([]byte{0, 1, 0, 16}, ntp[:], []byte{0, 3, 0, 1, 0})},
		Option{OptDomains, []byte("\x07example\x03org\x00\x01a\x00")}, Option{OptBootURL, []byte("http://[2001:db8::2]/boot.efi")},
		Option{OptBootParam, []byte("\x00\x04quiet"[:6])}, Option{OptPreference, []byte{7}})
	l, err := wire(t, m).Lease(testIAID, false)
	if err != nil {
		t.Fatal(err)
	}
	want := []Addr{{addr("2001:db8::5"), 1800 * time.Second, time.Hour}, {addr("2001:db8::6"), timespan.Forever, timespan.Forever}}
	if !slices.Equal(l.Addrs, want) || l.Renew != 1000*time.Second || l.Rebind != 1600*time.Second || l.Lifetime() != timespan.Forever ||
		!slices.Equal(l.DNS, []netip.Addr{addr("2001:db8::53")}) || !slices.Equal(l.NTP, []netip.Addr{addr("2001:db8::123")}) ||
		!slices.Equal(l.Search, []string{"example.org", "a"}) || l.BootURL != "http://[2001:db8::2]/boot.efi" ||
		!slices.Equal(l.BootParams, []string{"quie"}) || l.preference != 7 || !bytes.Equal(l.Server, serverDUID) || len(l.Notes) > 0 {
		t.Errorf("%+v", l)
	}
	l, err = wire(t, answer(Reply)).Lease(testIAID, false)
	if err != nil || l.Renew != 900*time.Second || l.Rebind != 1440*time.Second {
		t.Errorf("%+v, %v", l, err)
	}
	l, err = wire(t, answer(Reply, Option{OptRefresh, be32(5)})).Lease(testIAID, true)
	if err != nil || len(l.Addrs) != 0 || l.Renew != 600*time.Second || l.Rebind != timespan.Forever {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestHostileAnswersGiveNoLease(t *testing.T) {
	for _, test := range []struct {
		want string
		m    *Message
	}{
		{"which server", &Message{Options: Options{ia(testIAID, 0, 0, iaAddr("2001:db8::5", 1, 100))}}},
		{"which server", &Message{Options: Options{{OptServerID, bytes.Repeat([]byte{1}, 131)}}}},
		{"for our interface", answer(Reply, ia(testIAID+1, 0, 0, iaAddr("2001:db8::5", 100, 100)))},
		{"for our interface", answer(Reply, Option{OptIANA, be32(testIAID, 0)})},
		{"NoAddrsAvail (\"full\")", answer(Reply, ia(testIAID, 0, 0, statusOption(NoAddrsAvail, "full")))},
		{"NotOnLink", answer(Reply, statusOption(NotOnLink, "\x1b[2J"))},
		{"unknown status", answer(Reply, statusOption(77, ""))},
		{"no address", answer(Reply, ia(testIAID, 0, 0))},
		{"no address", answer(Reply, ia(testIAID, 0, 0, iaAddr("fe80::5", 100, 100)))},
		{"no address", answer(Reply, ia(testIAID, 0, 0, iaAddr("ff02::5", 100, 100)))},
		{"no address", answer(Reply, ia(testIAID, 0, 0, iaAddr("::1", 100, 100)))},
		{"no address", answer(Reply, ia(testIAID, 0, 0, iaAddr("::ffff:1.2.3.4", 100, 100)))},
		{"no address", answer(Reply, ia(testIAID, 0, 0, iaAddr("2001:db8::5", 0, 0)))},
		{"no address", answer(Reply, ia(testIAID, 0, 0, iaAddr("2001:db8::5", 101, 100)))},
		{"no address", answer(Reply, ia(testIAID, 0, 0, iaAddr("2001:db8::5", 100, 100, statusOption(NotOnLink, ""))))},
		{"beyond", answer(Reply, Option{OptIANA, append(be32(testIAID, 0, 0), 0, 5, 0, 9)})},
	} {
		if l, err := wire(t, test.m).Lease(testIAID, false); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("want %q: %+v, %v", test.want, l, err)
		}
	}
	for _, test := range []struct {
		note string
		opt  Option
	}{
		{"cannot be read", Option{OptDomains, []byte("\x03ab")}}, {"cannot be read", Option{OptDomains, []byte("\xc0\x00")}},
		{"URL", Option{OptBootURL, []byte("http://a b")}}, {"URL", Option{OptBootURL, []byte("http://a\nb")}},
		{"are cut", Option{OptBootParam, []byte{0, 9, 1}}},
		{"make no sense", ia(testIAID, 1, 2, iaAddr("2001:db8::5", 1800, 3600))},
		{"make no sense", ia(testIAID, 1800, 3600, iaAddr("2001:db8::5", 1800, 3600))},
		{"more than 8", ia(testIAID, 0, 0, slices.Repeat([]Option{iaAddr("2001:db8::5", 1800, 3600)}, 9)...)},
	} {
		l, err := wire(t, answer(Reply, test.opt)).Lease(testIAID, false)
		if err != nil || len(l.Notes) != 1 || !strings.Contains(l.Notes[0], test.note) {
			t.Errorf("want %q: %+v, %v", test.note, l, err)
			continue
		}
		checkLease(t, l)
	}
	l, err := wire(t, answer(Reply, Option{OptDomains, []byte("\x03a\nb\x00\x02ok\x00")})).Lease(testIAID, false)
	if err != nil || !slices.Equal(l.Search, []string{"ok"}) {
		t.Errorf("%+v, %v", l, err)
	}
}

// checkLease is what has to be true of every lease, whatever was received.
func checkLease(t testing.TB, l *Lease) {
	t.Helper()
	for _, a := range l.Addrs {
		if !isHost(a.Addr) || a.Preferred > a.Valid || a.Valid < minLease {
			t.Fatalf("%+v", l)
		}
	}
	if len(l.Addrs) > maxAddrs || len(l.DNS) > maxServers || len(l.NTP) > 2*maxServers || len(l.Search) > maxDomains || len(l.Notes) > maxNotes {
		t.Fatalf("%+v", l)
	}
	if l.Renew < minRenew || l.Renew > l.Rebind {
		t.Fatalf("times %v %v", l.Renew, l.Rebind)
	}
	for _, s := range slices.Concat(l.Search, l.BootParams, l.Notes, []string{l.BootURL}) {
		if strings.ContainsAny(s, "\x00\n\r\x1b") {
			t.Fatalf("%q", s)
		}
	}
	for _, s := range l.Search {
		if strings.ContainsAny(s, " \t'\"$`\\;/") || s == "" {
			t.Fatalf("%q", s)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(answer(Reply, Option{OptDomains, []byte("\x01a\x00")}, Option{OptBootParam, []byte{0, 1, 'a'}}, Option{OptBootURL, []byte("tftp://x")}).Append(nil))
	f.Add(answer(Advertise, ia(testIAID, 1, 2, statusOption(NoBinding, "x"))).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		if !bytes.Equal(m.Append(nil), b) {
			t.Fatalf("%x became %x", b, m.Append(nil))
		}
		for _, stateless := range []bool{false, true} {
			if l, err := m.Lease(testIAID, stateless); err == nil {
				checkLease(t, l)
			}
		}
	})
}
