package sim_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"firstlight/internal/handler"
	"firstlight/internal/sim"
)

// full is a machine with an image that has every handler.
func full(cmdline string, disks ...*sim.Disk) *sim.Machine {
	m := machineWith(cmdline, disks...)
	m.Image.Full = true
	return m
}

const changesUUID = "66666666-6666-4666-8666-666666666666"

func changesDisk() *sim.Disk {
	return &sim.Disk{Content: sim.Ext4(changesUUID, "changes"), Files: map[string]string{}}
}

// covered fails unless the real system started on a root of that source, and
// nothing has written to the disk of the real root but a replay of its log.
func covered(t *testing.T, m *sim.Machine, source string) {
	t.Helper()
	if m.Started == nil {
		t.Fatalf("not started; it said:\n%s\njournal:\n%s", m.SaidText(), m.Journal)
	}
	last := ""
	for _, mt := range m.Mounts {
		if mt.Target == handler.SysRoot {
			last = mt.Source
		}
		if strings.HasPrefix(mt.Source, "/dev/vda") && mt.Flags&1 == 0 {
			t.Errorf("%s is mounted writable on %s", mt.Source, mt.Target)
		}
	}
	if last != source {
		t.Errorf("the root is %q, want %q", last, source)
	}
}

// overlays are the forms in which an overlay is asked for, with what the root
// is then and where the real one is.
var overlays = []struct{ cmdline, source, lower string }{
	{"rd.overlay", "LiveOS_rootfs", "/run/rootfsbase"},
	{"rd.overlayfs=1", "LiveOS_rootfs", "/run/rootfsbase"},
	{"rd.live.overlay.overlayfs=1", "LiveOS_rootfs", "/run/rootfsbase"},
	{"rd.overlay=tmpfs:size=1g", "LiveOS_rootfs", "/run/rootfsbase"},
	{"rd.overlay=UUID=" + changesUUID, "LiveOS_rootfs", "/run/rootfsbase"},
	{"rd.live.overlay=UUID=" + changesUUID + ":/a rd.live.overlay.overlayfs", "LiveOS_rootfs", "/run/rootfsbase"},
	{"rd.overlay=UUID=" + changesUUID + " rd.overlay.readonly", "LiveOS_rootfs", "/run/rootfsbase"},
	{"overlayroot=tmpfs", "overlayroot", "/sysroot/media/root-ro"},
	{"overlayroot=tmpfs:swap=1,recurse=0", "overlayroot", "/sysroot/media/root-ro"},
	{"overlayroot=device:dev=LABEL=changes", "overlayroot", "/sysroot/media/root-ro"},
	{"overlayroot=LABEL=changes", "overlayroot", "/sysroot/media/root-ro"},
	{"systemd.volatile=overlay", "overlay", "/run/systemd/overlay-sysroot/lower"},
	{"systemd.volatile=yes", "/run/systemd/volatile-sysroot", "/run/rootfsbase"},
}

func volatileRoot() *sim.Disk {
	d := rootDisk()
	d.Files = map[string]string{"/sbin": "-> usr/sbin", "/usr/sbin/init": "#!", "/etc/fstab": "LABEL=root / ext4 errors=remount-ro 0 1\n"}
	return d
}

func TestEachFormOfAnOverlayLeavesTheRootAlone(t *testing.T) {
	for _, o := range overlays {
		t.Run(o.cmdline, func(t *testing.T) {
			m := full("rw root=LABEL=root "+o.cmdline, volatileRoot(), changesDisk())
			boot(t, m)
			covered(t, m, o.source)
			noTimer(t, m)
			if d := m.Below(o.lower); d == nil || d.Files["/usr/sbin/init"] == "" {
				t.Errorf("the real root is not on %s", o.lower)
			}
		})
	}
}

