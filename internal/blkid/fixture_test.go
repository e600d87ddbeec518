package blkid

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
	"sync"
	"testing"

	"firstlight/internal/testtool"
)

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
)

// image builds the fixture once for all tests; it is not to be changed but
// through image.change.
func (f fixture) image(t testing.TB) *image {
	t.Helper()
	built.Lock()
	one := built.images[f.name]
	if one == nil {
		one = &once{}
		built.images[f.name] = one
	}
	built.Unlock()
	one.Do(func() { one.image = f.build(t) })
	if one.image == nil {
		t.Skipf("%s could not be made", f.name)
	}
	return one.image
}

type once struct {
	sync.Once
	image *image
}

var built = struct {
	sync.Mutex
	images map[string]*once
}{images: map[string]*once{}}

// span is a part of an image whose bytes matter.
type span struct{ off, n int64 }

// fixture is an image with something on it.
type fixture struct {
	name  string
	build func(t testing.TB) *image
	hot   []span // where mutations are worth while
	want  string // TYPE
}

func tool(size int64, command ...string) func(testing.TB) *image {
	return func(t testing.TB) *image { return made(t, size, command...) }
}

// luks leaves out the key slots: many MiB of random bytes.
func luks(command ...string) func(testing.TB) *image {
	return func(t testing.TB) *image { return made(t, 20*mib, command...).keep(256 * kib) }
}

const testUUID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"

var fixtures = slices.Concat(madeFixtures, fakeRAIDs, keptFixtures)

