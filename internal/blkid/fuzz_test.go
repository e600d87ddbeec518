package blkid

import (
	"io"
	"strings"
	"testing"

	"firstlight/internal/blkread"
)

func FuzzProbe(f *testing.F) {
	seed := func(m *image) {
		b := make([]byte, min(m.size, 136*kib))
		m.ReadAt(b, 0)
		f.Add(b, m.size, byte(0))
		f.Add(b, int64(len(b)), byte(1))
	}
	for _, x := range fixtures {
		switch x.name {
		case "squashfs3", "swap-v0", "linhib-64k", "lvm2", "md-1.2", "bcache", "stratis", "zfs", "bitlocker-win7", "reiser4", "xfs-log":
			seed(x.image(f))
		}
	}
	for _, x := range foreign {
		m := newImage(2 * mib)
		m.put(x.off, []byte(x.sig))
		seed(m)
	}
	f.Fuzz(func(t *testing.T, b []byte, size int64, kind byte) {
		check(t, &repeated{b, size}, size, Options{Kind: Kind(kind & 3), SectorSize: 512 << (kind >> 2 & 3)})
	})
}

// repeated is a device on which the same bytes stand again and again, so
// that places far out hold something too.
type repeated struct {
	b    []byte
	size int64
}

func (r *repeated) ReadAt(p []byte, off int64) (int, error) {
	if off >= r.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), r.size-off))
	if len(r.b) == 0 {
		clear(p[:n])
	} else {
		for i := 0; i < n; {
			i += copy(p[i:n], r.b[(off+int64(i))%int64(len(r.b)):])
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// fuzzFormat is the fuzz target of one format: whatever stands where its
// fixtures have what matters, and however large the device is, a probe ends, has
// read within its bounds, and says nothing malformed. With seal the checksum is
// right.
func fuzzFormat(f *testing.F, prefixes ...string) {
	var some []fixture
	for _, x := range fixtures {
		for _, p := range prefixes {
			if strings.HasPrefix(x.name, p) {
				some = append(some, x)
				break
			}
		}
	}
	if len(some) == 0 {
		f.Fatalf("no fixture of %q", prefixes)
	}
	for i, x := range some {
		m := x.image(f)
		for j, h := range x.hot {
			f.Add(byte(i), byte(j), m.get(h.off, int(min(h.n, 4*kib))), m.size, true)
		}
	}
	f.Fuzz(func(t *testing.T, which, where byte, b []byte, size int64, seal bool) {
		x := some[int(which)%len(some)]
		m := x.image(t).change()
		h := x.hot[int(where)%len(x.hot)]
		m.set(h.off, b[:min(int64(len(b)), h.n)])
		if set := sealOf(x); set != nil && seal {
			set(m)
		}
		m.size = size & (1<<45 - 1)
		check(t, m, m.size, Options{})
	})
}

// check holds a probe against what must be true of any.
func check(t *testing.T, r io.ReaderAt, size int64, opt Options) {
	t.Helper()
	res, err := ProbeWith(r, size, opt)
	if err != nil {
		if res != nil {
			t.Fatal("result and error")
		}
		return
	}
	if res.BytesRead > blkread.Budget {
		t.Fatalf("%d bytes read", res.BytesRead)
	}
	for _, p := range res.Pairs() {
		if p.Key == "" || strings.ContainsRune(p.Value, 0) || len(p.Value) > 8<<10 {
			t.Fatalf("%q=%q", p.Key, p.Value)
		}
	}
	if res.Ambiguous && (len(res.Signatures) < 2 || len(res.Pairs()) != 0) || len(res.BadSums) > 0 && res.Type() != "" {
		t.Fatalf("%+v", res)
	}
	res.Export()
	res.Udev()
}

func FuzzExt(f *testing.F)      { fuzzFormat(f, "ext", "jbd") }
func FuzzXFS(f *testing.F)      { fuzzFormat(f, "xfs") }
func FuzzBtrfs(f *testing.F)    { fuzzFormat(f, "btrfs") }
func FuzzF2FS(f *testing.F)     { fuzzFormat(f, "f2fs") }
func FuzzBcachefs(f *testing.F) { fuzzFormat(f, "bcachefs") }
func FuzzFAT(f *testing.F)      { fuzzFormat(f, "fat") }
func FuzzExFAT(f *testing.F)    { fuzzFormat(f, "exfat") }
func FuzzNTFS(f *testing.F)     { fuzzFormat(f, "ntfs") }
func FuzzISO9660(f *testing.F)  { fuzzFormat(f, "iso9660") }
func FuzzUDF(f *testing.F)      { fuzzFormat(f, "udf") }
func FuzzSquashfs(f *testing.F) { fuzzFormat(f, "squashfs") }
func FuzzEROFS(f *testing.F)    { fuzzFormat(f, "erofs") }
func FuzzRomfs(f *testing.F)    { fuzzFormat(f, "romfs") }
func FuzzCramfs(f *testing.F)   { fuzzFormat(f, "cramfs") }
func FuzzNILFS2(f *testing.F)   { fuzzFormat(f, "nilfs2") }
func FuzzJFS(f *testing.F)      { fuzzFormat(f, "jfs") }
func FuzzReiser(f *testing.F)   { fuzzFormat(f, "reiser") }
func FuzzZFS(f *testing.F)      { fuzzFormat(f, "zfs") }
func FuzzSwap(f *testing.F)     { fuzzFormat(f, "swap") }
func FuzzSuspend(f *testing.F) {
	fuzzFormat(f, "s1suspend", "s2suspend", "ulsuspend", "linhib", "tuxonice")
}
func FuzzLUKS(f *testing.F)      { fuzzFormat(f, "luks") }
func FuzzBitLocker(f *testing.F) { fuzzFormat(f, "bitlocker") }
func FuzzVerity(f *testing.F)    { fuzzFormat(f, "verity") }
func FuzzIntegrity(f *testing.F) { fuzzFormat(f, "integrity") }
func FuzzLVM(f *testing.F)       { fuzzFormat(f, "lvm") }
func FuzzMD(f *testing.F)        { fuzzFormat(f, "md") }
func FuzzDDF(f *testing.F)       { fuzzFormat(f, "ddf") }
func FuzzIMSM(f *testing.F)      { fuzzFormat(f, "imsm") }
func FuzzFirmwareRAID(f *testing.F) {
	fuzzFormat(f, "lsi", "via", "silicon", "nvidia", "promise", "hpt", "adaptec", "jmicron")
}
func FuzzBcache(f *testing.F)   { fuzzFormat(f, "bcache") }
func FuzzVDO(f *testing.F)      { fuzzFormat(f, "vdo") }
func FuzzStratis(f *testing.F)  { fuzzFormat(f, "stratis") }
func FuzzDRBD(f *testing.F)     { fuzzFormat(f, "drbd") }
func FuzzSnapshot(f *testing.F) { fuzzFormat(f, "snapshot", "persistent") }
