package build

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"firstlight/internal/detect"
	"firstlight/internal/image"
	"firstlight/internal/image/cpio"
	"firstlight/internal/ucode"
)

// acpiDir is where the kernel looks for tables in the first archive
// (Documentation/admin-guide/acpi/initrd_table_override.rst).
const acpiDir = "kernel/firmware/acpi"

// acpiHeader is the length of a table's header, and acpiTables how many the
// kernel takes.
const (
	acpiHeader = 36
	acpiTables = 64
)

// early adds what the kernel reads before it unpacks anything: microcode and
// tables of ACPI.
func (b *builder) early(need *detect.Need) error {
	if b.has("microcode") {
		if err := b.microcode(need.CPUs); err != nil {
			return err
		}
	}
	return b.acpi()
}

// microcode adds the updates for the processors, or all that the system has for
// an image that is not of this machine.
func (b *builder) microcode(cpus []ucode.CPU) error {
	intel, amd := []string{"/lib/firmware/intel-ucode/??-??-??", "/lib/firmware/intel-ucode/??-??-??.*"}, []string{"/lib/firmware/amd-ucode/microcode_amd*.bin*"}
	if b.report.Mode == ModeHost && len(cpus) > 0 {
		intel, amd = nil, nil
		for _, c := range cpus {
			switch {
			case c.Vendor == ucode.Intel:
				intel = append(intel, fmt.Sprintf("/lib/firmware/intel-ucode/%02x-%02x-%02x*", c.Family, c.Model, c.Stepping))
			case c.Family < 0x15:
				amd = append(amd, "/lib/firmware/amd-ucode/microcode_amd.bin*")
			default:
				amd = append(amd, fmt.Sprintf("/lib/firmware/amd-ucode/microcode_amd_fam%xh.bin*", c.Family))
			}
		}
	} else {
		cpus = nil
	}
	for _, v := range []struct {
		vendor   string
		patterns []string
		choose   func([]byte, []ucode.CPU) ([]byte, error)
	}{{ucode.Intel, intel, ucode.SelectIntel}, {ucode.AMD, amd, ucode.SelectAMD}} {
		var all []byte
		var from []string
		for _, pattern := range v.patterns {
			files, err := b.o.Sysroot.Glob(pattern)
			if err != nil {
				return fmt.Errorf("microcode: %w", err)
			}
			for _, f := range files {
				if ext := path.Ext(f); slices.Contains(from, f) || ext == ".asc" || ext == ".initramfs" {
					continue
				}
				content, err := b.unpacked(f)
				if err == nil {
					content, err = v.choose(content, cpus)
				}
				if err != nil {
					b.note("microcode %s: %v; it is left out", f, err)
					continue
				}
				if len(content) > 0 {
					all, from = append(all, content...), append(from, f)
				}
			}
		}
		if len(all) == 0 {
			continue
		}
		why := "microcode: " + from[0]
		if len(from) > 1 {
			why = fmt.Sprintf("microcode: %d files like %s", len(from), from[0])
		}
		if err := b.tree.File(ucode.Dir+"/"+v.vendor+".bin", 0o644, all, why); err != nil {
			return err
		}
	}
	return nil
}

// acpi adds the tables of ACPI that the configuration names.
func (b *builder) acpi() error {
	n := 0
	for _, pattern := range b.o.Config.ACPITables {
		files, err := b.o.Sysroot.Glob(pattern)
		if err == nil && len(files) == 0 {
			err = fs.ErrNotExist
		}
		if err != nil {
			return fmt.Errorf("ACPI table %s: %w", pattern, err)
		}
		for _, f := range files {
			table, err := b.o.Sysroot.ReadFile(f)
			if err == nil {
				err = checkACPI(table)
			}
			if err != nil {
				return fmt.Errorf("ACPI table %s: %w", f, err)
			}
			if n++; n > acpiTables {
				return fmt.Errorf("ACPI table %s: the kernel takes %d tables and no more", f, acpiTables)
			}
			if err := b.tree.Add(image.Entry{Path: acpiDir + "/" + path.Base(f), Mode: cpio.TypeRegular | 0o644, Data: table, From: f, Why: "configuration"}); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkACPI says whether bytes are a table that the kernel would take.
func checkACPI(b []byte) error {
	if len(b) < acpiHeader {
		return errors.New("it is shorter than the header of a table; is it compiled (iasl)?")
	}
	for _, c := range b[:4] {
		if c < '0' || c > 'Z' || c > '9' && c < 'A' {
			return errors.New("it does not begin with the name of a table; is it compiled (iasl)?")
		}
	}
	if size := uint32(b[4]) | uint32(b[5])<<8 | uint32(b[6])<<16 | uint32(b[7])<<24; uint64(size) != uint64(len(b)) {
		return fmt.Errorf("it says that it has %d bytes, and has %d", size, len(b))
	}
	var sum byte
	for _, c := range b {
		sum += c
	}
	if sum != 0 {
		return errors.New("its sum is wrong")
	}
	return nil
}

// bootconfig puts the configuration for the kernel behind the image.
func (b *builder) bootconfig() error {
	name := b.o.Config.Bootconfig
	if name == "" {
		return nil
	}
	text, err := b.o.Sysroot.ReadFile(name)
	if err != nil {
		return fmt.Errorf("bootconfig: %w", err)
	}
	if err := image.CheckBootconfig(text); err != nil {
		return fmt.Errorf("%w: bootconfig %s: %w", ErrConfig, name, err)
	}
	can, from, err := b.initramfs()
	if err != nil {
		return err
	}
	if can.Configured && !can.Bootconfig {
		return fmt.Errorf("%w: it cannot read a bootconfig (%s: CONFIG_BOOT_CONFIG is not set); put the parameters into its command line", ErrKernel, from)
	}
	size := int64(0)
	for _, s := range b.report.Segments {
		size += int64(len(s.Frame))
	}
	b.report.Segments = append(b.report.Segments, image.BootconfigSegment(text, size))
	return nil
}
