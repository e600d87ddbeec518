package nbdnl

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"
)

// The kernel's own messages have this form: a header of netlink, one of generic
// netlink, attributes of four bytes and what they hold.
func kernelSays(typ uint16, cmd byte, attrs func(*message)) []byte {
	m := newMessage(typ, 0, cmd)
	attrs(m)
	return m.bytes(7)
}

func TestConnectIsWhatTheDriverReads(t *testing.T) {
	if native.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the bytes below are of a machine that puts the lowest first")
	}
	got := connect(0x1c, Device{Index: 3, Size: 1 << 20, BlockSize: 512, Flags: 5, DeadConn: 60, Backend: "a", Sockets: []int{8, 9}}).bytes(1)
	want := "70000000" + "1c000500" + "01000000" + "00000000" + "01010000" +
		"08000100" + "03000000" +
		"0c000200" + "0000100000000000" +
		"0c000300" + "0002000000000000" +
		"0c000500" + "0500000000000000" +
		"0c000800" + "3c00000000000000" +
		"06000a00" + "61000000" +
		"1c000780" + "0c000180" + "08000100" + "08000000" + "0c000180" + "08000100" + "09000000"
	if hex.EncodeToString(got) != want {
		t.Errorf("got  %x\nwant %s", got, want)
	}
	got = connect(0x1c, Device{Index: -1, Size: 1 << 20, BlockSize: 512, Sockets: []int{8}}).bytes(1)
	if n, ok := index(got[16:]); ok {
		t.Errorf("a device of any number is asked for as %d", n)
	}
}

func TestTheFamilyAndItsGroupAreFound(t *testing.T) {
	b := kernelSays(typeControl, 1, func(m *message) {
		m.attr(familyName, []byte("nbd\x00"))
		m.attr(familyID, []byte{0x1c, 0})
		groups := &message{}
		for i, name := range []string{"other", group} {
			g := &message{}
			g.u32(groupID, uint32(40+i))
			g.attr(groupName, append([]byte(name), 0))
			groups.attr(uint16(i+1), g.b)
		}
		m.attr(familyGroup, groups.b)
	})
	for m := range messages(b) {
		if id, mcast := parseFamily(m.body); id != native.Uint16([]byte{0x1c, 0}) || mcast != 41 {
			t.Errorf("%d, %d", id, mcast)
		}
	}
}

func TestBrokenConnectionsAreCounted(t *testing.T) {
	one := kernelSays(0x1c, cmdLinkDead, func(m *message) { m.u32(attrIndex, 2) })
	other := kernelSays(0x1c, 5, func(m *message) { m.u32(attrIndex, 3) })
	foreign := kernelSays(0x1d, cmdLinkDead, func(m *message) { m.u32(attrIndex, 4) })
	if got := dead(slices.Concat(one, other, foreign, one), 0x1c); !slices.Equal(got, []int{2, 2}) {
		t.Errorf("%v", got)
	}
}

func FuzzMessages(f *testing.F) {
	f.Add(kernelSays(0x1c, cmdLinkDead, func(m *message) { m.u32(attrIndex, 2) }))
	f.Add(bytes.Repeat([]byte{16, 0, 0, 0}, 8))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, n := range dead(b, 0x1c) {
			if n < 0 {
				t.Error(n)
			}
		}
		for m := range messages(b) {
			parseFamily(m.body)
		}
	})
}
