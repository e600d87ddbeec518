package ibft

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The table that iPXE makes for one interface and one target has its structures
// where the kernel's drivers/firmware/iscsi_ibft.c looks for them; this makes
// one by hand in the same way, field after field.
type maker struct{ b []byte }

func (m *maker) put(v ...any) {
	for _, x := range v {
		switch x := x.(type) {
		case int: // a byte
			m.b = append(m.b, byte(x))
		case uint16:
			m.b = binary.LittleEndian.AppendUint16(m.b, x)
		case string: // an address
			a := netip.MustParseAddr(x).As16()
			m.b = append(m.b, a[:]...)
		case []byte:
			m.b = append(m.b, x...)
		}
	}
}

// table is a usual one. The texts stand behind the structures.
func table() []byte {
	m := &maker{}
	m.put([]byte("iBFT"), []byte{0, 0, 0, 0}, 1, 0, []byte("FENSYSiPXE    "), make([]byte, 24)) // 48 bytes
	const init, nic, tgt, heap = 66, 140, 242, 296
	m.put(1, 1, uint16(18), 0, 0, uint16(0), uint16(init), uint16(nic), uint16(tgt), uint16(0), uint16(0))
	texts := []string{"iqn.2010-04.org.ipxe:me", "node7", "iqn.2009-06.org.example:disk", "user", "secret", "inuser", "insecret"}
	at, refs := heap, [][2]uint16{}
	for _, s := range texts {
		refs = append(refs, [2]uint16{uint16(len(s)), uint16(at)})
		at += len(s) + 1
	}
	ref := func(i int) { m.put(refs[i][0], refs[i][1]) }
	m.put(2, 1, uint16(74), 0, 3, "::", "::", "::", "::")
	ref(0)
	m.put(3, 1, uint16(102), 0, 7, "::ffff:192.168.50.101", 24, 3, "::ffff:192.168.50.1", "::ffff:192.168.50.2", "::",
		"::ffff:192.168.50.3", uint16(5), []byte{0x52, 0x54, 0, 0x12, 0x34, 0x56}, uint16(0x18))
	ref(1)
	m.put(4, 1, uint16(54), 0, 3, "::ffff:192.168.50.10", uint16(3260), []byte{0, 1, 0, 0, 0, 0, 0, 0}, 2, 0)
	for i := 2; i < 7; i++ {
		ref(i)
	}
	for _, s := range texts {
		m.put([]byte(s), 0)
	}
	binary.LittleEndian.PutUint32(m.b[4:], uint32(len(m.b)))
	return seal(m.b)
}

// seal makes the checksum right.
func seal(b []byte) []byte {
	b[9] = 0
	var sum byte
	for _, c := range b {
		sum += c
	}
	b[9] = -sum
	return b
}

