package check

import (
	"fmt"
	"path"
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
	}
	return over
}

// Loop implements machine.Storage. What is in the file is what the loop device
// showed that the snapshot has of it.
func (w *world) Loop(root, file string, offset uint64, readOnly bool) (string, error) {
	if !w.modules.there("loop") {
		return "", fmt.Errorf("make %s a block device: %w", file, unix.ENOENT)
	}
	at, e, err := w.find(root, file)
	if err != nil {
		w.miss(root, at, err)
		return "", fmt.Errorf("open %s in %s: %w", file, root, err)
	}
	if e.Mode&cpio.TypeMask != cpio.TypeRegular {
		return "", fmt.Errorf("%s in %s is not a regular file", file, root)
	}
	if offset >= uint64(e.Size) {
		return "", fmt.Errorf("%s ends before byte %d, with which the root should begin", file, offset)
	}
	origin := w.backedBy(file)
	if origin == "" {
		w.unknown = addOnce(w.unknown, "what is in the file "+file+" is not known: it was no block device when the snapshot was taken")
		return "", fmt.Errorf("what is in %s: %w", file, errHidden)
	}
	name, minor := "", uint32(0)
	for name == "" || w.disks["/dev/"+name] != nil {
		name = fmt.Sprintf("loop%d", minor)
		minor++
	}
	d := &disk{w: w, name: name, devpath: "/devices/virtual/block/" + name, major: loopMajor, minor: minor - 1}
	w.stack(d, map[string]string{"loop/backing_file": path.Join(root, file)})
	d.holding(origin)
	if d.content != nil {
		d.size = d.content.Size
	}
	w.live.Set(d.devpath+"/size", strconv.FormatInt(d.size>>9, 10))
	if readOnly {
		w.live.Set(d.devpath+"/ro", "1")
	}
	w.uevent("add", d.devpath)
	w.uevent("change", d.devpath)
	return d.node(), nil
}

// loopMajor is the major number of loop devices.
const loopMajor = 7

// backedBy finds the loop device of the snapshot that shows a file: where its
// filesystem was mounted then does not matter.
func (w *world) backedBy(file string) string {
	names, _ := w.snap.Sys.List("/class/block")
	for _, n := range names {
		v, err := w.snap.Sys.Read("/class/block/" + n + "/loop/backing_file")
		if err == nil && (v == file || strings.HasSuffix(v, path.Clean("/"+file))) {
			return n
		}
	}
	return ""
}
