package lvm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/devspec"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/handlertest"
	"firstlight/internal/lvmmeta"
	fixtures "firstlight/test/fixtures/lvmmd"
)

func register(w *handler.World) func() { New(w, nil); return nil }

// disk is physical volume i of a group that LVM made, plugged in under a
// name.
func disk(t *testing.T, name string, i int, node string) handlertest.Disk {
	t.Helper()
	c := fixtures.Open(t, "../../lvmmeta/testdata/groups.tar.zst")
	d, ok := c.Device(t, name, i)
	if !ok {
		t.Fatalf("%s has no physical volume %d", name, i)
	}
	return handlertest.Disk{Name: node, Content: d, Size: d.Size}
}

// disks are all of them, as vda, vdb …
func disks(t *testing.T, name string, n int) []handlertest.Disk {
	var list []handlertest.Disk
	for i := range n {
		list = append(list, disk(t, name, i, "vd"+string(rune('a'+i))))
	}
	return list
}

func boot(t *testing.T, cmdline string) *handlertest.Boot {
	t.Helper()
	b := handlertest.New(t, cmdline, handler.Image{Hostname: "ironwood"}, register)
	t.Cleanup(func() {
		if t.Failed() {
			b.Dump()
		}
	})
	return b
}

func active(b *handlertest.Boot) []string {
	list := slices.Clone(b.Machine.DM.Order)
	slices.Sort(list)
	return list
}

func TestVolumeOverSeveralDisksInAnyOrder(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			b := boot(t, "root=/dev/nomda/big")
			all := disks(t, "nomda", 3)
			for n, i := range order {
				if got := active(b); len(got) != 0 {
					t.Fatalf("active with %d of 3 disks: %v", n, got)
				}
				b.Add(all[i])
			}
			if got := active(b); !slices.Equal(got, []string{"nomda-big"}) {
				t.Fatalf("active: %v", got)
			}
			var length uint64
			for _, target := range b.Machine.DM.Tables["nomda-big"] {
				if target.Type != "linear" || target.Start != length {
					t.Errorf("target %v", target)
				}
				length += target.Length
			}
			if length != 40<<11 { // 40 extents of 1 MiB
				t.Errorf("%d sectors are mapped", length)
			}
			if s := b.Core.Stats(); s.Fired != 0 {
				t.Errorf("%d deadlines fired", s.Fired)
			}
			e := b.World().Devices.ByName("/dev/nomda/big")
			if e == nil || e.Property("DM_VG_NAME") != "nomda" || e.Property("DM_LV_NAME") != "big" || e.Property("DM_ACTIVATION") != "1" {
				t.Fatalf("/dev/nomda/big is %v", e)
			}
			if b.World().Devices.ByName("/dev/mapper/nomda-big") != e {
				t.Error("/dev/mapper/nomda-big is missing")
			}
			if f := b.Fact("volume group"); f.Subject != "" {
				t.Errorf("fact %+v", f)
			}
		})
	}
}

func TestHyphensAreDoubled(t *testing.T) {
	b := boot(t, "root=/dev/mapper/my--vg----x-hy--phen--ed")
	b.Add(disks(t, "hyphens", 2)...)
	if got := active(b); !slices.Equal(got, []string{"my--vg----x-hy--phen--ed"}) {
		// The name says nothing of what lies below, so that all may be wanted.
		if !slices.Contains(got, "my--vg----x-hy--phen--ed") {
			t.Fatalf("active: %v", got)
		}
	}
	e := b.World().Devices.ByName("/dev/my-vg--x/hy-phen-ed")
	if e == nil || !strings.HasPrefix(e.Property("DM_UUID"), "LVM-") || len(e.Property("DM_UUID")) != 68 {
		t.Fatalf("/dev/my-vg--x/hy-phen-ed is %v", e)
	}
}

func TestWhichVolumesAreActivated(t *testing.T) {
	lin, str, tagged, noauto := "vg0-lin", "vg0-str", "vg0-tagged", "vg0-noauto"
	for _, c := range []struct {
		cmdline string
		want    []string
	}{
		{"root=/dev/vg0/lin", []string{lin}},
		{"root=/dev/vg0/lin resume=/dev/vg0/str", []string{lin, str}},
		{"root=/dev/vg0/noauto", []string{noauto}},
		{"root=UUID=0a1b2c3d-0000-4000-8000-000000000001", []string{lin, str, tagged}},
		{"root=/dev/mapper/luks-root rd.luks.name=0a1b2c3d-0000-4000-8000-000000000001=luks-root", []string{lin, str, tagged}},
		{"root=/dev/vg0/lin rd.luks.uuid=0a1b2c3d-0000-4000-8000-000000000001", []string{lin, str, tagged}},
		{"root=/dev/other/lin", nil},
		{"root=LABEL=x rd.lvm=0", nil},
		{"root=LABEL=x rd.lvm.lv=vg0/str", []string{str}},
		{"root=LABEL=x rd.lvm.lv=vg0/noauto rd.lvm.lv=vg0/tagged", []string{noauto, tagged}},
		{"root=LABEL=x rd.lvm.lv=other/lin", nil},
		{"root=LABEL=x rd.lvm.vg=vg0", []string{lin, str, tagged}},
		{"root=LABEL=x rd.lvm.vg=other", nil},
		{"root=LABEL=x rd.lvm.vg=vg0 rd.lvm.lv=vg0/noauto", []string{lin, noauto, str, tagged}},
	} {
		b := boot(t, c.cmdline)
		b.Add(disks(t, "plain", 3)...)
		if got := active(b); !slices.Equal(got, c.want) {
			t.Errorf("%s: active %v, want %v", c.cmdline, got, c.want)
		}
	}
}