func TestATableOfOneInterfaceAndOneTarget(t *testing.T) {
	got, err := Parse(table())
	if err != nil {
		t.Fatal(err)
	}
	want := &Table{
		Initiator: "iqn.2010-04.org.ipxe:me",
		NICs: []NIC{{Boot: true, DefaultRoute: true, MAC: [6]byte{0x52, 0x54, 0, 0x12, 0x34, 0x56}, VLAN: 5, DHCP: true,
			DHCPServer: netip.MustParseAddr("192.168.50.3"), Addr: netip.MustParsePrefix("192.168.50.101/24"),
			Gateway: netip.MustParseAddr("192.168.50.1"), DNS: []netip.Addr{netip.MustParseAddr("192.168.50.2")}, HostName: "node7", PCI: 0x18}},
		Targets: []Target{{Boot: true, Addr: netip.MustParseAddrPort("192.168.50.10:3260"), LUN: 1 << 48, Name: "iqn.2009-06.org.example:disk",
			User: "user", Secret: "secret", InUser: "inuser", InSecret: "insecret"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if got, err := Parse(append(table(), 1, 2, 3)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("with bytes behind it: %+v, %v", got, err)
	}
}

func TestTablesThatAreNoneAreRefused(t *testing.T) {
	for want, change := range map[string]func([]byte) []byte{
		"too short":   func(b []byte) []byte { return b[:60] },
		"not an iBFT": func(b []byte) []byte { b[0] = 'I'; return seal(b) },
		"length":      func(b []byte) []byte { b[6] = 1; return seal(b) },
		"revision":    func(b []byte) []byte { b[8] = 2; return seal(b) },
		"checksum":    func(b []byte) []byte { b[100]++; return b },
		"control":     func(b []byte) []byte { b[48] = 9; return seal(b) },
	} {
		if got, err := Parse(change(table())); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v", want, got, err)
		}
	}
}

func TestStructuresThatCannotBeUsedAreLeftOut(t *testing.T) {
	const init, nic, tgt = 66, 140, 242
	for _, test := range []struct {
		note   string
		change func([]byte)
		nics   int
		tgts   int
	}{
		{"", func(b []byte) { b[nic+5] = 0 }, 0, 1},
		{"", func(b []byte) { b[nic] = 77 }, 0, 1},
		{"", func(b []byte) { copy(b[nic+6:nic+22], make([]byte, 16)) }, 1, 1},
		{"behind the end", func(b []byte) { b[58], b[59] = 0xff, 0xff }, 0, 1},
		{"cannot be read", func(b []byte) { b[nic+2] = 9 }, 0, 1},
		{"cannot be read", func(b []byte) { b[nic+3] = 9 }, 0, 1},
		{"cannot be read", func(b []byte) { b[tgt+1] = 9 }, 1, 0},
		{"interface 0: no hardware address", func(b []byte) { copy(b[nic+90:nic+96], make([]byte, 6)) }, 0, 1},
		{"no network of 33 bits", func(b []byte) { b[nic+22] = 33 }, 0, 1},
		{"no network of 0 bits", func(b []byte) { b[nic+22] = 0 }, 0, 1},
		{"target 0: no address or no port", func(b []byte) { b[tgt+22], b[tgt+23] = 0, 0 }, 1, 0},
		{"no address or no port", func(b []byte) { copy(b[tgt+6:tgt+22], make([]byte, 16)) }, 1, 0},
		{"target 0: no name", func(b []byte) { b[tgt+34], b[tgt+35] = 0, 0 }, 1, 0},
		{"target 0: a text", func(b []byte) { b[tgt+37] = 0xff }, 1, 0},
		{"interface 0: a text", func(b []byte) { b[nic+98] = 0xff }, 0, 1},
		{"initiator 0: a text", func(b []byte) { b[init+73] = 0xff }, 1, 1},
		{"target 0: a text", func(b []byte) { copy(b[bytes.Index(b, []byte("iqn.2009")):], "\x1b[2J") }, 1, 0},
	} {
		b := table()
		test.change(b)
		got, err := Parse(seal(b))
		if err != nil {
			t.Errorf("%s: %v", test.note, err)
			continue
		}
		notes := strings.Join(got.Notes, "; ")
		if len(got.NICs) != test.nics || len(got.Targets) != test.tgts || !strings.Contains(notes, test.note) || (test.note == "") != (notes == "") {
			t.Errorf("%s: %+v", test.note, got)
		}
		if strings.Contains(notes, "secret") {
			t.Errorf("a secret in %q", notes)
		}
	}
}

// A control structure may name more interfaces and targets than two.
func TestMoreThanTwoInterfaces(t *testing.T) {
	b := table()
	extra := slices.Clone(b[140:242])
	extra[4], extra[95] = 2, 0x57
	// The control structure cannot grow where it stands; it is the table's first
	// structure at 48, so the initiator's place is taken for more offsets.
	b[50] = 18 + 8
	copy(b[66:], []byte{0, 0, 0, 0, 0, 0, 0, 0})
	binary.LittleEndian.PutUint16(b[56:], 0)
	binary.LittleEndian.PutUint16(b[66:], uint16(len(b)))
	b = append(b, extra...)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
	got, err := Parse(seal(b))
	if err != nil || len(got.NICs) != 2 || got.NICs[1].Index != 2 || got.NICs[1].MAC[5] != 0x57 || got.Initiator != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(table())
	f.Add(table()[:100])
	f.Fuzz(func(t *testing.T, in []byte) {
		b := slices.Clone(in)
		if len(b) > 9 {
			n := min(len(b), max(0, int(int32(binary.LittleEndian.Uint32(b[4:])))))
			if n > 9 {
				seal(b[:n])
			}
		}
		got, err := Parse(b)
		if err != nil {
			return
		}
		if len(got.NICs) > maxEach || len(got.Targets) > maxEach || len(got.Notes) > maxEach {
			t.Fatalf("%+v", got)
		}
		for _, x := range got.Targets {
			if x.Name == "" || !x.Addr.IsValid() || strings.ContainsAny(x.Name+x.User, "\x00\n\x1b") {
				t.Fatalf("%+v", x)
			}
		}
	})
}
