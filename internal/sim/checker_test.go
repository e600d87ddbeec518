package sim_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/machine"
	"firstlight/internal/sim"
)

// withChecker is a machine whose checker ends in a way; calls are its
// arguments, each time.
func withChecker(cmdline string, exit machine.Exit, calls *[]string, d *sim.Disk) *sim.Machine {
	m := machineWith("root=LABEL=root "+cmdline, d)
	m.Image.Features = []string{"fsck"}
	m.Programs = map[string]func(*sim.Machine, []string) machine.Exit{"/sbin/fsck.ext4": func(_ *sim.Machine, args []string) machine.Exit {
		*calls = append(*calls, strings.Join(args, " "))
		return exit
	}}
	return m
}

func TestCheckOfTheRoot(t *testing.T) {
	for _, tt := range []struct {
		cmdline  string
		code     int
		readOnly bool
		call     string // "" for none
		starts   bool
	}{
		{"quiet", 0, false, "-a /dev/vda", true},
		{"", 0, false, "-a -C0 /dev/vda", true},
		{"quiet forcefsck fsck.repair=yes", 1, false, "-y -f /dev/vda", true},
		{"quiet fsck.mode=force fsck.repair=no", 0, false, "-n -f /dev/vda", true},
		{"quiet", 2, false, "-a /dev/vda", true},
		{"quiet", 3, false, "-a /dev/vda", true},
		{"quiet", 4, false, "-a /dev/vda", false},
		{"quiet", 5, false, "-a /dev/vda", false},
		{"quiet", 8, false, "-a /dev/vda", false},
		{"quiet", 128 + 11, false, "-a /dev/vda", false},
		{"quiet fastboot", 4, false, "", true},
		{"quiet fsck.mode=skip", 4, false, "", true},
		{"quiet", 8, true, "", true},
	} {
		var calls []string
		d := rootDisk()
		d.ReadOnly = tt.readOnly
		m := withChecker("rd.shell=0 rd.emergency=poweroff "+tt.cmdline, machine.Exit{Code: tt.code, Output: "it says so"}, &calls, d)
		boot(t, m)
		if (m.Started != nil) != tt.starts {
			t.Errorf("%+v: started %v; it said:\n%s", tt, m.Started, m.SaidText())
		}
		if tt.call == "" && len(calls) > 0 || tt.call != "" && !slices.Contains(calls, tt.call) {
			t.Errorf("%+v: called %q", tt, calls)
		}
		// systemd checks again what was not checked.
		_, err := m.ReadFile("/run/initramfs/fsck-root", 1)
		if (err == nil) != (tt.starts && tt.call != "") {
			t.Errorf("%+v: the mark for systemd: %v", tt, err)
		}
	}
}

// Whatever goes wrong on the way: what its checker gives up on is never
// mounted, and everything else is, checked if it could be.
func TestCheckerFamily(t *testing.T) {
	var code int
	var protected bool
	var calls []string
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		code, calls = [...]int{0, 1, 2, 3, 4, 6, 8, 16, 139}[rng.IntN(9)], nil
		d := rootDisk()
		protected = rng.IntN(4) == 0
		d.ReadOnly = protected
		return withChecker("rd.shell=0 "+[...]string{"quiet", "", "fsck.mode=force", "fsck.repair=yes"}[rng.IntN(4)], machine.Exit{Code: code}, &calls, d)
	}, func(m *sim.Machine) string {
		broken := code >= 8 || code&4 != 0
		checked := !protected
		switch {
		case checked && broken && len(calls) > 0 && len(m.Mounts) > 0:
			return fmt.Sprintf("mounted, and the checker ended with %d", code)
		case !checked && len(calls) > 0:
			return "a disk that cannot be written was checked"
		case m.Started == nil && (!broken || !checked):
			return "not started"
		}
		return ""
	})
}
