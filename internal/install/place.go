package install

import (
	"path"
	"slices"
	"strings"
)

// System is what says where a system's boot loader looks for images.
type System struct {
	ID     string   // of os-release(5)
	IDLike []string // the same
}

// ParseSystem reads os-release(5).
func ParseSystem(text string) System {
	var s System
	for line := range strings.Lines(text) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		v = strings.Trim(v, `"'`)
		switch k {
		case "ID":
			s.ID = v
		case "ID_LIKE":
			s.IDLike = strings.Fields(v)
		}
	}
	return s
}

func (s System) is(names ...string) bool {
	return slices.ContainsFunc(append([]string{s.ID}, s.IDLike...), func(id string) bool { return slices.Contains(names, id) })
}

// Place is where the boot loader's configuration of a distribution expects the
// image of a kernel, below the directory boot. pkgbase is the name of the
// kernel's package, where the kernel's module directory has it (Arch), else "".
func (s System) Place(boot, kernel, pkgbase string) string {
	switch {
	case s.is("debian", "ubuntu"):
		return path.Join(boot, "initrd.img-"+kernel)
	case s.is("suse", "opensuse"):
		return path.Join(boot, "initrd-"+kernel)
	case s.is("arch") && pkgbase != "":
		return path.Join(boot, "initramfs-"+pkgbase+".img")
	case s.is("alpine"):
		// 6.12.1-0-lts is of the package linux-lts.
		return path.Join(boot, "initramfs-"+kernel[strings.LastIndexByte(kernel, '-')+1:])
	}
	return path.Join(boot, "initramfs-"+kernel+".img") // Fedora, Gentoo, Void and others
}

// EFISystemPartitions are the places where one is mounted, the first that has a
// directory EFI counts.
func EFISystemPartitions() []string { return []string{"/efi", "/boot/efi", "/boot", "/esp"} }

// UnifiedPlace is where boot loaders look for unified kernel images (Boot Loader
// Specification, type 2) on the EFI system partition esp. token is what tells the
// images of several systems apart.
func UnifiedPlace(esp, token, kernel string) string {
	return path.Join(esp, "EFI/Linux", token+"-"+kernel+".efi")
}

// KernelFiles are the places where the file of a kernel may be.
func KernelFiles(boot, modules, kernel, pkgbase string) []string {
	out := []string{path.Join(modules, kernel, "vmlinuz")}
	for _, name := range []string{"vmlinuz", "vmlinux", "kernel", "Image"} {
		out = append(out, path.Join(boot, name+"-"+kernel))
	}
	if pkgbase != "" {
		out = append(out, path.Join(boot, "vmlinuz-"+pkgbase))
	}
	if i := strings.LastIndexByte(kernel, '-'); i >= 0 {
		out = append(out, path.Join(boot, "vmlinuz"+kernel[i:]))
	}
	return out
}

// Newest returns the release that is the newest of some, "" if there are none:
// runs of digits are compared as numbers, and "~rc" comes before what has it not.
func Newest(releases []string) string {
	if len(releases) == 0 {
		return ""
	}
	return slices.MaxFunc(releases, compareReleases)
}

func compareReleases(a, b string) int {
	for a != "" || b != "" {
		ta, tb := text(&a), text(&b)
		if ta != tb {
			return strings.Compare(rank(ta), rank(tb))
		}
		na, nb := digits(&a), digits(&b)
		if len(na) != len(nb) {
			return len(na) - len(nb)
		}
		if c := strings.Compare(na, nb); c != 0 {
			return c
		}
	}
	return 0
}

// rank makes a text that can be compared: a tilde is before the end, and a
// release candidate before the release, however it is written.
func rank(s string) string {
	s = strings.ReplaceAll(s, "-rc", "~rc")
	return strings.ReplaceAll(s, "~", "\x00") + "\x01"
}

// text cuts off what is before the first digit, digits the number there.
func text(s *string) string {
	i := strings.IndexAny(*s, "0123456789")
	if i < 0 {
		i = len(*s)
	}
	t := (*s)[:i]
	*s = (*s)[i:]
	return t
}

func digits(s *string) string {
	i := 0
	for i < len(*s) && (*s)[i] >= '0' && (*s)[i] <= '9' {
		i++
	}
	t := strings.TrimLeft((*s)[:i], "0")
	*s = (*s)[i:]
	return t
}
