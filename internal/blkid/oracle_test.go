package blkid

import (
	"fmt"
	"maps"
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
// FIRSTLIGHT_MUTATIONS multiplies the number of damaged images.
func TestAgreesWithBlkid(t *testing.T) {
	testtool.Need(t, "blkid")
	for i, f := range fixtures {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			m := f.image(t)
			dir := t.TempDir()
			file := filepath.Join(dir, "image")
			m.save(t, file)
			want := oracle(t, file)[0]
			r, err := Probe(m, m.size)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Export(); got != want && justified(r, want) == "" || r.Type() != f.want {
				t.Fatalf("type %q, want %q\n--- ours\n%s--- blkid\n%s", r.Type(), f.want, got, want)
			}
			if f.want != "bcachefs" {
				compareUdev(t, r, file)
			}
			checkCost(t, f, m)
			agree(t, times(mutations), uint64(i), func(rnd *rand.Rand) (*image, string) {
				c, how := damage(m, f.hot, rnd)
				if seal := sealOf(f); seal != nil && rnd.IntN(2) == 0 {
					seal(c)
					how += ", sealed"
				}
				return c, how
			})
		})
	}
}

// mutations is how often each fixture is damaged, and overlays how many pairs
// are laid over each other. Both together are the 2,000 that are promised.
const (
	mutations = 20
	overlays  = 400
)

// times multiplies by $FIRSTLIGHT_MUTATIONS.
func times(n int) int {
	if more, err := strconv.Atoi(os.Getenv("FIRSTLIGHT_MUTATIONS")); err == nil {
		n *= more
	}
	return n
}

// The document lists each difference that the comparison allows, and no other.
func TestDifferencesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/recognised.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "These are all the differences that the comparison allows:")
	table, _, _ = strings.Cut(table, "These are outside")
	var listed []string
	for line := range strings.Lines(table) {
		if cell, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | "); ok && strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| |") {
			listed = append(listed, cell)
		}
	}
	slices.Sort(listed)
	if want := []string{"bcachefs", "checksum", "isw version", "promise"}; !slices.Equal(listed, want) {
		t.Errorf("documented are %q, the comparison allows %q", listed, want)
	}
}

func TestEnoughMutations(t *testing.T) {
	if n := mutations*len(fixtures) + overlays; n < 2000 {
		t.Errorf("%d images are compared with blkid, 2000 are promised", n)
	}
}

// Two formats on one device, the pages of one over the other's: what was made
// first and what was made last can both be left, or parts of either.
func TestOverlaysAgreeWithBlkid(t *testing.T) {
	testtool.Need(t, "blkid")
	agree(t, times(overlays), 1, func(rnd *rand.Rand) (*image, string) {
		under, over := fixtures[rnd.IntN(len(fixtures))], fixtures[rnd.IntN(len(fixtures))]
		a, b := under.image(t), over.image(t)
		c := a.change()
		if rnd.IntN(2) == 0 {
			c.size = b.size
		}
		how := fmt.Sprintf("%s over %s, %d bytes", over.name, under.name, c.size)
		// What stands at the end of one stands at the end of both.
		shift := int64(0)
		if rnd.IntN(2) == 0 {
			shift = (c.size - b.size) / testPage * testPage
			how += fmt.Sprintf(", moved by %d", shift)
		}
		some := 1 + rnd.IntN(4)
		for _, k := range slices.Sorted(maps.Keys(b.pages)) {
			switch off := k*testPage + shift; {
			case off < 0:
			case some < 4 && rnd.IntN(some) != 0:
				how += fmt.Sprintf(", without %#x", off)
			default:
				delete(c.pages, off/testPage)
				c.put(off, b.pages[k])
			}
		}
		if len(how) > 300 {
			how = how[:300] + "…"
		}
		return c, how
	})
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

// agree compares what we and blkid say of count images, which are a function
// of the seed.
func agree(t *testing.T, count int, seed uint64, next func(*rand.Rand) (*image, string)) {
	t.Helper()
	dir := t.TempDir()
	const batch = 50
	rnd := rand.New(rand.NewPCG(seed, 2))
	for count > 0 {
		var images []*image
		var files, what []string
		for i := range min(batch, count) {
			c, how := next(rnd)
			file := filepath.Join(dir, fmt.Sprint(i))
			c.save(t, file)
			images, files, what = append(images, c), append(files, file), append(what, how)
		}
		count -= len(files)
		for i, want := range oracle(t, files...) {
			r, err := Probe(images[i], images[i].size)
			if err != nil {
				t.Errorf("%s: %v", what[i], err)
				continue
			}
			if got := answer(r); got != want && justified(r, want) == "" {
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

// justified says which of the differences that are meant (docs/recognised.md)
// explains that blkid says theirs, or "".
func justified(r *Result, theirs string) string {
	ours := answer(r)
	export := func(pairs []Pair) string {
		var b strings.Builder
		for _, p := range pairs {
			b.WriteString(p.Key + "=" + blktext.Export(p.Value) + "\n")
		}
		return b.String()
	}
	switch {
	case r.Type() == "bcachefs" && export(r.Signatures[0].Pairs)+theirs == ours:
		return "bcachefs"
	case len(r.Signatures) == 2 && r.Signatures[1].Type == "bcachefs" && strings.HasPrefix(theirs, export(r.Signatures[0].Pairs)):
		return "bcachefs" // the other of two
	case r.Type() == "isw_raid_member" && strings.HasPrefix(theirs, "VERSION="+blktext.Export(r.Get("VERSION"))):
		return "isw version"
	case theirs == "TYPE=promise_fasttrack_raid_member\nUSAGE=raid\n" && len(r.Signatures) == 1 &&
		(r.Signatures[0].Usage == "raid" || r.Signatures[0].Usage == "crypto"):
		return "promise"
	case len(r.BadSums) == 1:
		// Without a look at the checksum we would say the same.
		if export(r.BadSums[0].Pairs)+ours == theirs {
			return "checksum"
		}
	}
	return ""
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
