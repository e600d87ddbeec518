package udevd

import (
	"errors"
	"io/fs"
	"runtime"
	"strings"

	"firstlight/internal/blkid"
	"firstlight/internal/bootcmd"
	"firstlight/internal/btrfsfmt"
	"firstlight/internal/device"
	"firstlight/internal/fmt"
	"firstlight/internal/machine"
	"firstlight/internal/parttable"
	"firstlight/internal/udevd/builtin/ident"
	"firstlight/internal/udevd/rules"
	"firstlight/internal/ueventd"
)

// Table evaluates a compiled set of rules. It implements Rules.
type Table struct {
	table   *rules.Table
	cmdline []bootcmd.Param
	matches func(alias string) bool
	missing func(string)
}

// NewTable returns the rules of a boot. matches says whether the image has a
// module for a modalias; most devices have none, and need no operation.
// missing is told of drivers that cannot be loaded.
func NewTable(table *rules.Table, cmdline []bootcmd.Param, matches func(alias string) bool, missing func(string)) *Table {
	return &Table{table, cmdline, matches, missing}
}

// Evaluate implements Rules.
func (r *Table) Evaluate(t *ueventd.Task, dev *device.Device, action string, old *device.Device) (Outcome, error) {
	e := &env{Table: r, t: t, old: old}
	out, err := rules.Evaluate(r.table, dev, rules.Event{Action: action}, e)
	if err != nil {
		return Outcome{}, fmt.Errorf("udev rules for %s: %w", dev.Devpath(), err)
	}
	for _, d := range out.Decisions {
		if d.Err != nil && !nothing(d.Err) {
			t.Record("rule", fmt.Sprintf("%s: %s %s: %v", d.From, d.What, d.Value, d.Err))
		}
	}
	failed := e.unreadable
	for _, c := range out.Run {
		if !c.Builtin {
			t.Record("rule", fmt.Sprintf("%s: RUN %s: programs are run by the real system", c.From, strings.Join(c.Args, " ")))
			continue
		}
		if err := e.Builtin(dev, c.Args); err != nil && !nothing(err) {
			t.Record("rule", fmt.Sprintf("%s: RUN %s: %v", c.From, strings.Join(c.Args, " "), err))
			failed = err
		}
	}
	o := Outcome{UID: number(out.UID), GID: number(out.GID), LinkPriority: out.LinkPriority, Persist: out.DBPersist}
	if out.Mode.Set {
		o.Mode = &out.Mode.N
	}
	return o, failed
}

func number(v rules.Value) *int {
	if !v.Set {
		return nil
	}
	n := int(v.N)
	return &n
}

// errNothing says that a builtin found nothing, which is no fault.
var errNothing = errors.New("nothing found")

func nothing(err error) bool { return errors.Is(err, errNothing) || errors.Is(err, ident.ErrNothing) }

// env is the world as the rules see it in one evaluation.
type env struct {
	*Table
	t   *ueventd.Task
	old *device.Device
	// unreadable says why the content of the device could not be looked at.
	unreadable error
}

// Builtin implements rules.Env.
func (e *env) Builtin(dev *device.Device, args []string) error {
	switch args[0] {
	case "kmod":
		return e.kmod(dev, args)
	case "blkid":
		return e.blkid(dev)
	case "dm_flags":
		return ident.DMFlags(dev, argument(args))
	case "dm_split":
		return ident.DMSplit(dev, argument(args))
	case "path_id":
		return ident.PathID(dev)
	case "usb_id":
		return ident.USBID(dev)
	case "ata_id":
		return ident.ATAID(dev, querier{e.t})
	case "scsi_id":
		return ident.SCSIID(dev, querier{e.t})
	case "dm_complete":
		return nil // nobody waits for a cookie: the core sees the events itself
	case "md_export":
		return e.mdExport(dev)
	case "btrfs", "hwdb", "keyboard", "net_id", "net_setup_link", "uaccess", "input_id", "net_driver":
		return errNothing // the real system's business, or a handler's
	}
	return fmt.Errorf("builtin %q is not known", args[0])
}

