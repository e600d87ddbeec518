package devspec

import (
	"strings"
	"testing"
)

func TestParseReadsEverySpelling(t *testing.T) {
	const uuid = "0a1b2c3d-0001-4002-8003-aabbccddeeff"
	for _, c := range []struct {
		text string
		want Spec
		str  string // canonical, if not text
	}{
		{"", Spec{}, ""},
		{"block:/dev/sda1", Spec{Kind: Path, Value: "/dev/sda1"}, "/dev/sda1"},
		{"block:LABEL=a:b", Spec{Kind: Label, Value: "a:b"}, "LABEL=a:b"},
		{"/dev/sda1", Spec{Kind: Path, Value: "/dev/sda1"}, ""},
		{"/dev//./sda1", Spec{Kind: Path, Value: "/dev/sda1"}, "/dev/sda1"},
		{"/dev/dm-0", Spec{Kind: Path, Value: "/dev/dm-0"}, ""},
		{"/dev/md127", Spec{Kind: Path, Value: "/dev/md127"}, ""},
		{"/dev/cciss/c0d0p1", Spec{Kind: Path, Value: "/dev/cciss/c0d0p1"}, ""},
		{"/dev/disk/by-diskseq/3", Spec{Kind: Path, Value: "/dev/disk/by-diskseq/3"}, ""},
		{"/dev/root", Spec{Kind: Root}, ""},
		{"UUID=" + uuid, Spec{Kind: UUID, Value: uuid}, ""},
		{"uuid=" + strings.ToUpper(uuid), Spec{Kind: UUID, Value: uuid}, "UUID=" + uuid},
		{"UUID=" + strings.ReplaceAll(uuid, "-", ""), Spec{Kind: UUID, Value: uuid}, "UUID=" + uuid},
		{`UUID="` + uuid + `"`, Spec{Kind: UUID, Value: uuid}, "UUID=" + uuid},
		{`"UUID=` + uuid + `"`, Spec{Kind: UUID, Value: uuid}, "UUID=" + uuid},
		{"/dev/disk/by-uuid/" + uuid, Spec{Kind: UUID, Value: uuid}, "UUID=" + uuid},
		{"UUID=44EF-C1A0", Spec{Kind: UUID, Value: "44ef-c1a0"}, "UUID=44ef-c1a0"},
		{"UUID=3A5E1C7B5E1C3A5E", Spec{Kind: UUID, Value: "3a5e1c7b5e1c3a5e"}, "UUID=3a5e1c7b5e1c3a5e"},
		{"UUID=2026-01-31-12-00-00-00", Spec{Kind: UUID, Value: "2026-01-31-12-00-00-00"}, ""},
		{"UUID=qUfv1K-AbCd-EfGh-IjKl-MnOp-QrSt-UvWxYz", Spec{Kind: UUID, Value: "qUfv1K-AbCd-EfGh-IjKl-MnOp-QrSt-UvWxYz"}, ""},
		{"LABEL=root", Spec{Kind: Label, Value: "root"}, ""},
		{`LABEL="my root"`, Spec{Kind: Label, Value: "my root"}, `LABEL=my\x20root`},
		{`LABEL=my\x20root`, Spec{Kind: Label, Value: "my root"}, ""},
		{`/dev/disk/by-label/my\x20root`, Spec{Kind: Label, Value: "my root"}, `LABEL=my\x20root`},
		{"LABEL=größe", Spec{Kind: Label, Value: "größe"}, ""},
		{"LABEL=a/b", Spec{Kind: Label, Value: "a/b"}, ""},
		{"PARTUUID=" + uuid, Spec{Kind: PartUUID, Value: uuid}, ""},
		{"PARTUUID=" + uuid + "/PARTNROFF=1", Spec{Kind: PartUUID, Value: uuid, PartOffset: 1}, ""},
		{"PARTUUID=" + uuid + "/PARTNROFF=-2", Spec{Kind: PartUUID, Value: uuid, PartOffset: -2}, ""},
		{"PARTUUID=1234ABCD-01", Spec{Kind: PartUUID, Value: "1234abcd-01"}, "PARTUUID=1234abcd-01"},
		{"/dev/disk/by-partuuid/1234abcd-05", Spec{Kind: PartUUID, Value: "1234abcd-05"}, "PARTUUID=1234abcd-05"},
		{"PARTLABEL=root", Spec{Kind: PartLabel, Value: "root"}, ""},
		{`/dev/disk/by-partlabel/Linux\x20root`, Spec{Kind: PartLabel, Value: "Linux root"}, `PARTLABEL=Linux\x20root`},
		{"ID=ata-DISK_1-part1", Spec{Kind: ID, Value: "ata-DISK_1-part1"}, "/dev/disk/by-id/ata-DISK_1-part1"},
		{"WWID=nvme-eui.0001", Spec{Kind: ID, Value: "nvme-eui.0001"}, "/dev/disk/by-id/nvme-eui.0001"},
		{"/dev/disk/by-id/wwn-0x5", Spec{Kind: ID, Value: "wwn-0x5"}, ""},
		{"HWPATH=pci-0000:00:03.0", Spec{Kind: HWPath, Value: "pci-0000:00:03.0"}, "/dev/disk/by-path/pci-0000:00:03.0"},
		{"SERIAL=QM00001", Spec{Kind: Serial, Value: "QM00001"}, ""},
		{"8:1", Spec{Kind: Devnum, Major: 8, Minor: 1}, ""},
		{"259:131072", Spec{Kind: Devnum, Major: 259, Minor: 131072}, ""},
		{"8:1:4096", Spec{Kind: Devnum, Major: 8, Minor: 1}, "8:1"},
		{"/dev/block/253:0", Spec{Kind: Devnum, Major: 253}, "253:0"},
		{"0801", Spec{Kind: Devnum, Major: 8, Minor: 1}, "8:1"},
		{"0x801", Spec{Kind: Devnum, Major: 8, Minor: 1}, "8:1"},
		{"fe01", Spec{Kind: Devnum, Major: 254, Minor: 1}, "254:1"},
		{"10303", Spec{Kind: Devnum, Major: 259, Minor: 3}, "259:3"},
		{"110301", Spec{Kind: Devnum, Major: 259, Minor: 257}, "259:257"},
		{"/dev/mapper/root", Spec{Kind: Mapper, Value: "root"}, ""},
		{`/dev/mapper/my\x20disk`, Spec{Kind: Mapper, Value: "my disk"}, ""},
		{"/dev/mapper/vg0-root", Spec{Kind: Mapper, Value: "vg0-root"}, ""},
		{"/dev/vg0/root", Spec{Kind: LV, Value: "vg0/root"}, ""},
		{"/dev/md/root", Spec{Kind: MD, Value: "root"}, ""},
		{"/dev/md/host:root", Spec{Kind: MD, Value: "host:root"}, ""},
		{"/dev/nfs", Spec{Kind: Other, Scheme: "nfs", Value: "/dev/nfs"}, ""},
		{"nfs:10.0.2.2:/srv:ro", Spec{Kind: Other, Scheme: "nfs", Value: "nfs:10.0.2.2:/srv:ro"}, ""},
		{"server:/srv/root", Spec{Kind: Other, Scheme: "nfs", Value: "server:/srv/root"}, ""},
		{"live:LABEL=live", Spec{Kind: Other, Scheme: "live", Value: "live:LABEL=live"}, ""},
		{"https://example.org/a.iso", Spec{Kind: Other, Scheme: "https", Value: "https://example.org/a.iso"}, ""},
		{"zfs:AUTO", Spec{Kind: Other, Scheme: "zfs", Value: "zfs:AUTO"}, ""},
		{"ZFS=rpool/root", Spec{Kind: Other, Scheme: "zfs", Value: "ZFS=rpool/root"}, ""},
		{"gpt-auto", Spec{Kind: Other, Scheme: "gpt-auto", Value: "gpt-auto"}, ""},
		{"ubi0:rootfs", Spec{Kind: Other, Scheme: "ubi", Value: "ubi0:rootfs"}, ""},
		{"ubi0_0", Spec{Kind: Other, Scheme: "ubi", Value: "ubi0_0"}, ""},
		{"mtd3", Spec{Kind: Other, Scheme: "mtd", Value: "mtd3"}, ""},
		{"/dev/sda:/dev/sdb", Spec{Kind: Other, Scheme: "bcachefs", Value: "/dev/sda:/dev/sdb"}, ""},
		{"iscsi:u:p@10.0.2.2::::iqn.a", Spec{Kind: Other, Scheme: "iscsi", Value: "iscsi:u:p@10.0.2.2::::iqn.a"}, "iscsi:…@10.0.2.2::::iqn.a"},
	} {
		got, err := Parse(c.text)
		if err != nil || got != c.want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", c.text, got, err, c.want)
			continue
		}
		if c.str == "" {
			c.str = c.text
		}
		if got.String() != c.str {
			t.Errorf("Parse(%q).String() = %q; want %q", c.text, got, c.str)
		}
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ text, reason string }{
		{"UUID=", "nothing follows UUID"},
		{"UUID=0a1b2c3d-0001-4002-8003-aabbccddeefg", "other letters"},
		{"UUID=a b", `character " "`},
		{"PARTUUID=root", "not hexadecimal"},
		{"PARTUUID=1234abcd", "neither a UUID nor"},
		{"PARTUUID=1234abcd-01/PARTNROFF=x", "PARTNROFF"},
		{"PARTUUID=1234abcd-01/PARTNROFF=100000", "PARTNROFF"},
		{"PARTUUID=1234abcd-01/partnroff=1", "not hexadecimal"},
		{"UID=0a1b", "unknown kind of name UID="},
		{"sda1", "neither a path below /dev"},
		{"/etc/passwd", "not below /dev"},
		{"/dev/../etc/passwd", "not below /dev"},
		{"/dev", "a directory"},
		{"/dev/sda/", "ends in /"},
		{"/dev/mapper/a/b", "device-mapper"},
		{"/dev/mapper/control", "device-mapper"},
		{"/dev/disk/by-uuid/a/b", "goes below"},
		{"/dev/disk/by-id/", "nothing follows"},
		{"ID=../sda", "not the name of a link"},
		{"/dev/block/sda", "8:1"},
		{"0:0", "neither"},
		{"5000:1", "neither"},
		{"LABEL=a\x00b", "zero byte"},
		{strings.Repeat("x", MaxLen+1), "longer than 4096"},
	} {
		spec, err := Parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("Parse(%.60q) = %+v, %v; want an error with %q", c.text, spec, err, c.reason)
		}
	}
}

