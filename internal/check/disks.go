package check

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/btrfsfmt"
	"firstlight/internal/machine"
	"firstlight/internal/snapshot"
)

// disk is a block device of the modelled machine.
type disk struct {
	w       *world
	name    string // the kernel's, here
	origin  string // the kernel's in the snapshot, "" when it was not there
	devpath string
	major   uint32
	minor   uint32
	size    int64
	content *snapshot.Block // nil: read through lower, or unknown
	lower   func(p []byte, off int64) (int, error)
	why     string           // why the content is not known
	slots   []snapshot.Range // keyslots whose material the snapshot does not have
}

func (d *disk) node() string { return "/dev/" + strings.ReplaceAll(d.name, "!", "/") }

// ReadAt reads what the snapshot has.
func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	var n int
	var err error
	if d.keyless(off, int64(len(p))) {
		return 0, fmt.Errorf("read %s: its key material is %w", d.node(), snapshot.ErrNotTaken)
	}
	switch {
	case d.content != nil:
		n, err = d.content.ReadAt(p, off)
	case d.lower != nil:
		n, err = d.lower(p, off)
	default:
		err = fmt.Errorf("read %s: %s: %w", d.node(), d.why, snapshot.ErrNotTaken)
	}
	if errors.Is(err, snapshot.ErrNotTaken) {
		why := d.why
		if why == "" && d.content != nil {
			why = d.content.Problem
		}
		if why == "" {
			why = "the snapshot has only a part of it"
		}
		d.w.unknown = addOnce(d.w.unknown, "what is on "+d.node()+" is not known: "+why)
	}
	return n, err
}

// keyless says whether key material would be read that the snapshot does not
// have: a key file of the image cannot be tried then.
func (d *disk) keyless(off, n int64) bool {
	for _, s := range d.slots {
		if off == s.Off && n <= s.Len {
			text := "a key in the image opens " + d.node() + ", which could not be tried without the device's key material"
			d.w.conditions = addOnce(d.w.conditions, text)
			d.w.unknown = addOnce(d.w.unknown, "whether "+text)
			return true
		}
	}
	return false
}

// holding gives the disk the content of a device of the snapshot.
func (d *disk) holding(origin string) {
	d.origin, d.content, d.why = origin, d.w.snap.Block(origin), ""
	switch {
	case d.content == nil:
		d.why = "the snapshot does not have it"
	case snapshot.Removable(origin):
		d.content, d.lower = nil, func([]byte, int64) (int, error) { return 0, unix.ENOMEDIUM }
	case !d.content.KeyMaterial:
		d.slots = d.content.Keyslots()
	}
}

// block is an open device.
type block struct{ *disk }

func (block) Close() error      { return nil }
func (b block) Size() int64     { return b.size }
func (b block) SectorSize() int { return b.sector() }

func (d *disk) sector() int {
	if d.content != nil && d.content.Sector > 0 {
		return d.content.Sector
	}
	return 512
}

// OpenBlock implements machine.Storage. Links in /dev are followed.
func (w *world) OpenBlock(node string) (machine.Block, error) {
	d := w.disk(node)
	if d == nil {
		return nil, fmt.Errorf("open %s: %w", node, fs.ErrNotExist)
	}
	return block{d}, nil
}

// disk finds a block device by its node or a link to it.
func (w *world) disk(node string) *disk {
	for range 10 {
		if d := w.disks[node]; d != nil {
			return d
		}
		target, ok := w.links[node]
		if !ok {
			return nil
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(node), target)
		}
		node = target
	}
	return nil
}

// byNumber finds a block device by "major:minor" or by its node.
func (w *world) byNumber(text string) *disk {
	for _, d := range w.disks {
		if fmt.Sprintf("%d:%d", d.major, d.minor) == text {
			return d
		}
	}
	return w.disk(text)
}

// plug makes the block device of a device that has appeared.
func (w *world) plug(devpath string) *disk {
	d := &disk{w: w, name: path.Base(devpath), devpath: devpath}
	d.read(w.live)
	d.holding(d.name)
	if d.content != nil {
		d.size = d.content.Size
	}
	w.disks[d.node()] = d
	return d
}

