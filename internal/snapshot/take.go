package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/kmodtree"
	"firstlight/internal/mountinfo"
	"firstlight/internal/sysfs"
	"firstlight/internal/sysroot"
)

// Device is an open block device.
type Device interface {
	io.ReaderAt
	io.Closer
	Size() int64     // bytes
	SectorSize() int // bytes of a logical sector
}

// Disks opens the machine's block devices, for reading only.
type Disks interface {
	// OpenBlock opens a device by its node, "/dev/sda".
	OpenBlock(node string) (Device, error)
	// Identify returns the 512 bytes of ATA IDENTIFY DEVICE, Inquiry the
	// answer to SCSI INQUIRY, as machine.Storage has them.
	Identify(node string) ([]byte, error)
	Inquiry(node string, vpd bool, page byte) ([]byte, error)
}

// Options says what to take a snapshot of.
type Options struct {
	Program string       // what takes it
	Root    sysroot.Root // for /proc and /lib/modules
	// Prefix is where the real system's root is mounted, "" when it is this
	// system's: in an initramfs it is "/sysroot". Mounts elsewhere are left out.
	Prefix string
	Sys    sysfs.FS
	Disks  Disks
	// Keys takes the keyslots of encrypted devices too, so that key files can
	// be tried. Such a snapshot must be kept from others.
	Keys bool
	// Cmdlines are further kernel command lines that will be asked about: what
	// they name as init is looked at too.
	Cmdlines []string
	// Aside opens a filesystem, or a subvolume of a btrfs, for reading, without
	// mounting it anywhere: dir is where its files are until close is called.
	// The error wraps fs.ErrNotExist where there is no subvolume of that name.
	// May be nil.
	Aside func(fstype, source string, options ...string) (dir string, close func(), err error)
	// ZFS runs one of ZFS's tools and returns what it says. It is called where the
	// kernel has ZFS. May be nil.
	ZFS func(tool string, args ...string) (string, error)
}

// Take takes a snapshot. What cannot be read is among the Notes; an error says
// that there would be nothing to check against.
func Take(o Options) (*Snapshot, error) {
	t := &taker{o: o, s: &Snapshot{Program: o.Program, Config: map[string]string{}, Builtin: map[string][]string{}, Sys: NewTree()}}
	if err := t.kernel(); err != nil {
		return nil, err
	}
	if err := t.devices(); err != nil {
		return nil, err
	}
	t.modules()
	t.bootEntries()
	t.blocks()
	if err := t.mounts(); err != nil {
		return nil, err
	}
	t.swaps()
	t.microcode()
	t.config()
	t.zfs()
	return t.s, nil
}

// zfs asks ZFS's tools about the pools that are imported: what is in them, no
// device shows.
func (t *taker) zfs() {
	if t.o.ZFS == nil || !t.o.Sys.Exists("/module/zfs") {
		return
	}
	for key, argv := range map[string][]string{ZFSDatasets: {"zfs", "list", "-H", "-p", "-t", "filesystem,snapshot", "-o", ZFSColumns}, ZFSPools: {"zpool", "list", "-H", "-o", "name,bootfs"}} {
		text, err := t.o.ZFS(argv[0], argv[1:]...)
		switch {
		case err != nil:
			t.note("%v", err)
		case len(text) > maxConfig:
			t.note("%s says more than %d bytes", strings.Join(argv[:2], " "), maxConfig)
		default:
			if t.s.ZFS == nil {
				t.s.ZFS = map[string]string{}
			}
			t.s.ZFS[key] = text
		}
	}
}

type taker struct {
	o Options
	s *Snapshot
}

func (t *taker) note(format string, a ...any) {
	t.s.Notes = append(t.s.Notes, fmt.Sprintf(format, a...))
}

func (t *taker) proc(name string) string {
	b, err := t.o.Root.ReadFile(name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			t.note("%v", err)
		}
		return ""
	}
	return strings.TrimRight(string(b), "\n\x00")
}

