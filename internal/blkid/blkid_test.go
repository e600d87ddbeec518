package blkid

import (
	"bytes"
	"errors"
	"hash/crc32"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/blkread"
	"firstlight/internal/crc64be"
	"firstlight/internal/parttable"
	"firstlight/internal/testtool"
)

func find(t testing.TB, name string) fixture {
	t.Helper()
	for _, f := range fixtures {
		if f.name == name {
			return f
		}
	}
	t.Fatalf("no fixture %q", name)
	return fixture{}
}

func image1(t testing.TB, name string) *image {
	t.Helper()
	return find(t, name).image(t)
}

// merge lays one image over another.
func merge(a, b *image) *image {
	m := a.change()
	m.size = max(a.size, b.size)
	for k, pg := range b.pages {
		under := m.get(k*testPage, testPage)
		for i, c := range pg {
			if c != 0 {
				under[i] = c
			}
		}
		delete(m.pages, k)
		m.put(k*testPage, under)
	}
	return m
}

// TestAmbiguous: of two valid signatures none is chosen, both are named, in
// the words of blkid -o udev.
func TestAmbiguous(t *testing.T) {
	for _, c := range []struct {
		a, b  string
		types []string
	}{
		{"ext2", "squashfs3", []string{"ext2", "squashfs3"}},
		{"ext4", "btrfs", []string{"ext4", "btrfs"}},
		{"bcache", "lvm2", []string{"bcache", "LVM2_member"}},
		{"bcache", "bitlocker-togo", []string{"bcache", "BitLocker"}},
		{"swap", "iso9660", []string{"swap", "iso9660"}},
		{"vdo", "s2suspend-8k", []string{"vdo", "swsuspend"}},
	} {
		t.Run(c.a+"+"+c.b, func(t *testing.T) {
			m := merge(image1(t, c.a), image1(t, c.b))
			r, err := Probe(m, m.size)
			if err != nil {
				t.Fatal(err)
			}
			var types []string
			for _, s := range r.Signatures {
				types = append(types, s.Type)
			}
			if !r.Ambiguous || len(r.Pairs()) != 0 || r.Type() != "" || !slices.Equal(types, c.types) {
				t.Errorf("%+v", r)
			}
			file := filepath.Join(t.TempDir(), "image")
			m.save(t, file)
			out, _ := exec.Command(testtool.Path("blkid"), "-p", "-o", "udev", file).Output()
			if u := r.Udev(); len(u) != 1 || u[0].Key+"="+u[0].Value+"\n" != string(out) {
				t.Errorf("%v\nblkid: %s", u, out)
			}
		})
	}
}

// TestNotAmbiguous: what libblkid lets pass.
func TestNotAmbiguous(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"md-1.0", "ext4", "linux_raid_member"}, // the filesystem is the array's
		{"lvm2", "ext4", "LVM2_member"},
		{"luks2", "swap-64k", "crypto_LUKS"},
		{"iso9660", "iso9660-udf", "udf"},
	} {
		m := merge(image1(t, c.a), image1(t, c.b))
		file := filepath.Join(t.TempDir(), "image")
		m.save(t, file)
		if got, want := ours(t, m), oracle(t, file)[0]; got != want || !strings.Contains(got, "TYPE="+c.want+"\n") {
			t.Errorf("%s+%s:\n%s--- blkid\n%s", c.a, c.b, got, want)
		}
	}
}

