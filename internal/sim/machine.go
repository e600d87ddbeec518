package sim

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/devmapper"
	"firstlight/internal/luks"
	"firstlight/internal/machine"
	"firstlight/internal/uevent"
)

var _ machine.Machine = (*Machine)(nil)

// Coldplug implements machine.Devices.
func (m *Machine) Coldplug() ([]*uevent.Message, error) {
	var found []*uevent.Message
	uevent.Walk(m.sys, func(msg *uevent.Message) { found = append(found, msg) })
	return found, nil
}

type block struct{ d *Disk }

func (b block) ReadAt(p []byte, off int64) (int, error) { return b.d.read(p, off) }
func (b block) Close() error                            { return nil }
func (b block) Size() int64                             { return b.d.Size }
func (b block) SectorSize() int                         { return 512 }

// OpenBlock implements machine.Storage.
func (m *Machine) OpenBlock(name string) (machine.Block, error) {
	d := m.disks[name]
	if d == nil {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return block{d}, nil
}

var errNoCommand = errors.New("the device does not know this command")

// Identify implements machine.Storage: these disks are virtio's.
func (m *Machine) Identify(string) ([]byte, error) { return nil, errNoCommand }

// Inquiry implements machine.Storage.
func (m *Machine) Inquiry(string, bool, byte) ([]byte, error) { return nil, errNoCommand }

// BtrfsScan implements machine.Storage.
func (m *Machine) BtrfsScan(string) error { return nil }

// BtrfsReady implements machine.Storage.
func (m *Machine) BtrfsReady(string) (bool, error) { return true, nil }

// LoadAlias implements machine.Modules.
func (m *Machine) LoadAlias(string) (int, error) { return 0, nil }

// Load implements machine.Modules: everything is built in.
func (m *Machine) Load(...string) error { return nil }

// ReadFile implements machine.Files.
func (m *Machine) ReadFile(p string, _ int64) ([]byte, error) {
	if text, ok := m.Files[p]; ok {
		return []byte(text), nil
	}
	return nil, fmt.Errorf("open %s: %w", p, fs.ErrNotExist)
}

// fsAt returns the filesystem that a path of the tree below root is on, and
// the path inside it.
func (m *Machine) fsAt(root, p string) (*Disk, string) {
	best, rest, depth := m.mounted[root], p, 0
	for at, d := range m.mounted {
		under, ok := strings.CutPrefix(at, root+"/")
		if ok && len(under) > depth && (p == "/"+under || strings.HasPrefix(p, "/"+under+"/")) {
			best, rest, depth = d, path.Clean("/"+strings.TrimPrefix(p, "/"+under)), len(under)
		}
	}
	return best, rest
}

// find follows every link of a path inside root.
func (m *Machine) find(root, p string) (where, content string, dir bool, err error) {
	p = path.Clean("/" + p)
	for range 40 {
		next := m.followOne(root, p)
		if next != p {
			p = next
			continue
		}
		d, rest := m.fsAt(root, p)
		if d == nil {
			break
		}
		if c, ok := d.Files[rest]; ok {
			return p, c, false, nil
		}
		for f := range d.Files {
			if strings.HasPrefix(f, strings.TrimSuffix(rest, "/")+"/") {
				return p, "", true, nil
			}
		}
		break
	}
	return "", "", false, fmt.Errorf("sim: %s in %s: %w", p, root, fs.ErrNotExist)
}

// followOne replaces the first link in a path by what it leads to.
func (m *Machine) followOne(root, p string) string {
	for i := 1; i <= len(p); i++ {
		if i < len(p) && p[i] != '/' {
			continue
		}
		d, rest := m.fsAt(root, p[:i])
		if d == nil {
			return p
		}
		if target, ok := strings.CutPrefix(d.Files[rest], "-> "); ok {
			if !path.IsAbs(target) {
				target = path.Join(path.Dir(p[:i]), target)
			}
			return path.Clean(target + p[i:])
		}
	}
	return p
}

// InRoot implements machine.Files.
func (m *Machine) InRoot(root, p string) (machine.FileInfo, error) {
	where, content, dir, err := m.find(root, p)
	if err != nil {
		return machine.FileInfo{}, err
	}
	info := machine.FileInfo{Path: where, Mode: 0o644, Size: int64(len(content))}
	if dir {
		info.Mode = fs.ModeDir | 0o755
	} else if strings.HasPrefix(content, "#!") {
		info.Mode = 0o755
	}
	return info, nil
}

// ReadInRoot implements machine.Files.
func (m *Machine) ReadInRoot(root, p string, _ int64) ([]byte, error) {
	_, content, dir, err := m.find(root, p)
	if err == nil && dir {
		err = errors.New("is a directory")
	}
	return []byte(content), err
}

// WriteFile implements machine.Files.
func (m *Machine) WriteFile(string, []byte, fs.FileMode) error { return nil }

// Link implements machine.Files.
func (m *Machine) Link(target, p string) error {
	m.Links()[p] = target
	return nil
}

// Unlink implements machine.Files.
func (m *Machine) Unlink(p string) error {
	delete(m.Links(), p)
	return nil
}

// Links are the links in /dev, by their path.
func (m *Machine) Links() map[string]string {
	if m.devLinks == nil {
		m.devLinks = map[string]string{}
	}
	return m.devLinks
}

// SetNode implements machine.Files.
func (m *Machine) SetNode(string, *int, *int, *fs.FileMode) error { return nil }

// WriteSysfs implements machine.Files.
func (m *Machine) WriteSysfs(p, value string) error { return m.sys.Write(p, value) }

// Mkdir implements machine.Files.
func (m *Machine) Mkdir(string, fs.FileMode) error { return nil }

// Flags of mount(2).
const (
	readOnly   = 1
	harmlessly = "noload"
)

// Mount implements machine.Mounts.
func (m *Machine) Mount(mt machine.Mount) error {
	if mt.FSType == "efivarfs" {
		return nil // the firmware's variables are no disk
	}
	d := m.disks[mt.Source]
	if d == nil {
		return fmt.Errorf("mount %s on %s: %w", mt.Source, mt.Target, fs.ErrNotExist)
	}
	if d.Files == nil {
		return fmt.Errorf("mount %s on %s: wrong filesystem type or bad superblock", mt.Source, mt.Target)
	}
	// Mounted read-only, ext4 still replays its journal unless told not to.
	if d.Written == "" && (mt.Flags&readOnly == 0 || !strings.Contains(mt.Data, harmlessly)) {
		d.Written = "mount on " + mt.Target
	}
	m.Mounts = append(m.Mounts, mt)
	m.mounted[mt.Target] = d
	m.tellMounts()
	return nil
}

func (m *Machine) tellMounts() {
	var points []string
	for p := range m.mounted {
		points = append(points, p)
	}
	slices.Sort(points)
	m.At(m.now, func() { m.Core.Mounts(points) })
}

// Unmount implements machine.Mounts.
func (m *Machine) Unmount(target string, _ bool) error {
	delete(m.mounted, target)
	m.tellMounts()
	return nil
}

// HasProgram implements machine.Programs.
func (m *Machine) HasProgram(p string) bool { return m.Programs[p] != nil }

// Run implements machine.Programs.
func (m *Machine) Run(p machine.Program) (machine.Exit, error) {
	f := m.Programs[p.Path]
	if f == nil {
		return machine.Exit{}, fmt.Errorf("execute %s: %w", p.Path, fs.ErrNotExist)
	}
	return f(m, p.Args), nil
}

// Ask implements machine.Console.
func (m *Machine) Ask(p machine.Prompt) ([]byte, error) {
	o := m.current
	o.err = nil
	m.asked[p.ID] = o
	defer delete(m.asked, p.ID)
	m.Prompts = append(m.Prompts, p)
	var text string
	var err error
	if m.Answer == nil {
		m.sleep(-1)
	} else {
		var after time.Duration
		text, after, err = m.Answer(p)
		m.sleep(after)
	}
	if o.err != nil {
		return nil, o.err
	}
	return []byte(text), err
}

// Dismiss implements machine.Console.
func (m *Machine) Dismiss(id string) {
	if o := m.asked[id]; o != nil && !o.woken {
		o.woken, o.err = true, machine.ErrDismissed
		m.At(m.now, o.resume)
	}
}

// Shell implements machine.Console.
func (m *Machine) Shell() error {
	if m.ShellFor == 0 {
		return errors.New("this image has no shell")
	}
	m.Shells++
	m.sleep(m.ShellFor)
	return nil
}

// Resume implements machine.System.
func (m *Machine) Resume(major, minor uint32, _ uint64) error {
	for _, d := range m.disks {
		if uint32(d.major) == major && uint32(d.minor) == minor && strings.Contains(string(d.Content), "S1SUSPEND") {
			m.Resumed = d.node()
			return nil
		}
	}
	return machine.ErrNoImage
}

// SwitchRoot implements machine.System.
func (m *Machine) SwitchRoot(s machine.SwitchRoot) error {
	m.Started = &s
	return nil
}

// Stop implements machine.System.
func (m *Machine) Stop(how machine.Power) error {
	m.Stopped = how
	return nil
}

// WithKey implements machine.System.
func (m *Machine) WithKey(_ string, _ []byte, f func() error) error { return f() }

// Memory implements machine.System.
func (m *Machine) Memory() (uint64, error) { return 1 << 30, nil }

// FreeMemory implements machine.System.
func (m *Machine) FreeMemory() {}

// Ciphers implements machine.System: none but Go's own.
func (m *Machine) Ciphers() luks.Ciphers { return nil }

// Mapper implements machine.Machine.
func (m *Machine) Mapper() (devmapper.Mapper, error) { return mapper{m}, nil }

// mapping is a device of the device mapper.
type mapping struct {
	info  devmapper.Info
	disk  *Disk
	table []devmapper.Target
}

// mapper implements the part of devmapper.Mapper that a boot uses.
type mapper struct{ m *Machine }

func (d mapper) get(r devmapper.Ref) (*mapping, error) {
	for _, x := range d.m.mapped {
		if x.info.Name == r.Name && r.Name != "" || x.info.UUID == r.UUID && r.UUID != "" || x.info.Dev == r.Dev {
			return x, nil
		}
	}
	return nil, fmt.Errorf("device mapper: %s: %w", r, fs.ErrNotExist)
}

func (d mapper) Create(name, uuid string) (devmapper.Info, error) {
	if d.m.mapped[name] != nil {
		return devmapper.Info{}, fmt.Errorf("device mapper: %s: %w", name, fs.ErrExist)
	}
	n := len(d.m.mapped)
	disk := &Disk{Name: "dm-" + strconv.Itoa(n), major: 253, minor: n, dm: true, Size: 1}
	disk.devpath = "/devices/virtual/block/" + disk.Name
	x := &mapping{info: devmapper.Info{Name: name, UUID: uuid, Dev: devmapper.Devnum{Major: 253, Minor: uint32(n)}}, disk: disk}
	d.m.mapped[name] = x
	d.m.sys.device(disk.devpath, "block", disk.ueventText())
	d.m.sys.files[disk.devpath+"/dm/name"] = name
	d.m.sys.files[disk.devpath+"/dm/uuid"] = uuid
	d.m.sys.files[disk.devpath+"/dm/suspended"] = "0"
	d.m.appear(disk)
	d.m.uevent("add", disk)
	return x.info, nil
}

func (d mapper) Load(r devmapper.Ref, table []devmapper.Target, _ devmapper.LoadOptions) (devmapper.Info, error) {
	x, err := d.get(r)
	if err != nil {
		return devmapper.Info{}, err
	}
	for _, t := range table {
		x.table = append(x.table, devmapper.Target{Type: t.Type, Params: []byte(string(t.Params)), Length: t.Length})
	}
	return x.info, nil
}

func (d mapper) Resume(r devmapper.Ref, o devmapper.ResumeOptions) (devmapper.Info, error) {
	x, err := d.get(r)
	if err != nil {
		return devmapper.Info{}, err
	}
	under, err := d.under(x.table)
	if err != nil {
		return devmapper.Info{}, err
	}
	x.info.Live = true
	if in := under.Inside; in != nil {
		x.disk.Content, x.disk.Files, x.disk.Inside = in.Content, in.Files, in.Inside
	}
	x.disk.Size = int64(x.table[0].Length) << 9
	d.m.appear(x.disk)
	d.m.uevent("change", x.disk, "DM_COOKIE", strconv.FormatUint(uint64(o.Cookie), 10))
	return x.info, nil
}

// under finds the device that a crypt target maps.
func (d mapper) under(table []devmapper.Target) (*Disk, error) {
	for _, f := range strings.Fields(string(table[0].Params)) {
		for _, disk := range d.m.disks {
			if f == fmt.Sprintf("%d:%d", disk.major, disk.minor) {
				return disk, nil
			}
		}
	}
	return nil, fmt.Errorf("device mapper: no device in %q", table[0].Type)
}

func (d mapper) Remove(r devmapper.Ref, _ devmapper.RemoveOptions) (devmapper.Info, error) {
	x, err := d.get(r)
	if err != nil {
		return devmapper.Info{}, err
	}
	delete(d.m.mapped, x.info.Name)
	d.m.Unplug(x.disk)
	return x.info, nil
}

func (d mapper) Info(r devmapper.Ref) (devmapper.Info, error) {
	x, err := d.get(r)
	if err != nil {
		return devmapper.Info{}, err
	}
	return x.info, nil
}

var errUnused = errors.New("sim: this is not simulated")

func (mapper) Version() (devmapper.Version, error) {
	return devmapper.Version{Major: 4, Minor: 48}, nil
}
func (mapper) Targets() ([]devmapper.TargetVersion, error)      { return nil, errUnused }
func (mapper) Devices() ([]devmapper.ListEntry, error)          { return nil, errUnused }
func (mapper) Clear(devmapper.Ref) (devmapper.Info, error)      { return devmapper.Info{}, errUnused }
func (mapper) Table(devmapper.Ref) ([]devmapper.Target, error)  { return nil, errUnused }
func (mapper) Status(devmapper.Ref) ([]devmapper.Target, error) { return nil, errUnused }
func (mapper) Deps(devmapper.Ref) ([]devmapper.Devnum, error)   { return nil, errUnused }
func (mapper) Suspend(devmapper.Ref, devmapper.SuspendOptions) (devmapper.Info, error) {
	return devmapper.Info{}, errUnused
}