func TestReadOnlyVolumeIsMappedReadOnly(t *testing.T) {
	b := boot(t, "rd.lvm.vg=vg0")
	b.Add(disks(t, "plain", 3)...)
	if ro := b.Machine.DM.ReadOnly; !ro["vg0-tagged"] || ro["vg0-lin"] {
		t.Errorf("read-only: %v", ro)
	}
	b = boot(t, "rd.lvm.lv=vg0/lin")
	all := disks(t, "plain", 3)
	for i := range all {
		all[i].Attrs = map[string]string{"ro": "1"}
	}
	b.Add(all...)
	if ro := b.Machine.DM.ReadOnly; !ro["vg0-lin"] {
		t.Errorf("on a disk that cannot be written: read-only %v", ro)
	}
}

// What the real root's fstab wants is known late; the volume is activated
// then.
func TestVolumeThatIsWantedLater(t *testing.T) {
	b := boot(t, "root=/dev/vg0/lin")
	b.Add(disks(t, "plain", 3)...)
	spec, err := devspec.Parse("/dev/mapper/vg0-str")
	if err != nil {
		t.Fatal(err)
	}
	b.World().Want(spec)
	b.Run()
	if got := active(b); !slices.Contains(got, "vg0-str") {
		t.Errorf("active: %v", got)
	}
}

func TestMissingPhysicalVolume(t *testing.T) {
	// The extents of big lie on all three.
	b := boot(t, "root=/dev/nomda/big")
	all := disks(t, "nomda", 3)
	var there []handlertest.Disk
	for _, d := range all {
		pv, err := lvmmeta.ReadPV(d.Content, d.Size)
		if err != nil {
			t.Fatal(err)
		}
		if pv.VG != nil && there == nil {
			there = append(there, d)
		}
	}
	b.Add(there...)
	b.Pass(time.Minute)
	f := b.Fact("volume group nomda")
	if len(active(b)) != 0 || f.Condition != goal.Incomplete || !strings.Contains(f.Text, "volume big needs physical volume ") ||
		!strings.Contains(f.Text, "(last seen as /dev/ram") {
		t.Errorf("active %v, fact %+v", active(b), f)
	}
}

// A volume that needs nothing of what is missing: named, it is activated at
// once; unnamed, when the missing has been waited for.
func TestIncompleteGroup(t *testing.T) {
	first := disk(t, "ring", 0, "vda")
	b := boot(t, "root=/dev/ring/grow")
	b.Add(first)
	if got := active(b); !slices.Equal(got, []string{"ring-grow"}) || b.Said("incomplete") {
		t.Errorf("named: active %v", got)
	}
	b = boot(t, "root=LABEL=x rd.firstlight.degraded=10")
	b.Add(first)
	f := b.Fact("volume group ring")
	if len(active(b)) != 0 || f.Condition != goal.Incomplete || f.Until != handlertest.Start+10*time.Second || f.AtExpiry == "" {
		t.Errorf("active %v, fact %+v", active(b), f)
	}
	b.Pass(11 * time.Second)
	if got := active(b); !slices.Equal(got, []string{"ring-grow", "ring-other"}) || !b.Said("volume group ring is incomplete") {
		t.Errorf("unnamed, later: active %v", got)
	}
}

