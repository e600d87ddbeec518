package blkid

import (
	"firstlight/internal/blktext"
)

// ZFS keeps four labels of 256 KiB on a device, two at the start and two at
// the end (OpenZFS's include/sys/vdev_impl.h and module/nvpair): at 16 KiB in
// a label a list of names and values, XDR, at 128 KiB a ring of 128
// uberblocks of 1 KiB in the byte order of the writer: 0 u64 0x00bab10c,
// 8 u64 version.
const (
	zfsLabel      = 256 << 10
	zfsRing       = 128 << 10
	zfsList       = 16 << 10
	zfsUberMagic  = 0x00bab10c
	zfsWant       = 4 // uberblocks that make a member
	nvUint64      = 8
	nvString      = 9
	nvDirectory   = 19
	nvHeader      = 12
	zfsListLooked = 4096
)

func probeZFS(p *probe, _ *magic) bool {
	rest := p.size % zfsLabel
	found := 0
	for _, off := range [...]uint64{0, zfsLabel, p.size - 2*zfsLabel - rest, p.size - zfsLabel - rest} {
		if !p.d.Has(off, zfsLabel) {
			return false
		}
		n, version, ok := p.zfsUberblocks(off + zfsRing)
		if !ok {
			return false
		}
		if n > 0 && p.coveredByTable(off, zfsLabel) {
			continue
		}
		if found += n; n > 0 && found >= zfsWant {
			p.version(utoa(version))
			p.zfsNames(off &^ (zfsLabel - 1))
			return true
		}
	}
	return false
}

// zfsUberblocks counts the uberblocks of the ring at off and returns the
// version of the last one; ok is false if it cannot be read.
func (p *probe) zfsUberblocks(off uint64) (n int, version uint64, ok bool) {
	const piece = 4 << 10 // is looked at at a time
	for end := off + zfsLabel - zfsRing; off < end; off += piece {
		b := p.bytes(off, piece)
		if b == nil {
			return 0, 0, false
		}
		for ; len(b) >= 1024; b = b[1024:] {
			switch uint64(zfsUberMagic) {
			case le.Uint64(b):
				n, version = n+1, le.Uint64(b[8:])
			case be.Uint64(b):
				n, version = n+1, be.Uint64(b[8:])
			}
		}
	}
	return n, version, true
}

// zfsNames takes what is wanted from the list of a label. An entry, big-
// endian: u32 its size, u32 unused, u32 length of the name, name padded to
// words, u32 type, u32 count, value. A value that is a list holds entries
// and ends with two zero words.
func (p *probe) zfsNames(label uint64) {
	b := p.bytes(label+zfsList, zfsListLooked)
	if b == nil {
		return
	}
	depth := 0
	for b = b[12:]; len(b) > nvHeader; {
		size, nameLen := uint64(be.Uint32(b)), uint64(be.Uint32(b[8:]))
		if size == 0 {
			if depth == 0 {
				return
			}
			depth--
			if len(b) < 8 {
				return
			}
			b = b[8:]
			continue
		}
		valueAt := nvHeader + (nameLen+3)&^3
		if size > uint64(len(b)) || valueAt > size {
			return
		}
		value := b[valueAt:size]
		if len(value) >= 16 && be.Uint32(value) == nvDirectory {
			depth++
			b = b[valueAt+16:]
			continue
		}
		p.zfsValue(b[nvHeader:], int(nameLen), value, depth)
		b = b[size:]
	}
}

func (p *probe) zfsValue(name []byte, n int, value []byte, depth int) {
	number := func() (uint64, bool) {
		if be.Uint32(value) != nvUint64 {
			return 0, false
		}
		return be.Uint64(value[8:]), true
	}
	switch {
	case prefixOf(name, n, "name") && len(value) >= 12 && depth == 0:
		length := uint64(be.Uint32(value[8:]))
		if be.Uint32(value) == nvString && length+12 <= uint64(len(value)) {
			p.label(value[12 : 12+length])
		}
	case prefixOf(name, n, "guid") && len(value) >= 16 && depth == 0:
		if v, ok := number(); ok {
			p.set("UUID_SUB", utoa(v))
		}
	case prefixOf(name, n, "pool_guid") && len(value) >= 16 && depth == 0:
		if v, ok := number(); ok && v != 0 {
			p.set("UUID", utoa(v))
		}
	case prefixOf(name, n, "ashift") && len(value) >= 16:
		if v, ok := number(); ok && v < 32 {
			p.blockSize(1 << v)
		}
	}
}

// prefixOf compares at most n bytes, as libblkid does: a name that is cut
// short still counts.
func prefixOf(name []byte, n int, want string) bool {
	got := blktext.CString(name[:min(n, len(name))])
	if len(got) < n {
		return got == want
	}
	return len(got) <= len(want) && want[:len(got)] == got
}