// fake is a device of the tests.
type fake struct {
	name         string
	major, minor uint32
	links        []string
	props        map[string]string
}

func (f fake) Devname() string                { return f.name }
func (f fake) Devnum() (uint32, uint32, bool) { return f.major, f.minor, f.major != 0 }
func (f fake) Property(k string) string       { return f.props[k] }
func (f fake) HasLink(l string) bool {
	for _, x := range f.links {
		if x == l {
			return true
		}
	}
	return false
}

func TestMatches(t *testing.T) {
	part := fake{"/dev/sda2", 8, 2,
		[]string{"disk/by-id/wwn-0x5-part2", "disk/by-path/pci-1-part2", "disk/by-diskseq/1-part2"},
		map[string]string{
			"DEVTYPE": "partition", "ID_FS_UUID": "44EF-C1A0", "ID_FS_UUID_ENC": "44EF-C1A0",
			"ID_FS_LABEL": "my_root_100_25", "ID_FS_LABEL_ENC": `my\x20root\x20100\x2525`,
			"ID_PART_ENTRY_UUID": "1234abcd-02", "ID_PART_ENTRY_NAME": `Linux\x20root`,
			"ID_PART_ENTRY_DISK": "8:0", "ID_PART_ENTRY_NUMBER": "2", "ID_SERIAL_SHORT": "QM1"}}
	disk := fake{"/dev/sda", 8, 0, nil, map[string]string{"DEVTYPE": "disk", "ID_SERIAL_SHORT": "QM1", "ID_SERIAL": "QEMU_QM1"}}
	dm := fake{"/dev/dm-0", 253, 1, []string{"mapper/vg--a-root"}, map[string]string{"DM_NAME": "vg--a-root"}}
	blank := fake{"/dev/dm-1", 253, 2, []string{`mapper/my\x20disk`}, nil}
	md := fake{"/dev/md127", 9, 127, []string{"md/root"}, map[string]string{"MD_DEVNAME": "root"}}
	for _, c := range []struct {
		text string
		d    fake
		want bool
	}{
		{"/dev/sda2", part, true}, {"/dev/sda", part, false},
		{"/dev/disk/by-diskseq/1-part2", part, true},
		{"UUID=44ef-c1a0", part, true}, {"UUID=44ef-c1a1", part, false}, {"UUID=44ef-c1a0", disk, false},
		{`LABEL=my\x20root\x20100%25`, part, true}, {"LABEL=my%20root%20100%2525", part, true},
		{`LABEL="My root 100%25"`, part, false},
		{"PARTUUID=1234ABCD-02", part, true}, {"PARTUUID=1234abcd-01/PARTNROFF=1", part, true},
		{"PARTUUID=1234abcd-03/PARTNROFF=-1", part, true}, {"PARTUUID=1234abcd-02/PARTNROFF=1", part, false},
		{`PARTLABEL="Linux root"`, part, true}, {"PARTLABEL=Linux", part, false},
		{"WWID=0x5-part2", part, true}, {"ID=wwn-0x5-part2", part, true}, {"ID=wwn-0x5", part, false},
		{"HWPATH=pci-1-part2", part, true},
		{"8:2", part, true}, {"0802", part, true}, {"8:3", part, false},
		{"SERIAL=QM1", disk, true}, {"SERIAL=QEMU_QM1", disk, true}, {"SERIAL=QM1", part, false},
		{"/dev/mapper/vg--a-root", dm, true}, {"/dev/vg-a/root", dm, true}, {"/dev/vg/a-root", dm, false},
		{`/dev/mapper/my\x20disk`, blank, true},
		{"/dev/rsxx/r0", fake{name: "/dev/rsxx/r0"}, true},
		{"/dev/md/root", md, true}, {"/dev/md127", md, true}, {"/dev/md/home", md, false},
		{"nfs:host:/x", disk, false}, {"", disk, false}, {"/dev/root", disk, false},
	} {
		spec, err := Parse(c.text)
		if err != nil {
			t.Fatalf("%s: %v", c.text, err)
		}
		if got := spec.Matches(c.d); got != c.want {
			t.Errorf("%s matches %s: %v, want %v", c.text, c.d.name, got, c.want)
		}
	}
}

