package parttable

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/testtool"
)

// parted makes a disk of 40 MiB with a label and two partitions.
func parted(t testing.TB, label string, parts ...string) []byte {
	t.Helper()
	testtool.Need(t, "parted")
	file := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(file, make([]byte, 40*mib), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-s", file, "unit", "s", "mklabel", label}
	for _, p := range parts {
		args = append(args, strings.Fields("mkpart "+p)...)
	}
	if out, err := exec.Command(testtool.Path("parted"), args...).CombinedOutput(); err != nil {
		t.Fatalf("parted: %v\n%s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(b []byte, off int, v ...uint32) {
	for i, n := range v {
		le.PutUint32(b[off+4*i:], n)
	}
}

// with is an MBR whose second partition, from sector 4096 on, holds a table.
func with(t testing.TB, kind string, fill func(part []byte)) []byte {
	disk := sfdisk(t, 512, "label: dos\nlabel-id: 0x99\nstart=2048, size=1024, type=83\nstart=4096, size=8192, type="+kind+
		"\nstart=16384, size=8192, type=f\nstart=18432, size=1024, type=83\n")
	fill(disk[4096*512:])
	return disk
}

func bsdAt(off int, first uint32) func(b []byte) {
	return func(b []byte) {
		write(b, off, bsdMagic)
		b[off+138] = 8
		for i, e := range [][3]uint32{{1000, first + 100, 7}, {500, first + 1100, 1}, {8192, first, 0}, {200, 1 << 30, 7}, {300, first + 1600, 7}, {8192, 4096, 9}} {
			write(b, off+148+16*i, e[0], e[1])
			b[off+148+16*i+12] = byte(e[2])
		}
	}
}

var labelDisks = []struct {
	name, scheme string
	build        func(t testing.TB) []byte
	hot          [][2]int
}{
	{"sgi", "sgi", func(t testing.TB) []byte {
		return sfdisk(t, 512, "label: sgi\nstart=4096, size=1024, type=83\nstart=8192, size=1024, type=82\n")
	}, [][2]int{{0, 512}}},
	{"dvh", "sgi", func(t testing.TB) []byte { return parted(t, "dvh", "primary 4096 8191", "primary 8192 20000") }, [][2]int{{312, 200}}},
	{"sun", "sun", func(t testing.TB) []byte {
		return sfdisk(t, 512, "label: sun\nstart=0, size=2048, type=83\nstart=4096, size=4096, type=82\n")
	}, [][2]int{{128, 100}, {436, 76}}},
	{"sun of parted", "sun", func(t testing.TB) []byte { return parted(t, "sun", "0 20479", "20480 40959") }, [][2]int{{128, 100}, {436, 76}}},
	{"mac", "mac", func(t testing.TB) []byte { return parted(t, "mac", "one 4096 8191", "two 8192 20000") }, [][2]int{{0, 4}, {512, 100}, {1024, 100}}},
	{"atari", "atari", func(t testing.TB) []byte {
		return parted(t, "atari", "primary ext2 4096 8191", "primary ext2 8192 20000")
	}, [][2]int{{0x156, 0xaa}}},
	{"atari, chained", "atari", func(testing.TB) []byte {
		disk := make([]byte, 4*mib)
		put := func(sector, i int, id string, start, size uint32) {
			e := disk[sector*512+0x1c6+12*i:]
			e[0] = 1
			copy(e[1:], id)
			be.PutUint32(e[4:], start)
			be.PutUint32(e[8:], size)
		}
		be.PutUint32(disk[0x1c2:], 8192)
		put(0, 0, "BGM", 10, 90)
		put(0, 2, "XGM", 100, 1000)
		put(0, 3, "LNX", 2000, 100)
		put(100, 0, "GEM", 1, 99)
		put(100, 1, "XGM", 200, 100)
		put(300, 1, "RAW", 5, 50)
		return disk
	}, [][2]int{{0x1c2, 0x3e}, {100*512 + 0x1c6, 48}}},
	{"atari, ICD", "atari", func(testing.TB) []byte {
		disk := make([]byte, 4*mib)
		be.PutUint32(disk[0x1c2:], 8192)
		copy(disk[0x1c6:], "\x01GEM\x00\x00\x00\x0a\x00\x00\x00\x64")
		copy(disk[0x156:], "\x01LNX\x00\x00\x01\x00\x00\x00\x00\x64\x01SWP\x00\x00\x02\x00\x00\x00\x00\x64")
		return disk
	}, [][2]int{{0x156, 0xaa}}},
	{"ultrix", "ultrix", func(testing.TB) []byte {
		disk := make([]byte, 4*mib)
		write(disk, 16<<10-72, 0x032957, 1, 100, 0, 0, 0, 200, 100)
		return disk
	}, [][2]int{{16<<10 - 72, 72}}},
	{"BSD on a disk", "bsd", func(t testing.TB) []byte { return parted(t, "bsd", "ext2 4096 8191", "ext2 8192 20000") }, [][2]int{{64, 240}}},
	{"FreeBSD", "freebsd", func(t testing.TB) []byte { return with(t, "a5", bsdAt(512, 4096)) }, [][2]int{{4097 * 512, 4}, {4097*512 + 138, 106}}},
	{"FreeBSD, counted from its start", "freebsd", func(t testing.TB) []byte { return with(t, "a5", bsdAt(512, 0)) }, [][2]int{{4097*512 + 138, 106}}},
	{"OpenBSD", "openbsd", func(t testing.TB) []byte { return with(t, "a6", bsdAt(64, 4096)) }, [][2]int{{4096*512 + 64 + 138, 106}}},
	{"NetBSD", "netbsd", func(t testing.TB) []byte { return with(t, "a9", bsdAt(128, 4096)) }, [][2]int{{4096*512 + 128 + 138, 106}}},
	{"Minix", "minix", func(t testing.TB) []byte {
		return with(t, "81", func(b []byte) {
			b[510], b[511] = 0x55, 0xaa
			for i := range 3 {
				b[446+16*i+4] = 0x81
				write(b, 446+16*i+8, uint32(4100+1000*i), 900)
			}
			b[446+20] = 0x83
		})
	}, [][2]int{{4096*512 + 446, 66}}},
	{"Solaris", "solaris", func(t testing.TB) []byte {
		return with(t, "82", func(b []byte) {
			write(b, 512+12, 0x600ddeee, 1)
			b[512+30] = 16
			for i, e := range [][3]uint32{{2, 100, 200}, {3 | 1<<16, 300, 100}, {5, 0, 8192}, {4, 8000, 400}, {8, 500, 60}} {
				write(b, 512+72+12*i, e[0], e[1], e[2])
			}
		})
	}, [][2]int{{4097*512 + 12, 8}, {4097*512 + 72, 60}}},
}

// Labels that no partition of this machine's disks will ever have are still the
// kernel's partitions, and libblkid's.
func TestLabelsAgreeWithPartx(t *testing.T) {
	for i, c := range labelDisks {
		t.Run(c.name, func(t *testing.T) {
			disk := c.build(t)
			file := save(t, disk)
			check := func(what string) {
				want := partx(t, file, 512)
				if got := ours(t, disk, 512); got != want && (want != "" || !refusedNested(t, disk)) {
					t.Errorf("%s\n--- ours\n%s--- partx\n%s", what, got, want)
				}
			}
			check("as made")
			if got := ours(t, disk, 512); strings.Count(got, "SCHEME="+c.scheme+"\n") < 2 {
				t.Fatalf("no two partitions of %s:\n%s", c.scheme, got)
			}
			f, err := os.OpenFile(file, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			rnd := rand.New(rand.NewPCG(7, uint64(i)))
			for range 40 {
				h := c.hot[rnd.IntN(len(c.hot))]
				at := h[0] + rnd.IntN(h[1])
				was := disk[at]
				disk[at] = []byte{0, 1, 5, 0xff, byte(rnd.Uint32()), was ^ 1}[rnd.IntN(6)]
				if _, err := f.WriteAt(disk[at:at+1], int64(at)); err != nil {
					t.Fatal(err)
				}
				check(fmt.Sprintf("byte %#x was %#x, is %#x", at, was, disk[at]))
				disk[at] = was
				if _, err := f.WriteAt(disk[at:at+1], int64(at)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// What the kernel reads and libblkid does not.
func TestLabelsOfTheKernelAlone(t *testing.T) {
	karma := make([]byte, mib)
	karma[510], karma[511] = 0x56, 0xab
	write(karma, 270+8, 100, 200)
	write(karma, 286+8, 300, 400)
	karma[274], karma[290] = 0x4d, 0x4d
	unixware := with(t, "63", func(b []byte) {
		b = b[29*512:]
		write(b, 0, 0, 0xca5e600d)
		write(b, 156, 0x600ddeee)
		write(b, 216, 5|0x200<<16, 4096, 8192, 2|0x200<<16, 4200, 100, 3, 4300, 100, 1|0x200<<16, 4400, 50)
	})
	for _, c := range []struct {
		name string
		disk []byte
		want string
	}{
		{"amiga", parted(t, "amiga", "ext2 3968 8063", "ext2 8064 20095"),
			"amiga 1 3968+4096 amiga 2 8064+12032"},
		{"karma", karma, "karma 1 100+200 karma 2 300+400"},
		{"unixware", unixware, " 1 2048+1024  2 4096+8192  3 16384+8192  5 18432+1024 unixware 6 4200+100 unixware 7 4400+50"},
	} {
		table, err := Read(bytes.NewReader(c.disk), int64(len(c.disk)), 512)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		for _, e := range table.Entries {
			scheme := e.Scheme
			if table.Type != MBR {
				scheme = table.Type
			}
			got = append(got, fmt.Sprintf("%s %d %d+%d", scheme, e.Number, e.Start/512, e.Size/512))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, s, c.want)
		}
		if table.Type != MBR {
			if _, err := Identify(bytes.NewReader(c.disk), int64(len(c.disk)), 512); err == nil {
				t.Errorf("%s: named, which libblkid does not", c.name)
			}
		}
	}
}