// TestWithTables: members, volumes and filesystems beside a partition table.
func TestWithTables(t *testing.T) {
	mbr, gpt := image1(t, "mbr"), image1(t, "gpt")
	empty := raw(4*mib, 440, "\x01\x02\x03\x04")
	empty.put(510, []byte("\x55\xaa"))
	pmbr := raw(16*mib, 450, "\xee")
	pmbr.put(510, []byte("\x55\xaa"))
	inLast := sfdisk("label: dos\nstart=2048, size=30720, type=fd\n")(t)
	for _, c := range []struct {
		name string
		m    *image
		want string // TYPE/PTTYPE
	}{
		{"LVM, table came later", merge(image1(t, "lvm2"), mbr), "/dos"},
		{"LVM with boot code", merge(image1(t, "lvm2"), empty), "LVM2_member/"},
		{"LVM and GPT", merge(image1(t, "lvm2-sector-0"), gpt), ""},
		{"RAID1 of whole disks", merge(image1(t, "md-1.0"), mbr), "linux_raid_member/"},
		{"RAID 0.90 of the last partition", merge(md090(le), inLast), "/dos"},
		{"RAID 0.90 of whole disks", merge(md090(le), sfdisk("label: dos\nsize=1M\n")(t)), "linux_raid_member/"},
		{"lost GPT", pmbr, "/PMBR"},
		{"filesystem and table", merge(image1(t, "ext2-4k"), empty), "ext2/dos"},
		{"FAT with a boot mark", image1(t, "fat16"), "vfat/"},
		{"NTFS with a boot mark", image1(t, "ntfs"), "ntfs/"},
	} {
		file := filepath.Join(t.TempDir(), "image")
		c.m.save(t, file)
		got, want := ours(t, c.m), oracle(t, file)[0]
		r, err := Probe(c.m, c.m.size)
		if err != nil {
			t.Fatal(err)
		}
		if is := r.Type() + "/" + r.Get("PTTYPE"); got != want || c.want != "" && is != c.want {
			t.Errorf("%s: %s\n%s--- blkid\n%s", c.name, is, got, want)
		}
	}
}