// A device without properties is matched by nothing that names a property,
// in particular not by an empty one.
func TestNothingMatchesABareDevice(t *testing.T) {
	for k := None; k <= Other; k++ {
		if (Spec{Kind: k}).Matches(fake{}) {
			t.Errorf("kind %d matches a device without properties", k)
		}
	}
}

func TestPartitionOffsetCountsOnTheSameDisk(t *testing.T) {
	gpt := func(disk, number, uuid string) fake {
		return fake{props: map[string]string{"ID_PART_ENTRY_DISK": disk, "ID_PART_ENTRY_NUMBER": number, "ID_PART_ENTRY_UUID": uuid}}
	}
	const uuid = "0a1b2c3d-0001-4002-8003-aabbccddeeff"
	spec, err := Parse("PARTUUID=" + uuid + "/PARTNROFF=1")
	if err != nil {
		t.Fatal(err)
	}
	esp, root, other := gpt("8:0", "1", uuid), gpt("8:0", "2", "x"), gpt("8:16", "2", "y")
	if spec.Matches(esp) || spec.Matches(root) || !spec.Base().Matches(esp) {
		t.Error("the offset of a GPT's PARTUUID was decided without the disk")
	}
	if !spec.MatchesFrom(esp, root) || spec.MatchesFrom(esp, other) || spec.MatchesFrom(esp, esp) || spec.MatchesFrom(root, esp) {
		t.Error("PARTNROFF=1 is the next partition of the same disk")
	}
}

