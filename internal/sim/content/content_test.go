package content_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/blkid"
	"firstlight/internal/luks"
	"firstlight/internal/luksfmt"
	"firstlight/internal/lvmmeta"
	"firstlight/internal/mdsuper"
	"firstlight/internal/parttable"
	"firstlight/internal/sim/content"
	"firstlight/internal/testtool"
)

const (
	a = "aaaaaaaa-1111-4111-8111-aaaaaaaaaaaa"
	b = "bbbbbbbb-2222-4222-8222-bbbbbbbbbbbb"
	c = "cccccccc-3333-4333-8333-cccccccccccc"

	pv0 = "aaaaaaBBBBccccDDDDeeeeFFFFgggggg"
	pv1 = "AAAAAAbbbbCCCCddddEEEEffffGGGGGG"
	vg  = "012345abcdEFGHijklMNOPqrstUVWXYZ"
	lv  = "ZYXWVUtsrqPONMlkjiHGFEdcba543210"
)

// file writes pieces to a sparse file of that size.
func file(t *testing.T, size int64, pieces []content.Piece) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for _, p := range pieces {
		if p.At < 0 || p.At+int64(len(p.Data)) > size {
			t.Fatalf("%d bytes at %d do not fit into %d", len(p.Data), p.At, size)
		}
		if _, err := f.WriteAt(p.Data, p.At); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func head(data []byte) []content.Piece { return []content.Piece{{At: 0, Data: data}} }

// run runs a tool and returns all that it printed.
func run(t *testing.T, tool string, args ...string) (string, error) {
	t.Helper()
	testtool.Need(t, tool)
	out, err := exec.Command(testtool.Path(tool), args...).CombinedOutput()
	return string(out), err
}

var (
	md12  = content.MD{Version: "1.2", UUID: a, Device: b, Name: "host:0", Level: 1, Slots: 2, Slot: 1, Events: 42, Data: 30 << 20, Made: 1700000000}
	group = content.VG{Name: "vg", UUID: vg, Seqno: 5, Extent: 4 << 20,
		PVs: []content.PV{{UUID: pv0, Size: 64 << 20, Device: "/dev/vda"}, {UUID: pv1, Size: 64 << 20, Device: "/dev/vdb"}},
		LVs: []content.LV{{Name: "root", UUID: lv, Segments: []content.Segment{
			{Extents: 3, Areas: []content.Area{{PV: 0, Extent: 2}}},
			{Extents: 4, Stripe: 64 << 10, Areas: []content.Area{{PV: 0, Extent: 5}, {PV: 1, Extent: 0}}}}}}}
	crypt = content.LUKS{Version: 2, UUID: a, Label: "lock", Passphrases: []string{"one", "two"}}
)

// Every superblock is what blkid and our own probe take it for.
func TestWhatIsWrittenIsRecognised(t *testing.T) {
	old := md12
	old.Version = "0.90"
	first := crypt
	first.Version = 1
	for _, tt := range []struct {
		name   string
		pieces []content.Piece
		want   string // what both must say
	}{
		{"ext4", head(content.Ext4(a, "root")), "TYPE=ext4 UUID=" + a + " LABEL=root"},
		{"xfs", head(content.XFS(b, "data")), "TYPE=xfs UUID=" + b + " LABEL=data"},
		{"vfat", content.VFAT(0x1234abcd, "ESP", 64<<20), "TYPE=vfat UUID=1234-ABCD LABEL=ESP"},
		{"swap", head(content.Swap(a, false)), "TYPE=swap UUID=" + a},
		{"image", head(content.Swap(a, true)), "TYPE=swsuspend UUID=" + a},
		{"btrfs", content.Btrfs{UUID: a, Device: b, Label: "pool", Devices: 2, Number: 1, Size: 64 << 20}.Pieces(),
			"TYPE=btrfs UUID=" + a + " UUID_SUB=" + b + " LABEL=pool"},
		{"md 1.2", md12.Pieces(64 << 20), "TYPE=linux_raid_member UUID=" + a + " UUID_SUB=" + b + " LABEL=host:0"},
		{"md 0.90", old.Pieces(64 << 20), "TYPE=linux_raid_member UUID=" + a},
		{"lvm", group.Pieces(1), "TYPE=LVM2_member UUID=" + content.LVMUUID(pv1)},
		{"luks1", first.Pieces(), "TYPE=crypto_LUKS UUID=" + a},
		{"luks2", crypt.Pieces(), "TYPE=crypto_LUKS UUID=" + a + " LABEL=lock"},
		{"gpt", content.GPT(a, 64<<20, []content.Partition{{Start: 1 << 20, Size: 1 << 20, Type: content.LinuxData, UUID: b}}), "PTTYPE=gpt PTUUID=" + a},
		{"mbr", content.MBR(0xcafe1234, []content.Partition{{Start: 1 << 20, Size: 1 << 20}}), "PTTYPE=dos PTUUID=cafe1234"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := file(t, 64<<20, tt.pieces)
			ours, err := blkid.Probe(f, 64<<20)
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := run(t, "blkid", "-p", "-o", "export", f.Name())
			if err != nil {
				t.Fatalf("blkid: %v: %s", err, theirs)
			}
			for _, w := range strings.Fields(tt.want) {
				k, v, _ := strings.Cut(w, "=")
				if got := ours.Get(k); got != v {
					t.Errorf("our probe: %s=%q, want %q", k, got, v)
				}
				line := k + "=" + v
				if !slices.Contains(strings.Split(strings.ReplaceAll(theirs, `\`, ""), "\n"), line) {
					t.Errorf("blkid does not say %s:\n%s", line, theirs)
				}
			}
		})
	}
}

func TestTwoSignaturesAreAmbiguousForBlkidToo(t *testing.T) {
	pieces := append(head(content.Ext4(a, "")), content.Btrfs{UUID: b, Device: c, Devices: 1, Number: 1, Size: 64 << 20}.Pieces()...)
	f := file(t, 64<<20, pieces)
	if r, err := blkid.Probe(f, 64<<20); err != nil || !r.Ambiguous {
		t.Errorf("our probe says %v, %v", r, err)
	}
	if out, err := run(t, "blkid", "-p", f.Name()); err == nil || !strings.Contains(out, "ambivalent") {
		t.Errorf("blkid says %v: %s", err, out)
	}
}

func TestMembersOfArraysAreReadBack(t *testing.T) {
	for _, version := range []string{"0.90", "1.0", "1.1", "1.2"} {
		for _, slot := range []int{0, 1, content.SpareSlot} {
			t.Run(fmt.Sprint(version, " slot ", slot), func(t *testing.T) {
				m := md12
				m.Version, m.Slot = version, slot
				if slot == 0 {
					m.Lost, m.Dirty = []int{1}, true
				}
				f := file(t, 64<<20, m.Pieces(64<<20))
				s, err := mdsuper.Read(f, 64<<20)
				if err != nil {
					t.Fatal(err)
				}
				role := mdsuper.Role(slot)
				if slot < 0 {
					role = mdsuper.Spare
				}
				if s.Version.String() != version || s.UUID.Dashed() != a || s.Events != 42 || s.Role != role || s.Clean == m.Dirty ||
					s.RaidDisks != 2 || s.Level != 1 || int64(s.DataOffset)*512 != m.MDDataOffset() || int64(s.Size)*512 != m.Data {
					t.Errorf("read back %+v", s)
				}
				if slot == 0 && s.Roles[1] >= 0 {
					t.Errorf("slot 1 is %v although it was lost", s.Roles[1])
				}
				out, err := run(t, "mdadm", "--examine", f.Name())
				if err != nil {
					t.Fatalf("mdadm: %v: %s", err, out)
				}
				for _, want := range []string{"Version : " + version, "Raid Level : raid1", "Events : ", "- correct"} {
					if !strings.Contains(out, want) {
						t.Errorf("mdadm does not say %q:\n%s", want, out)
					}
				}
			})
		}
	}
}

func TestParityAndStripedArraysAreReadBack(t *testing.T) {
	for _, level := range []int{0, 4, 5, 6, 10} {
		m := md12
		m.Level, m.Slots, m.Chunk = level, 4, 64<<10
		if level == 10 {
			m.Layout = 0x102
		} else if level > 4 {
			m.Layout = 2
		}
		f := file(t, 64<<20, m.Pieces(64<<20))
		s, err := mdsuper.Read(f, 64<<20)
		if err != nil || int(s.Level) != level || s.ChunkSize != 64<<10 {
			t.Errorf("level %d: %v, %+v", level, err, s)
		}
		out, err := run(t, "mdadm", "--examine", f.Name())
		if err != nil || !strings.Contains(out, fmt.Sprintf("Raid Level : raid%d", level)) || !strings.Contains(out, "- correct") {
			t.Errorf("mdadm: %v: %s", err, out)
		}
	}
}

func TestVolumeGroupIsReadBack(t *testing.T) {
	for i, id := range []string{pv0, pv1} {
		f := file(t, 64<<20, group.Pieces(i))
		p, err := lvmmeta.ReadPV(f, 64<<20)
		if err != nil {
			t.Fatal(err)
		}
		if p.UUID != content.LVMUUID(id) || p.VG == nil || p.Metadata[0].Err != nil {
			t.Fatalf("read back %+v", p)
		}
		g := p.VG
		root := g.LV("root")
		if g.Name != "vg" || g.Seqno != 5 || g.ExtentSize != 8192 || len(g.PVs) != 2 || root == nil || root.Extents != 7 ||
			len(root.Segments) != 2 || len(root.Segments[1].Stripes) != 2 || root.Segments[1].StripeSize != 128 {
			t.Errorf("read back %+v", g)
		}
		if out, err := run(t, "pvck", "--dump", "headers", f.Name()); err != nil || strings.Contains(strings.ToLower(out), "error") {
			t.Errorf("pvck: %v: %s", err, out)
		}
		out, err := run(t, "pvck", "--dump", "metadata", f.Name())
		if err != nil || !strings.Contains(out, `seqno = 5`) {
			t.Errorf("pvck: %v: %s", err, out)
		}
	}
}

func TestEncryptedDeviceOpensWithItsPassphrasesAlone(t *testing.T) {
	for _, version := range []int{1, 2} {
		l := crypt
		l.Version, l.Iterations, l.Stripes = version, 1000, 4000
		cheap := crypt
		cheap.Version = version
		for _, l := range []content.LUKS{l, cheap} {
			f := file(t, 16<<20, l.Pieces())
			h, err := luksfmt.Read(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range []string{"one", "two", "three"} {
				key, err := luks.Open(context.Background(), h, f, []byte(p), luks.Options{})
				if p == "three" {
					if !errors.Is(err, luks.ErrWrongPassphrase) {
						t.Errorf("a wrong passphrase: %v", err)
					}
					continue
				}
				if err != nil || !bytes.Equal(key.Bytes(), l.Key()) {
					t.Errorf("passphrase %q: %v", p, err)
				}
			}
			if s, err := h.DataSegment(); err != nil || int64(s.Offset) != l.DataOffset() {
				t.Errorf("data %+v, %v", s, err)
			}
		}
		f := file(t, 16<<20, l.Pieces())
		for p, ok := range map[string]bool{"two": true, "three": false} {
			testtool.Need(t, "cryptsetup")
			cmd := exec.Command(testtool.Path("cryptsetup"), "open", "--test-passphrase", "--key-file", "-", f.Name())
			cmd.Stdin = strings.NewReader(p)
			if out, err := cmd.CombinedOutput(); (err == nil) != ok {
				t.Errorf("cryptsetup, LUKS%d with %q: %v: %s", version, p, err, out)
			}
		}
	}
}

func TestPartitionTablesAreReadBack(t *testing.T) {
	const size = 64 << 20
	var parts []content.Partition
	for i := range 6 {
		parts = append(parts, content.Partition{Start: int64(i+1) << 20, Size: 512 << 10, Type: content.LinuxData,
			UUID: content.UUIDText(uint64(i), 7), Name: fmt.Sprint("part ", i)})
	}
	mbr := slices.Clone(parts)
	for i := range mbr {
		mbr[i].Type = "8e"
	}
	for name, pieces := range map[string][]content.Piece{"gpt": content.GPT(a, size, parts), "dos": content.MBR(0x1234, mbr)} {
		f := file(t, size, pieces)
		table, err := parttable.Read(f, size, 512)
		if err != nil {
			t.Fatal(err)
		}
		if len(slices.DeleteFunc(slices.Clone(table.Entries), func(e parttable.Entry) bool { return e.Type == "0xf" })) != 6 {
			t.Errorf("%s: %+v", name, table.Entries)
		}
		for i, p := range parts {
			e := table.At(p.Start)
			if e == nil || e.Size != p.Size || name == "gpt" && (e.Name != p.Name || e.UUID != p.UUID || e.Number != i+1) {
				t.Errorf("%s: partition %d is %+v", name, i, e)
			}
		}
		out, err := run(t, "sfdisk", "--verify", f.Name())
		if err != nil || strings.Contains(out, "corrupt") {
			t.Errorf("sfdisk: %v: %s", err, out)
		}
		if name == "gpt" {
			if out, err := run(t, "sgdisk", "-v", f.Name()); err != nil || !strings.Contains(out, "No problems found") {
				t.Errorf("sgdisk: %v: %s", err, out)
			}
		}
	}
}

func TestBtrfsToolReadsTheSuperblock(t *testing.T) {
	f := file(t, 128<<20, content.Btrfs{UUID: a, Device: b, Label: "pool", Devices: 3, Number: 2, Size: 128 << 20}.Pieces())
	out, err := run(t, "btrfs", "inspect-internal", "dump-super", f.Name())
	if err != nil || !strings.Contains(out, "[match]") || !strings.Contains(strings.Join(strings.Fields(out), " "), "num_devices 3") {
		t.Errorf("btrfs: %v: %s", err, out)
	}
}

func TestTheSameArgumentsGiveTheSameBytes(t *testing.T) {
	all := func() (out []byte) {
		for _, p := range slices.Concat(crypt.Pieces(), group.Pieces(0), md12.Pieces(64<<20), content.GPT(a, 64<<20, nil)) {
			out = fmt.Appendf(out, "%d ", p.At)
			out = append(out, p.Data...)
		}
		return out
	}
	if !bytes.Equal(all(), all()) {
		t.Error("two runs differ")
	}
}
