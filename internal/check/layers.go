package check

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/image/cpio"
	"firstlight/internal/machine"
	"firstlight/internal/snapshot"
)

// remount moves a mount with what is mounted in it, or shows a directory in
// another place.
func (w *world) remount(m machine.Mount) error {
	if m.Flags&unix.MS_REMOUNT != 0 {
		if at, rel := w.within(path.Clean(m.Target)); at != nil && rel == "/" && m.Flags&unix.MS_BIND == 0 {
			at.ro = m.Flags&unix.MS_RDONLY != 0
		}
		return nil
	}
	if m.Flags&unix.MS_MOVE == 0 {
		at, rel := w.within(path.Clean(m.Source))
		if at == nil {
			return fmt.Errorf("bind %s to %s: %w", m.Source, m.Target, unix.ENOENT)
		}
		x := *at
		x.point, x.sub = m.Target, path.Join("/", at.sub, rel)
		w.mounted = append(w.mounted, &x)
		w.tellMounts()
		return nil
	}
	found := false
	for _, x := range w.mounted {
		if rest, ok := strings.CutPrefix(x.point, m.Source); ok && (rest == "" || rest[0] == '/') {
			x.point, found = m.Target+rest, true
		}
	}
	if !found {
		return fmt.Errorf("move %s to %s: %w", m.Source, m.Target, unix.EINVAL)
	}
	w.tellMounts()
	return nil
}

// inMemory is a filesystem in memory: as long as nobody makes anything in it,
// nothing is there.
func inMemory(m machine.Mount) *mounted {
	return &mounted{point: m.Target, fstype: m.FSType, memory: true, from: &snapshot.Mount{FSType: m.FSType, Entries: map[string]snapshot.Entry{}}}
}

// make notes what the boot makes in a filesystem in memory, with the directories
// on the way.
func (w *world) make(p string, e snapshot.Entry) {
	at, rel := w.within(path.Clean(p))
	if at == nil || !at.memory {
		return
	}
	rel = path.Join("/", at.sub, rel)
	at.from.Entries[rel] = e
	for up := path.Dir(rel); up != "/"; up = path.Dir(up) {
		at.from.Entries[up] = snapshot.Entry{Mode: cpio.TypeDir | 0o755}
	}
}

// overlaid is an overlay: of what is below it everything shows.
func (w *world) overlaid(m machine.Mount) *mounted {
	over := &mounted{point: m.Target, why: "what is below the overlay is not known"}
	for o := range strings.SplitSeq(m.Data, ",") {
		dirs, ok := strings.CutPrefix(o, "lowerdir=")
		if !ok {
			continue
		}
		for dir := range strings.SplitSeq(dirs, ":") {
			for _, x := range w.mounted {
				if x.point == path.Clean(dir) {
					over.disk, over.from, over.why, over.fstype, over.sub, over.memory, over.ro = x.disk, x.from, x.why, x.fstype, x.sub, x.memory, x.ro
				}
			}
		}
		switch together := w.together(dirs); {
		case together != nil:
			over.from, over.why, over.sub, over.memory = together, "", "", false
		case strings.Contains(dirs, ":"):
			over.from, over.why = nil, "what the layers of the root make together is not in the snapshot"
		}
	}
	return over
}

// together is what the snapshot has of an overlay over the same layers, where
// they are several: what shows of each of them depends on the others.
func (w *world) together(dirs string) *snapshot.Mount {
	if !strings.Contains(dirs, ":") {
		return nil
	}
	for _, m := range w.snap.Mounts {
		if m.FSType == "overlay" && m.Entries != nil && slices.Contains(strings.Split(m.Options, ","), "lowerdir="+dirs) {
			return m
		}
	}
	return nil
}

// loopMajor is the device number of loop devices (Documentation/admin-guide/
// devices.txt of Linux).
const loopMajor = 7

// Loop implements machine.Storage. What is in a file of the image is known, and
// what is in one of a disk as far as the snapshot was taken while it was such a
// device.
func (w *world) Loop(root, file string, offset uint64, readOnly bool) (string, error) {
	if !w.modules.there("loop") {
		return "", fmt.Errorf("make %s a block device: %w", file, unix.ENOENT)
	}
	full := path.Join(root, file)
	source, copied := w.copied[full]
	if !copied {
		source = full
	}
	number := uint32(0)
	for w.disks["/dev/loop"+strconv.Itoa(int(number))] != nil {
		number++
	}
	name := "loop" + strconv.Itoa(int(number))
	d := &disk{w: w, name: name, devpath: "/devices/virtual/block/" + name, major: loopMajor, minor: number}
	origin := w.backedBy(file)
	if w.ofImage(d, source) {
		d.origin = origin
	} else {
		if !copied {
			if err := w.loopable(root, file, offset); err != nil {
				return "", err
			}
		}
		if origin == "" {
			w.unknown = addOnce(w.unknown, "what is in the file "+file+" is not known: it was no block device when the snapshot was taken")
			return "", fmt.Errorf("what is in %s: %w", file, errHidden)
		}
		d.holding(origin)
		d.size = d.contentSize()
	}
	w.stack(d, map[string]string{"loop/backing_file": full})
	w.live.Set(d.devpath+"/size", strconv.FormatInt(d.size>>9, 10))
	if readOnly {
		w.live.Set(d.devpath+"/ro", "1")
	}
	w.uevent("add", d.devpath)
	w.uevent("change", d.devpath)
	return d.node(), nil
}

