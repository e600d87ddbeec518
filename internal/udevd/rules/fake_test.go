package rules_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/device"
	"firstlight/internal/sysfs"
	"firstlight/internal/udevd/rules"
	"firstlight/internal/udevd/rules/compile"
)

// fakeSys makes a sysfs out of "path" → content; a content that starts with
// "→" is a link.
func fakeSys(t testing.TB, files map[string]string) sysfs.Dir {
	t.Helper()
	root := t.TempDir()
	for p, content := range files {
		full := filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "→"); ok {
			err = os.Symlink(target, full)
		} else {
			err = os.WriteFile(full, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return sysfs.Dir(root)
}

const (
	pciPath  = "/devices/pci0000:00/0000:00:1f.2"
	scsiPath = pciPath + "/ata1/host0/target0:0:0/0:0:0:0"
	diskPath = scsiPath + "/block/sda"
	partPath = diskPath + "/sda1"
	nicPath  = pciPath + "/net/eth0"
)

// machine is a PC with one ATA disk with one partition.
func machine(t testing.TB) sysfs.Dir {
	return fakeSys(t, map[string]string{
		pciPath + "/uevent":                                 "DRIVER=ahci\nMODALIAS=pci:v00008086d00002922\n",
		pciPath + "/subsystem":                              "→../../../bus/pci",
		pciPath + "/vendor":                                 "0x8086\n",
		scsiPath + "/uevent":                                "DEVTYPE=scsi_device\nDRIVER=sd\n",
		scsiPath + "/subsystem":                             "→../../../../../../../bus/scsi",
		scsiPath + "/model":                                 "SUPER  DISK /1   \n",
		scsiPath + "/vendor":                                "ATA     \n",
		diskPath + "/uevent":                                "MAJOR=8\nMINOR=0\nDEVNAME=sda\nDEVTYPE=disk\n",
		diskPath + "/subsystem":                             "→../../../../../../../../../class/block",
		diskPath + "/size":                                  "2048\n",
		diskPath + "/removable":                             "0\n",
		diskPath + "/queue/rotational":                      "1\n",
		partPath + "/uevent":                                "MAJOR=8\nMINOR=1\nDEVNAME=sda1\nDEVTYPE=partition\nPARTN=1\n",
		partPath + "/subsystem":                             "→../../../../../../../../../../class/block",
		partPath + "/partition":                             "1\n",
		partPath + "/holders/x/dm/name":                     "root\n",
		nicPath + "/uevent":                                 "INTERFACE=eth0\nIFINDEX=2\n",
		nicPath + "/subsystem":                              "→../../../../../class/net",
		"/class/block/sda":                                  "→../../devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda",
		"/class/dmi/id":                                     "→../../devices/virtual/dmi/id",
		"/devices/virtual/dmi/id/product_name":              "Box\n",
		"/devices/virtual/dmi/id/uevent":                    "\n",
		"/bus/pci/drivers/ahci/bind":                        "\n",
		"/module/ahci/parameters/mobile":                    "1\n",
		"/class/block/.keep":                                "",
		"/devices/virtual/block/cciss!c0d0/uevent":          "MAJOR=104\nMINOR=0\nDEVNAME=cciss/c0d0\nDEVTYPE=disk\n",
		"/devices/virtual/block/cciss!c0d0/subsystem":       "→../../../../class/block",
		"/devices/virtual/misc/a/uevent":                    "MAJOR=10\nMINOR=1\nDEVNAME=a\n",
		"/devices/virtual/misc/a/subsystem":                 "→../../../../class/misc",
		"/devices/virtual/none/uevent":                      "\n",
		"/devices/virtual/block/cciss!c0d0/device/raid_lvl": "RAID 5\n",
	})
}

// fakeEnv answers from maps and writes down what it is told to do.
type fakeEnv struct {
	builtins map[string]map[string]string // properties that a command sets; missing: it fails
	programs map[string]string            // output; missing: it fails
	files    map[string]string
	db       map[string]string
	cmdline  map[string]string
	sysctls  map[string]string
	modes    map[string]uint32
	lists    map[string][]string
	stop     string // the command at which everything stops
	log      []string
}

func (e *fakeEnv) call(format string, args ...any) {
	e.log = append(e.log, fmt.Sprintf(format, args...))
}

func (e *fakeEnv) Builtin(dev *device.Device, args []string) error {
	cmd := strings.Join(args, " ")
	e.call("builtin %s", cmd)
	if e.stop == cmd {
		return fmt.Errorf("%s: %w", cmd, rules.ErrStop)
	}
	props, ok := e.builtins[cmd]
	if !ok {
		return errors.New("nothing found")
	}
	for k, v := range props {
		dev.SetProperty(k, v)
	}
	return nil
}

func (e *fakeEnv) Program(_ *device.Device, args []string) (string, error) {
	e.call("program %s", strings.Join(args, "|"))
	out, ok := e.programs[args[0]]
	if !ok {
		return "", errors.New("exit status 1")
	}
	return out, nil
}

func (e *fakeEnv) ReadFile(p string) (string, error) {
	text, ok := e.files[p]
	if !ok {
		return "", fs.ErrNotExist
	}
	return text, nil
}

func (e *fakeEnv) Stored(_ *device.Device, key string) (string, bool) {
	v, ok := e.db[key]
	return v, ok
}
func (e *fakeEnv) Cmdline(key string) (string, bool) { v, ok := e.cmdline[key]; return v, ok }
func (e *fakeEnv) Const(name string) string {
	return map[string]string{"arch": "x86-64", "virt": "kvm", "cvm": "none"}[name]
}
func (e *fakeEnv) Sysctl(p string) (string, error) {
	v, ok := e.sysctls[p]
	if !ok {
		return "", fs.ErrNotExist
	}
	if v == "EIO" {
		return "", errors.New("input/output error")
	}
	return v, nil
}
func (e *fakeEnv) SetSysctl(p, v string) error { e.call("sysctl %s=%s", p, v); return nil }
func (e *fakeEnv) SetAttr(p, v string) error   { e.call("attr %s=%s", p, v); return nil }
func (e *fakeEnv) Mode(p string) (uint32, error) {
	m, ok := e.modes[p]
	if !ok {
		return 0, fs.ErrNotExist
	}
	return m, nil
}
func (e *fakeEnv) List(p string) ([]string, error) {
	l, ok := e.lists[p]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return l, nil
}
func (e *fakeEnv) User(name string) (uint32, bool)  { return 1000, name == "alice" }
func (e *fakeEnv) Group(name string) (uint32, bool) { return 6, name == "disk" }

// table compiles text without tolerating a problem.
func table(t testing.TB, text string) *rules.Table {
	t.Helper()
	r, err := compile.Compile([]*compile.File{compile.Parse("t.rules", []byte(text))}, compile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Problems {
		if p.Severity != compile.Style {
			t.Fatalf("%v\nin:\n%s", p, text)
		}
	}
	tab, err := rules.Open(r.Table)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// lenient compiles text that may hold rules which can never apply.
func lenient(t testing.TB, text string) *rules.Table {
	t.Helper()
	r, err := compile.Compile([]*compile.File{compile.Parse("t.rules", []byte(text))}, compile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tab, err := rules.Open(r.Table)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// show gives what an evaluation did in a fixed form: properties that X starts
// with, links, tags and the rest of the outcome.
func show(dev *device.Device, o *rules.Outcome, env *fakeEnv) string {
	var s []string
	for k, v := range dev.Properties() {
		if strings.HasPrefix(k, "X") {
			s = append(s, k+"="+v)
		}
	}
	slices.Sort(s)
	for _, l := range dev.Links() {
		s = append(s, fmt.Sprintf("link %s@%d", l, dev.LinkPriority(l)))
	}
	for _, l := range dev.Tags() {
		s = append(s, "tag "+l)
	}
	if o.Name != "" {
		s = append(s, "name "+o.Name)
	}
	for _, v := range []struct {
		name string
		v    rules.Value
		f    string
	}{{"uid", o.UID, "%d"}, {"gid", o.GID, "%d"}, {"mode", o.Mode, "%04o"}, {"watch", o.Watch, "%d"}} {
		if v.v.Set {
			s = append(s, fmt.Sprintf(v.name+" "+v.f+" by %s", v.v.N, v.v.From))
		}
	}
	for _, l := range o.Labels {
		s = append(s, "label "+l.Module+"="+l.Label)
	}
	for _, c := range o.Run {
		kind := "run"
		if c.Builtin {
			kind = "run builtin"
		}
		s = append(s, fmt.Sprintf("%s %s", kind, strings.Join(c.Args, "|")))
	}
	if o.DBPersist {
		s = append(s, "persist")
	}
	if o.LogLevelSet {
		s = append(s, fmt.Sprintf("log %d", o.LogLevel))
	}
	if o.Dump {
		s = append(s, "dump")
	}
	s = append(s, env.log...)
	for _, d := range o.Decisions {
		if d.Err != nil && d.What != rules.DidImport && d.What != rules.DidProgram {
			s = append(s, fmt.Sprintf("%s: %s: %v", d.From, d.What, d.Err))
		}
	}
	return strings.Join(s, "\n")
}
