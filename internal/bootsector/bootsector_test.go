package bootsector

import (
	"bytes"
	"testing"

	"firstlight/internal/blkread"
)

// fat16 is the boot sector of a FAT16 filesystem of 32 MiB.
func fat16() []byte {
	b := make([]byte, 4096)
	copy(b, "\xeb\x3c\x90mkfs.fat")
	le.PutUint16(b[0x0b:], 512)
	b[0x0d] = 4
	le.PutUint16(b[0x0e:], 4)
	b[0x10] = 2
	le.PutUint16(b[0x11:], 512)
	le.PutUint16(b[0x13:], 0)
	b[0x15] = 0xf8
	le.PutUint16(b[0x16:], 64)
	le.PutUint32(b[0x20:], 65536)
	copy(b[0x36:], "FAT16   ")
	b[510], b[511] = 0x55, 0xaa
	return b
}

func reader(b []byte) *blkread.Reader { return blkread.New(bytes.NewReader(b), int64(len(b))) }

// TestFindFAT: what makes a boot sector FAT's, and what is only alike.
func TestFindFAT(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(b []byte)
		want   bool
	}{
		{"as made", func([]byte) {}, true},
		{"without the name", func(b []byte) { copy(b[0x36:], "        ") }, true},
		{"without name and mark", func(b []byte) { copy(b[0x36:], "        "); b[510] = 0 }, false},
		{"without the mark only", func(b []byte) { b[510] = 0 }, true},
		{"JFS behind it", func(b []byte) { copy(b[0x36:], "JFS     ") }, false},
		{"HPFS behind it", func(b []byte) { copy(b[0x36:], "HPFS    ") }, false},
		{"no FAT", func(b []byte) { b[0x10] = 0 }, false},
		{"no reserved sector", func(b []byte) { b[0x0e] = 0 }, false},
		{"odd cluster size", func(b []byte) { b[0x0d] = 3 }, false},
		{"no cluster size", func(b []byte) { b[0x0d] = 0 }, false},
		{"odd sector size", func(b []byte) { le.PutUint16(b[0x0b:], 768) }, false},
		{"huge sector size", func(b []byte) { le.PutUint16(b[0x0b:], 8192) }, false},
		{"no such medium", func(b []byte) { b[0x15] = 0xf1 }, false},
		{"tables larger than the filesystem", func(b []byte) { le.PutUint16(b[0x16:], 0xffff) }, false},
		{"too many clusters", func(b []byte) { le.PutUint32(b[0x20:], 1<<30) }, false},
	} {
		b := fat16()
		c.change(b)
		f := FindFAT(reader(b))
		if (f != nil) != c.want {
			t.Errorf("%s: %v", c.name, f != nil)
		}
	}
	f := FindFAT(reader(fat16()))
	if f.Clusters != (65536-4-128-32)/4 || f.FATSize != 128 || f.SectorSize != 512 {
		t.Errorf("%+v", f)
	}
	if FindFAT(reader(fat16()[:1023])) != nil || FindFAT(reader(nil)) != nil {
		t.Error("found on a device that is too small")
	}
}

// TestBitLockerToGo: it looks like FAT32 and is not.
func TestBitLockerToGo(t *testing.T) {
	b := fat16()
	copy(b, bitLockerMagics[BitLockerToGo])
	if FindFAT(reader(b)) == nil || FindBitLocker(reader(b)) != nil {
		t.Error("a FAT made by Windows is taken for BitLocker")
	}
	le.PutUint64(b[440:], 1024)
	copy(b[1024:], "-FVE-FS-\x40\x00\x02\x00")
	if v := FindBitLocker(reader(b)); v == nil || v.Kind != BitLockerToGo || v.Version != 2 || FindFAT(reader(b)) != nil {
		t.Errorf("%+v", v)
	}
}

// ntfs is the boot sector of a volume with its MFT at 4 KiB.
func ntfs() []byte {
	b := make([]byte, 16<<10)
	copy(b, "\xeb\x52\x90NTFS    ")
	le.PutUint16(b[0x0b:], 512)
	b[0x0d] = 8
	le.PutUint64(b[0x28:], 1000)
	le.PutUint64(b[0x30:], 1)
	le.PutUint64(b[0x38:], 2)
	b[0x40] = 0xf6 // 1 KiB
	le.PutUint64(b[0x48:], 0x1122334455667788)
	copy(b[4096:], "FILE")
	copy(b[4096+3*1024:], "FILE")
	return b
}

func TestFindNTFS(t *testing.T) {
	v := FindNTFS(reader(ntfs()))
	if v == nil || v.Serial != 0x1122334455667788 || v.RecordSize != 1024 || len(v.Volume) != 1024 {
		t.Fatalf("%+v", v)
	}
	for _, c := range []struct {
		name   string
		change func(b []byte)
	}{
		{"FAT's fields in use", func(b []byte) { b[0x10] = 2 }},
		{"odd cluster size", func(b []byte) { b[0x0d] = 5 }},
		{"huge cluster size", func(b []byte) { b[0x0d] = 240 }},
		{"odd record size", func(b []byte) { b[0x40] = 3 }},
		{"record of 2 GiB", func(b []byte) { b[0x40] = 0xe1 }},
		{"MFT beyond the volume", func(b []byte) { le.PutUint64(b[0x30:], 126) }},
		{"no MFT", func(b []byte) { b[4096] = 0 }},
		{"no volume record", func(b []byte) { b[4096+3*1024] = 0 }},
	} {
		b := ntfs()
		c.change(b)
		if FindNTFS(reader(b)) != nil {
			t.Errorf("%s: found", c.name)
		}
	}
}
