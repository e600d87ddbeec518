package blkid

import (
	"crypto/sha256"
	"hash/crc32"
	"testing"

	"golang.org/x/crypto/blake2b"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seals put the checksums right after a change, so that what is behind them is
// looked at. They are written after the formats' descriptions and not after the
// prober: sealing what a tool made must not change it.
var seals = map[string]func(m *image){
	"ext4": func(m *image) {
		b := m.get(1024, 1024)
		if le.Uint32(b[0x64:])&0x400 != 0 {
			m.set32(1024+0x3fc, ^crc32.Checksum(b[:0x3fc], castagnoli))
		}
	},
	"xfs": func(m *image) {
		size := int(be.Uint16(m.get(102, 2)))
		if size < 512 {
			return
		}
		m.set32(224, 0)
		m.set32(224, crc32.Checksum(m.get(0, size), castagnoli))
	},
	"btrfs": func(m *image) {
		b := m.get(64*kib, 4096)
		switch le.Uint16(b[0xc4:]) {
		case 0:
			m.set32(64*kib, crc32.Checksum(b[32:], castagnoli))
		case 2:
			s := sha256.Sum256(b[32:])
			m.set(64*kib, s[:])
		case 3:
			s := blake2b.Sum256(b[32:])
			m.set(64*kib, s[:])
		}
	},
	"f2fs": func(m *image) {
		if at := int64(le.Uint32(m.get(1024+0x20, 4))); at > 0 && at <= 3068 {
			// A CRC that starts with a number is one that goes on after it.
			m.set32(1024+at, ^crc32.Update(^uint32(0xf2f52010), crc32.IEEETable, m.get(1024, int(at))))
		}
	},
	"erofs": func(m *image) {
		if b := m.get(1024, 128); b[8]&1 != 0 && b[12] > 10 && b[12] < 17 {
			m.set32(1028, 0)
			m.set32(1028, ^crc32.Checksum(m.get(1024, 1<<b[12]-1024), castagnoli))
		}
	},
	"exfat": func(m *image) {
		shift := m.get(108, 1)[0]
		if shift < 9 || shift > 12 {
			return
		}
		size := int64(1) << shift
		sum := uint32(0)
		for i, c := range m.get(0, int(11*size)) {
			if i == 106 || i == 107 || i == 112 {
				continue
			}
			sum = sum>>1 | sum<<31
			sum += uint32(c)
		}
		for at := 11 * size; at < 12*size; at += 4 {
			m.set32(at, sum)
		}
	},
	"romfs": func(m *image) {
		m.set32(12, 0)
		sum := uint32(0)
		for b := m.get(0, int(min(be.Uint32(m.get(8, 4)), 512))&^3); len(b) > 0; b = b[4:] {
			sum -= be.Uint32(b)
		}
		m.set(12, be.AppendUint32(nil, sum))
	},
	"cramfs": func(m *image) {
		if size := le.Uint32(m.get(4, 4)); size >= 76 && size <= 64<<10 {
			m.set32(32, 0)
			m.set32(32, crc32.ChecksumIEEE(m.get(0, int(size))))
		}
	},
	"bcachefs": func(m *image) {
		if n := le.Uint32(m.get(4096+124, 4)); n < 1<<16 && m.get(4096+144, 1)[0]>>2 == 1 {
			m.set32(4096, crc32.Checksum(m.get(4096+16, bcachefsFixed-16+8*int(n)), castagnoli))
		}
	},
	"nilfs2": func(m *image) {
		for _, at := range []int64{1024, m.size/512*512 - 4096} {
			n := int(le.Uint16(m.get(at+8, 2)))
			if n < 20 || n > 1024 {
				continue
			}
			m.set32(at+16, 0)
			m.set32(at+16, rawCRC32(le.Uint32(m.get(at+12, 4)), m.get(at, n)))
		}
	},
	"LVM2_member": func(m *image) {
		for at := int64(0); at < 2048; at += 512 {
			if string(m.get(at, 8)) == "LABELONE" {
				m.set32(at+16, rawCRC32(0xf597a6cf, m.get(at+20, 492)))
			}
		}
	},
	"stratis": func(m *image) {
		for _, at := range []int64{512, 9 * 512} {
			m.set32(at, crc32.Checksum(m.get(at+4, 508), castagnoli))
		}
	},
	"gpt": func(m *image) {
		for _, at := range []int64{512, m.size/512*512 - 512} {
			h := m.get(at, 92)
			array := int(le.Uint32(h[80:])) * int(le.Uint32(h[84:]))
			if array > 0 && array < 1<<20 && le.Uint64(h[72:]) < 1<<20 {
				m.set32(at+88, crc32.ChecksumIEEE(m.get(int64(le.Uint64(h[72:]))*512, array)))
			}
			if n := le.Uint32(h[12:]); n >= 92 && n <= 512 {
				m.set32(at+16, 0)
				m.set32(at+16, crc32.ChecksumIEEE(m.get(at, int(n))))
			}
		}
	},
	"sgi": func(m *image) {
		m.set32(504, 0)
		sum := uint32(0)
		for b := m.get(0, 512); len(b) > 0; b = b[4:] {
			sum -= be.Uint32(b)
		}
		m.set(504, be.AppendUint32(nil, sum))
	},
	"sun": func(m *image) {
		sum := uint16(0)
		for b := m.get(0, 510); len(b) > 0; b = b[2:] {
			sum ^= be.Uint16(b)
		}
		m.set(510, be.AppendUint16(nil, sum))
	},
}

func (m *image) set(off int64, b []byte) {
	m.own(off, len(b))
	m.put(off, b)
}

func (m *image) set32(off int64, v uint32) { m.set(off, le.AppendUint32(nil, v)) }

// sealOf returns the seal of a fixture, or nil.
func sealOf(f fixture) func(*image) {
	if seal := seals[f.want]; seal != nil {
		return seal
	}
	return seals[f.name]
}

// The seals are right: what a tool made stays as it is.
func TestSealsKeepWhatToolsMade(t *testing.T) {
	sealed := map[string]bool{}
	for _, f := range fixtures {
		seal := sealOf(f)
		if seal == nil {
			continue
		}
		m := f.image(t)
		c := m.change()
		seal(c)
		for k, pg := range c.pages {
			if string(pg) != string(m.get(k*testPage, testPage)) {
				t.Errorf("%s: page %d is changed", f.name, k)
			}
		}
		sealed[f.want], sealed[f.name] = true, true
	}
	for name := range seals {
		if !sealed[name] {
			t.Errorf("no fixture is sealed by %s", name)
		}
	}
}

// A filesystem whose superblock was changed behind its checksum is not mounted:
// its name is told, and nothing else. Its checksum put right, it is there.
func TestDamagedFilesystemIsNamedAndNotReported(t *testing.T) {
	for _, c := range []struct {
		fixture string
		at      int64 // of a byte that means nothing else
	}{
		{"ext4-features", 1024 + 0x78}, {"xfs", 108}, {"xfs-4k", 108}, {"btrfs", 64*kib + 0x12b}, {"btrfs-xxhash", 64*kib + 0x12b},
		{"btrfs-sha256", 64*kib + 0x12b}, {"btrfs-blake2", 64*kib + 0x12b}, {"f2fs-sum", 1024 + 0x7c},
		{"erofs", 1024 + 0x40}, {"exfat", 100}, {"romfs", 16}, {"cramfs", 48},
	} {
		t.Run(c.fixture, func(t *testing.T) {
			f := find(t, c.fixture)
			m := f.image(t).change()
			b := m.get(c.at, 1)
			b[0] ^= 1
			m.set(c.at, b)
			r := probeWith(t, m, Options{})
			if r.Type() != "" || r.Get("UUID") != "" || r.Ambiguous || len(r.Signatures) != 0 ||
				len(r.BadSums) != 1 || r.BadSums[0].Type != f.want {
				t.Errorf("damaged: %+v", r)
			}
			if c.fixture == "btrfs-xxhash" {
				return // the test has no second implementation of it
			}
			sealOf(f)(m)
			if r := probeWith(t, m, Options{}); r.Type() != f.want || len(r.BadSums) != 0 {
				t.Errorf("sealed: %+v", r)
			}
		})
	}
}

// Of a damaged superblock and a whole one, neither is chosen: nobody knows
// which was there last.
func TestDamagedBesideWholeIsAmbiguous(t *testing.T) {
	m := merge(image1(t, "btrfs"), image1(t, "swap"))
	m.set(64*kib+0x12b, []byte("x"))
	r := probeWith(t, m, Options{})
	if !r.Ambiguous || len(r.Signatures) != 2 || !r.Signatures[1].BadSum || r.Signatures[0].BadSum || len(r.BadSums) != 0 {
		t.Errorf("%+v", r)
	}
}

// A mounted filesystem may be seen between a change and its checksum.
func TestSuperblockIsReadAgainBeforeItCountsAsDamaged(t *testing.T) {
	whole := image1(t, "ext4-features")
	torn := whole.change()
	torn.set(1024+0x34, []byte{0x77}) // the count of mounts
	r, err := Probe(&then{torn, whole}, whole.size)
	if err != nil || r.Type() != "ext4" {
		t.Errorf("%v, %+v", err, r)
	}
}

// then is a device that reads as one thing first and as another afterwards.
type then struct{ first, second *image }

func (d *then) ReadAt(p []byte, off int64) (int, error) {
	if off == 1024 {
		return d.second.ReadAt(p, off)
	}
	return d.first.ReadAt(p, off)
}