func TestRefusedGroups(t *testing.T) {
	for _, c := range []struct {
		name, text string
		n          int
	}{
		{"exported", `it is exported`, 2},
		{"foreign", `belongs to system ID "elsewhere"`, 2},
	} {
		b := boot(t, "root=LABEL=x")
		b.Add(disks(t, c.name, c.n)...)
		b.Pass(time.Minute)
		f := b.Fact("volume group")
		if len(active(b)) != 0 || f.Condition != goal.Blocked || !strings.Contains(f.Text, c.text) || f.Try == "" {
			t.Errorf("%s: active %v, fact %+v", c.name, active(b), f)
		}
	}
	// The image says who the host is.
	b := handlertest.New(t, "root=LABEL=x", handler.Image{SystemID: "elsewhere"}, register)
	b.Add(disks(t, "foreign", 2)...)
	if got := active(b); len(got) != 1 {
		t.Errorf("own group: active %v", got)
	}
	b = handlertest.New(t, "root=LABEL=x", handler.Image{SystemID: "here", ExtraSystemIDs: []string{"elsewhere"}}, register)
	b.Add(disks(t, "foreign", 2)...)
	if got := active(b); len(got) != 1 {
		t.Errorf("a group of one of the other hosts: active %v", got)
	}
	// What the image knows of the host does not count with rd.hostonly=0, nor
	// does the host's name without a word of lvm.conf.
	for cmdline, image := range map[string]handler.Image{
		"root=LABEL=x rd.hostonly=0": {SystemID: "elsewhere"}, "root=LABEL=x": {Hostname: "elsewhere"}} {
		b = handlertest.New(t, cmdline, image, register)
		b.Add(disks(t, "foreign", 2)...)
		if got := active(b); len(got) != 0 {
			t.Errorf("%s: active %v", cmdline, got)
		}
	}
}

func TestCopiedDiskIsRefused(t *testing.T) {
	b := boot(t, "root=/dev/ring/grow")
	b.Add(append(disks(t, "ring", 2), disk(t, "ring", 0, "vdx"))...)
	f := b.Fact("volume group ring")
	if len(active(b)) != 0 || f.Condition != goal.Blocked || !strings.Contains(f.Text, "is on /dev/vda and on /dev/vdx") {
		t.Fatalf("active %v, fact %+v", active(b), f)
	}
	b.Remove("vdx")
	if got := active(b); !slices.Equal(got, []string{"ring-grow"}) {
		t.Errorf("without the copy: active %v", got)
	}
}

func TestVolumesThatNeedTheTool(t *testing.T) {
	for _, name := range []string{"thin", "raid1", "slow", "mirror", "origin"} {
		b := boot(t, "root=/dev/kinds/"+name)
		b.Add(disks(t, "kinds", 4)...)
		f := b.Fact("volume group kinds")
		if len(active(b)) != 0 || f.Condition != goal.Blocked || !strings.Contains(f.Text, "volume "+name+" is ") || f.Try == "" {
			t.Errorf("%s: active %v, fact %+v", name, active(b), f)
		}
	}
}

func TestVolumeThatDoesNotExist(t *testing.T) {
	b := boot(t, "root=/dev/vg0/rooot")
	b.Add(disks(t, "plain", 3)...)
	if f := b.Fact("volume group vg0"); f.Condition != goal.Blocked || !strings.Contains(f.Text, "it has no volume rooot") {
		t.Errorf("fact %+v", f)
	}
}

func TestDamagedPhysicalVolume(t *testing.T) {
	b := boot(t, "root=/dev/vg0/lin")
	d := disk(t, "plain", 0, "vda")
	d.Content.(*fixtures.Device).Head[512+20] ^= 1
	b.Add(d)
	if f := b.Fact("physical volume /dev/vda"); f.Condition != goal.Blocked || !strings.Contains(f.Text, "checksum") {
		// blkid may not take it for a physical volume at all.
		if e := b.World().Devices.ByName("/dev/vda"); e.Property("ID_FS_TYPE") == "LVM2_member" {
			t.Errorf("fact %+v", f)
		}
	}
}

func TestDriverThatIsMissing(t *testing.T) {
	b := boot(t, "root=/dev/vg0/lin")
	b.Machine.Lacks["dm-mod"] = true
	b.Add(disks(t, "plain", 3)...)
	if f := b.Fact("volume group vg0"); f.Condition != goal.Blocked || len(b.World().Missing) != 1 {
		t.Errorf("fact %+v, missing drivers %v", f, b.World().Missing)
	}
}