func TestARootThatCannotBeCoveredIsNotUsed(t *testing.T) {
	for name, change := range map[string]func(*sim.Machine){
		"an image without the handler": func(m *sim.Machine) { m.Image.Full = false },
		"no driver": func(m *sim.Machine) {
			m.Fail = func(what string) error {
				if strings.Contains(what, "overlay on /sysroot") || strings.Contains(what, `type "overlay"`) {
					return os.ErrNotExist
				}
				return nil
			}
		},
		"a kind that is not supported": func(m *sim.Machine) {
			m.Cmdline = "root=LABEL=root rd.shell=0 rd.emergency=poweroff overlayroot=crypt:dev=/dev/vdb"
		},
		"changes that are encrypted": func(m *sim.Machine) {
			m.Cmdline = "root=LABEL=root rd.shell=0 rd.emergency=poweroff rd.overlay.crypt=/dev/vdb"
		},
		"changes that are encrypted, in an image without the handler": func(m *sim.Machine) {
			m.Image.Full = false
			m.Cmdline = "root=LABEL=root rd.shell=0 rd.emergency=poweroff rd.overlay.crypt=/dev/vdb"
		},
		"no device": func(m *sim.Machine) { m.Cmdline += "=UUID=" + keyUUID },
	} {
		t.Run(name, func(t *testing.T) {
			m := full("root=LABEL=root rd.shell=0 rd.emergency=poweroff rd.overlay", volatileRoot())
			change(m)
			boot(t, m)
			if m.Started != nil {
				t.Error("started without the overlay")
			}
			if said := m.SaidText(); !strings.Contains(said, "overlay") {
				t.Errorf("it said:\n%s", said)
			}
		})
	}
}

// What a handler wants covered is not checked, since the checker would write.
func TestAHandlerHasTheRootCovered(t *testing.T) {
	m := full("rw root=LABEL=root fsck.mode=force", volatileRoot())
	m.Handlers = append(slices.Clone(m.Handlers), func(w *handler.World) func() {
		w.CoverRoot("a member of its array is missing")
		return nil
	})
	m.Image.Features = []string{"fsck"}
	boot(t, m)
	covered(t, m, "LiveOS_rootfs")
	if said := m.SaidText(); !strings.Contains(said, "a member of its array is missing") {
		t.Errorf("it said:\n%s", said)
	}
}

func loopMachine(cmdline string) (*sim.Machine, *sim.Disk) {
	inside := rootDisk()
	inside.Content = sim.Ext4(usrUUID, "inside")
	outer := &sim.Disk{Content: sim.Ext4(rootUUID, "root"), Files: map[string]string{"/images/root.img": "image"}}
	m := full("root=LABEL=root "+cmdline, outer)
	m.Images = map[string]*sim.Disk{"image": inside}
	return m, inside
}

func TestRootInAFile(t *testing.T) {
	for cmdline, source := range map[string]string{"rw loop=/images/root.img": "/dev/loop0", "ro loop=/images/root.img loopfstype=ext4": "/dev/loop0",
		"loop=/images/root.img rd.overlay": "LiveOS_rootfs"} {
		m, inside := loopMachine(cmdline)
		boot(t, m)
		if m.Started == nil {
			t.Fatalf("%s: not started; it said:\n%s", cmdline, m.SaidText())
		}
		if last := m.Mounts[len(m.Mounts)-1]; last.Source != source {
			t.Errorf("%s: the last mount is %+v", cmdline, last)
		}
		if m.Below("/run/initramfs/host") == nil {
			t.Errorf("%s: the filesystem of the file is gone", cmdline)
		}
		if strings.Contains(cmdline, "overlay") && !inside.ReadOnly {
			t.Errorf("%s: the file can be written", cmdline)
		}
		noTimer(t, m)
	}
	m, _ := loopMachine("loop=/images/no.img rd.shell=0 rd.emergency=poweroff")
	boot(t, m)
	if said := m.SaidText(); m.Started != nil || !strings.Contains(said, "/images/no.img") {
		t.Errorf("it said:\n%s", said)
	}
}

func TestEmptyRootInMemory(t *testing.T) {
	usr := &sim.Disk{Content: sim.Ext4(usrUUID, "usr"), Files: map[string]string{"/sbin/init": "#!"}}
	m := full("root=tmpfs rootflags=size=50% mount.usr=LABEL=usr", usr)
	boot(t, m)
	if m.Started == nil || m.Below("/sysroot/usr") == nil || m.Mounts[0].Data != "mode=0755,size=50%" || m.Mounts[len(m.Mounts)-1].Data != "" {
		t.Errorf("mounts %+v; it said:\n%s", m.Mounts, m.SaidText())
	}
	noTimer(t, m)
	m = full("root=tmpfs rd.shell=0 rd.emergency=poweroff", usr)
	boot(t, m)
	if said := m.SaidText(); m.Started != nil || !strings.Contains(said, "mount.usr=") {
		t.Errorf("it said:\n%s", said)
	}
}