func TestWordsAndTopics(t *testing.T) {
	for _, c := range []struct{ text, topic, words string }{
		{"UUID=44EF-C1A0", "UUID=44ef-c1a0", "the filesystem with UUID 44ef-c1a0"},
		{`LABEL="my root"`, `LABEL=my\x20root`, `the filesystem labelled "my root"`},
		{"PARTUUID=1234abcd-01/PARTNROFF=2", "PARTUUID=1234abcd-01/PARTNROFF=2", "the partition 2 after the partition with PARTUUID 1234abcd-01"},
		{"/dev/vg-a/root", "/dev/mapper/vg--a-root", "the logical volume root of the volume group vg-a"},
		{"/dev/mapper/vg--a-root", "/dev/mapper/vg--a-root", "the device-mapper device vg--a-root"},
		{"0801", "8:1", "the block device with the number 8:1"},
		{"/dev/md/root", "/dev/md/root", "the RAID array root"},
		{"/dev/sda1", "/dev/sda1", "/dev/sda1"},
		{"https://u:p@h/x", "https://…@h/x", "https://…@h/x"},
	} {
		spec, err := Parse(c.text)
		if err != nil || spec.Topic() != c.topic || spec.Describe() != c.words {
			t.Errorf("%s: topic %q, words %q, %v; want %q, %q", c.text, spec.Topic(), spec.Describe(), err, c.topic, c.words)
		}
	}
}