// argument is the first argument of a builtin, "" if there is none.
func argument(args []string) string {
	if len(args) < 2 {
		return ""
	}
	return args[1]
}

// querier asks disks for their identity.
type querier struct{ t *ueventd.Task }

// Identify implements ident.Querier.
func (q querier) Identify(devname string) ([]byte, error) {
	return ueventd.Do(q.t, "identify "+devname, func(m machine.Machine) ([]byte, error) { return m.Identify(devname) })
}

// Inquiry implements ident.Querier.
func (q querier) Inquiry(devname string, vpd bool, page byte) ([]byte, error) {
	return ueventd.Do(q.t, "inquire "+devname, func(m machine.Machine) ([]byte, error) { return m.Inquiry(devname, vpd, page) })
}

// kmod is "kmod load [ALIAS…]": without an alias the device's own.
func (e *env) kmod(dev *device.Device, args []string) error {
	if len(args) < 2 || args[1] != "load" {
		return fmt.Errorf("kmod: %q is not known", strings.Join(args[1:], " "))
	}
	aliases := args[2:]
	if len(aliases) == 0 {
		aliases = []string{dev.Property("MODALIAS")}
	}
	for _, alias := range aliases {
		if alias == "" || !e.matches(alias) {
			continue
		}
		_, err := ueventd.Do(e.t, "load "+shown(alias), func(m machine.Machine) (int, error) { return m.LoadAlias(alias) })
		if err != nil {
			e.missing(err.Error())
			return err
		}
	}
	return nil
}

// maxShown bounds an alias where people read it, in bytes: that of a processor
// lists its features, for hundreds of bytes.
const maxShown = 64

func shown(alias string) string {
	if len(alias) <= maxShown {
		return alias
	}
	return alias[:maxShown] + "…"
}

// Damaged is the property of a device with the mark of a superblock that does
// not hold: blkid.Result.Damaged.
const Damaged = "FIRSTLIGHT_DAMAGED"

// probed is what was read of a device.
type probed struct {
	content *blkid.Result
	entry   []blkid.Pair
	btrfs   btrfsfmt.Shape
}

// blkid reads what is on a device, and for a partition what the table of its
// disk says of it.
func (e *env) blkid(dev *device.Device) error {
	name := dev.Devname()
	disk, diskNumber := "", ""
	if dev.Devtype() == "partition" {
		if p := dev.Parent(); p != nil && p.Subsystem() == "block" {
			disk = p.Devname()
			diskNumber = p.Property("MAJOR") + ":" + p.Property("MINOR")
		}
	}
	start, size := sectors(dev, "start"), sectors(dev, "size")
	kind := kindOf(dev)
	res, err := ueventd.Do(e.t, "read "+name, func(m machine.Machine) (probed, error) {
		return probe(m, name, kind, disk, diskNumber, start, size)
	})
	if err != nil {
		e.unreadable = err
		return err
	}
	for _, p := range append(res.content.Udev(), blkid.Udev(res.entry)...) {
		dev.SetProperty(p.Key, p.Value)
	}
	dev.SetProperty(Damaged, res.content.Damaged)
	setBtrfs(res.btrfs, dev)
	if len(res.content.Pairs()) == 0 && len(res.entry) == 0 {
		return errNothing
	}
	return nil
}

// kindOf says what the prober is to take a device for. A logical volume or an
// array is a whole disk, as to libblkid: where it is a virtual machine's, the
// superblock of an array at its end belongs to that machine's last partition. A
// mapping that kpartx made for a partition is one.
func kindOf(dev *device.Device) blkid.Kind {
	part, _, named := strings.Cut(dev.Property("DM_UUID"), "-")
	switch {
	case dev.Devtype() == "partition", named && strings.HasPrefix(part, "part"):
		return blkid.Partition
	case strings.HasPrefix(dev.Sysname(), "sr"):
		return blkid.Optical
	}
	return blkid.Disk
}

