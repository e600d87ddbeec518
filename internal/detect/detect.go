// Package detect finds out what a machine needs to mount its root: which file
// systems, which layers of block devices below them, and which drivers down
// to the bus.
//
// It reads /proc, /sys and /etc of a System, which may be a copy made for a
// test or taken from another machine, and says for each need where it comes
// from. It runs nothing and writes nothing. Builder only.
package detect

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"firstlight/internal/feature"
	"firstlight/internal/luksfmt"
	"firstlight/internal/mdsuper"
	"firstlight/internal/sysfs"
	"firstlight/internal/sysroot"
	"firstlight/internal/ucode"
)

// System is the machine to look at.
type System struct {
	Root sysroot.Root // for /proc and /etc
	Sys  sysfs.FS
	// Tokens returns the types of the tokens of a LUKS device, by its node; nil
	// knows none. A device that cannot be read has none.
	Tokens func(node string) []string
}

// Host is the running machine.
func Host() System { return System{Root: "", Sys: sysfs.Dir("/sys"), Tokens: luksTokens} }

// luksTokens reads the header of a device of this machine.
func luksTokens(node string) (types []string) {
	f, err := os.Open(node)
	if err != nil {
		return nil
	}
	defer f.Close()
	h, err := luksfmt.Read(f)
	if err != nil {
		return nil
	}
	for _, t := range h.Tokens {
		types = append(types, t.Type)
	}
	return types
}

// Snapshot is a machine whose /proc, /sys and /etc were copied below dir.
func Snapshot(dir string) System {
	return System{Root: sysroot.Root(dir), Sys: sysfs.Dir(dir + "/sys")}
}

// Need is what a machine needs.
type Need struct {
	// Facts are what features ask for: "fstype:ext4", "layer:luks".
	Facts []feature.Fact `json:"facts"`
	// Modules are drivers, by name or modalias. They are to be taken as far
	// as the kernel that the image is for has them.
	Modules []Reason `json:"modules"`
	// Firmware are files below /lib/firmware that the device tree names for devices
	// on the way to the root. What a driver names comes with its module.
	Firmware map[string]string `json:"firmware"`
	// Files are the system's files that belong into the image.
	Files map[string]string `json:"files"`
	// CPUs are the kinds of processors that microcode can be for.
	CPUs []ucode.CPU `json:"cpus"`
	// Notes are for the person.
	Notes []string `json:"notes"`
}

// Reason is a thing and why it is wanted.
type Reason struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// ErrUndecided is wrapped when it cannot be told what the machine needs.
var ErrUndecided = errors.New("cannot tell what this machine needs; use --generic, or describe it in a configuration file with [root]")

// Needs looks at the machine.
func Needs(s System) (*Need, error) {
	d, err := look(s)
	if err != nil {
		return nil, err
	}
	return d.need, nil
}

func look(s System) (*detector, error) {
	d := &detector{s: s, need: newNeed(), seen: map[string]bool{}}
	mounts, err := d.mounts()
	if err != nil {
		return nil, err
	}
	d.all = mounts
	d.parameters()
	d.cpus()
	if err := d.fileSystem(mounts, "/"); err != nil {
		return nil, err
	}
	if err := d.usr(mounts); err != nil {
		return nil, err
	}
	if err := d.resume(); err != nil {
		return nil, err
	}
	if d.crypt {
		d.ciphers()
		d.keyboards()
		d.crypttab()
	}
	if d.md {
		for _, f := range mdsuper.ConfFiles {
			if s.Root.Exists(f) {
				d.need.Files[f] = "names of MD arrays"
				break
			}
		}
		for _, f := range mdsuper.ConfFiles {
			more, err := s.Root.Glob(f + ".d/*.conf")
			for _, m := range more {
				d.need.Files[m] = "names of MD arrays"
			}
			if err == nil && len(more) > 0 {
				break
			}
		}
	}
	return d, nil
}

// newNeed has no nil lists: JSON shows an empty one as [].
func newNeed() *Need {
	return &Need{Facts: []feature.Fact{}, Modules: []Reason{}, Firmware: map[string]string{}, Files: map[string]string{}, CPUs: []ucode.CPU{}, Notes: []string{}}
}

type detector struct {
	s     System
	need  *Need
	seen  map[string]bool // devpaths walked
	all   []mount
	crypt bool
	md    bool
	names []string // of the encrypted devices, as in crypttab
}

func (d *detector) fact(name, why string) {
	if !slices.ContainsFunc(d.need.Facts, func(f feature.Fact) bool { return f.Name == name }) {
		d.need.Facts = append(d.need.Facts, feature.Fact{Name: name, Why: why})
	}
}

func (d *detector) module(name, why string) {
	if name != "" && !slices.ContainsFunc(d.need.Modules, func(r Reason) bool { return r.Name == name }) {
		d.need.Modules = append(d.need.Modules, Reason{name, why})
	}
}

func (d *detector) note(format string, a ...any) {
	d.need.Notes = append(d.need.Notes, fmt.Sprintf(format, a...))
}

// mount is a line of /proc/self/mountinfo (proc(5)).
type mount struct {
	dev, point, fstype, source string
	super                      string // options of the filesystem
}

func (d *detector) mounts() ([]mount, error) {
	text, err := d.s.Root.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("detect: %w", err)
	}
	var out []mount
	for n, line := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
		f := strings.Fields(line)
		sep := slices.Index(f, "-")
		if sep < 6 || len(f) < sep+3 {
			return nil, fmt.Errorf("detect: /proc/self/mountinfo:%d: %q is not a mount", n+1, line)
		}
		super := ""
		if len(f) > sep+3 {
			super = unescape(f[sep+3])
		}
		out = append(out, mount{f[2], unescape(f[4]), f[sep+1], unescape(f[sep+2]), super})
	}
	return out, nil
}

