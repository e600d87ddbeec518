package sim

import (
	"fmt"
	"io/fs"
	"path"
	"time"

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

// ReadFile implements machine.Files.
func (m *Machine) ReadFile(p string, _ int64) ([]byte, error) {
	text, ok := m.written[p]
	if !ok {
		text, ok = m.Files[p]
	}
	if !ok {
		text, ok = m.storeFile(p)
	}
	if ok {
		return []byte(text), nil
	}
	return nil, fmt.Errorf("open %s: %w", p, fs.ErrNotExist)
}

// WriteFile implements machine.Files.
func (m *Machine) WriteFile(p string, data []byte, _ fs.FileMode) error {
	if m.written == nil {
		m.written = map[string]string{}
	}
	m.written[p] = string(data)
	return nil
}

// Link implements machine.Files.
func (m *Machine) Link(target, p string) error {
	if x, inside, ok := m.below(p); ok && x.content != nil {
		x.content.Files[inside] = "-> " + target
		return nil
	}
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
func (m *Machine) WriteSysfs(p, value string) error {
	if f := m.fault(OperationFails, "write sysfs "+p); f != nil {
		return fmt.Errorf("write %q to %s: %w", value, p, f.err())
	}
	if p == logAtEnd && m.LogStore {
		m.LogKept = value == "Y"
		return nil
	}
	if ok, err := m.writeMD(p, value); ok {
		return err
	}
	if ok, err := m.writeBcache(p, value); ok {
		return err
	}
	if ok, err := m.writeFCoE(p, value); ok {
		return err
	}
	return m.sys.Write(p, value)
}

// WaitSysfs implements machine.Files: the attribute changes when AttrAfter
// says, or never.
func (m *Machine) WaitSysfs(p, value string) error {
	if now, err := m.sys.Read(p); err != nil || now == value {
		return err
	}
	after := time.Duration(-1)
	if m.AttrAfter != nil {
		after = m.AttrAfter(p, value)
	}
	m.sleep(after)
	return m.sys.Write(p, value)
}

// Mkdir implements machine.Files.
func (m *Machine) Mkdir(string, fs.FileMode) error { return nil }

// HasProgram implements machine.Programs.
func (m *Machine) HasProgram(p string) bool {
	return m.Programs[p] != nil || m.ZPools != nil && zfsTools[p]
}

// Run implements machine.Programs.
func (m *Machine) Run(p machine.Program) (machine.Exit, error) {
	f := m.Programs[p.Path]
	if f == nil && m.ZPools != nil && zfsTools[p.Path] {
		f = func(m *Machine, args []string) machine.Exit { return m.zfs(path.Base(p.Path), args, p.Input) }
	}
	if f == nil {
		return machine.Exit{}, fmt.Errorf("execute %s: %w", p.Path, fs.ErrNotExist)
	}
	if m.fault(HelperHangs, p.Path) != nil {
		m.sleep(-1)
	}
	if m.fault(HelperCrashes, p.Path) != nil {
		return machine.Exit{Code: 128 + 11, Output: "Segmentation fault"}, nil
	}
	return f(m, p.Args), nil
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

// Memory implements machine.System.
func (m *Machine) Memory() (uint64, error) {
	if m.Free != 0 {
		return m.Free, nil
	}
	return 1 << 30, nil
}

// FreeMemory implements machine.System.
func (m *Machine) FreeMemory() {}

// Ciphers implements machine.System: none but Go's own.
func (m *Machine) Ciphers() luks.Ciphers { return nil }
