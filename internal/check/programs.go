package check

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"firstlight/internal/devmapper"
	"firstlight/internal/lvmmeta"
	"firstlight/internal/machine"
)

// HasProgram implements machine.Programs.
func (w *world) HasProgram(p string) bool { return w.im.executable(p) }

// Run implements machine.Programs. No program is run: of those that a boot
// calls it is modelled what they do with what the snapshot knows.
func (w *world) Run(p machine.Program) (machine.Exit, error) {
	if !w.im.executable(p.Path) {
		return machine.Exit{}, fmt.Errorf("execute %s: %w", p.Path, fs.ErrNotExist)
	}
	name, last := path.Base(p.Path), ""
	if len(p.Args) > 0 {
		last = p.Args[len(p.Args)-1]
	}
	switch {
	case strings.HasPrefix(name, "fsck.") && last != "":
		w.checkedBy(last)
		return machine.Exit{}, nil
	case name == "mdadm":
		return w.mdadm(p.Args), nil
	case name == "zpool" || name == "zfs" || name == "mount.zfs":
		return w.zfs(name, p), nil
	case name == "mke2fs", name == "wipefs", name == "cp", name == "chown", name == "chmod":
		return machine.Exit{}, nil // what they make is in the snapshot, where it was taken of such a boot
	case name == "mdmon":
		return machine.Exit{}, nil
	case name == "lvm" && strings.Contains(last, "/"):
		return w.lvchange(last), nil
	case name == "cryptsetup" && last != "":
		return w.cryptsetup(p, last), nil
	}
	w.unsure = addOnce(w.unsure, "the boot would run "+p.Path+", and what comes of that is not known")
	return machine.Exit{}, nil
}

// checkedBy notes a filesystem that a checker looks at, and says so if it is
// marked as one that needs more than a look. A checker is taken to find nothing
// where the filesystem says of itself that it is sound.
func (w *world) checkedBy(node string) {
	w.checked = addOnce(w.checked, node)
	d := w.disks[node]
	if d == nil {
		return
	}
	var state [2]byte // s_state of ext4's superblock: 1 valid, 2 errors
	var magic [2]byte
	d.ReadAt(magic[:], 1024+0x38)
	if _, err := d.ReadAt(state[:], 1024+0x3a); err != nil || magic != [2]byte{0x53, 0xef} {
		return
	}
	if state[0]&1 == 0 || state[0]&2 != 0 {
		w.unsure = addOnce(w.unsure, "the filesystem on "+node+" is marked as not sound; whether its check ends well shows in the boot")
	}
}

// mappedAs finds the device of the snapshot that the device mapper has under a
// name.
func (w *world) mappedAs(name string) (kernel, uuid string) {
	names, _ := w.snap.Sys.List("/class/block")
	for _, n := range names {
		if got, err := w.snap.Sys.Read("/class/block/" + n + "/dm/name"); err == nil && got == name {
			uuid, _ = w.snap.Sys.Read("/class/block/" + n + "/dm/uuid")
			return n, uuid
		}
	}
	return "", ""
}

// volumeDrivers are the modules that the kinds of volumes need which LVM's own
// tool activates, by how the kind's name begins.
var volumeDrivers = [...]struct {
	kind    string
	modules []string
}{
	{"cache", []string{"dm_cache", "dm_cache_smq"}}, {"writecache", []string{"dm_writecache"}}, {"thin", []string{"dm_thin_pool"}},
	{"raid10", []string{"dm_raid", "raid10"}}, {"raid1", []string{"dm_raid", "raid1"}}, {"raid", []string{"dm_raid", "raid456"}},
	{"mirror", []string{"dm_mirror"}}, {"snapshot", []string{"dm_snapshot"}}, {"vdo", []string{"dm_vdo"}},
}

// lacksFor returns a module that a volume needs, by the metadata of its group on
// the disks, and that the kernel has not.
func (w *world) lacksFor(group, volume string) string {
	for _, d := range w.list() {
		pv, err := lvmmeta.ReadPV(d, uint64(d.size))
		if err != nil || pv.VG == nil || pv.VG.Name != group {
			continue
		}
		for _, lv := range pv.VG.LVs {
			for _, s := range lv.Segments {
				if lv.Name != volume {
					continue
				}
				for _, k := range volumeDrivers {
					if !strings.HasPrefix(s.Type, k.kind) {
						continue
					}
					for _, m := range k.modules {
						if !w.request(m) {
							return m
						}
					}
					break
				}
			}
		}
	}
	return ""
}

// lvchange is LVM's own tool with a volume, "vg/lv": what it makes is what was
// there under that name when the snapshot was taken.
func (w *world) lvchange(volume string) machine.Exit {
	vg, lv, _ := strings.Cut(volume, "/")
	double := func(s string) string { return strings.ReplaceAll(s, "-", "--") }
	if m := w.lacksFor(vg, lv); m != "" {
		return machine.Exit{Code: 5, Output: "the kernel has no " + m}
	}
	return w.revive(double(vg)+"-"+double(lv), "lvm", "logical volume "+volume)
}

// cryptsetup opens a volume that Firstlight has no reader for. A person types
// the right passphrase; a key file cannot be tried without the tool.
func (w *world) cryptsetup(p machine.Program, name string) machine.Exit {
	if string(p.Input) != typedSecret+"\n" || slices.Contains(p.Args, "--key-file") {
		text := "cryptsetup opens " + name + " with the key that it is given, which only cryptsetup can try"
		w.conditions = addOnce(w.conditions, text)
	}
	if !w.request("dm-crypt") {
		return machine.Exit{Code: 1, Output: "the kernel has no dm-crypt"}
	}
	return w.revive(name, "cryptsetup", "the encrypted device "+name)
}

// revive makes a mapped device as the snapshot has it.
func (w *world) revive(name, tool, what string) machine.Exit {
	if w.disk("/dev/mapper/"+name) != nil || slices.ContainsFunc(w.mapped, func(x *mapping) bool { return x.info.Name == name }) {
		return machine.Exit{}
	}
	kernel, uuid := w.mappedAs(name)
	if kernel == "" || w.snap.Block(kernel) == nil {
		w.unknown = addOnce(w.unknown, what+" is activated by "+tool+", and was not active when the snapshot was taken")
		return machine.Exit{Code: 5, Output: what + " is not known"}
	}
	if err := w.Load("dm-mod"); err != nil {
		return machine.Exit{Code: 5, Output: err.Error()}
	}
	if _, err := (mapper{w: w}).Create(name, uuid); err != nil {
		return machine.Exit{Code: 5, Output: err.Error()}
	}
	x := w.mapped[len(w.mapped)-1]
	x.info.Live = true
	d := x.disk
	d.holding(kernel)
	d.size = d.content.Size
	w.live.Set(d.devpath+"/size", fmt.Sprint(d.size>>9))
	under, _ := w.snap.Sys.List("/class/block/" + kernel + "/slaves")
	for _, n := range under {
		for _, below := range w.disks {
			if below.origin == n {
				w.live.Link(d.devpath+"/slaves/"+below.name, below.devpath)
				w.live.Link(below.devpath+"/holders/"+d.name, d.devpath)
			}
		}
	}
	// libdevmapper says what it made also where no udevd waits for its word.
	w.uevent("change", d.devpath, "DM_COOKIE", devmapper.NewCookie(0, 0).String())
	return machine.Exit{}
}