// unescape turns \040 and the like back into what they stand for.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && isOctal(s[i+1:i+4]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | s[i+3] - '0')
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isOctal(s string) bool {
	return strings.Trim(s, "01234567") == "" && s[0] <= '3'
}

// fileSystem takes what is mounted on point, and the devices below it.
func (d *detector) fileSystem(mounts []mount, point string) error {
	i := -1
	for j, m := range mounts {
		if m.point == point {
			i = j // the last one covers those before
		}
	}
	if i < 0 {
		return fmt.Errorf("detect: nothing is mounted on %s: %w", point, ErrUndecided)
	}
	m := mounts[i]
	if lower := d.below(m); lower != "" {
		d.fact("layer:overlay", fmt.Sprintf("%s is an overlay over %s", point, lower))
		return d.fileSystem(mounts, lower)
	}
	switch m.fstype {
	case "nfs", "nfs4":
		return d.network(m, point)
	case "fuse.sshfs", "sshfs":
		return d.sshfs(m, point)
	case "zfs":
		return d.pool(m, point)
	case "overlay", "tmpfs", "ramfs", "rootfs", "aufs", "cifs", "fuse", "fuseblk":
		return fmt.Errorf("detect: %s is of type %s (%s), with no block device that could be looked at: %w", point, m.fstype, m.source, ErrUndecided)
	}
	d.fact("fstype:"+m.fstype, fmt.Sprintf("%s is %s on %s", point, m.fstype, m.source))
	devs, err := d.devices(m)
	if err != nil {
		return err
	}
	for _, dev := range devs {
		if err := d.block(dev, point, 0); err != nil {
			return err
		}
		if err := d.journal(m, dev); err != nil {
			return err
		}
	}
	return nil
}

// devices returns the devpaths of the block devices of a mount.
func (d *detector) devices(m mount) ([]string, error) {
	if !strings.HasPrefix(m.dev, "0:") {
		p, err := d.s.Sys.Resolve("/dev/block/" + m.dev)
		if err != nil {
			return nil, fmt.Errorf("detect: the device %s of %s: %w: %w", m.dev, m.point, err, ErrUndecided)
		}
		return []string{p}, nil
	}
	// btrfs and bcachefs have numbers of their own.
	if m.fstype == "virtiofs" || m.fstype == "9p" {
		return nil, nil
	}
	var out []string
	for _, src := range strings.Split(m.source, ":") {
		name, err := d.blockName(src)
		if err != nil {
			return nil, fmt.Errorf("detect: the device %s of %s: %w: %w", src, m.point, err, ErrUndecided)
		}
		out = append(out, name)
	}
	if m.fstype == "btrfs" {
		all, err := d.btrfs(out)
		if len(all) > 1 {
			d.fact("layer:btrfs-devices", fmt.Sprintf("the btrfs of %s is on %d devices", m.point, len(all)))
		}
		return all, err
	}
	return out, nil
}

// blockName finds a block device by its node: "/dev/vda2", "/dev/mapper/x".
func (d *detector) blockName(node string) (string, error) {
	if name, ok := strings.CutPrefix(node, "/dev/mapper/"); ok {
		list, err := d.s.Sys.List("/class/block")
		if err != nil {
			return "", err
		}
		for _, b := range list {
			if got, err := d.s.Sys.Read("/class/block/" + b + "/dm/name"); err == nil && got == name {
				return d.s.Sys.Resolve("/class/block/" + b)
			}
		}
	}
	real := node
	if r, _, err := d.s.Root.Resolve(node); err == nil {
		real = r
	}
	name := strings.ReplaceAll(strings.TrimPrefix(real, "/dev/"), "/", "!")
	return d.s.Sys.Resolve("/class/block/" + name)
}

// btrfs returns all devices of the file system that has the given one.
func (d *detector) btrfs(devs []string) ([]string, error) {
	list, err := d.s.Sys.List("/fs/btrfs")
	if err != nil {
		return devs, nil // an old kernel; the one device is what there is
	}
	for _, id := range list {
		names, err := d.s.Sys.List("/fs/btrfs/" + id + "/devices")
		if err != nil {
			continue
		}
		var all []string
		for _, n := range names {
			p, err := d.s.Sys.Resolve("/fs/btrfs/" + id + "/devices/" + n)
			if err != nil {
				return nil, fmt.Errorf("detect: btrfs %s: %w", id, err)
			}
			all = append(all, p)
		}
		if slices.Contains(all, devs[0]) {
			return all, nil
		}
	}
	return devs, nil
}

// usr takes a separate /usr, mounted or only in fstab.
func (d *detector) usr(mounts []mount) error {
	if slices.ContainsFunc(mounts, func(m mount) bool { return m.point == "/usr" }) {
		d.fact("need:usr", "/usr is a mount of its own")
		return d.fileSystem(mounts, "/usr")
	}
	text, err := d.s.Root.ReadFile("/etc/fstab")
	if err != nil {
		return nil // a system without fstab
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == "/usr" && !strings.HasPrefix(f[0], "#") {
			d.fact("need:usr", "/etc/fstab has /usr, though it is not mounted now")
			if f[2] != "auto" {
				d.fact("fstype:"+f[2], "/usr in /etc/fstab")
			}
			d.note("/usr is in /etc/fstab but not mounted; the drivers of its device are unknown unless they are those of /")
		}
	}
	return nil
}
