package blkid

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"firstlight/internal/blktext"
	"firstlight/internal/testtool"
)

// TestAgreesWithBlkid: every format, made by its own tool where there is
// one, reads as blkid reads it, untouched and after seeded damage.
// FIRSTLIGHT_MUTATIONS is how often each is damaged.
func TestAgreesWithBlkid(t *testing.T) {
	testtool.Need(t, "blkid")
	for i, f := range fixtures {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			m := f.build(t)
			dir := t.TempDir()
			file := filepath.Join(dir, "image")
			m.save(t, file)
			want := oracle(t, file)[0]
			r, err := Probe(m, m.size)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Export(); got != want || r.Type() != f.want {
				t.Fatalf("type %q, want %q\n--- ours\n%s--- blkid\n%s", r.Type(), f.want, got, want)
			}
			compareUdev(t, r, file)
			checkCost(t, f, m)
			count := 30
			if n, err := strconv.Atoi(os.Getenv("FIRSTLIGHT_MUTATIONS")); err == nil {
				count = n
			}
			mutate(t, m, f, uint64(i), count)
		})
	}
}

// compareUdev compares the udev form. blkid prints more than udev's builtin
// takes over: those names are known.
func compareUdev(t *testing.T, r *Result, file string) {
	t.Helper()
	out, _ := exec.Command(testtool.Path("blkid"), "-p", "-o", "udev", file).Output()
	theirs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		theirs[k] = v
	}
	for _, p := range r.Udev() {
		v, ok := theirs[p.Key]
		if p.Key == "ID_FS_VERSION" {
			// The builtin, other than blkid, leaves it as it is.
			p.Value = blktext.Encode(p.Value)
		}
		if !ok || v != p.Value {
			t.Errorf("udev: %s=%q, blkid says %q", p.Key, p.Value, v)
		}
		delete(theirs, p.Key)
	}
	for k := range theirs {
		switch strings.TrimPrefix(k, "ID_FS_") {
		case "BLOCK_SIZE", "SEC_TYPE", "LOGUUID", "EXT_JOURNAL", "SUBSYSTEM", "LABEL_FATBOOT", "LABEL_FATBOOT_ENC",
			"POOL_UUID", "BLOCKDEV_SECTORS", "BLOCKDEV_INITTIME":
		default:
			t.Errorf("udev: %s=%q is missing", k, theirs[k])
		}
	}
}

// mutate damages an image in count ways and compares every answer.
func mutate(t *testing.T, m *image, f fixture, seed uint64, count int) {
	t.Helper()
	dir := t.TempDir()
	const batch = 50
	rnd := rand.New(rand.NewPCG(seed, 2))
	for count > 0 {
		var images []*image
		var files, what []string
		for i := range min(batch, count) {
			c, how := damage(m, f.hot, rnd)
			file := filepath.Join(dir, fmt.Sprint(i))
			c.save(t, file)
			images, files, what = append(images, c), append(files, file), append(what, how)
		}
		count -= len(files)
		for i, want := range oracle(t, files...) {
			if got := ours(t, images[i]); got != want && !justified(got, want) {
				t.Errorf("%s\n--- ours\n%s--- blkid\n%s", what[i], got, want)
			}
		}
	}
}

var foreign = []struct {
	off int64
	sig string
}{
	{1024 + 0x38, "\x53\xef"}, {4086, "SWAPSPACE2"}, {0, "XFSB"}, {64*kib + 0x40, "_BHRfS_M"},
	{510, "\x55\xaa"}, {0, "hsqs"}, {0, "LUKS\xba\xbe\x00\x01"}, {1024, "\x10\x20\xf5\xf2"}, {1024, "\xe2\xe1\xf5\xe0"},
	{32*kib + 1, "CD001"}, {0, "verity\x00\x00\x01\x00\x00\x00"}, {3, "EXFAT   "}, {0, "SnAp"}, {0, "-rom1fs-"},
	{0, "\x45\x3d\xcd\x28"}, {64 * kib, "ReIsEr4"}, {0, "integrt\x00\x01"}, {0x36, "FAT16   "}, {4086, "S1SUSPEND"}, {450, "\x83"}, {450, "\xee"},
}