func TestNamesImplyLogicalVolumes(t *testing.T) {
	for _, c := range []struct{ text, vg, lv string }{
		{"/dev/vg0/root", "vg0", "root"},
		{"/dev/mapper/vg0-root", "vg0", "root"},
		{"/dev/mapper/my--vg-a--b--c", "my-vg", "a-b-c"},
		{"/dev/mapper/luks-0a1b-2c3d", "", ""}, // a layer: not a volume
		{"/dev/mapper/root", "", ""},
		{"/dev/mapper/a--b", "", ""},
		{"UUID=44EF-C1A0", "", ""},
		{"/dev/sda1", "", ""},
	} {
		spec, _ := Parse(c.text)
		vg, lv, ok := spec.LogicalVolume()
		if vg != c.vg || lv != c.lv || ok != (c.vg != "") {
			t.Errorf("%s implies %q/%q, %v; want %q/%q", c.text, vg, lv, ok, c.vg, c.lv)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"UUID=44EF-C1A0", `LABEL="a b"`, `/dev/mapper/a\x2fb`, "8:1:3", "0801", "/dev/vg/lv",
		"PARTUUID=1234abcd-01/PARTNROFF=-1", `LABEL=%20\x22`, "iscsi:a@b", "/dev/disk/by-id/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := Parse(text)
		if err != nil {
			if !spec.IsZero() {
				t.Fatalf("%q: an error and a result", text)
			}
			return
		}
		if strings.Contains(spec.String(), "…") {
			return // a password was left out
		}
		again, err := Parse(spec.String())
		if err != nil || again != spec {
			t.Fatalf("%q is %+v, spelled %q, which is %+v, %v", text, spec, spec, again, err)
		}
		if spec.Topic() == "" != spec.IsZero() || spec.Describe() == "" {
			t.Fatalf("%q has no name", text)
		}
		spec.LogicalVolume()
		spec.Matches(fake{})
	})
}