func probeWith(t testing.TB, m *image, opt Options) *Result {
	t.Helper()
	r, err := ProbeWith(m, m.size, opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestKinds: what the caller knows of a device changes the answer where it
// does in libblkid.
func TestKinds(t *testing.T) {
	inLast := merge(md090(le), sfdisk("label: dos\nstart=2048, size=30720, type=fd\n")(t))
	if r := probeWith(t, inLast, Options{Kind: Disk}); r.Type() != "" || r.Get("PTTYPE") != "dos" {
		t.Errorf("disk: %v", r.Pairs())
	}
	if r := probeWith(t, inLast, Options{Kind: Partition}); r.Type() != "linux_raid_member" {
		t.Errorf("partition: %v", r.Pairs())
	}
	imsm := image1(t, "imsm")
	if r := probeWith(t, imsm, Options{Kind: Partition}); r.Type() != "" {
		t.Errorf("firmware RAID on a partition: %v", r.Pairs())
	}
	if r := probeWith(t, imsm, Options{Kind: Disk, NoRAID: true}); r.Type() != "" {
		t.Errorf("NoRAID: %v", r.Pairs())
	}
	if r := probeWith(t, imsm, Options{Kind: Optical}); r.Type() != "" {
		t.Errorf("RAID on a disc: %v", r.Pairs())
	}
	floppy := merge(image1(t, "ext2-tiny"), raw(512*kib, 440, "\x01\x02\x03\x04"))
	floppy.put(510, []byte("\x55\xaa"))
	if r := probeWith(t, floppy, Options{Kind: Disk}); r.Type() != "" || r.Get("PTTYPE") != "dos" {
		t.Errorf("small disk with a table: %v", r.Pairs())
	}
	if r := probeWith(t, floppy, Options{Kind: Partition}); r.Type() != "ext2" {
		t.Errorf("small partition: %v", r.Pairs())
	}
}

// TestSectorSize: a GPT for sectors of 4 KiB shows only to those.
func TestSectorSize(t *testing.T) {
	m := image1(t, "gpt")
	head := m.get(512, 92)
	m.put(512, make([]byte, 92))
	m.put(16*mib-512, make([]byte, 92))
	m.put(4096, head)
	if r := probeWith(t, m, Options{Kind: Disk, SectorSize: 4096}); r.Get("PTTYPE") != "PMBR" {
		t.Errorf("%v", r.Pairs()) // the header is right, its entries are not there
	}
	for _, s := range []int{-512, 100, 1000, 1 << 20} {
		if _, err := ProbeWith(m, m.size, Options{SectorSize: s}); err == nil {
			t.Errorf("sector size %d accepted", s)
		}
	}
	if _, err := Probe(m, -1); err == nil {
		t.Error("negative size accepted")
	}
}

// checkCost: no ordinary device costs more than 2 MiB and a handful of reads,
// however large.
func checkCost(t *testing.T, f fixture, m *image) {
	t.Helper()
	large := m.change()
	if f.hot[0].off < m.size-256*kib {
		large.size = 1 << 40
	}
	r, err := Probe(large, large.size)
	if err != nil {
		t.Fatal(err)
	}
	if r.BytesRead > 2<<20 || r.Reads > 10 || r.Reads == 0 {
		t.Errorf("%d bytes in %d reads", r.BytesRead, r.Reads)
	}
}

// What a boot usually meets costs a read or two of each end, of 2 MiB together
// at most; a layer of storage one of each, which are smaller. A whole disk costs
// one page more, where a controller's firmware may have left something 1.5 MiB
// before the end.
func TestOrdinaryDeviceIsReadAtItsEndsAlone(t *testing.T) {
	layers := []string{"luks1", "luks2", "verity", "integrity", "lvm2", "lvm2 of pvcreate",
		"md 0.90 of mdadm", "md 1.0 of mdadm", "md 1.1 of mdadm", "md 1.2 of mdadm", "imsm of mdadm"}
	for _, name := range slices.Concat(layers, []string{
		"ext2", "ext4", "xfs", "btrfs", "f2fs", "fat16", "fat32", "exfat", "squashfs", "erofs", "iso9660", "udf", "jfs", "nilfs2", "reiserfs",
		"swap", "s1suspend", "zfs", "bitlocker-vista", "bcache backing", "stratis", "jbd", "gpt", "mbr",
	}) {
		f := find(t, name)
		m := f.image(t).change()
		atEnd := f.hot[0].off >= m.size-256*kib || strings.HasPrefix(name, "gpt")
		own := m.size
		for _, size := range []int64{own, 1 << 40} {
			if size != own && (atEnd || name == "nilfs2") {
				continue
			}
			m.size = size
			for _, kind := range []Kind{Partition, Disk} {
				if name == "imsm of mdadm" && kind == Partition {
					continue // holds nothing, as a partition
				}
				reads := 4
				switch {
				case slices.Contains(layers, name):
					reads = 2
				case name == "fat32", name == "exfat":
					reads++ // the label is in the root directory, behind the FAT
				}
				if reads > 2 && kind == Disk {
					reads++
				}
				r, err := ProbeWith(m, size, Options{Kind: kind})
				if err != nil || r.Type() == "" && r.Get("PTTYPE") == "" && kind == Disk {
					t.Fatalf("%s: %v, %+v", name, err, r)
				}
				if r.Reads > reads || r.BytesRead > 2<<20 {
					t.Errorf("%s of %d bytes, kind %d: %d bytes in %d reads, at most %d are promised", name, size, kind, r.BytesRead, r.Reads, reads)
				}
			}
		}
	}
}

type badFrom struct {
	*image
	from, to int64
}

var errMedium = errors.New("medium error")

func (b badFrom) ReadAt(p []byte, off int64) (int, error) {
	if off < b.to && off+int64(len(p)) > b.from {
		return 0, errMedium
	}
	return b.image.ReadAt(p, off)
}

// TestReadErrors: a device that cannot be read is an error, never an empty
// device; a disc's unreadable end is not.
func TestReadErrors(t *testing.T) {
	m := image1(t, "ext4")
	for _, at := range []int64{0, m.size - 4096} {
		if r, err := Probe(badFrom{m, at, at + 4096}, m.size); !errors.Is(err, errMedium) {
			t.Errorf("bad page at %d: %v, %+v", at, err, r)
		}
	}
	r, err := Probe(badFrom{m, 300 * kib, 304 * kib}, m.size)
	if err != nil || r.Type() != "ext4" {
		t.Errorf("bad page that matters to nobody: %v, %+v", err, r)
	}
	disc := image1(t, "iso9660")
	r, err = ProbeWith(badFrom{disc, disc.size - 2048, disc.size}, disc.size, Options{Kind: Optical})
	if err != nil || r.Type() != "iso9660" {
		t.Errorf("disc: %v, %+v", err, r)
	}
}

// A disk that encrypts itself cannot be read before it is unlocked, and what
// unlocks it is at its start.
func TestLockedOPALDiskIsLUKS(t *testing.T) {
	m := image1(t, "luks2").change()
	m.set(208, append([]byte("HW-OPAL"), make([]byte, 41)...))
	for _, k := range []Kind{Disk, Partition} {
		r, err := ProbeWith(badFrom{m, 300 * kib, m.size}, m.size, Options{Kind: k})
		if err != nil || r.Type() != "crypto_LUKS" || r.Get("SUBSYSTEM") != "HW-OPAL" {
			t.Errorf("%v, %+v", err, r)
		}
	}
}

// TestResult: the accessors on nothing and on something.
func TestResult(t *testing.T) {
	var none Result
	if none.Export() != "" || none.Get("TYPE") != "" || none.Udev() != nil || len(none.Pairs()) != 0 {
		t.Errorf("%+v", none)
	}
	m := image1(t, "swap")
	r, err := Probe(m, m.size)
	if err != nil {
		t.Fatal(err)
	}
	r.Pairs()[0] = Pair{}
	if v, ok := r.Lookup("LABEL"); !ok || v != "swap space" {
		t.Errorf("LABEL %q, %v", v, ok)
	}
	if _, ok := r.Lookup("PTTYPE"); ok {
		t.Error("PTTYPE on swap")
	}
	if !strings.Contains(r.Export(), "LABEL=swap\\ space\n") {
		t.Error(r.Export())
	}
	d := blkread.New(m, m.size)
	if r, err = Probe(d, m.size); err != nil || r.Type() != "swap" {
		t.Errorf("through a Reader: %v, %+v", err, r)
	}
}

// TestPartEntry: the properties of partitions, in udev's names.
func TestPartEntry(t *testing.T) {
	for _, c := range []struct {
		name, script string
		start, size  int64
		want         string
	}{
		{"gpt", `label: gpt
size=1M, type=L, uuid=11111111-2222-3333-4444-555555555555, name="root (a)", attrs="GUID:60"
`, mib, mib, `ID_PART_ENTRY_SCHEME=gpt
ID_PART_ENTRY_NAME=root\x20\x28a\x29
ID_PART_ENTRY_UUID=11111111-2222-3333-4444-555555555555
ID_PART_ENTRY_TYPE=0fc63daf-8483-4772-8e79-3d69d8477de4
ID_PART_ENTRY_FLAGS=0x1000000000000000
ID_PART_ENTRY_NUMBER=1
ID_PART_ENTRY_OFFSET=2048
ID_PART_ENTRY_SIZE=2048
ID_PART_ENTRY_DISK=8:0
`},
		{"mbr", "label: dos\nlabel-id: 0x0a0b0c0d\nsize=1M, bootable\n", mib, mib, `ID_PART_ENTRY_SCHEME=dos
ID_PART_ENTRY_UUID=0a0b0c0d-01
ID_PART_ENTRY_TYPE=0x83
ID_PART_ENTRY_FLAGS=0x80
ID_PART_ENTRY_NUMBER=1
ID_PART_ENTRY_OFFSET=2048
ID_PART_ENTRY_SIZE=2048
ID_PART_ENTRY_DISK=8:0
`},
		{"extended, as the kernel shows it", "label: dos\nlabel-id: 0x0a0b0c0d\nsize=4M, type=5\n", mib, 1024, `ID_PART_ENTRY_SCHEME=dos
ID_PART_ENTRY_UUID=0a0b0c0d-01
ID_PART_ENTRY_TYPE=0x5
ID_PART_ENTRY_NUMBER=1
ID_PART_ENTRY_OFFSET=2048
ID_PART_ENTRY_SIZE=8192
ID_PART_ENTRY_DISK=8:0
`},
		{"not in the table any more", "label: dos\nsize=1M\n", mib, 2 * mib, ""},
	} {
		m := sfdisk(c.script)(t)
		table, err := parttable.Read(m, m.size, 512)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, p := range Udev(PartEntry(table, c.start, c.size, "8:0")) {
			b.WriteString(p.Key + "=" + p.Value + "\n")
		}
		if b.String() != c.want {
			t.Errorf("%s:\n%s", c.name, b.String())
		}
	}
}

// TestBcachefs: no tool of Debian 12 writes it, and its blkid does not know
// it, so the bytes come from the format's header alone.
func TestBcachefs(t *testing.T) {
	const want = "UUID=30313233-3435-3637-3839-616263646566\nLABEL=bch\\ root\nVERSION=1.25\nBLOCK_SIZE=4096\n" +
		"UUID_SUB=7365636f-6e64-2064-6576-696365206964\nTYPE=bcachefs\nUSAGE=filesystem\n"
	for _, kind := range []byte{0, 1, 2, 7} {
		m := bcachefs(kind, 4096)
		if got := ours(t, m); got != want {
			t.Errorf("checksum of kind %d: %s", kind, got)
		}
		m.put(4096+80, []byte("x"))
		r := probeWith(t, m, Options{})
		if whole := kind == 0; (r.Type() == "bcachefs") != whole || (len(r.BadSums) == 1) == whole {
			t.Errorf("changed under a checksum of kind %d: %+v", kind, r)
		}
	}
	if got := ours(t, bcachefs(1, 2*mib)); got != want {
		t.Errorf("the copy alone: %s", got)
	}
}

// bcachefs is the second device of two, with a superblock at one place.
func bcachefs(kind byte, at int64) *image {
	b := make([]byte, bcachefsFixed+8+2*56)
	le.PutUint16(b[16:], 1<<10|25)
	copy(b[24:], bcachefsMagic)
	copy(b[40:], "internal internal")
	copy(b[56:], "0123456789abcdef")
	copy(b[72:], "bch root")
	le.PutUint64(b[104:], uint64(at/512))
	le.PutUint16(b[120:], 8)
	b[122], b[123] = 1, 2
	le.PutUint32(b[124:], uint32(len(b)-bcachefsFixed)/8)
	b[144] = kind << 2
	b[257] = 11
	le.PutUint32(b[bcachefsFixed:], uint32(len(b)-bcachefsFixed)/8)
	le.PutUint32(b[bcachefsFixed+4:], bcachefsMembersV1)
	copy(b[bcachefsFixed+8+56:], "second device id")
	switch kind {
	case 1:
		le.PutUint32(b, crc32.Checksum(b[16:], castagnoli))
	case 2:
		le.PutUint64(b, crc64be.Sum(b[16:]))
	case 7:
		le.PutUint64(b, xxh64(b[16:]))
	}
	m := newImage(8 * mib)
	m.put(at, b)
	return m
}

// The sums that the standard library lacks, by the values that their
// descriptions give for short texts. (mkfs.btrfs checks xxh64 too.)
func TestSums(t *testing.T) {
	for text, want := range map[string]uint64{
		"": 0xef46db3751d8e999, "a": 0xd24ec4f1a98c6e5b, "abc": 0x44bc2cf5ad770999,
		"The quick brown fox jumps over the lazy dog": 0x0b242d361fda71bc,
	} {
		if got := xxh64([]byte(text)); got != want {
			t.Errorf("xxh64(%q): %#x", text, got)
		}
	}
}

// TestProbeSparse: an image with nothing in it says nothing.
func TestProbeSparse(t *testing.T) {
	for _, size := range []int64{0, 1, 512, 1024, 1025, 4096, 1440 * kib, 1440*kib + 1, 3*mib + 17, 1 << 45} {
		r, err := Probe(newImage(size), size)
		if err != nil || len(r.Pairs()) != 0 || r.Ambiguous {
			t.Errorf("size %d: %v, %+v", size, err, r)
		}
	}
	if r, err := Probe(bytes.NewReader(nil), 1<<30); err != nil || r.Type() != "" {
		t.Errorf("nothing behind the size: %v, %+v", err, r)
	}
}