// damage changes an image in one to three places.
func damage(m *image, hot []span, rnd *rand.Rand) (*image, string) {
	c := m.change()
	var how []string
	for range 1 + rnd.IntN(3) {
		s := hot[rnd.IntN(len(hot))]
		off := s.off + rnd.Int64N(s.n)
		switch k := rnd.IntN(12); {
		case k < 4:
			b := c.get(off, 1)
			b[0] ^= 1 << rnd.IntN(8)
			c.own(off, 1)
			c.put(off, b)
			how = append(how, fmt.Sprintf("bit in byte %#x", off))
		case k < 6:
			b := []byte{[]byte{0, 0xff, ' ', 0x80, 1}[rnd.IntN(5)]}
			c.own(off, 1)
			c.put(off, b)
			how = append(how, fmt.Sprintf("byte %#x set to %#x", off, b[0]))
		case k < 8:
			n := 1 << rnd.IntN(4)
			off &^= int64(n - 1)
			b := make([]byte, n)
			fill := byte(rnd.IntN(2) * 255)
			for i := range b {
				b[i] = fill
			}
			c.own(off, n)
			c.put(off, b)
			how = append(how, fmt.Sprintf("%d bytes at %#x set to %#x", n, off, fill))
		case k < 9:
			b := make([]byte, 1+rnd.IntN(40))
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
			c.own(off, len(b))
			c.put(off, b)
			how = append(how, fmt.Sprintf("%d random bytes at %#x", len(b), off))
		case k < 11:
			x := foreign[rnd.IntN(len(foreign))]
			c.own(x.off, len(x.sig))
			c.put(x.off, []byte(x.sig))
			how = append(how, fmt.Sprintf("%q at %#x", x.sig, x.off))
		default:
			size := rnd.Int64N(c.size)
			if rnd.IntN(2) == 0 {
				size &^= 511
			}
			c.size = max(size, 1)
			how = append(how, fmt.Sprintf("cut to %d bytes", c.size))
		}
	}
	return c, strings.Join(how, ", ")
}

// justified are the differences that are meant.
func justified(ours, theirs string) bool {
	switch {
	case strings.Contains(ours, "TYPE=bcachefs") && theirs == "":
		// libblkid 2.38 does not know it.
		return true
	case strings.Contains(ours, "TYPE=isw_raid_member"):
		// A version without its NUL: libblkid reads on, even beyond its
		// own buffer.
		version, _, _ := strings.Cut(ours, "\n")
		return strings.HasPrefix(theirs, version)
	}
	return false
}

// TestUdevBuiltin compares with udevd's own builtin, on a loop device: the
// one place where blkid -o udev is not what udev's database gets.
func TestUdevBuiltin(t *testing.T) {
	testtool.Need(t, "udevadm", "losetup")
	testtool.Root(t)
	for _, name := range []string{"lvm2", "ext4", "iso9660-joliet", "luks2", "gpt", "mbr"} {
		m := image1(t, name)
		file := filepath.Join(t.TempDir(), "image")
		m.save(t, file)
		out, err := exec.Command(testtool.Path("losetup"), "-r", "-f", "--show", file).Output()
		if err != nil {
			t.Skipf("no loop devices here: %v", err)
		}
		dev := strings.TrimSpace(string(out))
		out, err = exec.Command(testtool.Path("udevadm"), "test-builtin", "blkid", "/sys/block/"+filepath.Base(dev)).Output()
		if err := exec.Command(testtool.Path("losetup"), "-d", dev).Run(); err != nil {
			t.Error(err)
		}
		if err != nil {
			t.Skipf("udevadm cannot open loop devices here: %v", err)
		}
		var ours, theirs []string
		for _, p := range probeWith(t, m, Options{Kind: Disk}).Udev() {
			ours = append(ours, p.Key+"="+p.Value)
		}
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "ID_FS_") || strings.HasPrefix(line, "ID_PART_TABLE_") {
				theirs = append(theirs, strings.TrimSuffix(line, "\n"))
			}
		}
		if !slices.Equal(ours, theirs) {
			t.Errorf("%s:\n%s\n--- udev\n%s", name, strings.Join(ours, "\n"), strings.Join(theirs, "\n"))
		}
	}
}