func TestADiskThatCannotBeWritten(t *testing.T) {
	for _, dirty := range []bool{false, true} {
		d := rootDisk()
		d.ReadOnly, d.Dirty = true, dirty
		m := machineWith("rw root=LABEL=root", d)
		boot(t, m)
		started(t, m, "/dev/vda")
		if d.Written != "" && dirty {
			t.Errorf("it was written to by %s", d.Written)
		}
		if said := strings.Contains(m.SaidText(), "cannot be written"); said != dirty {
			t.Errorf("dirty %v; it said:\n%s", dirty, m.SaidText())
		}
	}
	// Only then: the log of a disk that can be written is replayed.
	d := rootDisk()
	d.Dirty = true
	m := machineWith("ro root=LABEL=root", d)
	boot(t, m)
	for _, mt := range m.Mounts {
		if strings.Contains(mt.Data, "noload") {
			t.Errorf("%+v", mt)
		}
	}
}

// seeds is how many machines a family has.
const seeds = 1000

// family boots a machine of each seed with faults after which it can still
// start, and says what broke.
func family(t *testing.T, make func(seed uint64, rng *rand.Rand) *sim.Machine, judge func(*sim.Machine) string) {
	t.Helper()
	n := uint64(seeds)
	if testing.Short() {
		n = 100
	}
	for seed := range n {
		rng := rand.New(rand.NewPCG(seed, 7))
		m := make(seed, rng)
		m.Seed, m.Record = seed, false
		m.Faults = m.RandomFaults(rng, 3, false)
		if err := m.Boot(30 * time.Minute); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		why := judge(m)
		if p := m.Core.Stats().Panics; p != 0 {
			why = strconv.Itoa(p) + " panics"
		}
		if why != "" {
			t.Fatalf("seed %d: %s; faults %+v; command line %s\n%s", seed, why, m.Faults, m.Cmdline, m.SaidText())
		}
		m.Core.Close()
	}
}

// Whatever goes wrong on the way: a root that is to be covered is never
// mounted writable, and the real system never starts without the cover.
func TestOverlayFamily(t *testing.T) {
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		o := overlays[rng.IntN(len(overlays))]
		return full("rw root=LABEL=root rd.shell=0 "+o.cmdline, volatileRoot(), changesDisk())
	}, func(m *sim.Machine) string {
		over := false
		for _, mt := range m.Mounts {
			if mt.Source == "/dev/vda" && mt.Flags&1 == 0 {
				return "the root is mounted writable"
			}
			over = over || mt.Target == handler.SysRoot && !strings.HasPrefix(mt.Source, "/dev/")
		}
		if m.Started == nil {
			return "not started"
		}
		if !over {
			return "the real system starts on the bare root"
		}
		return ""
	})
}

// The root is the file, whatever goes wrong on the way, and never what the
// file is in.
func TestLoopFamily(t *testing.T) {
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		m, _ := loopMachine([...]string{"rw", "ro", "rd.overlay"}[rng.IntN(3)] + " rd.shell=0 loop=/images/root.img")
		return m
	}, func(m *sim.Machine) string {
		if m.Started == nil {
			return "not started"
		}
		if d := m.Mounted(handler.SysRoot); d == nil || d.Files["/lib/systemd/systemd"] == "" {
			return "the root is not the file"
		}
		return ""
	})
}

// The log of a filesystem is left alone exactly where the disk cannot be
// written.
func TestProtectedFamily(t *testing.T) {
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		d := rootDisk()
		d.ReadOnly, d.Dirty = rng.IntN(2) == 0, rng.IntN(2) == 0
		return machineWith([...]string{"ro", "rw"}[rng.IntN(2)]+" rd.shell=0 root=LABEL=root", d)
	}, func(m *sim.Machine) string {
		for _, mt := range m.Mounts {
			d := m.Below(mt.Target)
			if d != nil && mt.Target == handler.SysRoot && strings.Contains(mt.Data, "noload") != (d.ReadOnly && d.Dirty) {
				return "options " + mt.Data
			}
		}
		if m.Started == nil {
			return "not started"
		}
		return ""
	})
}