// loopable says why a file of a mounted filesystem cannot be a loop device.
func (w *world) loopable(root, file string, offset uint64) error {
	at, e, err := w.find(root, file)
	switch {
	case err != nil:
		w.miss(root, at, err)
		return fmt.Errorf("open %s in %s: %w", file, root, err)
	case e.Mode&cpio.TypeMask != cpio.TypeRegular:
		return fmt.Errorf("%s in %s is not a regular file", file, root)
	case offset >= uint64(e.Size):
		return fmt.Errorf("%s ends before byte %d, with which the root should begin", file, offset)
	}
	return nil
}

// backedBy finds the loop device of the snapshot that shows a file: where its
// filesystem was mounted then does not matter.
func (w *world) backedBy(file string) string {
	names, _ := w.snap.Sys.List("/class/block")
	for _, n := range names {
		v, err := w.snap.Sys.Read("/class/block/" + n + "/loop/backing_file")
		v = strings.TrimSuffix(v, " (deleted)")
		if err == nil && (v == file || strings.HasSuffix(v, path.Clean("/"+file))) {
			return n
		}
	}
	return ""
}

// ofImage gives the disk the content of a file of the image, if that is one.
func (w *world) ofImage(d *disk, file string) bool {
	if m, _ := w.within(file); m != nil {
		return false
	}
	data, err := w.im.content(file)
	if err != nil {
		return false
	}
	d.size = int64(len(data)) &^ 511
	d.lower = bytes.NewReader(data).ReadAt
	return true
}

// contentSize is the size of what the snapshot has of the disk, in bytes.
func (d *disk) contentSize() int64 {
	if d.content == nil {
		return 0
	}
	return d.content.Size
}

// brought makes what a driver brings along: devices of memory, and what tells ZFS
// who the machine is.
func (w *world) brought(names []string) {
	if slices.Contains(names, "spl") || slices.Contains(names, "zfs") {
		w.live.Set("/module/spl/parameters/spl_hostid", "0")
	}
	cfg, _ := w.im.config(w.cfg.Cmdline)
	for _, module := range names {
		name, size := "", int64(0)
		switch module {
		case "brd":
			name, size = "ram0", 16<<20 // CONFIG_BLK_DEV_RAM_SIZE of Debian's kernels
			for _, p := range cfg.Modules.Params["brd"] {
				if kib, ok := strings.CutPrefix(p, "rd_size="); ok {
					if n, err := strconv.ParseInt(kib, 10, 40); err == nil {
						size = n << 10
					}
				}
			}
		case "zram":
			name = "zram0"
		default:
			continue
		}
		d := &disk{w: w, name: name, devpath: "/devices/virtual/block/" + name, size: size, major: 1, why: "it is empty memory"}
		if module == "zram" {
			d.major = 254
		}
		if w.disks[d.node()] != nil {
			continue
		}
		d.lower = func(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }
		w.stack(d, map[string]string{"disksize": "0"})
		w.live.Set(d.devpath+"/size", strconv.FormatInt(size>>9, 10))
		w.uevent("add", d.devpath)
	}
}

// fillRAM copies a file of the image to a ramdisk.
func (w *world) fillRAM(node, file string) error {
	d := w.disks[node]
	if d == nil {
		return fmt.Errorf("open %s: %w", node, fs.ErrNotExist)
	}
	room := d.size
	if text, err := w.live.Read(d.devpath + "/disksize"); err == nil && text != "0" {
		room, _ = strconv.ParseInt(text, 10, 62)
	}
	if !w.ofImage(d, file) {
		return fmt.Errorf("%s: a snapshot does not have what is in this file", file)
	}
	if d.size > room {
		return fmt.Errorf("%s: %w", node, unix.ENOSPC)
	}
	if w.snap.Sys.Exists("/class/block/" + d.name) {
		d.origin = d.name
	}
	return nil
}
