package handlertest

import (
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"firstlight/internal/devmapper"
	"firstlight/internal/machine"
	"firstlight/internal/uevent"
)

// Machine is what handlers reach in a test. Methods that it does not have
// (Mount, Ask …) panic, which shows as the failure of the operation; a test
// that needs them embeds Machine in a type of its own.
type Machine struct {
	machine.Machine

	// Loaded are the modules that were asked for, in order; Lacks are those
	// that are not in the image.
	Loaded []string
	Lacks  map[string]bool
	// Files are below any root: "/run/mdadm/map".
	Files map[string]string
	// Writes are "VALUE > PATH" for each write to sysfs; WriteError may make
	// one fail.
	Writes     []string
	WriteError func(path, value string) error
	// Waits are "PATH = VALUE" for each value of an attribute that was waited
	// for; it comes at once, unless WaitError says otherwise.
	Waits     []string
	WaitError func(path, value string) error
	// Scanned are the devices that btrfs was told of; Ready says what the
	// kernel answers, and ScanError may make it refuse one.
	Scanned   []string
	ScanError func(devname string) error
	Ready     bool
	// Programs are those of the image, by path. Ran are the calls, with what
	// was given in the environment before them.
	Programs map[string]func(args, env []string) machine.Exit
	Ran      []string
	// DM is the device mapper.
	DM *Mapper

	b      *Boot
	blocks map[string]Disk
	events []func() // announcements of the kernel, not yet made
	arrays map[string][]string
}

func newMachine(b *Boot) *Machine {
	m := &Machine{b: b, Lacks: map[string]bool{}, Files: map[string]string{}, blocks: map[string]Disk{}, arrays: map[string][]string{}}
	m.DM = &Mapper{m: m, Tables: map[string][]devmapper.Target{}, devices: map[string]*mapped{}}
	return m
}

type block struct {
	io.ReaderAt
	size int64
}

func (b block) Close() error    { return nil }
func (b block) Size() int64     { return b.size }
func (b block) SectorSize() int { return 512 }

type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

// Coldplug implements machine.Devices: there is nothing but what the test
// adds.
func (m *Machine) Coldplug() ([]*uevent.Message, error) { return nil, nil }

// OpenBlock implements machine.Storage.
func (m *Machine) OpenBlock(devname string) (machine.Block, error) {
	d, ok := m.blocks[devname]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", devname, fs.ErrNotExist)
	}
	if d.Content == nil {
		return block{zeros{}, int64(d.Size)}, nil
	}
	return block{d.Content, int64(d.Size)}, nil
}

// BtrfsScan implements machine.Storage.
func (m *Machine) BtrfsScan(devname string) error {
	if err := m.Load("btrfs"); err != nil {
		return err
	}
	if m.ScanError != nil {
		if err := m.ScanError(devname); err != nil {
			return err
		}
	}
	m.Scanned = append(m.Scanned, devname)
	return nil
}

// BtrfsForget implements machine.Storage.
func (m *Machine) BtrfsForget(devname string) error {
	m.Scanned = slices.DeleteFunc(m.Scanned, func(n string) bool { return n == devname })
	return nil
}

// BtrfsReady implements machine.Storage.
func (m *Machine) BtrfsReady(string) (bool, error) { return m.Ready, nil }

// LoadAlias implements machine.Modules.
func (m *Machine) LoadAlias(string) (int, error) { return 0, nil }

// Load implements machine.Modules.
func (m *Machine) Load(names ...string) error {
	for _, n := range names {
		if m.Lacks[n] {
			return fmt.Errorf("%s: %w", n, machine.ErrNoModule)
		}
		m.Loaded = append(m.Loaded, n)
	}
	return nil
}

// ReadFile implements machine.Files.
func (m *Machine) ReadFile(path string, _ int64) ([]byte, error) {
	text, ok := m.Files[path]
	if !ok {
		return nil, fmt.Errorf("read %s: %w", path, fs.ErrNotExist)
	}
	return []byte(text), nil
}

// WriteFile implements machine.Files.
func (m *Machine) WriteFile(path string, data []byte, _ fs.FileMode) error {
	m.Files[path] = string(data)
	return nil
}

// Link implements machine.Files.
func (m *Machine) Link(target, path string) error { return nil }

// Unlink implements machine.Files.
func (m *Machine) Unlink(path string) error { return nil }

// SetNode implements machine.Files.
func (m *Machine) SetNode(string, *int, *int, *fs.FileMode) error { return nil }