// kernel reads what the running kernel says of itself.
func (t *taker) kernel() error {
	b, err := t.o.Root.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return fmt.Errorf("snapshot: the running kernel: %w", err)
	}
	s := t.s
	s.Kernel = strings.TrimSpace(string(b))
	s.Cmdline = withoutSecrets(t.proc("/proc/cmdline"))
	for line := range strings.Lines(t.proc("/proc/meminfo")) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kb, _ := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 40)
			s.Memory = kb << 10
		}
	}
	for line := range strings.Lines(t.proc("/proc/modules")) {
		name, _, _ := strings.Cut(line, " ")
		s.Modules = append(s.Modules, name)
	}
	s.Modules = sorted(s.Modules)
	return nil
}

// withoutSecrets leaves out the values of parameters that carry a password.
func withoutSecrets(line string) string {
	words := strings.Split(line, " ")
	for i, w := range words {
		name, _, ok := strings.Cut(w, "=")
		n := strings.ToLower(name)
		if ok && (strings.Contains(n, "pass") || strings.Contains(n, "secret") || strings.Contains(n, "credential")) {
			words[i] = name + "=…"
		}
	}
	return strings.Join(words, " ")
}

// modules finds out what is built into the kernels that are installed, and
// which filesystems the running one needs no module for.
func (t *taker) modules() {
	s := t.s
	for _, lib := range []string{"/lib/modules", "/usr/lib/modules"} {
		lib = t.o.Prefix + lib
		releases, err := t.o.Root.List(lib)
		if err != nil {
			continue
		}
		for _, release := range releases {
			dir, err := t.o.Root.Source(path.Join(lib, release))
			if err != nil || s.Builtin[release] != nil {
				continue
			}
			tree, err := kmodtree.Open(dir, kmodtree.Options{})
			if err != nil {
				continue // not a directory of modules
			}
			var names []string
			for _, m := range tree.BuiltinModules() {
				names = append(names, m.Name)
			}
			s.Builtin[release] = sorted(names)
		}
	}
	// What has a directory and is not listed as loaded is a part of the
	// kernel; one without parameters has none, so that the list of an
	// installed kernel is better.
	if s.Builtin[s.Kernel] == nil {
		var names []string
		list, _ := t.o.Sys.List("/module")
		for _, m := range list {
			if _, loaded := slices.BinarySearch(s.Modules, m); !loaded {
				names = append(names, m)
			}
		}
		if len(names) > 0 {
			s.Builtin[s.Kernel] = sorted(names)
		}
	}
	for line := range strings.Lines(t.proc("/proc/filesystems")) {
		if _, name, ok := strings.Cut(strings.TrimRight(line, "\n"), "\t"); ok && !t.fromModule(name) {
			s.Filesystems = append(s.Filesystems, name)
		}
	}
	s.Filesystems = sorted(s.Filesystems)
}

// fromModule says whether a filesystem may have come with a module that is
// loaded: most have its name.
func (t *taker) fromModule(fstype string) bool {
	of := map[string]string{"ext2": "ext4", "ext3": "ext4", "msdos": "vfat", "iso9660": "isofs", "fuseblk": "fuse", "fusectl": "fuse",
		"nfs4": "nfsv4", "smb3": "cifs", "jffs2": "jffs2", "rpc_pipefs": "sunrpc", "configfs": "configfs"}
	name := of[fstype]
	if name == "" {
		name = fstype
	}
	_, loaded := slices.BinarySearch(t.s.Modules, strings.ReplaceAll(name, "-", "_"))
	return loaded
}

// blocks takes what is on the block devices.
func (t *taker) blocks() {
	names, _ := t.s.Sys.List("/class/block")
	for _, name := range names {
		if b := t.block(name); b != nil {
			t.s.Blocks = append(t.s.Blocks, b)
		}
	}
	slices.SortFunc(t.s.Blocks, func(a, b *Block) int { return cmp.Compare(a.Name, b.Name) })
	t.together()
}

