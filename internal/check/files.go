package check

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/blkid"
	"firstlight/internal/btrfsfmt"
	"firstlight/internal/fstab"
	"firstlight/internal/image/cpio"
	"firstlight/internal/machine"
	"firstlight/internal/snapshot"
)

// mounted is a filesystem that the boot has mounted.
type mounted struct {
	point string // in the image's tree: "/sysroot", "/sysroot/usr"
	disk  *disk
	from  *snapshot.Mount // what the snapshot knows of it, or nil
	why   string          // why it knows nothing

	fstype string // as the kernel was asked for it
	sub    string // the directory of it that shows, "" for all
	ro     bool   // mounted without leave to write
	memory bool   // it is in memory: empty but for what the boot makes in it
}

// kernelTypes are the names under which the kernel mounts what blkid calls by
// another one.
var kernelTypes = map[string]string{"ext2": "ext4", "ext3": "ext4", "ntfs": "ntfs3"}

// sums is what the kernel asks for by itself when it mounts a filesystem: the
// check sums in its metadata.
var sums = map[string]string{"ext4": "crc32c", "btrfs": "crc32c", "xfs": "crc32c", "f2fs": "crc32"}

// Mount implements machine.Mounts, with the kernel's errors.
func (w *world) Mount(m machine.Mount) error {
	fail := func(err error) error {
		return fmt.Errorf("mount %s on %s as %s: %w", m.Source, m.Target, m.FSType, err)
	}
	if m.Flags&(unix.MS_MOVE|unix.MS_BIND|unix.MS_REMOUNT) != 0 {
		return w.remount(m)
	}
	if !w.hasFilesystem(m.FSType) && !w.request("fs-"+m.FSType) {
		return fail(unix.ENODEV)
	}
	w.devices.settle()
	d := w.disk(m.Source)
	if d == nil {
		if strings.HasPrefix(m.Source, "/") {
			return fail(unix.ENOENT)
		}
		x := &mounted{point: m.Target, why: "it is no filesystem of a disk"}
		switch m.FSType {
		case "overlay":
			x = w.overlaid(m)
		case "tmpfs", "ramfs":
			x = inMemory(m)
		}
		w.mounted = append(w.mounted, x)
		w.tellMounts()
		return nil
	}
	res, err := blkid.ProbeWith(d, d.size, blkid.Options{SectorSize: d.sector()})
	if err != nil {
		return fail(err)
	}
	typ := res.Type()
	if t, ok := kernelTypes[typ]; ok {
		typ = t
	}
	if want := m.FSType; typ != want && kernelTypes[want] != typ {
		return fail(unix.EINVAL)
	}
	if name := w.refused(m.FSType, m.Data); name != "" {
		return fail(fmt.Errorf("the kernel's driver knows no option %s: %w", name, unix.EINVAL))
	}
	if sum := sums[typ]; sum != "" && w.modular(typ) && !w.request("crypto-"+sum) {
		return fail(unix.ENOENT)
	}
	if typ == "vfat" && w.modular(typ) {
		for _, table := range w.charsets(m.Data) {
			if !w.request(table) {
				return fail(unix.EINVAL)
			}
		}
	}
	if m.FSType == "btrfs" {
		if all, err := w.btrfsComplete(d, btrfsfmt.Read(d).Seeds); err != nil || !all && !hasOption(m.Data, "degraded") {
			if only, ok := w.alone(d); err != nil || !ok || !only {
				return fail(unix.EINVAL)
			}
		}
	}
	if typ == "btrfs" && w.noSubvolume(d, m.Data) {
		return fail(unix.ENOENT)
	}
	x := &mounted{point: m.Target, disk: d, fstype: m.FSType, ro: m.Flags&unix.MS_RDONLY != 0}
	x.from, x.why = w.recorded(d, m.Data)
	w.mounted = append(w.mounted, x)
	w.tellMounts()
	return nil
}

// modular says whether a filesystem's driver is a module: what is part of the
// kernel has its check sums with it.
func (w *world) modular(fstype string) bool {
	return w.modules.loaded[strings.ReplaceAll(fstype, "-", "_")]
}