// read takes number and size from sysfs.
func (d *disk) read(sys *snapshot.Tree) {
	text, _ := sys.Read(d.devpath + "/uevent")
	for line := range strings.SplitSeq(text, "\n") {
		k, v, _ := strings.Cut(line, "=")
		n, _ := strconv.ParseUint(v, 10, 32)
		switch k {
		case "MAJOR":
			d.major = uint32(n)
		case "MINOR":
			d.minor = uint32(n)
		}
	}
	if text, err := sys.Read(d.devpath + "/size"); err == nil {
		n, _ := strconv.ParseInt(text, 10, 64)
		d.size = n << 9
	}
}

// unplug takes a block device and its partitions away.
func (w *world) unplug(d *disk) {
	for node, other := range w.disks {
		if other != d && strings.HasPrefix(other.devpath, d.devpath+"/") {
			delete(w.disks, node)
			w.live.Remove("/class/block/" + other.name)
			w.uevent("remove", other.devpath)
		}
	}
	delete(w.disks, d.node())
	w.uevent("remove", d.devpath)
	w.live.Remove("/class/block/" + d.name)
	w.live.Remove("/block/" + d.name)
	w.live.Remove(d.devpath)
}

var errNoCommand = errors.New("the device does not know this command")

// Identify implements machine.Storage.
func (w *world) Identify(node string) ([]byte, error) {
	if d := w.disk(node); d != nil && d.content != nil && len(d.content.Identify) > 0 {
		return d.content.Identify, nil
	}
	return nil, errNoCommand
}

// Inquiry implements machine.Storage.
func (w *world) Inquiry(node string, vpd bool, page byte) ([]byte, error) {
	d := w.disk(node)
	if d == nil || d.content == nil {
		return nil, errNoCommand
	}
	key := ""
	if vpd {
		key = snapshot.PageName(page)
	}
	if b := d.content.Inquiry[key]; len(b) > 0 {
		return b, nil
	}
	return nil, errNoCommand
}

// btrfsMembers reads the identity of a btrfs filesystem and how many devices
// it has, from its superblock (at 64 KiB: fsid at 0x20, num_devices at 0x88).
func btrfsMembers(r io.ReaderAt) (fsid string, devices uint64, err error) {
	var sb [0x90]byte
	if _, err := r.ReadAt(sb[:], 64<<10); err != nil {
		return "", 0, err
	}
	for i := range 8 {
		devices |= uint64(sb[0x88+i]) << (8 * i)
	}
	return string(sb[0x20:0x30]), devices, nil
}

// BtrfsScan implements machine.Storage.
func (w *world) BtrfsScan(node string) error {
	if err := w.Load("btrfs"); err != nil {
		return err
	}
	d := w.disk(node)
	if d == nil {
		return fmt.Errorf("btrfs: %s: %w", node, fs.ErrNotExist)
	}
	w.scanned[d.node()] = true
	return nil
}

// BtrfsForget implements machine.Storage.
func (w *world) BtrfsForget(node string) error {
	if d := w.disk(node); d != nil {
		delete(w.scanned, d.node())
	}
	return nil
}

// BtrfsReady implements machine.Storage.
func (w *world) BtrfsReady(node string) (bool, error) {
	if err := w.Load("btrfs"); err != nil {
		return false, err
	}
	d := w.disk(node)
	if d == nil {
		return false, fmt.Errorf("btrfs: %s: %w", node, fs.ErrNotExist)
	}
	return w.btrfsComplete(d, nil)
}

// btrfsComplete says whether the kernel was told of every member; those of seeds,
// filesystems with these UUIDs, count too.
func (w *world) btrfsComplete(d *disk, seeds []string) (bool, error) {
	id, want, err := btrfsMembers(d)
	if err != nil {
		return false, err
	}
	have := uint64(0)
	for node := range w.scanned {
		if m := w.disks[node]; m != nil {
			if other, _, err := btrfsMembers(m); err == nil && (other == id || slices.Contains(seeds, btrfsfmt.UUIDText([]byte(other)))) {
				have++
			}
		}
	}
	return have >= want, nil
}
