package sim_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/machine"
	"firstlight/internal/sim"
)

// checkedRoot is a machine that can check its root; how it was checked is noted.
func checkedRoot(cmdline string, files ...string) (m *sim.Machine, checks *[]string) {
	root := volatileRoot()
	for _, f := range files {
		root.Files[f] = ""
	}
	m = full("ro root=LABEL=root rd.shell=0 "+cmdline, root)
	m.Image.Features = []string{"fsck", "fsck-files"}
	checks = &[]string{}
	m.Programs = map[string]func(*sim.Machine, []string) machine.Exit{"/sbin/fsck.ext4": func(_ *sim.Machine, args []string) machine.Exit {
		*checks = append(*checks, strings.Join(args, " "))
		return machine.Exit{}
	}}
	return m, checks
}

func TestFilesOfFsck(t *testing.T) {
	for _, tt := range []struct {
		cmdline string
		files   []string
		checked bool
		forced  bool
	}{
		{"", nil, true, false},
		{"", []string{"/forcefsck"}, true, true},
		{"", []string{"/fastboot"}, false, false},
		{"", []string{"/fastboot", "/forcefsck"}, false, false},
		{"fsck.mode=skip", []string{"/forcefsck"}, false, false},
		{"fastboot", []string{"/forcefsck"}, false, false},
		{"fsck.mode=force", []string{"/fastboot"}, true, true},
		{"forcefsck", []string{"/fastboot"}, true, true},
		{"fsck.repair=no", []string{"/forcefsck"}, true, true},
		{"forcefsck fastboot", nil, false, false},
		{"fastboot forcefsck", nil, true, true},
		{"fsck.mode=force fsck.mode=auto", nil, true, false},
		{"rd.skipfsck fsckfix", nil, false, false},
	} {
		m, checks := checkedRoot(tt.cmdline, tt.files...)
		boot(t, m)
		if m.Started == nil {
			t.Fatalf("%s %v: it said:\n%s", tt.cmdline, tt.files, m.SaidText())
		}
		forced := slices.ContainsFunc(*checks, func(c string) bool { return slices.Contains(strings.Fields(c), "-f") })
		if checked := len(*checks) == 1; checked != tt.checked || forced != tt.forced {
			t.Errorf("%s %v: checked %v", tt.cmdline, tt.files, *checks)
		}
		noTimer(t, m)
	}
	// An image without the feature does not look.
	m, checks := checkedRoot("", "/fastboot")
	m.Image.Features = []string{"fsck"}
	boot(t, m)
	if m.Started == nil || len(*checks) != 1 {
		t.Errorf("checked %v", *checks)
	}
}

// Whatever goes wrong on the way: looking writes nothing, and a root with
// /fastboot is not checked once it was seen.
func TestFilesOfFsckFamily(t *testing.T) {
	var checks *[]string
	var fast bool
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		fast = rng.IntN(2) == 0
		file := "/forcefsck"
		if fast {
			file = "/fastboot"
		}
		var m *sim.Machine
		m, checks = checkedRoot("", file)
		return m
	}, func(m *sim.Machine) string {
		for _, mt := range m.Mounts {
			if mt.Target == "/run/initramfs/fsck-files" && (mt.Flags&1 == 0 || mt.Data != "noload") {
				return "looked at with " + mt.Data
			}
		}
		switch {
		case m.Started == nil:
			return "not started"
		case fast && len(*checks) > 0 && strings.Contains(m.SaidText(), "/fastboot"):
			return "checked although it has /fastboot"
		}
		return ""
	})
}
