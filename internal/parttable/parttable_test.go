package parttable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/blkread"
	"firstlight/internal/blktext"
	"firstlight/internal/testtool"
)

const mib = 1 << 20

// sfdisk makes a disk of 16 MiB by a script.
func sfdisk(t testing.TB, sector int, script string) []byte {
	t.Helper()
	testtool.Need(t, "sfdisk")
	file := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(file, make([]byte, 16*mib), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(testtool.Path("sfdisk"), "-q", file)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v\n%s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if sector == 4096 {
		return to4k(b)
	}
	return b
}

// to4k turns a table for sectors of 512 bytes into one for 4096, as sfdisk
// before 2.39 cannot. Partitions stay where they are in bytes.
func to4k(disk []byte) []byte {
	if !protective(disk) {
		for at := uint32(0); ; {
			next := uint32(0)
			for i := range 4 {
				e := disk[at*512+mbrTable+uint32(16*i):]
				start, size := le.Uint32(e[8:]), le.Uint32(e[12:])
				if e[4] == 0x0f || e[4] == 0x05 {
					next = 2048*2 + start
					if at == 0 {
						next = start
					}
				}
				le.PutUint32(e[8:], start/8)
				le.PutUint32(e[12:], size/8)
			}
			if next == 0 {
				return disk
			}
			at = next
		}
	}
	last := uint64(len(disk)/4096 - 1)
	entries := bytes.Clone(disk[1024 : 1024+128*128])
	for e := entries; len(e) > 0; e = e[128:] {
		if end := le.Uint64(e[40:]); end != 0 {
			le.PutUint64(e[32:], le.Uint64(e[32:])/8)
			le.PutUint64(e[40:], (end+1)/8-1)
		}
	}
	head := bytes.Clone(disk[512 : 512+92])
	out := make([]byte, len(disk))
	copy(out, disk[:512])
	for _, c := range []struct{ at, other, array uint64 }{{1, last, 2}, {last, 1, last - 4}} {
		le.PutUint64(head[24:], c.at)
		le.PutUint64(head[32:], c.other)
		le.PutUint64(head[40:], 6)
		le.PutUint64(head[48:], last-5)
		le.PutUint64(head[72:], c.array)
		le.PutUint32(head[88:], crc32.ChecksumIEEE(entries))
		clear(head[16:20])
		le.PutUint32(head[16:], crc32.ChecksumIEEE(head))
		copy(out[c.at*4096:], head)
		copy(out[c.array*4096:], entries)
	}
	return out
}

const (
	gptScript = `label: gpt
label-id: 0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0
size=1M, type=U, name="EFI system"
size=1M, type=L, uuid=11111111-2222-3333-4444-555555555555, name="Wurzel / ü", attrs="RequiredPartition,GUID:60"
start=8M, size=1M, type=S
`
	mbrScript = `label: dos
label-id: 0x1234abcd
size=1M, type=83, bootable
size=10M, type=f
size=1M, type=82
size=1M, type=83
size=1M, type=8e
size=1M, type=83
size=512K, type=83
`
)

// show prints a table the way partx -P prints it.
func show(t *Table) string {
	var b strings.Builder
	for _, e := range t.Entries {
		scheme := t.Type
		if e.Scheme != "" {
			scheme = e.Scheme
		}
		fmt.Fprintf(&b, "NR=%d START=%d SECTORS=%d NAME=%s UUID=%s TYPE=%s FLAGS=%#x SCHEME=%s\n",
			e.Number, e.Start/512, e.Size/512, blktext.Encode(e.Name), e.UUID, blktext.Encode(e.Type), e.Flags, scheme)
	}
	return b.String()
}

// save writes a disk to a file.
func save(t testing.TB, disk []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(file, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// partx asks libblkid, through partx(8).
func partx(t testing.TB, file string, sector int) string {
	t.Helper()
	testtool.Need(t, "partx")
	cmd := exec.Command(testtool.Path("partx"), "-P", "-S", fmt.Sprint(sector), "-o", "NR,START,SECTORS,NAME,UUID,TYPE,FLAGS,SCHEME", file)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, _ := cmd.Output()
	var b strings.Builder
	for line := range strings.Lines(string(out)) {
		v := map[string]string{}
		for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimPrefix(rest, " ") {
			k, after, _ := strings.Cut(rest, `="`)
			value, tail, _ := strings.Cut(after, `"`)
			v[k], rest = value, tail
		}
		if v["SECTORS"] == "0" {
			continue // of no size is no partition
		}
		fmt.Fprintf(&b, "NR=%s START=%s SECTORS=%s NAME=%s UUID=%s TYPE=%s FLAGS=%s SCHEME=%s\n",
			v["NR"], v["START"], v["SECTORS"], blktext.Encode(unescape(v["NAME"])), v["UUID"], blktext.Encode(unescape(v["TYPE"])), v["FLAGS"], v["SCHEME"])
	}
	return b.String()
}

// unescape undoes partx's \xNN.
func unescape(s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		var c byte
		if n, _ := fmt.Sscanf(s[i:], `\x%02x`, &c); n == 1 {
			out = append(out, c)
			i += 3
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

// refusedNested says whether libblkid refuses a table as a whole because one
// of its partitions is of a type that may hold another table (0x82 is swap,
// and Solaris) and reaches beyond the end of the disk.
func refusedNested(t testing.TB, disk []byte) bool {
	table, err := Read(bytes.NewReader(disk), int64(len(disk)), 512)
	if err != nil {
		return false
	}
	for _, e := range table.Entries {
		switch e.Type {
		case "0xa5", "0xa6", "0xa9", "0x63", "0x82", "0x81":
			if e.Start+e.Size > int64(len(disk)) && e.Number < 5 {
				return true
			}
		}
	}
	return false
}

func ours(t testing.TB, disk []byte, sector int) string {
	t.Helper()
	table, err := Read(bytes.NewReader(disk), int64(len(disk)), sector)
	if errors.Is(err, ErrNone) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return show(table)
}

func TestAgreesWithPartx(t *testing.T) {
	hot := map[string][][2]int{
		GPT: {{440, 72}, {512, 96}, {1024, 3 * 128}, {16*mib - 512, 96}},
		MBR: {{440, 72}, {2 * mib, 512}, {2*mib + 440, 72}, {0, 90}},
	}
	for _, c := range []struct {
		name, kind, script string
		sector             int
	}{
		{"gpt", GPT, gptScript, 512}, {"gpt-4k", GPT, gptScript, 4096},
		{"mbr", MBR, mbrScript, 512}, {"mbr-4k", MBR, mbrScript, 4096},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			disk := sfdisk(t, c.sector, c.script)
			file := save(t, disk)
			want := partx(t, file, c.sector)
			if got := ours(t, disk, c.sector); got != want || strings.Count(got, "\n") < 3 {
				t.Fatalf("--- ours\n%s--- partx\n%s", got, want)
			}
			if c.sector != 512 {
				return
			}
			f, err := os.OpenFile(file, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			put := func(at int, b byte) {
				disk[at] = b
				if _, err := f.WriteAt([]byte{b}, int64(at)); err != nil {
					t.Fatal(err)
				}
			}
			rnd := rand.New(rand.NewPCG(1, uint64(len(c.name))))
			for range 100 {
				undo := map[int]byte{}
				for range 1 + rnd.IntN(3) {
					h := hot[c.kind][rnd.IntN(len(hot[c.kind]))]
					at := h[0] + rnd.IntN(h[1])
					if _, ok := undo[at]; !ok {
						undo[at] = disk[at]
					}
					put(at, []byte{0, 1, 5, 0xff, byte(rnd.Uint32()), byte(rnd.Uint32())}[rnd.IntN(6)])
				}
				want := partx(t, file, 512)
				if got := ours(t, disk, 512); got != want && !(want == "" && refusedNested(t, disk)) {
					t.Errorf("bytes %v\n--- ours\n%s--- partx\n%s", undo, got, want)
				}
				for at, b := range undo {
					put(at, b)
				}
			}
		})
	}
}

// TestBackupGPT: the header at the end serves when the first is damaged, and
// the table says so.
func TestBackupGPT(t *testing.T) {
	for _, sector := range []int{512, 4096} {
		disk := sfdisk(t, sector, gptScript)
		whole, err := Read(bytes.NewReader(disk), int64(len(disk)), sector)
		if err != nil || whole.UsedBackup {
			t.Fatalf("%v, %+v", err, whole)
		}
		for _, at := range []int{sector + 60, 2*sector + 20} { // header, entries
			bad := bytes.Clone(disk)
			bad[at] ^= 1
			got, err := Read(bytes.NewReader(bad), int64(len(bad)), sector)
			if err != nil || !got.UsedBackup || show(got) != show(whole) || got.UUID != whole.UUID {
				t.Errorf("sector size %d, damage at %d: %v, %+v", sector, at, err, got)
			}
			bad[len(bad)-sector+60] ^= 1
			got, err = Read(bytes.NewReader(bad), int64(len(bad)), sector)
			if err != nil || got.Type != Protective || len(got.Entries) != 0 {
				t.Errorf("both damaged: %v, %+v", err, got)
			}
		}
	}
}

// TestGPTLimits: counts from the disk are bounded even under a right CRC.
func TestGPTLimits(t *testing.T) {
	disk := sfdisk(t, 512, gptScript)
	for _, c := range []struct{ count, size uint32 }{{1 << 31, 128}, {32769, 128}, {128, 4096}, {0, 128}, {1 << 25, 1 << 25}} {
		bad := bytes.Clone(disk)
		h := bad[512 : 512+92]
		binary.LittleEndian.PutUint32(h[80:], c.count)
		binary.LittleEndian.PutUint32(h[84:], c.size)
		clear(h[16:20])
		binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(h))
		got, err := Read(bytes.NewReader(bad), int64(len(bad)), 512)
		if err != nil || !got.UsedBackup {
			t.Errorf("%+v: %v, %+v", c, err, got)
		}
	}
}

// ebr writes an extended boot record with one data partition and a link.
func ebr(disk []byte, sector, start, size, link uint32) {
	b := disk[sector*512:]
	put := func(i int, kind byte, start, size uint32) {
		e := b[mbrTable+16*i:]
		e[4] = kind
		le.PutUint32(e[8:], start)
		le.PutUint32(e[12:], size)
	}
	put(0, 0x83, start, size)
	if link != 0 {
		put(1, 0x05, link, 1000)
	}
	b[510], b[511] = 0x55, 0xaa
}

func extendedDisk() []byte {
	disk := make([]byte, 4*mib)
	ebr(disk, 0, 0, 0, 0)
	e := disk[mbrTable+16:]
	e[4] = 0x05
	le.PutUint32(e[8:], 64)
	le.PutUint32(e[12:], 8000)
	return disk
}

// TestExtendedLoop: a chain that leads back into itself ends.
func TestExtendedLoop(t *testing.T) {
	disk := extendedDisk()
	ebr(disk, 64, 1, 10, 100)
	ebr(disk, 164, 1, 10, 200)
	ebr(disk, 264, 1, 10, 100)
	table, err := Read(bytes.NewReader(disk), int64(len(disk)), 512)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(table.Entries); n != 4 || table.Entries[3].Number != 7 || table.Entries[3].Start != 265*512 {
		t.Errorf("%+v", table.Entries)
	}
	ident, err := Identify(bytes.NewReader(disk), int64(len(disk)), 512)
	if err != nil || len(ident.Entries) != 1 {
		t.Errorf("Identify: %v, %+v", err, ident)
	}
}

// TestExtendedMany: no more partitions than the kernel has minors for.
func TestExtendedMany(t *testing.T) {
	disk := extendedDisk()
	for i := range uint32(1000) {
		ebr(disk, 64+2*i, 1, 1, 2*(i+1))
	}
	table, err := Read(bytes.NewReader(disk), int64(len(disk)), 512)
	if err != nil || len(table.Entries) != maxEntries {
		t.Errorf("%v, %d entries", err, len(table.Entries))
	}
}

// TestNoTable: filesystems and nothing are not tables, and bad arguments are
// refused.
func TestNoTable(t *testing.T) {
	for _, size := range []int{0, 1, 511, 512, 1024, 4096} {
		if got, err := Read(bytes.NewReader(make([]byte, size)), int64(size), 512); !errors.Is(err, ErrNone) {
			t.Errorf("%d zero bytes: %v, %+v", size, err, got)
		}
	}
	for _, sector := range []int{-1, 1, 256, 513, 128 << 10} {
		if _, err := Read(bytes.NewReader(nil), 0, sector); err == nil || errors.Is(err, ErrNone) {
			t.Errorf("sector size %d: %v", sector, err)
		}
	}
	testtool.Need(t, "mkfs.vfat")
	file := filepath.Join(t.TempDir(), "fat")
	if out, err := exec.Command(testtool.Path("mkfs.vfat"), "-C", file, "2048").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Read(bytes.NewReader(b), int64(len(b)), 512); !errors.Is(err, ErrNone) {
		t.Errorf("FAT: %v, %+v", err, got)
	}
}

type broken struct{ from int64 }

var errBroken = errors.New("medium error")

func (r broken) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > r.from {
		return 0, errBroken
	}
	clear(p)
	return len(p), nil
}

// TestReadError: a disk that cannot be read is not a disk without a table.
func TestReadError(t *testing.T) {
	if _, err := Read(broken{0}, mib, 512); !errors.Is(err, errBroken) {
		t.Errorf("%v", err)
	}
	if _, err := Read(broken{64 << 10}, 4*mib, 512); !errors.Is(err, ErrNone) {
		t.Errorf("an unreadable place elsewhere: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(extendedDisk()[:8192], int64(8192))
	f.Add([]byte{}, int64(0))
	loop := extendedDisk()
	ebr(loop, 64, 1, 10, 1)
	f.Add(loop[:64<<10], int64(1<<40))
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		for _, sector := range []int{512, 4096} {
			d := blkread.New(bytes.NewReader(b), size)
			table, err := Read(d, size, sector)
			if n, _ := d.Stats(); n > blkread.Budget {
				t.Fatalf("%d bytes read", n)
			}
			if err != nil {
				continue
			}
			for _, e := range table.Entries {
				if e.Number < 1 || e.Start < 0 || e.Size <= 0 || e.Type == "" {
					t.Fatalf("%+v", e)
				}
			}
		}
	})
}
