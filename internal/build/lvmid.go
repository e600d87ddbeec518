package build

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"firstlight/internal/lvmmeta"
)

// lvmAppID is what LVM derives its own identity of a machine from, with
// sd_id128_get_machine_app_specific(3).
const lvmAppID = "f64406832c2140e8ac5422d1089aae03"

// systemID says who this machine is to LVM, and whose volume groups it may use
// besides, by what lvm.conf and lvmlocal.conf say (lvmsystemid(7)).
func (b *builder) systemID() (id string, extra []string, err error) {
	s, err := b.lvmSettings()
	if err != nil {
		return "", nil, err
	}
	list, _ := s.Strings("local", "extra_system_ids")
	for _, x := range list {
		if x = lvmmeta.CleanSystemID(x); x != "" {
			extra = append(extra, x)
		}
	}
	source := s.String("global", "system_id_source")
	switch strings.ToLower(source) {
	case "", "none":
		return "", extra, nil
	case "lvmlocal":
		id = s.String("local", "system_id")
	case "uname":
		id, err = b.firstLine("/etc/hostname")
	case "machineid":
		id, err = b.firstLine("/etc/machine-id")
	case "appmachineid":
		if id, err = b.firstLine("/etc/machine-id"); err == nil {
			id, err = appSpecific(id, lvmAppID)
		}
	case "file":
		p := s.String("global", "system_id_file")
		if p == "" {
			return "", extra, errors.New("lvm.conf: system_id_source is \"file\", and system_id_file is not set")
		}
		id, err = b.firstLine(p)
	default:
		return "", extra, fmt.Errorf("lvm.conf: system_id_source %q is not known", source)
	}
	if err != nil {
		return "", extra, err
	}
	clean := lvmmeta.CleanSystemID(id)
	if clean == "" {
		return "", extra, fmt.Errorf("system_id_source %q gives %q, which is no system ID", source, id)
	}
	return clean, extra, nil
}

// lvmDir is where LVM has its configuration.
const lvmDir = "/etc/lvm"

func (b *builder) lvmSettings() (s lvmmeta.Settings, err error) {
	for _, name := range []string{"lvm.conf", "lvmlocal.conf"} {
		p := path.Join(lvmDir, name)
		text, err := b.o.Sysroot.ReadFile(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = s.Add(text)
		}
		if err != nil {
			return s, fmt.Errorf("%s: %w", p, err)
		}
	}
	return s, nil
}

// lvmDevices is the line of the physical volumes that LVM may use on this
// machine, "" where it may use all: where the devices file is not in use or
// not there (lvmdevices(8)).
func (b *builder) lvmDevices() (string, error) {
	s, err := b.lvmSettings()
	if err != nil || !s.Bool("devices", "use_devicesfile", false) {
		return "", err
	}
	name := s.String("devices", "devicesfile")
	if name == "" {
		name = "system.devices"
	}
	text, err := b.o.Sysroot.ReadFile(path.Join(lvmDir, "devices", name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return "lvm_devices=" + strings.Join(lvmmeta.DevicesFile(text), " ") + "\n", nil
}

// firstLine is the first line of a file of the system that is neither empty
// nor a comment, without the blanks around it.
func (b *builder) firstLine(p string) (string, error) {
	text, err := b.o.Sysroot.ReadFile(p)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return line, nil
		}
	}
	return "", fmt.Errorf("%s says nothing", p)
}

// appSpecific derives an id of an application from that of the machine, both
// 32 hexadecimal digits (sd_id128_get_machine_app_specific(3)).
func appSpecific(machine, app string) (string, error) {
	m, err := hex.DecodeString(machine)
	if err != nil || len(m) != 16 {
		return "", fmt.Errorf("/etc/machine-id is no machine-id(5)")
	}
	a, err := hex.DecodeString(app)
	if err != nil {
		return "", err
	}
	h := hmac.New(sha256.New, m)
	h.Write(a)
	id := h.Sum(nil)[:16]
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // a UUID of version 4
	return hex.EncodeToString(id), nil
}

// lvmIdentity is what the image says of this machine to its LVM handler.
func (b *builder) lvmIdentity() string {
	for _, f := range b.report.Features {
		if f.Name != "lvm" {
			continue
		}
		id, extra, err := b.systemID()
		if err != nil {
			b.note("LVM: the system ID of this machine is not known, and volume groups that have one will be refused: %v", err)
		}
		text := ""
		if id != "" {
			text = "system_id=" + id + "\n"
		}
		if len(extra) > 0 {
			text += "extra_system_ids=" + strings.Join(extra, " ") + "\n"
		}
		devices, err := b.lvmDevices()
		if err != nil {
			b.note("LVM: which devices it may use is not known, and it will use all: %v", err)
		}
		text += devices
		return text
	}
	return ""
}
