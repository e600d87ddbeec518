package sim_test

import (
	"strings"
	"testing"
	"time"

	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/sim"
)

// dirMachine has a disk that somebody mounts after a time, on a directory of /run.
func dirMachine(cmdline, table string) *sim.Machine {
	m := full("rd.timeout=60 rd.shell=0 rd.emergency=poweroff "+cmdline, rootDisk())
	m.Files = map[string]string{"/proc/self/mountinfo": table}
	return m
}

func TestADirectoryIsTheRoot(t *testing.T) {
	const table = "1 1 0:2 / / rw - rootfs none rw\n2 1 0:20 / /run rw - tmpfs tmpfs rw\n3 2 8:0 / /run/system rw - ext4 /dev/vda rw\n"
	for cmdline, want := range map[string]string{
		"root=bind:/run/system":    "",
		"rw root=bind:/run/system": "",
		"root=bind:/run/other":     "is not there",
		"root=bind:run/system":     "not the absolute path",
		"root=bind:/sysimage":      "a directory of the image itself",
		"root=off":                 "no system to start",
	} {
		m := dirMachine(cmdline, table)
		m.Initramfs = map[string]string{"/sysimage/sbin/init": "#!"}
		m.At(time.Second, func() {
			if err := m.Mount(machine.Mount{Source: "/dev/vda", Target: "/run/system", FSType: "ext4", Flags: 1}); err != nil {
				t.Error(err)
			}
		})
		boot(t, m)
		said := m.SaidText()
		switch {
		case want != "" && (m.Started != nil || !strings.Contains(said, want)):
			t.Errorf("%s: started %v; it did not say %q but:\n%s", cmdline, m.Started != nil, want, said)
		case want == "" && m.Started == nil:
			t.Errorf("%s: not started:\n%s\n%s", cmdline, said, m.Journal)
		case want == "":
			if d := m.Below(handler.SysRoot); d == nil || d.Files["/sbin/init"] == "" {
				t.Errorf("%s: mounts %+v", cmdline, m.Mounts)
			}
		}
		if strings.Contains(cmdline, "off") && m.Now() > 5*time.Second {
			t.Errorf("%s: it waited until %v", cmdline, m.Now())
		}
	}
}