// alone says whether a btrfs filesystem has one device only.
func (w *world) alone(d *disk) (only, ok bool) {
	_, n, err := btrfsMembers(d)
	return n == 1, err == nil
}

func hasOption(data, name string) bool { return slices.Contains(strings.Split(data, ","), name) }

// tellMounts tells the core of the mount points that there are.
func (w *world) tellMounts() {
	var points []string
	for _, m := range w.mounted {
		points = append(points, m.point)
	}
	w.later(0, func() { w.core.Mounts(points) })
}

// Unmount implements machine.Mounts.
func (w *world) Unmount(target string, _ bool) error {
	for i := len(w.mounted) - 1; i >= 0; i-- {
		if w.mounted[i].point == target {
			w.mounted = slices.Delete(w.mounted, i, i+1)
			w.tellMounts()
			return nil
		}
	}
	return fmt.Errorf("unmount %s: %w", target, unix.EINVAL)
}

// recorded finds what the snapshot knows of the filesystem on a device, in the
// directory of it that would be mounted.
func (w *world) recorded(d *disk, data string) (*snapshot.Mount, string) {
	of := func(m *snapshot.Mount) bool {
		return w.snapDevice(m) == d.origin && d.origin != "" || w.sameBtrfs(m, d)
	}
	for _, m := range w.snap.Aside {
		if m.Root == snapshot.SubvolumeKey(data) && m.Entries != nil && of(m) {
			return m, ""
		}
	}
	var candidates []*snapshot.Mount
	for _, m := range w.snap.Mounts {
		if of(m) {
			candidates = append(candidates, m)
		}
	}
	if len(candidates) == 0 {
		return nil, "it was not mounted when the snapshot was taken"
	}
	subvol := snapshot.SubvolumeKey(data)
	named := subvol != ""
	for _, m := range candidates {
		switch {
		case m.FSType != "btrfs" && m.Root == "/", named && m.Root == subvol:
			return m, ""
		case m.FSType == "btrfs" && !named:
			// Without an option the default subvolume is mounted; which one
			// that is shows if the running system was started so as well.
			if snapshot.SubvolumeKey(w.snapFlags()) == "" && (m.Point == "/" || len(candidates) == 1) {
				return m, ""
			}
		}
	}
	if named {
		return nil, "no directory " + subvol + " of it was mounted when the snapshot was taken"
	}
	return nil, "which of its directories would be mounted is not known"
}

// snapFlags are the rootflags= that the running system was started with.
func (w *world) snapFlags() string {
	cfg, _ := w.im.config(w.snap.Cmdline)
	return cfg.Root.Flags
}

// noSubvolume says whether the snapshot knows that a btrfs has no subvolume of
// the name that mount options ask for.
func (w *world) noSubvolume(d *disk, data string) bool {
	return slices.ContainsFunc(w.snap.Aside, func(m *snapshot.Mount) bool {
		return m.Entries == nil && m.Root == snapshot.SubvolumeKey(data) && (w.snapDevice(m) == d.origin && d.origin != "" || w.sameBtrfs(m, d))
	})
}

// snapDevice is the kernel's name in the snapshot of the device of a mount.
func (w *world) snapDevice(m *snapshot.Mount) string {
	sys := w.snap.Sys
	names, _ := sys.List("/class/block")
	for _, n := range names {
		if v, err := sys.Read("/class/block/" + n + "/dev"); err == nil && v == m.Devnum {
			return n
		}
		if mapped, ok := strings.CutPrefix(m.Source, "/dev/mapper/"); ok && strings.HasPrefix(m.Devnum, "0:") {
			if v, err := sys.Read("/class/block/" + n + "/dm/name"); err == nil && v == mapped {
				return n
			}
		}
	}
	if strings.HasPrefix(m.Devnum, "0:") {
		return strings.TrimPrefix(m.Source, "/dev/")
	}
	return ""
}

