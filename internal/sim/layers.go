package sim

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/machine"

	"golang.org/x/sys/unix"
)

// More flags of mount(2).
const (
	remounted = 1 << 5
	bound     = 1 << 12
	moved     = 1 << 13
)

// below returns the filesystem that a path of the image's tree is on, and the
// path in it.
func (m *Machine) below(p string) (mount, string, bool) {
	best := ""
	for at := range m.mounted {
		if (p == at || strings.HasPrefix(p, at+"/")) && len(at) > len(best) {
			best = at
		}
	}
	return m.mounted[best], strings.TrimPrefix(p, best), best != ""
}

// remount moves a mount with what is mounted in it, or shows a directory in
// another place.
func (m *Machine) remount(mt machine.Mount) error {
	fail := func(err error) error { return fmt.Errorf("mount %s on %s: %w", mt.Source, mt.Target, err) }
	if mt.Flags&remounted != 0 {
		if _, ok := m.mounted[mt.Target]; !ok {
			return fail(unix.EINVAL)
		}
		return nil
	}
	if mt.Flags&moved == 0 {
		x, inside, ok := m.below(mt.Source)
		if !ok {
			return fail(fs.ErrNotExist)
		}
		files := map[string]string{}
		for p, text := range x.content.Files {
			if rest, ok := strings.CutPrefix(p, inside+"/"); ok {
				files["/"+rest] = text
			}
		}
		m.Mounts = append(m.Mounts, mt)
		m.mounted[mt.Target] = mount{content: &Disk{Files: files}, whole: x.whole}
		m.tellMounts()
		return nil
	}
	if _, ok := m.mounted[mt.Source]; !ok {
		return fail(unix.EINVAL)
	}
	for _, at := range slices.Collect(maps.Keys(m.mounted)) {
		if rest, ok := strings.CutPrefix(at, mt.Source); ok && (rest == "" || rest[0] == '/') {
			m.mounted[mt.Target+rest] = m.mounted[at]
			delete(m.mounted, at)
		}
	}
	m.Mounts = append(m.Mounts, mt)
	m.tellMounts()
	return nil
}

// merge gives an overlay the files of its layers, the first one hiding the
// others. Each layer has to be there, and the one that changes go to has to be
// somewhere that can be written.
func (m *Machine) merge(files map[string]string, options string) error {
	for o := range strings.SplitSeq(options, ",") {
		name, value, _ := strings.Cut(o, "=")
		for dir := range strings.SplitSeq(value, ":") {
			x, inside, ok := m.below(dir)
			switch {
			case name == "upperdir" && ok && x.device != nil:
				m.wrote(x.content, x.device, "an overlay")
			case name != "lowerdir":
			case !ok:
				return fs.ErrNotExist
			default:
				for p, text := range x.content.Files {
					if rest, ok := strings.CutPrefix(p, inside); ok && strings.HasPrefix(rest, "/") {
						if _, hidden := files[rest]; !hidden {
							files[rest] = text
						}
					}
				}
			}
		}
	}
	return nil
}

// Below is what is mounted on a directory of the image's tree, nil for
// nothing.
func (m *Machine) Below(dir string) *Disk {
	if x, ok := m.mounted[dir]; ok {
		if x.device != nil {
			return x.device
		}
		return x.content
	}
	return nil
}

// Loop implements machine.Storage: a file's content is what Images says of it.
func (m *Machine) Loop(root, file string, offset uint64, readOnly bool) (string, error) {
	if f := m.fault(OperationFails, "loop "+file); f != nil {
		return "", f.err()
	}
	where, text, dir, err := m.find(root, file)
	if err != nil {
		return "", err
	}
	image := m.Images[text]
	if dir || image == nil {
		return "", fmt.Errorf("%s is not a regular file", where)
	}
	if offset != 0 {
		return "", fmt.Errorf("%s: %w", where, unix.EINVAL)
	}
	number := len(m.loops)
	m.loops = append(m.loops, file)
	image.Name, image.major, image.minor = "loop"+strconv.Itoa(number), 7, number
	image.ReadOnly = image.ReadOnly || readOnly
	image.Attrs = map[string]string{"loop/backing_file": file}
	image.devpath = "/devices/virtual/block/" + image.Name
	m.plugged(image)
	return image.Node(), nil
}

// ramdisk makes the device appear that a driver of ramdisks brings along: it
// has a size, or waits for one.
func (m *Machine) ramdisk(module string) {
	d := &Disk{Size: 16 << 20, major: 1}
	switch module {
	case "brd":
		d.Name = "ram0"
	case "zram":
		d.Name, d.major = "zram0", 254
	default:
		return
	}
	if m.disks["/dev/"+d.Name] != nil {
		return
	}
	if m.RAMDisk != 0 {
		d.Size = m.RAMDisk
	}
	d.devpath = "/devices/virtual/block/" + d.Name
	m.plugged(d)
	m.sys.put(m.sys.place(d.devpath), "/disksize", "0")
}

// TreeFile is a file below a directory, by its path from there.
type TreeFile struct{ Path, Text string }

// FilesBelow lists the files below a directory of the image's tree, sorted, for
// programs that read directories.
func (m *Machine) FilesBelow(dir string) []TreeFile {
	x, inside, ok := m.below(dir)
	if !ok || x.content == nil {
		return nil
	}
	var list []TreeFile
	for _, p := range slices.Sorted(maps.Keys(x.content.Files)) {
		if rest, ok := strings.CutPrefix(p, inside); ok && strings.HasPrefix(rest, "/") {
			list = append(list, TreeFile{rest, x.content.Files[p]})
		}
	}
	return list
}

// PutFile writes a file into what is mounted, for programs that do.
func (m *Machine) PutFile(p, text string) error {
	x, inside, ok := m.below(p)
	if !ok || x.content == nil || x.device != nil && x.device.ReadOnly {
		return fmt.Errorf("write %s: %w", p, unix.EROFS)
	}
	if x.device != nil {
		m.wrote(x.content, x.device, "a program")
	}
	x.content.Files[inside] = text
	return nil
}

// Number is the device number of a node, as tables of the device mapper name it.
func (m *Machine) Number(node string) string {
	if d := m.disks[node]; d != nil {
		return strconv.Itoa(d.major) + ":" + strconv.Itoa(d.minor)
	}
	return ""
}
