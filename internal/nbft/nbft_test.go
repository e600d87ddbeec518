package nbft

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// maker makes a table by the figures of the specification: descriptors with
// their fields in order, and a heap behind them.
type maker struct {
	heap []byte
	base int // where the heap will be
}

func (m *maker) obj(v []byte) []byte {
	if v == nil {
		return make([]byte, 6)
	}
	at := m.base + len(m.heap)
	m.heap = append(m.heap, v...)
	m.heap = append(m.heap, 0)
	return binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint32(nil, uint32(at)), uint16(len(v)))
}

func (m *maker) str(s string) []byte { return m.obj([]byte(s)) }

func ip(s string) []byte { a := netip.MustParseAddr(s).As16(); return a[:] }

func le16(n uint16) []byte { return binary.LittleEndian.AppendUint16(nil, n) }
func le32(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

func pad(n int, parts ...[]byte) []byte {
	b := slices.Concat(parts...)
	return append(b, make([]byte, n-len(b))...)
}

// places of the descriptors in the table that table makes.
const (
	atHFI, atSSNS, atDisc, atHeap = 128, 160, 160 + 2*128, 160 + 2*128 + 32
)

// table is one with an interface, two ways to namespaces and a discovery
// controller, as a firmware for NVMe over TCP makes it.
func table() []byte {
	m := &maker{base: atHeap}
	host := m.obj(pad(lenHost, []byte{idHost, 1 | 4 | 0x10}, slices.Repeat([]byte{0x11}, 16), m.str("nqn.2014-08.org.nvmexpress:uuid:me")))
	tcp := m.obj(pad(lenTransport, []byte{idTransport, 1, 3, 1}, le16(1), []byte{1 | 2 | 4}, le32(0x18), []byte{0x52, 0x54, 0, 0x12, 0x34, 0x56},
		le16(7), []byte{3}, ip("::ffff:192.168.101.30"), []byte{24}, ip("::ffff:192.168.101.1"), []byte{0}, le16(500),
		ip("::ffff:192.168.101.2"), ip("::"), ip("::ffff:192.168.101.3"), m.str("node7")))
	ext := m.obj(pad(lenExtended, []byte{idExtended, 1}, le16(1), le32(1), le16(5), le16(6), m.str("NVME+TCP://192.168.101.20:4420/nqn.a//")))
	ssns := func(index uint16, flags uint16, addr string, ext []byte) []byte {
		return pad(lenSSNS, []byte{idSSNS}, le16(index), le16(flags), []byte{3}, le16(1|2), []byte{1, 0}, m.obj(ip(addr)), m.str("4420"),
			le16(0), le32(1), []byte{2}, slices.Repeat([]byte{0x22}, 16), []byte{0, 1, 0}, m.obj([]byte{1, 9}), m.str("nqn.2023-01.org.example:sub"), ext)
	}
	first := ssns(1, 1|0x10|0x40|0x80, "::ffff:192.168.101.20", ext)
	second := ssns(2, 1|2|0x100, "2001:db8::20", make([]byte, 6))
	disc := pad(lenDiscovery, []byte{idDiscovery, 1, 1, 1, 0, 0}, m.str("nvme+tcp://192.168.101.20:8009/"), m.obj(nil))
	control := pad(lenControl, []byte{idControl, 1, 0, 0}, le16(lenControl), []byte{1, 0}, host, []byte{1, 0},
		le32(atHFI), le16(lenHFI), []byte{1, 1}, le32(atSSNS), le16(lenSSNS), []byte{1, 2}, le32(0), le16(0), []byte{1, 0},
		le32(atDisc), le16(lenDiscovery), []byte{1, 1})
	hfi := pad(lenHFI, []byte{idHFI, 1, 1, 3}, make([]byte, 12), tcp)
	header := pad(lenHeader, []byte("NBFT"), le32(uint32(atHeap+len(m.heap))), []byte{1, 0}, []byte("QEMU  EDK2    "), le32(1), le32(2), le32(3),
		le32(atHeap), le32(uint32(len(m.heap))))
	return seal(slices.Concat(header, control, hfi, first, second, disc, m.heap))
}

func seal(b []byte) []byte {
	b[9] = 0
	var sum byte
	for _, c := range b {
		sum += c
	}
	b[9] = -sum
	return b
}

func TestATableOfAFirmware(t *testing.T) {
	got, err := Parse(append(table(), 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	id := [16]byte(slices.Repeat([]byte{0x22}, 16))
	a := netip.MustParseAddr
	want := &Table{
		Host: Host{ID: [16]byte(slices.Repeat([]byte{0x11}, 16)), NQN: "nqn.2014-08.org.nvmexpress:uuid:me", ConfiguredNQN: true, Primary: true},
		HFIs: []HFI{{Index: 1, MAC: [6]byte{0x52, 0x54, 0, 0x12, 0x34, 0x56}, VLAN: 7, DHCP: true, DHCPServer: a("192.168.101.3"),
			Addr: netip.MustParsePrefix("192.168.101.30/24"), Gateway: a("192.168.101.1"), Metric: 500, DNS: []netip.Addr{a("192.168.101.2")},
			HostName: "node7", DefaultRoute: true, PCI: 0x18}},
		Namespaces: []Namespace{
			{Index: 1, Bootable: true, Discovered: true, Addr: netip.MustParseAddrPort("192.168.101.20:4420"), NQN: "nqn.2023-01.org.example:sub",
				NSID: 1, IDType: 2, ID: id, HFIs: []byte{1}, Discovery: 1, HeaderDigest: true, RootPath: "NVME+TCP://192.168.101.20:4420/nqn.a//"},
			{Index: 2, Unavailable: true, Addr: netip.MustParseAddrPort("[2001:db8::20]:4420"), NQN: "nqn.2023-01.org.example:sub",
				NSID: 1, IDType: 2, ID: id, HFIs: []byte{1}, Discovery: 1, HeaderDigest: true},
		},
		Discoveries: []Discovery{{Index: 1, HFI: 1, URI: "nvme+tcp://192.168.101.20:8009/"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

func TestTablesThatAreNoneAreRefused(t *testing.T) {
	for want, change := range map[string]func([]byte) []byte{
		"too short":   func(b []byte) []byte { return b[:100] },
		"not an NBFT": func(b []byte) []byte { b[0] = 'n'; return seal(b) },
		"length":      func(b []byte) []byte { b[7] = 1; return seal(b) },
		"revision":    func(b []byte) []byte { b[8] = 2; return seal(b) },
		"checksum":    func(b []byte) []byte { b[200]++; return b },
		"heap":        func(b []byte) []byte { b[42] = 1; return seal(b) },
		"control":     func(b []byte) []byte { b[64] = 9; return seal(b) },
	} {
		if got, err := Parse(change(table())); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v", want, got, err)
		}
	}
	b := table()
	b[64+6] = 0
	if got, err := Parse(seal(b)); err != nil || got.HFIs != nil || got.Namespaces != nil {
		t.Errorf("a firmware that did not boot by it: %+v, %v", got, err)
	}
}

func TestDescriptorsThatCannotBeUsedAreLeftOut(t *testing.T) {
	// tcp is where the interface's transport stands.
	tcp := int(binary.LittleEndian.Uint32(table()[atHFI+16:]))
	at := func(s string) int { return strings.Index(string(table()), s) }
	for _, test := range []struct {
		note                    string
		change                  func([]byte)
		hfis, spaces, discovery int
	}{
		{"", func(b []byte) { b[atHFI+2] = 0 }, 0, 2, 1},
		{"", func(b []byte) { b[tcp+6] = 0 }, 0, 2, 1},
		{"", func(b []byte) { b[atSSNS+3] = 0 }, 1, 1, 1},
		{"", func(b []byte) { b[atDisc+1] = 0 }, 1, 2, 0},
		{"the list of each interface", func(b []byte) { b[64+22] = 2 }, 0, 2, 1},
		{"the list of each namespace", func(b []byte) { b[64+28] = 9 }, 1, 0, 1},
		{"the list of each namespace", func(b []byte) { b[64+31] = 200 }, 1, 0, 1},
		{"the list of each discovery", func(b []byte) { b[64+40], b[64+41] = 1, 0 }, 1, 2, 0},
		{"interface 1: not a descriptor", func(b []byte) { b[atHFI] = 9 }, 0, 2, 1},
		{"not of NVMe over TCP", func(b []byte) { b[atHFI+3] = 1 }, 0, 2, 1},
		{"interface 1: it refers", func(b []byte) { b[atHFI+18] = 9 }, 0, 2, 1},
		{"no description", func(b []byte) { b[tcp+1] = 2 }, 0, 2, 1},
		{"no hardware address", func(b []byte) { copy(b[tcp+11:tcp+17], make([]byte, 6)) }, 0, 2, 1},
		{"no network of 40 bits", func(b []byte) { b[tcp+36] = 40 }, 0, 2, 1},
		{"namespace 1: it is not of NVMe", func(b []byte) { b[atSSNS+5] = 1 }, 1, 1, 1},
		{"namespace 2: it is not of NVMe", func(b []byte) { b[atSSNS+128+5] = 1 }, 1, 1, 1},
		{"no address or no port", func(b []byte) { copy(b[at("4420\x00"):], "44x0") }, 1, 1, 1},
		{"its name is not an NQN", func(b []byte) { copy(b[at("nqn.2023"):], "iqn") }, 1, 1, 1},
		{"its name is not an NQN", func(b []byte) { copy(b[at("nqn.2023"):], "nqn.,a=") }, 1, 1, 1},
		{"the host: its name", func(b []byte) { copy(b[at("nqn.2014"):], "nqn. ") }, 1, 2, 1},
		{"the host: it refers", func(b []byte) { b[64+10] = 1 }, 1, 2, 1},
		{"discovery controller 1: a text", func(b []byte) { copy(b[at("nvme+tcp"):], "\x1b") }, 1, 2, 0},
		{"the path of its root: a text", func(b []byte) { copy(b[at("NVME+TCP"):], "\n") }, 1, 2, 1},
	} {
		b := table()
		test.change(b)
		got, err := Parse(seal(b))
		if err != nil {
			t.Errorf("%s: %v", test.note, err)
			continue
		}
		notes := strings.Join(got.Notes, "; ")
		if len(got.HFIs) != test.hfis || len(got.Namespaces) != test.spaces || len(got.Discoveries) != test.discovery ||
			!strings.Contains(notes, test.note) || (test.note == "") != (notes == "") {
			t.Errorf("%s: %+v", test.note, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(table())
	f.Add(table()[:130])
	f.Fuzz(func(t *testing.T, in []byte) {
		b := slices.Clone(in)
		if len(b) > 9 {
			if n := int64(binary.LittleEndian.Uint32(b[4:])); n > 9 && n <= int64(len(b)) {
				seal(b[:n])
			}
		}
		got, err := Parse(b)
		if err != nil {
			return
		}
		if len(got.HFIs) > maxEach || len(got.Namespaces) > maxEach || len(got.Discoveries) > maxEach || len(got.Notes) > maxEach {
			t.Fatalf("%+v", got)
		}
		for _, n := range got.Namespaces {
			if !n.Addr.IsValid() || len(n.HFIs) > maxEach || strings.ContainsAny(n.NQN, " ,\n\x00\"") || !strings.HasPrefix(n.NQN, "nqn.") {
				t.Fatalf("%+v", n)
			}
		}
	})
}