// sameBtrfs says whether a mount is of the filesystem that a device belongs
// to, through another member of it.
func (w *world) sameBtrfs(m *snapshot.Mount, d *disk) bool {
	if m.FSType != "btrfs" {
		return false
	}
	b := w.snap.Block(w.snapDevice(m))
	if b == nil {
		return false
	}
	one, _, err1 := btrfsMembers(b)
	two, _, err2 := btrfsMembers(d)
	return err1 == nil && err2 == nil && one == two
}

// errHidden says that the snapshot does not know a file.
var errHidden = fmt.Errorf("what is there is not known: %w", snapshot.ErrNotTaken)

// entryAt finds a file below root without following a link at its end; the
// filesystem that it is in decides what is known.
func (w *world) entryAt(root, p string) (snapshot.Entry, error) {
	best, rel := w.within(path.Join(root, p))
	if best == nil {
		return snapshot.Entry{}, fs.ErrNotExist
	}
	if rel == "/" {
		return snapshot.Entry{Mode: cpio.TypeDir | 0o755}, nil
	}
	if best.from == nil {
		w.unknown = addOnce(w.unknown, "what is in the filesystem that would be mounted on "+shownPoint(best.point)+" is not known: "+best.why)
		return snapshot.Entry{}, errHidden
	}
	rel = path.Join(best.sub, rel)
	e, ok := best.from.Entries[rel]
	if !ok && best.memory {
		return e, fs.ErrNotExist
	}
	if !ok && best.from.Point != "" && w.snap.MountAt(path.Join(best.from.Point, rel)) != nil {
		return snapshot.Entry{Mode: cpio.TypeDir | 0o755}, nil // covered by a mount, so it is a directory
	}
	if !ok {
		w.unknown = addOnce(w.unknown, "the snapshot did not look at "+rel+" in the filesystem that would be mounted on "+shownPoint(best.point))
		return snapshot.Entry{}, errHidden
	}
	if e.Mode == 0 {
		return e, fs.ErrNotExist
	}
	return e, nil
}

// within finds the filesystem that a path is in, and the path from its top.
func (w *world) within(full string) (*mounted, string) {
	var best *mounted
	for _, m := range w.mounted {
		if (full == m.point || strings.HasPrefix(full, m.point+"/")) && (best == nil || len(m.point) >= len(best.point)) {
			best = m
		}
	}
	if best == nil {
		return nil, ""
	}
	return best, path.Clean("/" + strings.TrimPrefix(full, best.point))
}

// shownPoint is a mount point as the real system has it.
func shownPoint(p string) string {
	if in, ok := strings.CutPrefix(p, "/sysroot"); ok {
		return path.Clean("/" + in)
	}
	return p
}

// find follows every link of a path inside root. Where it cannot go on it returns
// how far it came, with what was left of the path.
func (w *world) find(root, p string) (string, snapshot.Entry, error) {
	rest := strings.Split(strings.Trim(path.Clean("/"+p), "/"), "/")
	at := "/"
	for links := 0; len(rest) > 0; {
		if rest[0] == "" || rest[0] == "." {
			rest = rest[1:]
			continue
		}
		if rest[0] == ".." {
			at, rest = path.Dir(at), rest[1:]
			continue
		}
		next := path.Join(at, rest[0])
		rest = rest[1:]
		e, err := w.entryAt(root, next)
		if err != nil {
			return path.Join(next, path.Join(rest...)), e, err
		}
		if e.Link == "" {
			at = next
			if len(rest) == 0 {
				return at, e, nil
			}
			continue
		}
		if links++; links > 40 {
			return next, e, unix.ELOOP
		}
		if path.IsAbs(e.Link) {
			at = "/"
		}
		rest = append(strings.Split(e.Link, "/"), rest...)
	}
	e, err := w.entryAt(root, at)
	return at, e, err
}