// older turns a physical volume back to the metadata before the last change:
// the ring in its metadata area still holds that text.
func older(t *testing.T, d handlertest.Disk) (handlertest.Disk, uint64) {
	t.Helper()
	crc := func(b []byte) uint32 { return ^crc32.Update(^uint32(0xf597a6cf), crc32.IEEETable, b) }
	pv, err := lvmmeta.ReadPV(d.Content, d.Size)
	if err != nil || pv.VG == nil {
		t.Fatal(err)
	}
	area := pv.MetadataAreas[0]
	content := d.Content.(*fixtures.Device)
	head := content.Head
	for _, other := range pv.MetadataAreas[1:] {
		content.Tail[other.Offset-(content.Size-uint64(len(content.Tail)))] ^= 1 // unreadable
	}
	ring := head[area.Offset : area.Offset+area.Size]
	for at := 512; at+512 <= len(ring); at += 512 {
		end := bytes.IndexByte(ring[at:], 0) + 1
		if end <= 0 || !bytes.HasPrefix(ring[at:], []byte(pv.VG.Name+" {\n")) {
			continue
		}
		text := ring[at : at+end]
		vg, err := lvmmeta.ParseText(text)
		if err != nil || vg.Seqno >= pv.VG.Seqno || vg.LV("grow") == nil || len(vg.PVs) != 2 {
			continue
		}
		le := binary.LittleEndian
		le.PutUint64(ring[40:], uint64(at))
		le.PutUint64(ring[48:], uint64(end))
		le.PutUint32(ring[56:], crc(text))
		le.PutUint32(ring, crc(ring[4:512]))
		return d, vg.Seqno
	}
	t.Fatal("the ring holds no older text")
	return d, 0
}

// A disk that missed the last change comes first. Nothing shows that it is
// out of date before the other one is there; then it is said.
func TestDiskThatMissedTheLastChange(t *testing.T) {
	stale, seqno := older(t, disk(t, "ring", 0, "vda"))
	b := boot(t, "root=/dev/ring/grow")
	b.Add(stale)
	if got := active(b); !slices.Equal(got, []string{"ring-grow"}) {
		t.Fatalf("active: %v", got)
	}
	b.Add(disk(t, "ring", 1, "vdb"))
	if !b.Said(fmt.Sprintf("logical volume ring/grow was mapped by metadata %d, and a disk that came later has the newer", seqno)) {
		t.Error("nothing was said")
	}
	// Together, the newer one counts.
	b = boot(t, "root=/dev/ring/grow")
	b.Add(stale, disk(t, "ring", 1, "vdb"))
	if got := active(b); !slices.Equal(got, []string{"ring-grow"}) || b.Said("was mapped by metadata") {
		t.Errorf("together: active %v", got)
	}
}

// A physical volume that the devices file of this machine does not list is
// another system's, a virtual machine's perhaps.
func TestDevicesFileOfLVM(t *testing.T) {
	all := disks(t, "ring", 2)
	var ids []string
	for _, d := range all {
		pv, err := lvmmeta.ReadPV(d.Content, d.Size)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, strings.ReplaceAll(pv.UUID, "-", ""))
	}
	for _, c := range []struct {
		cmdline string
		image   handler.Image
		want    int
	}{
		{"", handler.Image{}, 1},
		{"", handler.Image{DevicesFile: true, PVIDs: ids}, 1},
		{"", handler.Image{DevicesFile: true, PVIDs: []string{"elsewhere"}}, 0},
		{" rd.lvm.conf=0", handler.Image{DevicesFile: true}, 1},
		{" rd.hostonly=0", handler.Image{DevicesFile: true}, 1},
	} {
		b := handlertest.New(t, "root=/dev/ring/grow"+c.cmdline, c.image, register)
		b.Add(disks(t, "ring", 2)...)
		if got := active(b); len(got) != c.want {
			t.Errorf("%q with %+v: active %v", c.cmdline, c.image, got)
		}
		if f := b.Fact("physical volume"); (c.want == 0) != (f.Condition == goal.LeftAlone && f.Try != "") {
			t.Errorf("%q with %+v: fact %+v", c.cmdline, c.image, f)
		}
	}
}

// A disk that was pulled out and comes back is another device to the kernel:
// what was mapped over the first one would give errors for ever.
func TestVolumeWhoseDiskComesBackIsMappedAnew(t *testing.T) {
	b := boot(t, "root=/dev/plainless/x rd.lvm.vg=ring")
	all := disks(t, "ring", 2)
	b.Add(all...)
	if got := active(b); !slices.Contains(got, "ring-grow") {
		t.Fatalf("active: %v", got)
	}
	var gone string
	for _, d := range all {
		major, minor, _ := b.World().Devices.ByName("/dev/" + d.Name).Devnum()
		for _, line := range b.Machine.DM.Tables["ring-grow"] {
			if strings.HasPrefix(string(line.Params), fmt.Sprintf("%d:%d ", major, minor)) {
				gone = d.Name
			}
		}
	}
	if gone == "" {
		t.Fatalf("the volume lies on neither disk: %v", b.Machine.DM.Tables["ring-grow"])
	}
	b.Remove(gone)
	if b.Machine.DM.Tables["ring-grow"] != nil || !b.Said("logical volume ring/grow was taken down") {
		t.Error("the volume is still mapped over a disk that is gone")
	}
	for _, d := range all {
		if d.Name == gone {
			b.Add(d)
		}
	}
	b.Pass(time.Minute)
	if b.Machine.DM.Tables["ring-grow"] == nil {
		t.Error("the volume is not mapped anew")
	}
}