func probe(m machine.Machine, name string, kind blkid.Kind, disk, diskNumber string, start, size int64) (probed, error) {
	b, err := m.OpenBlock(name)
	if err != nil {
		return probed{}, err
	}
	defer b.Close()
	res, err := blkid.ProbeWith(b, b.Size(), blkid.Options{Kind: kind, SectorSize: b.SectorSize()})
	if err != nil {
		return probed{}, fmt.Errorf("read %s: %w", name, err)
	}
	out := probed{content: res}
	if res.Type() == "btrfs" {
		out.btrfs = btrfsfmt.Read(b)
	}
	if disk == "" {
		return out, nil
	}
	whole, err := m.OpenBlock(disk)
	if err != nil {
		return out, nil
	}
	defer whole.Close()
	if table, err := parttable.Read(whole, whole.Size(), whole.SectorSize()); err == nil && table != nil {
		out.entry = blkid.PartEntry(table, start, size, diskNumber)
	}
	return out, nil
}

// sectors reads an attribute that counts sectors of 512 bytes, in bytes.
func sectors(dev *device.Device, attr string) int64 {
	v, _ := dev.Attr(attr)
	var n int64
	for _, c := range []byte(v) {
		if c < '0' || c > '9' || n > 1<<50 {
			return 0
		}
		n = n*10 + int64(c-'0')
	}
	return n << 9
}

// Program implements rules.Env: no program is run for a rule. What the
// field's rules run programs for in an initramfs is built in.
func (e *env) Program(dev *device.Device, args []string) (string, error) {
	return "", fmt.Errorf("program %s: not run in an initramfs", args[0])
}

// ReadFile implements rules.Env.
func (e *env) ReadFile(path string) (string, error) {
	b, err := ueventd.Do(e.t, "read "+path, func(m machine.Machine) ([]byte, error) { return m.ReadFile(path, 64<<10) })
	return string(b), err
}

// Stored implements rules.Env.
func (e *env) Stored(_ *device.Device, key string) (string, bool) {
	if e.old == nil || !e.old.HasProperty(key) {
		return "", false
	}
	return e.old.Property(key), true
}

// Cmdline implements rules.Env.
func (e *env) Cmdline(key string) (value string, ok bool) {
	for _, p := range e.cmdline {
		if p.Name == key {
			value, ok = p.Value, true
		}
	}
	return value, ok
}

// Const implements rules.Env.
func (e *env) Const(name string) string {
	if name != "arch" {
		return "none"
	}
	switch runtime.GOARCH {
	case "amd64":
		return "x86-64"
	case "386":
		return "x86"
	}
	return runtime.GOARCH
}

// Sysctl implements rules.Env.
func (e *env) Sysctl(path string) (string, error) {
	b, err := ueventd.Do(e.t, "read sysctl "+path, func(m machine.Machine) ([]byte, error) {
		return m.ReadFile("/proc/sys/"+path, 64<<10)
	})
	return strings.TrimRight(string(b), "\n"), err
}

// SetSysctl implements rules.Env: an initramfs leaves the kernel's parameters
// to the real system.
func (e *env) SetSysctl(path, value string) error {
	return fmt.Errorf("sysctl %s: set by the real system", path)
}

// SetAttr implements rules.Env.
func (e *env) SetAttr(path, value string) error {
	return ueventd.Act(e.t, "write "+value+" to "+path, func(m machine.Machine) error { return m.WriteSysfs(path, value) })
}

// Mode implements rules.Env.
func (e *env) Mode(path string) (uint32, error) {
	info, err := ueventd.Do(e.t, "look at "+path, func(m machine.Machine) (machine.FileInfo, error) { return m.InRoot("/", path) })
	return uint32(info.Mode.Perm()), err
}

// List implements rules.Env.
func (e *env) List(string) ([]string, error) { return nil, fs.ErrNotExist }

// User implements rules.Env: the names are resolved when rules are compiled.
func (e *env) User(string) (uint32, bool) { return 0, false }

// Group implements rules.Env.
func (e *env) Group(string) (uint32, bool) { return 0, false }
