package disks

import "strings"

// Volume has lvm make or change a logical volume, which later steps call
// VG/NAME if Name is not empty. "{NAME}" in an argument is the node of a disk.
type Volume struct {
	VG, Name string
	Argv     []string
}

func (s Volume) plan(p *planner) error {
	argv := []string{"lvm"}
	for _, a := range s.Argv {
		if name, ok := strings.CutPrefix(a, "{"); ok {
			node, err := p.node(strings.TrimSuffix(name, "}"))
			if err != nil {
				return err
			}
			a = node
		}
		argv = append(argv, a)
	}
	p.do(append(argv, lvmConfig...)...)
	if s.Name == "" {
		return nil
	}
	return p.name(s.VG+"/"+s.Name, "/dev/mapper/"+s.VG+"-"+s.Name)
}

// made is a group on whole disks with a root that lvcreate makes of the
// arguments, and a tiny system in it.
func made(name string, d []Disk, argv ...string) Layout {
	var on []string
	for _, x := range d {
		on = append(on, x.Name)
	}
	return Layout{Name: name, Disks: d, Steps: []Step{
		VG{Name: Group(name), On: on},
		Volume{VG: Group(name), Name: "root", Argv: append(append([]string{"lvcreate", "-y", "-Wn", "-n", "root"}, argv...), Group(name))},
		FS{On: Group(name) + "/root", Type: "ext4", Content: tiny},
	}}
}

// Group is the name of the volume group of one of these layouts, by that of
// the layout: several are made in one guest.
func Group(layout string) string { return "v" + strings.TrimPrefix(layout, "lvm-") }

// Roots on volumes that are made of other volumes, one of each kind.
var (
	LVMRaid1  = made("lvm-raid1", two(80), "--type", "raid1", "-m", "1", "-L", "56m", "--nosync")
	LVMRaid0  = made("lvm-raid0", two(64), "--type", "raid0", "-i", "2", "-L", "64m")
	LVMRaid5  = made("lvm-raid5", blank(64, "d0", "d1", "d2"), "--type", "raid5", "-i", "2", "-L", "64m", "--nosync")
	LVMRaid6  = made("lvm-raid6", blank(48, "d0", "d1", "d2", "d3", "d4"), "--type", "raid6", "-i", "3", "-L", "72m")
	LVMRaid10 = made("lvm-raid10", blank(64, "d0", "d1", "d2", "d3"), "--type", "raid10", "-i", "2", "-m", "1", "-L", "64m", "--nosync")
	LVMMirror = made("lvm-mirror", blank(80, "d0", "d1", "d2"), "--type", "mirror", "-m", "1", "-L", "56m", "--nosync")
	LVMThin   = Layout{Name: "lvm-thin", Disks: one(160), Steps: []Step{
		VG{Name: "vthin", On: []string{"d0"}},
		Volume{Argv: []string{"lvcreate", "-y", "--type", "thin-pool", "-L", "96m", "--poolmetadatasize", "4m", "-n", "pool", "vthin"}},
		Volume{VG: "vthin", Name: "root", Argv: []string{"lvcreate", "-y", "-Wn", "-V", "80m", "--thinpool", "pool", "-n", "root", "vthin"}},
		FS{On: "vthin/root", Type: "ext4", Content: tiny},
	}}
	// LVMSnapshot has a snapshot of the root, with the same UUID.
	LVMSnapshot = Layout{Name: "lvm-snapshot", Disks: one(160), Steps: []Step{
		VG{Name: "vsnapshot", On: []string{"d0"}},
		LV{VG: "vsnapshot", Name: "root", MiB: 80},
		FS{On: "vsnapshot/root", Type: "ext4", Content: tiny},
		Volume{Argv: []string{"lvcreate", "-y", "-s", "-L", "24m", "-n", "snap", "vsnapshot/root"}},
	}}
	// LVMMerging has one that is to be merged into the root when that is next
	// activated.
	LVMMerging = Layout{Name: "lvm-merging", Disks: one(160), Steps: []Step{
		VG{Name: "vmerging", On: []string{"d0"}},
		LV{VG: "vmerging", Name: "root", MiB: 80},
		FS{On: "vmerging/root", Type: "ext4", Content: tiny},
		Volume{Argv: []string{"lvcreate", "-y", "-s", "-L", "24m", "-n", "snap", "vmerging/root"}},
		Volume{Argv: []string{"lvchange", "-an", "-y", "vmerging/root"}},
		Volume{Argv: []string{"lvconvert", "-y", "--merge", "vmerging/snap"}},
	}}
	// LVMCache and LVMWritecache are activated by LVM's own tool.
	LVMCache = Layout{Name: "lvm-cache", Disks: []Disk{{"d0", 96}, {"d1", 64}}, Steps: []Step{
		VG{Name: "vcache", On: []string{"d0", "d1"}},
		Volume{VG: "vcache", Name: "root", Argv: []string{"lvcreate", "-y", "-Wn", "-Zn", "-L", "72m", "-n", "root", "vcache", "{d0}"}},
		FS{On: "vcache/root", Type: "ext4", Content: tiny},
		Volume{Argv: []string{"lvcreate", "-y", "--type", "cache-pool", "-L", "24m", "--poolmetadatasize", "8m", "-n", "fast", "vcache", "{d1}"}},
		Volume{Argv: []string{"lvconvert", "-y", "--type", "cache", "--cachepool", "vcache/fast", "vcache/root"}},
	}}
	LVMWritecache = Layout{Name: "lvm-writecache", Disks: []Disk{{"d0", 96}, {"d1", 64}}, Steps: []Step{
		VG{Name: "vwritecache", On: []string{"d0", "d1"}},
		Volume{VG: "vwritecache", Name: "root", Argv: []string{"lvcreate", "-y", "-Wn", "-Zn", "-L", "72m", "-n", "root", "vwritecache", "{d0}"}},
		FS{On: "vwritecache/root", Type: "ext4", Content: tiny},
		Volume{Argv: []string{"lvcreate", "-y", "-Wn", "-Zn", "-L", "24m", "-n", "fast", "vwritecache", "{d1}"}},
		Volume{Argv: []string{"lvchange", "-an", "-y", "vwritecache"}},
		Volume{Argv: []string{"lvconvert", "-y", "--type", "writecache", "--cachevol", "vwritecache/fast", "vwritecache/root"}},
	}}
)
