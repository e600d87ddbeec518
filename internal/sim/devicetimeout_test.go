package sim_test

import (
	"strings"
	"testing"
	"time"
)

// How long the resume device and the root are waited for, as the options say
// that systemd reads.
func TestDeviceTimeoutsInOptions(t *testing.T) {
	for cmdline, want := range map[string]time.Duration{
		"resume=UUID=" + swapUUID + " resumeflags=x-systemd.device-timeout=7":                                      7 * time.Second,
		"resume=UUID=" + swapUUID + " resumeflags=x-systemd.device-timeout=50s":                                    50 * time.Second,
		"resume=UUID=" + swapUUID + " resumeflags=x-systemd.device-timeout=0 rd.timeout=40":                        40 * time.Second,
		"resume=UUID=" + swapUUID + " resumeflags=noatime":                                                         30 * time.Second,
		"resume=UUID=" + swapUUID + " resumeflags=x-systemd.device-timeout=5 rootflags=x-systemd.device-timeout=9": 5 * time.Second,
	} {
		m := machineWith("root=LABEL=root "+cmdline, rootDisk())
		boot(t, m)
		started(t, m, "/dev/vda")
		if at := m.Now().Round(time.Second); at != want {
			t.Errorf("%s: started at %v, not %v", cmdline, at, want)
		}
	}
	for cmdline, want := range map[string]time.Duration{
		"rootflags=noatime,x-systemd.device-timeout=33s":      34 * time.Second,
		"rd.timeout=10 rootflags=x-systemd.device-timeout=50": 51 * time.Second,
		"rd.timeout=12 rootflags=x-systemd.device-timeout=x":  13 * time.Second,
	} {
		m := machineWith("root=LABEL=root rd.shell=0 panic=1 " + cmdline)
		boot(t, m)
		if at := m.Now().Round(time.Second); at != want || !strings.Contains(m.SaidText(), "root=LABEL=root was not found") {
			t.Errorf("%s: ended at %v, not %v; said:\n%s", cmdline, at, want, m.SaidText())
		}
	}
}