// WriteSysfs implements machine.Files. It plays the part of the MD driver:
// an array that is made appears, and once it runs its change is announced.
func (m *Machine) WriteSysfs(path, value string) error {
	m.Writes = append(m.Writes, value+" > "+path)
	if m.WriteError != nil {
		if err := m.WriteError(path, value); err != nil {
			return err
		}
	}
	if path == "/module/md_mod/parameters/new_array" {
		if m.b.Sys.Exists("/block/" + value) {
			return fmt.Errorf("write %s: %w", path, fs.ErrExist)
		}
		minor := len(m.arrays) + 1
		m.arrays[value] = nil
		m.b.Sys.Link("/block/"+value, "../devices/virtual/block/"+value)
		m.events = append(m.events, func() {
			m.b.disk(Disk{Name: value, Attrs: map[string]string{"md/array_state": "clear"}}, 9, minor, "add", nil)
		})
		return nil
	}
	name, attr, ok := strings.Cut(strings.TrimPrefix(path, "/block/"), "/md/")
	if !ok {
		return nil
	}
	switch {
	case attr == "new_dev":
		m.arrays[name] = append(m.arrays[name], m.member(value))
	case attr == "array_state" && (value == "read-auto" || value == "readonly"):
		minor := len(m.arrays)
		m.events = append(m.events, func() {
			at := "/devices/virtual/block/" + name
			attrs := map[string]string{"md/array_state": value, "md/metadata_version": "1.2"}
			for _, d := range m.arrays[name] {
				m.b.Sys.Link(at+"/md/dev-"+d+"/block", "../../../"+d)
				m.b.Sys.Set(at+"/md/dev-"+d+"/state", "in_sync")
			}
			m.b.disk(Disk{Name: name, Attrs: attrs}, 9, minor, "change", nil)
		})
	case attr == "array_state" && value == "clear":
		m.events = append(m.events, func() { m.b.Sys.Remove("/devices/virtual/block/" + name); m.b.announce("remove", name, nil) })
		m.b.Sys.Remove("/block/" + name)
	}
	return nil
}

// HasProgram implements machine.Programs.
func (m *Machine) HasProgram(path string) bool { return m.Programs[path] != nil }

// Run implements machine.Programs.
func (m *Machine) Run(p machine.Program) (machine.Exit, error) {
	f := m.Programs[p.Path]
	if f == nil {
		return machine.Exit{}, fmt.Errorf("execute %s: %w", p.Path, fs.ErrNotExist)
	}
	m.Ran = append(m.Ran, strings.TrimSpace(strings.Join(p.Env, " ")+" "+p.Path+" "+strings.Join(p.Args, " ")))
	return f(p.Args, p.Env), nil
}

// Start implements machine.Programs: none stays.
func (m *Machine) Start(_ string, p machine.Program) error {
	return fmt.Errorf("execute %s: %w", p.Path, fs.ErrNotExist)
}

// Listen implements machine.Programs.
func (m *Machine) Listen(name string) (machine.Said, error) {
	return machine.Said{}, fmt.Errorf("%s was not started", name)
}

// End implements machine.Programs.
func (m *Machine) End(name string) error { return fmt.Errorf("%s was not started", name) }

// Appear lets an array of a program's making appear once it has ended: the
// disks are those that it is made of.
func (m *Machine) Appear(d Disk, disks ...string) {
	at := "/devices/virtual/block/" + d.Name
	for _, x := range disks {
		m.b.Sys.Link(at+"/slaves/"+x, "../../"+x)
		m.b.Sys.Link("/devices/virtual/block/"+x+"/holders/"+d.Name, "../../"+d.Name)
	}
	for k, v := range d.Attrs {
		m.b.Sys.Set(at+"/"+k, v)
	}
	m.b.Sys.Link("/block/"+d.Name, "../devices/virtual/block/"+d.Name)
	m.events = append(m.events, func() { m.b.disk(d, 9, 255-len(m.b.said)-int(d.Name[len(d.Name)-1]-'0'), "change", nil) })
}

// WaitSysfs implements machine.Files.
func (m *Machine) WaitSysfs(path, value string) error {
	m.Waits = append(m.Waits, path+" = "+value)
	if m.WaitError != nil {
		return m.WaitError(path, value)
	}
	return nil
}

// member finds the disk with a number "major:minor".
func (m *Machine) member(number string) string {
	for _, e := range m.b.World().Devices.Block() {
		if major, minor, ok := e.Devnum(); ok && fmt.Sprintf("%d:%d", major, minor) == number {
			return e.Sysname()
		}
	}
	return "unknown"
}

// Mapper implements machine.Machine.
func (m *Machine) Mapper() (devmapper.Mapper, error) {
	if m.Lacks["dm-mod"] {
		return nil, fmt.Errorf("dm-mod: %w", machine.ErrNoModule)
	}
	return m.DM, nil
}
