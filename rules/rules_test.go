package rules_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/device"
	"firstlight/internal/testtool"
	"firstlight/internal/udevd/builtin/ident"
	eval "firstlight/internal/udevd/rules"
	"firstlight/internal/udevd/rules/compile"
	"firstlight/rules"
)

// ours compiles the set, which must be free of any complaint.
func ours(t testing.TB, keep func(string) bool) *eval.Table {
	t.Helper()
	files, err := compile.Collect([]compile.Dir{{Name: "", FS: rules.FS}}, keep)
	if err != nil {
		t.Fatal(err)
	}
	r, err := compile.Compile(files, compile.Options{Builtin: rules.Builtin})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Problems {
		t.Error(p)
	}
	tab, err := eval.Open(r.Table)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// oursBytes is the table of all of our rules.
func oursBytes(t testing.TB) []byte {
	t.Helper()
	files, err := compile.Collect([]compile.Dir{{FS: rules.FS}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := compile.Compile(files, compile.Options{Builtin: rules.Builtin})
	if err != nil {
		t.Fatal(err)
	}
	return r.Table
}

func TestNoComplaints(t *testing.T) {
	if n := ours(t, nil).Len(); n < 100 {
		t.Errorf("only %d rules", n)
	}
}

// TestOthersMeetOneRule: of the hundreds of devices that a machine has, all
// but the disks meet the rule that loads a driver, and none at other events.
func TestOthersMeetOneRule(t *testing.T) {
	tab := ours(t, nil)
	for _, subsystem := range []string{"pci", "usb", "acpi", "net", "input", "nosuch", ""} {
		got := tab.Applicable(subsystem, "add")
		if len(got) != 1 || got[0].File != "80-modules.rules" {
			t.Errorf("%q at add: %v", subsystem, got)
		}
		for _, action := range []string{"change", "remove", "bind", "move"} {
			if got := tab.Applicable(subsystem, action); len(got) != 0 {
				t.Errorf("%q at %s: %v", subsystem, action, got)
			}
		}
	}
}

// debian compiles the rules that Debian's packages brought.
func debian(t testing.TB) *eval.Table {
	t.Helper()
	testtool.Need(t, "udevadm", "dmsetup", "lvm", "mdadm", "btrfs")
	dir := "/usr/lib/udev/rules.d"
	want := []string{"01-md-raid-creating", "50-udev-default", "55-dm", "56-lvm", "60-block", "60-cdrom_id", "60-persistent-storage-dm",
		"60-persistent-storage", "63-md-raid-arrays", "64-btrfs-dm", "64-btrfs", "69-lvm", "80-drivers", "95-dm-notify", "99-systemd"}
	found := map[string]bool{}
	files, err := compile.Collect([]compile.Dir{{Name: dir, FS: os.DirFS(dir)}}, func(name string) bool {
		found[name] = true
		return slices.Contains(want, strings.TrimSuffix(name, ".rules"))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		if !found[w+".rules"] {
			t.Fatalf("Debian's %s.rules is not in %s", w, dir)
		}
	}
	r, err := compile.Compile(files, compile.Options{ProgramBuiltin: rules.ProgramBuiltin,
		Builtin: func(name string) bool { return name == "hwdb" || rules.Builtin(name) }})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range compile.Errors(r.Problems) {
		t.Error(p)
	}
	tab, err := eval.Open(r.Table)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// world is a machine on which both sets are tried. What a builtin or a
// program finds out is the same for both.
type world struct {
	eval.Env // calls that no rule should make
	t        testing.TB
	content  map[string]string // what blkid and others find: KEY=value KEY=value
	db       map[string]string // the device's stored properties
}

func (w *world) importSet(dev *device.Device, name string) error {
	list, ok := w.content[name]
	if !ok {
		return ident.ErrNothing
	}
	for f := range strings.FieldsSeq(list) {
		k, v, _ := strings.Cut(f, "=")
		dev.SetProperty(k, v)
	}
	return nil
}

func (w *world) Builtin(dev *device.Device, args []string) error {
	switch args[0] {
	case "path_id":
		return ident.PathID(dev)
	case "usb_id":
		return ident.USBID(dev)
	case "scsi_id":
		return ident.SCSIID(dev, nil)
	case "dm_flags":
		return ident.DMFlags(dev, args[1])
	case "dm_split":
		return ident.DMSplit(dev, args[1])
	case "blkid", "ata_id", "md_export":
		return w.importSet(dev, args[0])
	case "btrfs":
		return w.importSet(dev, "btrfs")
	case "hwdb":
		return ident.ErrNothing
	}
	w.t.Errorf("builtin %v", args)
	return ident.ErrNothing
}

// Program does what the programs of Debian's rules do, by our builtins.
func (w *world) Program(dev *device.Device, args []string) (string, error) {
	before := dev.Properties()
	fake := device.New(dev.Sys(), dev.Devpath(), map[string]string{})
	switch {
	case args[0] == "/sbin/dmsetup" && args[1] == "udevflags":
		if err := ident.DMFlags(fake, args[2]); err != nil {
			return "", err
		}
	case args[0] == "/sbin/dmsetup" && args[1] == "splitname":
		if err := ident.DMSplit(fake, args[len(args)-1]); err != nil {
			return "", err
		}
	case args[0] == "/sbin/mdadm" && args[1] == "--detail":
		if err := w.importSet(fake, "md_export"); err != nil {
			return "", err
		}
	case args[0] == "/sbin/lvm", args[0] == "cdrom_id":
		return "", nil
	default:
		w.t.Errorf("program %v", args)
	}
	if !maps.Equal(before, dev.Properties()) {
		w.t.Error("a program changed the device")
	}
	out := ""
	for k, v := range fake.Properties() {
		if k != "DEVPATH" {
			out += k + "='" + v + "'\n"
		}
	}
	return out, nil
}

func (w *world) Stored(_ *device.Device, key string) (string, bool) { v, ok := w.db[key]; return v, ok }
func (w *world) Cmdline(string) (string, bool)                      { return "", false }
func (w *world) Mode(string) (uint32, error)                        { return 0, os.ErrNotExist }
func (w *world) User(string) (uint32, bool)                         { return 0, true }
func (w *world) Group(name string) (uint32, bool)                   { return uint32(len(name)), true }
func (w *world) SetAttr(path, value string) error {
	w.t.Errorf("attribute %s=%s", path, value)
	return nil
}

// result is what counts: links with their priority, properties that the real
// system and our handlers look at, tags, and who may use the node.
func result(dev *device.Device, o *eval.Outcome) []string {
	var s []string
	for _, l := range dev.Links() {
		s = append(s, fmt.Sprintf("link %s@%d", l, dev.LinkPriority(l)))
	}
	for k, v := range dev.Properties() {
		for _, p := range []string{"ID_", "DM_", "MD_", "SYSTEMD_", "LVM_", "PRE"} {
			if strings.HasPrefix(k, p) {
				s = append(s, k+"="+v)
			}
		}
	}
	for _, t := range dev.Tags() {
		s = append(s, "tag "+t)
	}
	s = append(s, fmt.Sprintf("group %d watch %d", o.GID.N, o.Watch.N))
	slices.Sort(s)
	return s
}

// once evaluates one event and gives what is then stored.
func once(t *testing.T, tab *eval.Table, m *scene, e event, db map[string]string) ([]string, map[string]string) {
	t.Helper()
	sys := m.sysfs(t)
	props := device.ReadUevent(sys, m.devpath)
	for f := range strings.FieldsSeq(e.props) {
		k, v, _ := strings.Cut(f, "=")
		props[k] = v
	}
	dev := device.New(sys, m.devpath, props)
	if m.parentProps != "" {
		p := device.ReadUevent(sys, dev.Parent().Devpath())
		for f := range strings.FieldsSeq(m.parentProps) {
			k, v, _ := strings.Cut(f, "=")
			p[k] = v
		}
		dev.SetParent(device.New(sys, dev.Parent().Devpath(), p))
	}
	w := &world{t: t, content: e.content, db: db}
	o, err := eval.Evaluate(tab, dev, eval.Event{Action: e.action}, w)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range o.Decisions {
		if d.Err != nil && d.What != eval.DidImport && d.What != eval.DidProgram {
			t.Errorf("%s: %s %s: %v", d.From, d.What, d.Value, d.Err)
		}
	}
	stored := dev.Properties()
	maps.DeleteFunc(stored, func(k, _ string) bool { return strings.HasPrefix(k, ".") })
	return result(dev, o), stored
}

// TestSameAsDebian puts the same events on the same devices to our rules and
// to Debian's and compares links, properties, tags and access.
func TestSameAsDebian(t *testing.T) {
	theirs := debian(t)
	// Without the links that came after Debian 12's udev.
	mine := ours(t, func(name string) bool { return name != "66-newer-links.rules" })
	for _, m := range scenes {
		t.Run(m.name, func(t *testing.T) {
			var dbA, dbB map[string]string
			for i, e := range m.events {
				var a, b []string
				a, dbA = once(t, theirs, &m, e, dbA)
				b, dbB = once(t, mine, &m, e, dbB)
				for _, s := range a {
					if !slices.Contains(b, s) && !slices.Contains(m.less, s) {
						t.Errorf("event %d (%s): Debian has %q, we do not", i, e.action, s)
					}
				}
				for _, s := range b {
					if !slices.Contains(a, s) && !slices.Contains(m.more, s) {
						t.Errorf("event %d (%s): we have %q, Debian does not", i, e.action, s)
					}
				}
				for _, s := range e.want {
					if !slices.Contains(b, s) {
						t.Errorf("event %d (%s): %q is missing in %q", i, e.action, s, b)
					}
				}
			}
		})
	}
}
