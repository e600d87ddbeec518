package image

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"firstlight/internal/image/pe"
)

// Container is what stands around the archives of an image file.
type Container struct {
	Sections   []pe.Section // of a unified kernel image, else none
	Bootconfig *Bootconfig  // behind the archives, or nil
	regions    []region
}

// region is a part of the file that the kernel is given as an initramfs, or as
// a part of one.
type region struct {
	section  string // its name in a unified kernel image
	from, to int64
}

// Bootconfig is the extra configuration behind the archives that the kernel
// reads (Documentation/admin-guide/bootconfig.rst).
type Bootconfig struct {
	Section string // the section of a unified kernel image that it is in
	Offset  int64  // in the file, in bytes
	Size    int64  // with what pads it, without the trailer
	Text    []byte
}

const (
	bootconfigMagic   = "#BOOTCONFIG\n"
	bootconfigTrailer = 4 + 4 + len(bootconfigMagic) // size and check sum, little-endian
)

// Open looks at what stands around the archives of an image: whether it is a
// unified kernel image, and whether a bootconfig follows.
func Open(b []byte) (*Container, error) {
	c := &Container{regions: []region{{to: int64(len(b))}}}
	if len(b) == 0 {
		return nil, fmt.Errorf("the file is empty: %w", ErrImage)
	}
	if pe.Is(b) {
		var err error
		if c.Sections, err = pe.Sections(b); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrImage, err)
		}
		if c.regions = initrdSections(c.Sections); len(c.regions) == 0 {
			return nil, fmt.Errorf("an EFI program (of the sections %s) without an initramfs: %w", names(c.Sections), ErrImage)
		}
	}
	for i := range c.regions {
		if err := c.bootconfig(b, &c.regions[i]); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func names(list []pe.Section) string {
	var out []string
	for _, s := range list {
		out = append(out, s.Name)
	}
	return strings.Join(out, " ")
}

// initrdSections are the parts that systemd-stub(7) hands to the kernel when
// nothing else is asked for: the microcode, then the initramfs. What follows a
// section .profile belongs to that profile; the first one is the default, and
// what it has takes the place of what all have.
func initrdSections(list []pe.Section) []region {
	found := map[string]region{}
	profile := -1
	for _, s := range list {
		switch s.Name {
		case ".profile":
			profile++
		case ".ucode", ".initrd":
			if _, twice := found[s.Name]; profile > 0 || twice && profile < 0 {
				continue
			}
			found[s.Name] = region{s.Name, s.Offset, s.Offset + s.Size}
		}
	}
	var out []region
	for _, name := range []string{".ucode", ".initrd"} {
		if r, ok := found[name]; ok && r.to > r.from {
			out = append(out, r)
		}
	}
	return out
}

// bootconfig finds the trailer at the end of a region, up to three bytes of
// padding behind it, and takes the configuration off the region.
func (c *Container) bootconfig(b []byte, r *region) error {
	for pad := range int64(4) {
		end := r.to - pad
		if end-int64(bootconfigTrailer) < r.from || !bytes.HasSuffix(b[:end], []byte(bootconfigMagic)) {
			continue
		}
		head := b[end-int64(bootconfigTrailer):]
		size, want := int64(binary.LittleEndian.Uint32(head)), binary.LittleEndian.Uint32(head[4:])
		from := end - int64(bootconfigTrailer) - size
		if from < r.from {
			return fmt.Errorf("a bootconfig of %d bytes, more than there are before its trailer: %w", size, ErrImage)
		}
		text := b[from : from+size]
		var sum uint32
		for _, v := range text {
			sum += uint32(v)
		}
		if sum != want {
			return fmt.Errorf("the check sum of the bootconfig is %08x instead of %08x: %w", sum, want, ErrImage)
		}
		c.Bootconfig = &Bootconfig{Section: r.section, Offset: from, Size: size, Text: bytes.TrimRight(text, "\x00")}
		r.to = from
		return nil
	}
	return nil
}

// Section returns the content of a section of a unified kernel image: of the
// profile that is the default, and of what all profiles share where that has none.
func (c *Container) Section(b []byte, name string) ([]byte, bool) {
	var found []byte
	ok, profile := false, -1
	for _, s := range c.Sections {
		if s.Name == ".profile" {
			profile++
		}
		if s.Name == name && s.Size > 0 && (!ok && profile < 0 || profile == 0) {
			found, ok = b[s.Offset:s.Offset+s.Size], true
		}
	}
	return found, ok
}

// Profiles says of each section which profile it belongs to: 0 is what counts by
// default and what all share, 1 the first that has to be chosen.
func (c *Container) Profiles() []int {
	out := make([]int, len(c.Sections))
	profile := -1
	for i, s := range c.Sections {
		if s.Name == ".profile" {
			profile++
		}
		out[i] = max(profile, 0)
	}
	return out
}

// SectionName is the name of a section among those of all profiles: "@1/.cmdline"
// where it is that of a profile that has to be chosen.
func SectionName(profile int, name string) string {
	if profile == 0 {
		return name
	}
	return fmt.Sprintf("@%d/%s", profile, name)
}