// InRoot implements machine.Files. The image's own tree is looked at for "/".
func (w *world) InRoot(root, p string) (machine.FileInfo, error) {
	if root == "/" {
		f := w.im.get(p)
		if f == nil {
			return machine.FileInfo{}, fmt.Errorf("open %s: %w", p, fs.ErrNotExist)
		}
		return machine.FileInfo{Path: p, Mode: fileMode(f.mode), Size: f.size}, nil
	}
	at, e, err := w.find(root, p)
	if err != nil {
		w.miss(root, at, err)
		return machine.FileInfo{}, fmt.Errorf("open %s in %s: %w", p, root, err)
	}
	return machine.FileInfo{Path: at, Mode: fileMode(e.Mode), Size: e.Size}, nil
}

// ReadInRoot implements machine.Files.
func (w *world) ReadInRoot(root, p string, limit int64) ([]byte, error) {
	at, e, err := w.find(root, p)
	switch {
	case err != nil:
		w.miss(root, at, err)
		return nil, fmt.Errorf("open %s in %s: %w", p, root, err)
	case e.Mode&cpio.TypeMask == cpio.TypeDir:
		return nil, fmt.Errorf("read %s in %s: %w", p, root, unix.EISDIR)
	case e.Data == nil && e.Size > 0:
		w.unknown = addOnce(w.unknown, "the content of "+p+" is not in the snapshot")
		w.miss(root, at, errHidden)
		return nil, fmt.Errorf("read %s in %s: %w", p, root, errHidden)
	case int64(len(e.Data)) > limit || e.Secret && e.Size > limit:
		return nil, fmt.Errorf("%s is larger than %d bytes", p, limit)
	}
	data := slices.Clone(e.Data)
	if e.Secret && e.Size > int64(len(data)) {
		data = append(data, make([]byte, e.Size-int64(len(data)))...)
	}
	return data, nil
}

// miss notes a file that the boot looks for and the snapshot knows nothing of.
func (w *world) miss(root, p string, err error) {
	at, rel := w.within(path.Join(root, p))
	if !errors.Is(err, snapshot.ErrNotTaken) || at == nil || at.disk == nil || at.disk.origin == "" {
		return
	}
	f := snapshot.File{Device: at.disk.origin, FSType: at.fstype, Path: path.Join("/", at.sub, rel)}
	if !slices.Contains(w.unseen, f) {
		w.unseen = append(w.unseen, f)
	}
}

// fileMode turns the bits of stat(2) into a fs.FileMode.
func fileMode(m uint32) fs.FileMode {
	out := fs.FileMode(m & 0o777)
	switch m & cpio.TypeMask {
	case cpio.TypeDir:
		out |= fs.ModeDir
	case cpio.TypeSymlink:
		out |= fs.ModeSymlink
	case cpio.TypeChar:
		out |= fs.ModeDevice | fs.ModeCharDevice
	case cpio.TypeBlock:
		out |= fs.ModeDevice
	case cpio.TypeFIFO:
		out |= fs.ModeNamedPipe
	case cpio.TypeSocket:
		out |= fs.ModeSocket
	}
	return out
}

// rootFstab is the fstab of the root that the boot has mounted.
func (w *world) rootFstab() []fstab.Entry {
	for _, m := range w.mounted {
		if m.point == "/sysroot" && m.from != nil {
			entries, _ := fstab.Parse("/etc/fstab", string(m.from.Entries["/etc/fstab"].Data))
			return entries
		}
	}
	return nil
}

// CopyFile implements machine.Files. Of what is on disks a snapshot has only
// what a boot reads, and of the image's own files everything.
func (w *world) CopyFile(root, file, target string, how int) (string, error) {
	if _, err := w.InRoot(root, file); err != nil {
		return "", err
	}
	if how&machine.CopySum != 0 {
		w.unsure = addOnce(w.unsure, "the sum of "+file+" is not known")
	}
	switch {
	case strings.HasPrefix(target, "/dev/"):
		return "", w.fillRAM(target, path.Join(root, file))
	case target != "":
		if w.copied == nil {
			w.copied = map[string]string{}
		}
		w.copied[target] = path.Join(root, file)
	}
	return "", nil
}

// Empty implements machine.Files: what is removed is nothing that a boot needs.
func (w *world) Empty(string) error { return nil }
