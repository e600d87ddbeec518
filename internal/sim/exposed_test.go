package sim_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/sim"
)

// mountsOf are the mounts on a directory, in order.
func mountsOf(m *sim.Machine, target string) (list []string) {
	for _, mt := range m.Mounts {
		if mt.Target == target {
			list = append(list, fmt.Sprintf("%s %s %s %#x", mt.Source, mt.FSType, mt.Data, mt.Flags))
		}
	}
	return list
}

// The medium itself is the root, covered like one in an image.
func TestAMediumThatIsTheRoot(t *testing.T) {
	m := full("rw boot=live plainroot root=LABEL=root", volatileRoot())
	boot(t, m)
	covered(t, m, "overlay")
	noTimer(t, m)
	if d := m.Below("/run/live/rootfs/filesystem.squashfs"); d == nil || d.Files["/usr/sbin/init"] == "" {
		t.Errorf("mounts %+v", m.Mounts)
	}
}

// Only some directories of the root are covered, or none.
func TestARootThatIsNotCoveredAsAWhole(t *testing.T) {
	for cmdline, want := range map[string]string{
		"boot=live exposedroot":                           "/var/log",
		"boot=live exposedroot skipunion":                 "",
		"rw boot=live plainroot root=LABEL=x exposedroot": "/var/log",
	} {
		m, _, inside := liveMachine(cmdline, "/live/filesystem.squashfs")
		maps.Copy(inside.Files, map[string]string{"/var/log/x": "", "/var/run": "-> /run", "/run/y": "", "/home/u/z": ""})
		node := "/dev/loop0"
		if strings.Contains(cmdline, "plainroot") {
			inside.Content = sim.Ext4(usrUUID, "x")
			m = full(cmdline, inside)
			node = "/dev/vda"
		}
		boot(t, m)
		if m.Started == nil {
			t.Fatalf("%s: not started; it said:\n%s\n%s", cmdline, m.SaidText(), m.Journal)
		}
		noTimer(t, m)
		if inside.Written != "" && node == "/dev/loop0" {
			t.Errorf("%s: the image was written to by %s", cmdline, inside.Written)
		}
		if got := mountsOf(m, handler.SysRoot); len(got) == 0 || !strings.HasPrefix(got[len(got)-1], node+" ") || !strings.HasSuffix(got[len(got)-1], "1") {
			t.Errorf("%s: the root is %q", cmdline, got)
		}
		for dir, is := range map[string]bool{"/var/log": want != "", "/home": want != "", "/var/run": false, "/var/spool": false} {
			if got := mountsOf(m, handler.SysRoot+dir); (len(got) == 1) != is {
				t.Errorf("%s: on %s is %q", cmdline, dir, got)
			}
		}
	}
}

// The medium begins within a device.
func TestAMediumWithinADevice(t *testing.T) {
	for cmdline, want := range map[string]string{
		"live-media=/dev/vda live-media-offset=1048576":     "",
		"live-media=/dev/vda live-media-offset=2097152":     "given up",
		"live-media=/dev/vda live-media-offset=99999999488": "ends before byte",
		"live-media=/dev/vda live-media-offset=100":         "no number of bytes that 512 divides",
		"live-media-offset=1048576":                         "needs live-media=DEVICE",
	} {
		_, medium, inside := liveMachine("", "/live/filesystem.squashfs")
		medium.Size = 64 << 20
		outer := &sim.Disk{Size: 96 << 20, Holds: []sim.Extent{{At: 1 << 20, Disk: medium}}}
		m := full("rd.timeout=30 rd.shell=0 rd.emergency=poweroff boot=live "+cmdline, outer)
		m.Images = map[string]*sim.Disk{"image": inside}
		boot(t, m)
		said := m.SaidText()
		if (want == "") != (m.Started != nil) || !strings.Contains(said, want) {
			t.Errorf("%s: started %v, it said:\n%s", cmdline, m.Started != nil, said)
		}
		if want == "" {
			noTimer(t, m)
			if d := m.Below("/run/live/medium"); d == nil {
				t.Errorf("%s: %+v", cmdline, m.Mounts)
			}
		}
		if outer.Written+medium.Written != "" {
			t.Errorf("%s: written by %s%s", cmdline, outer.Written, medium.Written)
		}
	}
}

// The medium is copied to a disk first, and not used any more.
func TestAMediumThatIsCopiedToADisk(t *testing.T) {
	for name, tt := range map[string]struct {
		cmdline string
		change  func(m *sim.Machine)
		says    string
	}{
		"copied":          {"todisk=LABEL=changes", nil, ""},
		"no room":         {"todisk=LABEL=changes", func(m *sim.Machine) { m.Programs["/usr/bin/cp"] = noRoom }, "No space left"},
		"it is not there": {"todisk=LABEL=absent", nil, "has not appeared"},
		"the medium":      {"todisk=LABEL=LIVE", nil, "the medium itself"},
		"no program":      {"todisk=LABEL=changes", func(m *sim.Machine) { m.Programs = nil }, "live-persistence"},
		"no device":       {"todisk=nfs:x", nil, "names no device"},
	} {
		t.Run(name, func(t *testing.T) {
			disk := changesDisk()
			m, _, _ := withPersistence("rd.timeout=30 rd.shell=0 rd.emergency=poweroff boot=live "+tt.cmdline, disk)
			if tt.change != nil {
				tt.change(m)
			}
			boot(t, m)
			if said := m.SaidText(); (tt.says == "") != (m.Started != nil) || !strings.Contains(said, tt.says) {
				t.Fatalf("started %v, it said:\n%s\n%s", m.Started != nil, said, m.Journal)
			}
			for _, mt := range m.Mounts { // a log is replayed all the same
				if mt.Source == "/dev/vda" && mt.Flags&1 == 0 {
					t.Errorf("the medium is mounted writable on %s", mt.Target)
				}
			}
			if tt.says != "" {
				return
			}
			noTimer(t, m)
			if m.Below("/run/live/medium") != disk || disk.Files["/live/filesystem.squashfs"] == "" {
				t.Errorf("mounts %+v, files %v", m.Mounts, disk.Files)
			}
		})
	}
}

func noRoom(*sim.Machine, []string) machine.Exit {
	return machine.Exit{Code: 1, Output: "cp: error writing: No space left on device\n"}
}
