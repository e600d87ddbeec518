package inventory

import (
	"path"
	"strings"

	"firstlight/internal/image"
	"firstlight/internal/image/cpio"
	"firstlight/internal/kmod"
)

// Kind is what a file is for.
type Kind string

// The kinds, in the order in which they are listed.
const (
	Microcode Kind = "microcode"
	ACPI      Kind = "ACPI tables"
	Module    Kind = "kernel modules"
	Index     Kind = "indexes"
	Firmware  Kind = "firmware"
	Program   Kind = "programs"
	Library   Kind = "libraries"
	Script    Kind = "scripts"
	Rules     Kind = "udev rules"
	Unit      Kind = "units"
	Setting   Kind = "settings"
	Data      Kind = "other files"
	Link      Kind = "links"
	Device    Kind = "devices"
	Directory Kind = "directories"
)

// Kinds returns all of them, in that order.
func Kinds() []Kind {
	return []Kind{Microcode, ACPI, Module, Index, Firmware, Program, Library, Script, Rules, Unit, Setting, Data, Link, Device, Directory}
}

// compressed are the endings that modules and firmware may have besides their own.
var compressed = [...]string{".xz", ".zst", ".gz", ".lz4", ".bz2"}

func trimCompressed(p string) string {
	for _, s := range compressed {
		if t, ok := strings.CutSuffix(p, s); ok {
			return t
		}
	}
	return p
}

// moduleName is the name of the module that a file holds, or "".
func moduleName(p string) string {
	name, ok := strings.CutSuffix(trimCompressed(base(p)), ".ko")
	if !ok {
		return ""
	}
	return kmod.NormalizeName(name)
}

// firmwareName is the name that a driver asks for, or "".
func firmwareName(p string) string {
	for _, dir := range []string{"usr/lib/firmware/", "lib/firmware/"} {
		if name, ok := strings.CutPrefix(p, dir); ok {
			return strings.TrimPrefix(trimCompressed(name), "updates/")
		}
	}
	return ""
}

// classify sets what the item is, and what it is compared by: the same thing
// has the same key in images for different kernels and with or without a
// merged /usr.
func (it *Item) classify(c *content) {
	p := strings.TrimPrefix(it.Path, "usr/")
	it.key = p
	if rest, ok := strings.CutPrefix(p, "lib/modules/"); ok {
		if _, below, ok := strings.Cut(rest, "/"); ok {
			it.key = "lib/modules/*/" + below
		} else {
			it.key = "lib/modules/*"
		}
	}
	switch it.Mode & cpio.TypeMask {
	case cpio.TypeDir:
		it.Kind = Directory
		return
	case cpio.TypeSymlink:
		it.Kind = Link
		return
	case cpio.TypeRegular:
	default:
		it.Kind = Device
		return
	}
	if it.Kind = it.byPath(p, c); it.Kind == Library && it.linking.Soname != "" {
		// libx.so.1.2.3 takes the place of libx.so.1.2.2.
		it.key = path.Join(path.Dir(p), it.linking.Soname)
	}
}

func (it *Item) byPath(p string, c *content) Kind {
	if it.name = moduleName(p); it.name != "" {
		it.key = "module " + it.name
		return Module
	}
	if it.name = firmwareName(it.Path); it.name != "" {
		it.key = "firmware " + it.name
		return Firmware
	}
	in := func(dirs ...string) bool {
		for _, d := range dirs {
			if strings.HasPrefix(p, d+"/") {
				return true
			}
		}
		return false
	}
	switch {
	case in("kernel/x86/microcode"):
		return Microcode
	case in("kernel/firmware/acpi"):
		return ACPI
	case in("lib/modules"), p == "etc/firstlight/modules.idx", p == image.ManifestPath, p == image.IDPath, p == "etc/ld.so.cache":
		return Index
	case in("lib/udev/rules.d", "etc/udev/rules.d"), p == "etc/firstlight/rules.tab":
		return Rules
	case c != nil && c.elf && (c.linking.Soname != "" || strings.Contains(base(p), ".so")):
		return Library
	case c != nil && c.elf:
		return Program
	case in("lib/systemd/system", "etc/systemd/system"):
		return Unit
	case c != nil && c.script:
		return Script
	case in("etc", "conf", "lib/modprobe.d", "lib/sysctl.d", "lib/tmpfiles.d", "lib/modules-load.d", "lib/sysusers.d", "lib/systemd/network"),
		strings.HasSuffix(p, ".conf"), p == "config", p == "buildconfig":
		return Setting
	case it.Mode&0o111 != 0 && it.Text != "", in("scripts"), in("hooks"):
		return Script
	}
	return Data
}