var madeFixtures = []fixture{
	{"ext2", tool(8*mib, "mkfs.ext2", "-q", "-F", "-L", "old root", "-U", testUUID, "FILE"), []span{{1024, 512}}, "ext2"},
	{"ext2-4k", tool(8*mib, "mkfs.ext2", "-q", "-F", "-b", "4096", "FILE"), []span{{1024, 512}}, "ext2"},
	{"ext2-tiny", tool(512*kib, "mkfs.ext2", "-q", "-F", "FILE"), []span{{1024, 512}}, "ext2"},
	{"ext3", tool(8*mib, "mkfs.ext3", "-q", "-F", "-L", "journal", "FILE"), []span{{1024, 512}}, "ext3"},
	{"ext4", tool(8*mib, "mkfs.ext4", "-q", "-F", "-L", `a "b" $c`, "FILE"), []span{{1024, 512}}, "ext4"},
	{"ext4-features", tool(16*mib, "mkfs.ext4", "-q", "-F", "-O", "metadata_csum,64bit,encrypt,casefold,project,quota,^has_journal", "FILE"), []span{{1024, 512}}, "ext4"},
	{"jbd", tool(8*mib, "mkfs.ext4", "-q", "-F", "-O", "journal_dev", "-L", "jlabel", "FILE"), []span{{1024, 512}}, "jbd"},
	{"xfs", tool(320*mib, "mkfs.xfs", "-q", "-L", "rootfs", "FILE"), []span{{0, 160}}, "xfs"},
	{"xfs-4k", tool(320*mib, "mkfs.xfs", "-q", "-s", "size=4096", "-n", "ftype=1", "FILE"), []span{{0, 160}}, "xfs"},
	{"btrfs", tool(120*mib, "mkfs.btrfs", "-q", "-L", "pool", "FILE"), []span{{64 * kib, 600}}, "btrfs"},
	{"btrfs-xxhash", tool(120*mib, "mkfs.btrfs", "-q", "--csum", "xxhash", "FILE"), []span{{64 * kib, 600}}, "btrfs"},
	{"btrfs-sha256", tool(120*mib, "mkfs.btrfs", "-q", "--csum", "sha256", "FILE"), []span{{64 * kib, 600}}, "btrfs"},
	{"btrfs-blake2", tool(120*mib, "mkfs.btrfs", "-q", "--csum", "blake2", "FILE"), []span{{64 * kib, 600}}, "btrfs"},
	{"f2fs-sum", tool(64*mib, "mkfs.f2fs", "-q", "-O", "extra_attr,sb_checksum", "-l", "sum", "FILE"), []span{{1024, 0x200}}, "f2fs"},
	{"f2fs", tool(64*mib, "mkfs.f2fs", "-q", "-l", "Flaße €", "FILE"), []span{{1024, 0x200}}, "f2fs"},
	{"fat12", tool(1*mib, "mkfs.vfat", "-F", "12", "-n", "FLOPPY", "FILE"), []span{{0, 512}, {0x200, 4 * kib}}, "vfat"},
	{"fat16", tool(16*mib, "mkfs.vfat", "-F", "16", "-n", "ESP 16", "FILE"), []span{{0, 512}}, "vfat"},
	{"fat32", tool(40*mib, "mkfs.vfat", "-F", "32", "-n", "EFI", "-i", "DEADBEEF", "FILE"), []span{{0, 1024}}, "vfat"},
	{"fat32-unnamed", tool(40*mib, "mkfs.vfat", "-F", "32", "FILE"), []span{{0, 1024}}, "vfat"},
	{"fat32-4k-sectors", tool(300*mib, "mkfs.vfat", "-F", "32", "-S", "4096", "-n", "BIG", "FILE"), []span{{0, 1024}}, "vfat"},
	{"exfat", tool(16*mib, "mkfs.exfat", "-L", "Kärtchen", "FILE"), []span{{0, 128}}, "exfat"},
	{"ntfs", tool(16*mib, "mkfs.ntfs", "-q", "-F", "-f", "-L", "Windows", "FILE"), []span{{0, 128}, {16 * kib, 4 * kib}}, "ntfs"},
	{"iso9660", tool(0, "genisoimage", "-quiet", "-V", "DEBIAN", "-o", "FILE", "DIR"), []span{{32 * kib, 1024}, {34 * kib, 1024}}, "iso9660"},
	{"iso9660-joliet", tool(0, "genisoimage", "-quiet", "-J", "-V", "A long name of it_all", "-sysid", "LINUX", "-publisher", "me", "-A", "app", "-p", "prep", "-volset", "the set", "-b", "a file", "-no-emul-boot", "-o", "FILE", "DIR"), []span{{32 * kib, 7 * kib}}, "iso9660"},
	{"iso9660-udf", tool(0, "genisoimage", "-quiet", "-udf", "-V", "bridge", "-o", "FILE", "DIR"), []span{{32 * kib, 10 * kib}}, "udf"},
	{"udf", tool(16*mib, "mkudffs", "-l", "Disc ünï", "--blocksize=512", "--media-type=hd", "FILE"), []span{{32 * kib, 6 * kib}, {128 * kib, 512}}, "udf"},
	{"udf-2k", tool(16*mib, "mkudffs", "-l", "dvd", "--blocksize=2048", "--media-type=hd", "FILE"), []span{{32 * kib, 6 * kib}, {512 * kib, 512}, {192 * kib, 64 * kib}}, "udf"},
	{"squashfs", tool(0, "mksquashfs", "DIR", "FILE", "-quiet", "-no-progress", "-noappend"), []span{{0, 96}}, "squashfs"},
	{"squashfs3", func(testing.TB) *image { return squash3("hsqs", le) }, []span{{0, 96}}, "squashfs3"},
	{"squashfs3-be", func(testing.TB) *image { return squash3("sqsh", be) }, []span{{0, 96}}, "squashfs3"},
	{"erofs", tool(0, "mkfs.erofs", "FILE", "DIR"), []span{{1024, 128}}, "erofs"},
	{"cramfs", tool(0, "mkfs.cramfs", "-n", "crammed", "DIR", "FILE"), []span{{0, 80}}, "cramfs"},
	{"romfs", tool(0, "genromfs", "-V", "rom", "-f", "FILE", "-d", "DIR"), []span{{0, 64}}, "romfs"},
	{"swap", tool(2*mib, "mkswap", "-q", "-L", "swap space", "FILE"), []span{{0, 16}, {1024, 256}, {4086, 10}}, "swap"},
	{"swap-64k", tool(4*mib, "mkswap", "-q", "-p", "65536", "FILE"), []span{{1024, 256}, {65526, 10}}, "swap"},
	{"swap-v0", func(testing.TB) *image { return swapWith("SWAP-SPACE", 4096) }, []span{{1024, 256}, {4086, 10}}, "swap"},
	{"s1suspend", func(testing.TB) *image { return swapWith("S1SUSPEND", 4096) }, []span{{1024, 256}, {4086, 10}}, "swsuspend"},
	{"s2suspend-8k", func(testing.TB) *image { return swapWith("S2SUSPEND", 8192) }, []span{{1024, 256}, {8182, 10}}, "swsuspend"},
	{"ulsuspend-16k", func(testing.TB) *image { return swapWith("ULSUSPEND", 16384) }, []span{{1024, 256}}, "swsuspend"},
	{"linhib-32k", func(testing.TB) *image { return swapWith("LINHIB0001", 32768) }, []span{{1024, 256}}, "swsuspend"},
	{"linhib-64k", func(testing.TB) *image { return swapWith("LINHIB0001", 65536) }, []span{{1024, 256}}, "swsuspend"},
	{"tuxonice", func(testing.TB) *image {
		m := swapWith("SWAPSPACE2", 4096)
		m.put(0, []byte(tuxOnIce))
		return m
	}, []span{{0, 8}, {1024, 256}}, "swsuspend"},
	{"luks1", luks("cryptsetup", "luksFormat", "-q", "--type", "luks1", "--pbkdf-force-iterations", "1000", "--uuid", testUUID, "FILE", "-"), []span{{0, 256}}, "crypto_LUKS"},
	{"luks2", luks("cryptsetup", "luksFormat", "-q", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--label", "my disk", "--subsystem", "sub", "FILE", "-"), []span{{0, 512}, {16 * kib, 256}}, "crypto_LUKS"},
	{"luks2-secondary", func(t testing.TB) *image {
		m := luks("cryptsetup", "luksFormat", "-q", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--luks2-metadata-size", "128k", "FILE", "-")(t)
		m.put(0, make([]byte, 4096))
		return m
	}, []span{{128 * kib, 256}}, "crypto_LUKS"},
	{"verity", verityImage, []span{{0, 64}}, "DM_verity_hash"},
	{"integrity", func(testing.TB) *image { return raw(2*mib, 0, "integrt\x00", "\x05\x03\x04\x00") }, []span{{0, 16}}, "DM_integrity"},
	{"snapshot", func(testing.TB) *image { return raw(2*mib, 0, "SnAp", "\x01") }, []span{{0, 8}}, "DM_snapshot_cow"},
	{"lvm2", func(testing.TB) *image { return lvm2(1) }, []span{{512, 512}, {0, 512}}, "LVM2_member"},
	{"lvm2-sector-0", func(testing.TB) *image { return lvm2(0) }, []span{{0, 512}}, "LVM2_member"},
	{"lvm2-sector-3", func(testing.TB) *image { return lvm2(3) }, []span{{1536, 512}}, "LVM2_member"},
	{"lvm1", func(testing.TB) *image {
		return raw(4*mib, 0, "HM\x01\x00", strings.Repeat("\x00", 40), "abcdefghijklmnopqrstuvwxyz012345")
	}, []span{{0, 128}}, "LVM1_member"},
	{"md-0.90", func(testing.TB) *image { return md090(le) }, []span{{16*mib - 64*kib, 80}}, "linux_raid_member"},
	{"md-0.90-be", func(testing.TB) *image { return md090(be) }, []span{{16*mib - 64*kib, 80}}, "linux_raid_member"},
	{"md-1.0", func(testing.TB) *image { return md1(16*mib - 8*kib) }, []span{{16*mib - 8*kib, 256}}, "linux_raid_member"},
	{"md-1.1", func(testing.TB) *image { return md1(0) }, []span{{0, 256}}, "linux_raid_member"},
	{"md-1.2", func(testing.TB) *image { return md1(4 * kib) }, []span{{4 * kib, 256}}, "linux_raid_member"},
	{"ddf", func(testing.TB) *image { return ddf(1, be) }, []span{{8*mib - 512, 128}}, "ddf_raid_member"},
	{"ddf-le", func(testing.TB) *image { return ddf(257, le) }, []span{{8*mib - 257*512, 128}}, "ddf_raid_member"},
	{"imsm", func(testing.TB) *image {
		return raw(8*mib, 8*mib-1024, "Intel Raid ISM Cfg Sig. 1.3.00\x00\x00")
	}, []span{{8*mib - 1024, 32}}, "isw_raid_member"},
	{"bcache", func(testing.TB) *image {
		return raw(8*mib, 4*kib+8, "\x08\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00", bcacheMagic, "0123456789abcdef")
	}, []span{{4 * kib, 64}}, "bcache"},
	{"drbd", func(testing.TB) *image {
		return raw(8*mib, 8*mib-4096+40, "\x12\x34\x56\x78\x9a\xbc\xde\xf0", "\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00", "\x83\x74\x02\x6b")
	}, []span{{8*mib - 4096, 80}}, "drbd"},
	{"drbd-9", func(testing.TB) *image {
		return raw(8*mib, 8*mib-4096+48, "\x00\x34\x56\x78\x9a\xbc\xde\xf0", "\x00\x00\x00\x00", "\x83\x74\x02\x6d")
	}, []span{{8*mib - 4096, 80}}, "drbd"},
	{"vdo", func(testing.TB) *image { return raw(8*mib, 0, "dmvdo001", strings.Repeat("x", 48)) }, []span{{0, 64}}, "vdo"},
	{"bluestore", func(testing.TB) *image { return raw(8*mib, 0, "bluestore block device\n", testUUID) }, []span{{0, 64}}, "ceph_bluestore"},
	{"stratis", func(testing.TB) *image { return stratis() }, []span{{512, 128}, {9 * 512, 128}}, "stratis"},
	{"zfs", func(testing.TB) *image { return zfs(le) }, []span{{16 * kib, 512}, {128 * kib, 5 * kib}}, "zfs_member"},
	{"zfs-be", func(testing.TB) *image { return zfs(be) }, []span{{16 * kib, 512}, {128 * kib, 5 * kib}}, "zfs_member"},
	{"bitlocker-win7", func(testing.TB) *image {
		m := bitlocker("\xeb\x58\x90-FVE-FS-", 176)
		m.put(67, []byte{1, 2, 3, 0x84})
		return m
	}, []span{{0, 512}, {1 * mib, 16}}, "BitLocker"},
	{"bitlocker-togo", func(testing.TB) *image { return bitlocker("\xeb\x58\x90MSWIN4.1", 440) }, []span{{0, 512}, {1 * mib, 16}}, "BitLocker"},
	{"bitlocker-vista", func(testing.TB) *image { return raw(4*mib, 0, "\xeb\x52\x90-FVE-FS-") }, []span{{0, 16}}, "BitLocker"},
	{"bcachefs", func(testing.TB) *image { return bcachefs(1, 4096) }, []span{{4 * kib, 872}}, "bcachefs"},
	{"nilfs2", tool(132*mib, "mkfs.nilfs2", "-q", "-f", "-L", "log", "FILE"), []span{{1024, 280}, {132*mib - 4096, 280}}, "nilfs2"},
	{"jfs", tool(17*mib, "mkfs.jfs", "-q", "-L", "ibm", "FILE"), []span{{32 * kib, 192}}, "jfs"},
	{"reiserfs", tool(40*mib, "mkreiserfs", "-q", "-f", "-f", "-l", "hans", "FILE"), []span{{64 * kib, 128}}, "reiserfs"},
	{"reiser4", func(testing.TB) *image { return raw(4*mib, 64*kib, "ReIsEr4\x00", strings.Repeat("\x10", 60)) }, []span{{64 * kib, 64}}, "reiser4"},
	{"xfs-log", func(testing.TB) *image {
		m := raw(12*mib, 8192, "\xfe\xed\xba\xbe", "\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x02\x00")
		m.put(8192+300, []byte("\x00\x00\x00\x010123456789abcdef"))
		return m
	}, []span{{8192, 320}}, "xfs_external_log"},
	{"mbr", sfdisk("label: dos\nlabel-id: 0x1234abcd\nsize=1M, type=83, bootable\nsize=4M, type=5\nsize=1M, type=82\nsize=1M\nsize=512K\n"), []span{{440, 72}}, ""},
	{"gpt", sfdisk("label: gpt\nlabel-id: " + testUUID + "\nsize=1M, type=L, name=\"root (a)\"\nsize=1M, type=U\n"), []span{{440, 72}, {512, 92}, {1024, 256}}, ""},
	{"sun", sfdisk("label: sun\nstart=0, size=4096, type=83\n"), []span{{128, 100}, {436, 76}}, ""},
	{"sgi", sfdisk("label: sgi\nstart=4096, size=1024, type=83\n"), []span{{0, 512}}, ""},
	{"mac", func(testing.TB) *image {
		m := raw(16*mib, 0, "ER\x02\x00")
		m.put(512, []byte("PM\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x3fApple"))
		return m
	}, []span{{0, 8}, {512, 8}}, ""},
	{"atari", func(testing.TB) *image {
		return raw(16*mib, 0x1c2, "\x00\x00\x80\x00\x01GEM\x00\x00\x00\x0a\x00\x00\x00\x64")
	}, []span{{0x1c2, 62}}, ""},
	{"ultrix", func(testing.TB) *image {
		return raw(16*mib, 16*kib-72, "\x57\x29\x03\x00\x01\x00\x00\x00\x64\x00\x00\x00")
	}, []span{{16*kib - 72, 12}}, ""},
	{"aix", func(testing.TB) *image { return raw(16*mib, 0, "\xc9\xc2\xd4\xc1") }, []span{{0, 8}}, ""},
	{"bsd", func(testing.TB) *image { return raw(16*mib, 64, "\x57\x45\x56\x82") }, []span{{64, 8}}, ""},
	{"empty", func(testing.TB) *image { return newImage(4 * mib) }, []span{{0, 4 * kib}}, ""},
}

func sfdisk(script string) func(testing.TB) *image {
	return func(t testing.TB) *image {
		testtool.Need(t, "sfdisk")
		return made(t, 16*mib, "sh", "-c", "printf '%s' '"+script+"' | "+testtool.Path("sfdisk")+" -q FILE")
	}
}

// raw is an image with texts behind each other at one place.
func raw(size, off int64, texts ...string) *image {
	m := newImage(size)
	m.put(off, []byte(strings.Join(texts, "")))
	return m
}

func verityImage(t testing.TB) *image {
	testtool.Need(t, "veritysetup")
	return made(t, 2*mib, "sh", "-c", "truncate -s 1M data; "+testtool.Path("veritysetup")+" format data FILE")
}

func squash3(magic string, order binary.ByteOrder) *image {
	m := raw(1*mib, 0, magic)
	var v [4]byte
	order.PutUint16(v[:], 3)
	order.PutUint16(v[2:], 1)
	m.put(28, v[:])
	return m
}

func swapWith(signature string, page int64) *image {
	m := raw(1*mib, 1024, "\x01\x00\x00\x00\xff\x00\x00\x00\x00\x00\x00\x00", "UUIDUUIDUUIDUUID", "the label")
	m.put(page-10, []byte(signature))
	return m
}

func lvm2(sector int64) *image {
	b := make([]byte, 512)
	copy(b, "LABELONE")
	le.PutUint64(b[8:], uint64(sector))
	le.PutUint32(b[20:], 32)
	copy(b[24:], "LVM2 001")
	copy(b[32:], "abcdefGHIJKLmnopqrSTUVWXyz012345")
	le.PutUint32(b[16:], rawCRC32(lvmCRCSeed, b[20:]))
	m := newImage(4 * mib)
	m.put(sector*512, b)
	return m
}

func md090(order binary.ByteOrder) *image {
	b := make([]byte, 64)
	for i, v := range map[int]uint32{0: mdMagic, 1: 0, 2: 90, 3: 3, 5: 0x11223344, 7: 1, 8: 15<<10 - 64, 13: 0x55667788, 14: 0x99aabbcc, 15: 0xddeeff00} {
		order.PutUint32(b[4*i:], v)
	}
	m := newImage(16 * mib)
	m.put(16*mib-64*kib, b)
	return m
}

func md1(off int64) *image {
	b := make([]byte, 256)
	le.PutUint32(b, mdMagic)
	le.PutUint32(b[4:], 1)
	copy(b[16:], "0123456789abcdef")
	copy(b[32:], "host:root")
	le.PutUint64(b[144:], uint64(off/512))
	copy(b[168:], "ABCDEFGHIJKLMNOP")
	m := newImage(16 * mib)
	m.put(off, b)
	return m
}

func ddf(fromEnd int64, order binary.ByteOrder) *image {
	b := make([]byte, 512)
	order.PutUint32(b, 0xde11de11)
	copy(b[8:], "LSI     \x10\x00\x00`\x01\x02\x03\x04 guid")
	copy(b[32:], "01.02.00")
	order.PutUint64(b[96:], 100)
	m := newImage(8 * mib)
	m.put(8*mib-fromEnd*512, b)
	m.put(100*512, b[:4])
	return m
}

func stratis() *image {
	b := make([]byte, 512)
	copy(b[4:], stratisMagic)
	le.PutUint64(b[20:], 16384)
	copy(b[32:], "abcdefabcdefabcdefabcdefabcdefab")
	copy(b[64:], "00112233445566778899aabbccddeeff")
	le.PutUint64(b[120:], 1600000000)
	le.PutUint32(b, crc32.Checksum(b[4:], crc32.MakeTable(crc32.Castagnoli)))
	m := newImage(8 * mib)
	m.put(512, b)
	m.put(9*512, b)
	return m
}

func zfs(order binary.ByteOrder) *image {
	m := newImage(64*mib + 4096)
	var ub [16]byte
	order.PutUint64(ub[:], zfsUberMagic)
	order.PutUint64(ub[8:], 5000)
	for i := range int64(5) {
		m.put(128*kib+i*kib, ub[:])
	}
	list := []byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}
	add := func(name string, kind uint32, value []byte) {
		padded := (len(name) + 3) &^ 3
		e := be.AppendUint32(nil, uint32(12+padded+8+len(value)))
		e = be.AppendUint32(e, 0)
		e = be.AppendUint32(e, uint32(len(name)))
		e = append(e, name+strings.Repeat("\x00", padded-len(name))...)
		e = be.AppendUint32(e, kind)
		e = be.AppendUint32(e, 1)
		list = append(list, append(e, value...)...)
	}
	add("version", nvUint64, be.AppendUint64(nil, 5000))
	add("name", nvString, append(be.AppendUint32(nil, 5), "rpool\x00\x00\x00"...))
	add("pool_guid", nvUint64, be.AppendUint64(nil, 1234567890123456789))
	add("guid", nvUint64, be.AppendUint64(nil, 987654321))
	add("vdev_tree", nvDirectory, be.AppendUint64(nil, 0))
	add("guid", nvUint64, be.AppendUint64(nil, 1))
	add("ashift", nvUint64, be.AppendUint64(nil, 12))
	list = append(list, make([]byte, 16)...)
	m.put(16*kib, list)
	return m
}

func bitlocker(magic string, at int64) *image {
	m := raw(4*mib, 0, magic)
	m.put(at, le.AppendUint64(nil, uint64(mib)))
	m.put(mib, []byte("-FVE-FS-\x40\x00\x02\x00"))
	return m
}