// block takes one device; nil for one that no boot starts from.
func (t *taker) block(name string) *Block {
	dir := "/class/block/" + name
	for _, kind := range [...]string{"loop", "ram", "zram", "nbd"} {
		// A root may be in a file (loop=), but not in a device that has none.
		if strings.HasPrefix(name, kind) && !t.s.Sys.Exists(dir+"/loop/backing_file") {
			return nil
		}
	}
	if Whole(name) != "" {
		return nil // what it is one of is looked at
	}
	sectors, _ := t.s.Sys.Read(dir + "/size")
	n, err := strconv.ParseInt(sectors, 10, 64)
	if err != nil || n <= 0 || n > 1<<53 {
		return nil
	}
	b := &Block{Name: name, Size: n << 9, Sector: 512}
	node := nodeOf(t.s.Sys, dir, name)
	if Removable(name) {
		b.Problem = "it is not looked at, because its medium can be taken out"
		return b
	}
	d, err := t.o.Disks.OpenBlock(node)
	if err != nil {
		b.Problem = err.Error()
		t.note("%v", err)
		return b
	}
	defer d.Close()
	if s := d.SectorSize(); s >= 512 && s&(s-1) == 0 && s <= 64<<10 {
		b.Sector = s
	}
	if d.Size() > 0 {
		b.Size = d.Size()
	}
	b.trees = t.trees()
	if err := b.take(d, t.o.Keys); err != nil {
		b.Ranges, b.KeyMaterial, b.Problem = nil, false, err.Error()
		t.note("%v", err)
	}
	t.ask(b, node)
	return b
}

// trees are the values of hash-offset= on every command line.
func (t *taker) trees() []uint64 {
	lines := append([]string{t.s.Cmdline}, t.o.Cmdlines...)
	for _, e := range t.s.Boot {
		lines = append(lines, e.Cmdline)
	}
	var out []uint64
	for _, line := range lines {
		words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" ,=\"", r) })
		for i := 1; i < len(words); i++ {
			if n, err := strconv.ParseUint(words[i], 10, 64); err == nil && words[i-1] == "hash-offset" && n > 0 && len(out) < maxTrees && !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

// maxTrees bounds the offsets at which hash trees are looked for.
const maxTrees = 8

// ask puts the questions of the rules to a SCSI or ATA disk.
func (t *taker) ask(b *Block, node string) {
	if !strings.HasPrefix(b.Name, "sd") || strings.ContainsAny(b.Name[2:], "0123456789") {
		return
	}
	if id, err := t.o.Disks.Identify(node); err == nil {
		b.Identify = id
	}
	b.Inquiry = map[string][]byte{}
	if std, err := t.o.Disks.Inquiry(node, false, 0); err == nil {
		b.Inquiry[""] = std
	}
	for _, page := range []byte{0, 0x80, 0x83} {
		if data, err := t.o.Disks.Inquiry(node, true, page); err == nil {
			b.Inquiry[PageName(page)] = data
		}
	}
}

// PageName is the key of a page of vital product data in Block.Inquiry.
func PageName(page byte) string { return fmt.Sprintf("%02x", page) }

// nodeOf is the node of a block device.
func nodeOf(sys sysfs.FS, dir, name string) string {
	text, _ := sys.Read(dir + "/uevent")
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "DEVNAME="); ok {
			return "/dev/" + strings.TrimPrefix(v, "/dev/")
		}
	}
	return "/dev/" + strings.ReplaceAll(name, "!", "/")
}

// Removable says whether a block device is an optical or floppy drive, by the
// kernel's name.
func Removable(name string) bool {
	return strings.HasPrefix(name, "sr") || strings.HasPrefix(name, "fd")
}

// Microcode is the key in Config of the file with an update for the
// processor.
const Microcode = "microcode"

