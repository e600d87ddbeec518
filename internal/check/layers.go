package check

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/machine"
)

// remount moves a mount with what is mounted in it, or shows a directory in
// another place.
func (w *world) remount(m machine.Mount) error {
	if m.Flags&unix.MS_REMOUNT != 0 {
		return nil
	}
	if m.Flags&unix.MS_MOVE == 0 {
		w.mounted = append(w.mounted, &mounted{point: m.Target, why: "it shows a directory of another filesystem"})
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
					over.disk, over.from, over.why, over.fstype = x.disk, x.from, x.why, x.fstype
				}
			}
		}
	}
	return over
}

// loopMajor is the device number of loop devices (Documentation/admin-guide/
// devices.txt of Linux).
const loopMajor = 7

// Loop implements machine.Storage. What is in a file of the image is known, and
// what is in one of a disk if the snapshot was taken while it was such a device.
func (w *world) Loop(root, file string, _ uint64, _ bool) (string, error) {
	full := path.Join(root, file)
	source := full
	if from, ok := w.copied[full]; ok {
		source = from
	}
	number := uint32(0)
	for w.disks["/dev/loop"+strconv.Itoa(int(number))] != nil {
		number++
	}
	name := "loop" + strconv.Itoa(int(number))
	d := &disk{w: w, name: name, devpath: "/devices/virtual/block/" + name, major: loopMajor, minor: number}
	if w.ofImage(d, source) {
		d.origin = w.sameLoop(full)
	} else if origin := w.sameLoop(full); origin != "" {
		d.holding(origin)
		d.size = d.contentSize()
	} else {
		return "", fmt.Errorf("%s in %s: a snapshot does not have what is in this file", file, root)
	}
	w.stack(d, map[string]string{"loop/backing_file": full, "ro": "1"})
	w.live.Set(d.devpath+"/size", strconv.FormatInt(d.size>>9, 10))
	w.uevent("add", d.devpath)
	w.uevent("change", d.devpath)
	return d.node(), nil
}

// sameLoop finds the loop device of the snapshot that is that file, or "".
func (w *world) sameLoop(file string) string {
	names, _ := w.snap.Sys.List("/class/block")
	for _, n := range names {
		if of, err := w.snap.Sys.Read("/class/block/" + n + "/loop/backing_file"); err == nil && strings.TrimSuffix(of, " (deleted)") == file {
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

// ramdisks makes the devices that a driver brings along: those of memory.
func (w *world) ramdisks(names []string) {
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
