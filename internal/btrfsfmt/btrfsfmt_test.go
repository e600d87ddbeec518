package btrfsfmt

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

// grown are the first bytes of a filesystem on two devices, the first of
// which is of another filesystem, as the chunk tree says.
func grown() []byte {
	le := binary.LittleEndian
	b := make([]byte, 0x40000)
	super := b[superAt:]
	copy(super[0x20:], "own filesystem..")
	le.PutUint64(super[0x58:], 0x5004000)
	le.PutUint64(super[0x88:], 2)
	le.PutUint32(super[0x94:], 4096)
	le.PutUint64(super[0xc9:], 2)
	le.PutUint32(super[0xa0:], 17+48+32)
	chunk := super[0x32b:]
	le.PutUint64(chunk[9:], 0x5000000)
	le.PutUint64(chunk[17:], 0x10000)
	le.PutUint16(chunk[17+44:], 1)
	le.PutUint64(chunk[17+48:], 2)
	le.PutUint64(chunk[17+48+8:], 0x20000)
	leaf := b[0x24000:]
	le.PutUint64(leaf[0x30:], 0x5004000)
	le.PutUint32(leaf[0x60:], 2)
	for i, id := range []string{"the seed is this", "own filesystem.."} {
		item := leaf[nodeHead+25*i:]
		le.PutUint64(item, 1)
		item[8] = 0xd8
		le.PutUint32(item[17:], uint32(1000+98*i))
		le.PutUint32(item[21:], 98)
		copy(leaf[nodeHead+1000+98*i+82:], id)
	}
	return b
}

func TestSeedsOfABtrfs(t *testing.T) {
	le := binary.LittleEndian
	seed := []string{UUIDText([]byte("the seed is this"))}
	for _, c := range []struct {
		name   string
		change func(b []byte)
		want   []string
	}{
		{"grown", func([]byte) {}, seed},
		{"a node above the leaf", func(b []byte) {
			copy(b[0x25000:0x26000], b[0x24000:])
			le.PutUint64(b[0x25030:], 0x5005000)
			clear(b[0x24060:0x25000])
			b[0x24064] = 1
			le.PutUint64(b[0x24000+nodeHead+17:], 0x5005000)
		}, seed},
		{"a tree that leads to itself", func(b []byte) {
			b[0x24064] = 1
			le.PutUint64(b[0x24000+nodeHead+17:], 0x5004000)
		}, nil},
		{"the leaf of another address", func(b []byte) { le.PutUint64(b[0x24030:], 0) }, nil},
		{"chunks in stripes", func(b []byte) { le.PutUint64(b[superAt+0x32b+17+24:], 1<<3) }, nil},
		{"chunks of the other device", func(b []byte) { le.PutUint64(b[superAt+0x32b+17+48:], 1) }, nil},
		{"a node too large", func(b []byte) { le.PutUint32(b[superAt+0x94:], 1<<20) }, nil},
		{"data outside of the leaf", func(b []byte) { le.PutUint32(b[0x24000+nodeHead+17:], 4000) }, nil},
		{"one device", func(b []byte) { le.PutUint64(b[superAt+0x88:], 1) }, nil},
	} {
		b := grown()
		c.change(b)
		if got := Read(bytes.NewReader(b)).Seeds; !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(grown()[superAt:][:0x1000], grown()[0x24000:][:0x1000])
	f.Fuzz(func(t *testing.T, super, leaf []byte) {
		b := grown()
		copy(b[superAt:][:0x1000], super)
		copy(b[0x24000:], leaf)
		if s := Read(bytes.NewReader(b)); len(s.Seeds) > nodeMax/25 {
			t.Errorf("%d seeds", len(s.Seeds))
		}
	})
}