// microcode looks whether the system has an update for its processor's
// microcode, by the names that the kernel looks for (arch/x86/kernel/cpu).
func (t *taker) microcode() {
	cpu := map[string]string{}
	for line := range strings.Lines(t.proc("/proc/cpuinfo")) {
		k, v, ok := strings.Cut(line, ":")
		if !ok {
			break // the first processor is like the others
		}
		cpu[strings.TrimSpace(k)] = strings.TrimSpace(v)
	}
	if slices.Contains(strings.Fields(cpu["flags"]), "hypervisor") {
		return // the host's business
	}
	number := func(key string) int {
		n, _ := strconv.Atoi(cpu[key])
		return n
	}
	file := ""
	switch cpu["vendor_id"] {
	case "GenuineIntel":
		file = fmt.Sprintf("intel-ucode/%02x-%02x-%02x", number("cpu family"), number("model"), number("stepping"))
	case "AuthenticAMD":
		file = "amd-ucode/microcode_amd.bin"
		if f := number("cpu family"); f >= 0x15 {
			file = fmt.Sprintf("amd-ucode/microcode_amd_fam%02xh.bin", f)
		}
	default:
		return
	}
	for _, dir := range []string{"/lib/firmware/", "/usr/lib/firmware/"} {
		for _, ext := range []string{"", ".xz", ".zst"} {
			if p := t.o.Prefix + dir + file + ext; t.o.Root.Exists(p) {
				t.s.Config[Microcode] = dir + file + ext
				return
			}
		}
	}
}

// swaps notes which devices swap is on.
func (t *taker) swaps() {
	first := true
	for line := range strings.Lines(t.proc("/proc/swaps")) {
		if f := strings.Fields(line); len(f) > 1 && !first && f[1] == "partition" {
			name := strings.TrimPrefix(f[0], "/dev/")
			if mapped, ok := strings.CutPrefix(f[0], "/dev/mapper/"); ok {
				name = t.mapped(mapped)
			}
			t.s.Swaps = append(t.s.Swaps, name)
		}
		first = false
	}
	t.s.Swaps = sorted(t.s.Swaps)
}

// mapped is the kernel's name of a device of the device mapper.
func (t *taker) mapped(name string) string {
	list, _ := t.s.Sys.List("/class/block")
	for _, b := range list {
		if v, err := t.s.Sys.Read("/class/block/" + b + "/dm/name"); err == nil && v == name {
			return b
		}
	}
	return name
}

// configFiles decide what an image should have besides drivers.
var configFiles = [...]string{"/etc/vconsole.conf", "/etc/default/keyboard", "/etc/kernel/cmdline", "/etc/crypttab"}

// maxConfig bounds one of them, in bytes.
const maxConfig = 64 << 10

func (t *taker) config() {
	for _, p := range configFiles {
		if b, err := t.o.Root.ReadFile(t.o.Prefix + p); err == nil && len(b) <= maxConfig {
			t.s.Config[p] = string(b)
		}
	}
}

// mounts takes the mounted filesystems that lie on block devices, and what a
// boot looks at in them.
func (t *taker) mounts() error {
	text, err := t.o.Root.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	for _, m := range mountinfo.Parse(string(text)) {
		point, ok := m.Target, true
		if t.o.Prefix != "" {
			point, ok = strings.CutPrefix(point, t.o.Prefix)
			if ok && point == "" {
				point = "/"
			}
			ok = ok && strings.HasPrefix(point, "/")
		}
		if !ok {
			continue
		}
		out := &Mount{Point: path.Clean(point), Devnum: m.Devnum, Root: m.Root, FSType: m.FSType, Source: m.Source,
			Options: m.Options + "," + m.Super, Entries: map[string]Entry{}}
		t.s.Mounts = append(t.s.Mounts, out)
	}
	if len(t.s.Mounts) > maxNodes {
		return fmt.Errorf("snapshot: %d mounts", len(t.s.Mounts))
	}
	t.look()
	t.aside()
	// What no block device carries was needed to find the way only.
	t.s.Mounts = slices.DeleteFunc(t.s.Mounts, func(m *Mount) bool { return !onDisk(m) })
	return nil
}

// onDisk says whether a filesystem lies on block devices: btrfs and others
// have numbers of their own and name a device as their source; ZFS names a dataset.
func onDisk(m *Mount) bool {
	return !strings.HasPrefix(m.Devnum, "0:") || strings.HasPrefix(m.Source, "/dev/") || m.FSType == "zfs"
}
