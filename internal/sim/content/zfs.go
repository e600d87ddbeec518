package content

import (
	"crypto/sha256"
	"encoding/binary"
)

// ZVdev is a device of a ZFS pool, or what is made of several.
type ZVdev struct {
	Type     string // "disk", "mirror", "raidz"
	GUID     uint64
	Parity   uint64
	Log      bool
	Path     string
	Offline  bool
	Children []ZVdev
}

// ZUber is an uberblock: the transaction group, and what stands for the state
// that it leads to.
type ZUber struct{ Txg, Root uint64 }

// ZFS is the labels of one device of a pool (OpenZFS's include/sys/vdev_impl.h).
type ZFS struct {
	Pool     string
	PoolGUID uint64
	State    uint64 // 0 in use, 1 exported, 2 destroyed
	Txg      uint64
	HostID   uint64
	HostName string
	GUID     uint64 // of this device
	Tops     uint64 // how many top-level vdevs the pool has
	Holes    []uint64
	Top      uint64 // number of the one that this device is in
	Tree     ZVdev  // that one
	Removal  bool   // the pool has had one taken out
	Ubers    []ZUber
	// Big has the byte order of a machine with the highest byte first.
	Big bool
}

// Sizes of a label, in bytes.
const (
	zfsLabel = 256 << 10
	zfsList  = 112 << 10
	zfsSlot  = 4 << 10 // of an uberblock, with sectors of 4 KiB
)

// Pieces are the four labels of a device of a size.
func (c ZFS) Pieces(size int64) []Piece {
	size &^= zfsLabel - 1
	var order binary.ByteOrder = le
	if c.Big {
		order = binary.BigEndian
	}
	ubers := c.Ubers
	if ubers == nil {
		ubers = []ZUber{{c.Txg, c.Txg}}
	}
	var out []Piece
	for i := range int64(4) {
		at := i * zfsLabel
		if i >= 2 {
			at = size - (4-i)*zfsLabel
		}
		b := make([]byte, zfsLabel-16<<10)
		copy(b, c.list())
		zfsSeal(b[:zfsList], uint64(at+16<<10), order)
		for n, u := range ubers {
			slot := b[zfsList+n*zfsSlot:][:zfsSlot]
			for j, v := range []uint64{0x00bab10c, 5000, u.Txg, 1, 1700000000 + u.Txg} {
				order.PutUint64(slot[8*j:], v)
			}
			order.PutUint64(slot[136:], u.Root)
			zfsSeal(slot, uint64(at)+128<<10+uint64(n*zfsSlot), order)
		}
		out = append(out, Piece{at + 16<<10, b})
	}
	return out
}

// zfsSeal puts the checksum at the end of a block: that of the block with its
// place in the checksum's.
func zfsSeal(b []byte, at uint64, order binary.ByteOrder) {
	seal := b[len(b)-40:]
	order.PutUint64(seal, 0x0210da7ab10c7a11)
	order.PutUint64(seal[8:], at)
	sum := sha256.Sum256(b)
	for i := 0; i < 32; i += 8 {
		order.PutUint64(seal[8+i:], binary.BigEndian.Uint64(sum[i:]))
	}
}

// list is the list of properties, in XDR, with its header.
func (c ZFS) list() []byte {
	order := byte(1)
	if c.Big {
		order = 0
	}
	var l zfsWriter
	l.number("version", 5000)
	l.text("name", c.Pool)
	l.number("state", c.State)
	l.number("txg", c.Txg)
	l.number("pool_guid", c.PoolGUID)
	if c.HostID != 0 {
		l.number("hostid", c.HostID)
		l.text("hostname", c.HostName)
	}
	l.number("top_guid", c.Tree.GUID)
	l.number("guid", c.GUID)
	if len(c.Holes) > 0 {
		var v zfsWriter
		v.word(uint32(len(c.Holes)))
		for _, h := range c.Holes {
			v.b = binary.BigEndian.AppendUint64(v.b, h)
		}
		l.pair("hole_array", 16, len(c.Holes), v.b)
	}
	l.number("vdev_children", c.Tops)
	l.pair("vdev_tree", 19, 1, c.Tree.list(c.Top))
	var features zfsWriter
	features.pair("com.delphix:hole_birth", 1, 0, nil)
	if c.Removal {
		features.pair("com.delphix:device_removal", 1, 0, nil)
	}
	l.pair("features_for_read", 19, 1, features.end())
	return append([]byte{1, order, 0, 0}, l.end()...)
}

func (v ZVdev) list(id uint64) []byte {
	var l zfsWriter
	l.text("type", v.Type)
	l.number("id", id)
	l.number("guid", v.GUID)
	if v.Path != "" {
		l.text("path", v.Path)
	}
	if v.Parity != 0 {
		l.number("nparity", v.Parity)
	}
	if v.Offline {
		l.number("offline", 1)
	}
	l.number("ashift", 12)
	if v.Log {
		l.number("is_log", 1)
	}
	if len(v.Children) > 0 {
		var all []byte
		for i, c := range v.Children {
			all = append(all, c.list(uint64(i))...)
		}
		l.pair("children", 20, len(v.Children), all)
	}
	return l.end()
}

// zfsWriter writes the pairs of a list.
type zfsWriter struct{ b []byte }

func (w *zfsWriter) word(v uint32) { w.b = binary.BigEndian.AppendUint32(w.b, v) }

func (w *zfsWriter) pad() {
	for len(w.b)%4 != 0 {
		w.b = append(w.b, 0)
	}
}

func (w *zfsWriter) pair(name string, kind uint32, n int, value []byte) {
	var p zfsWriter
	p.word(uint32(len(name)))
	p.b = append(p.b, name...)
	p.pad()
	p.word(kind)
	p.word(uint32(n))
	p.b = append(p.b, value...)
	w.word(uint32(8 + len(p.b)))
	w.word(uint32(8 + len(p.b)))
	w.b = append(w.b, p.b...)
}

func (w *zfsWriter) number(name string, v uint64) {
	w.pair(name, 8, 1, binary.BigEndian.AppendUint64(nil, v))
}

func (w *zfsWriter) text(name, v string) {
	var p zfsWriter
	p.word(uint32(len(v)))
	p.b = append(p.b, v...)
	p.pad()
	w.pair(name, 9, 1, p.b)
}

// end is the list with its version and its end.
func (w *zfsWriter) end() []byte {
	out := append(make([]byte, 8), w.b...)
	return append(out, make([]byte, 8)...)
}
