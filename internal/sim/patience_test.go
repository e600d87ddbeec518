package sim_test

import (
	"strings"
	"testing"
	"time"

	"firstlight/internal/sim"
)

// A deadline that is no longer than the patience for the resume device does
// not cost the boot: the root that is there has its time after it.
func TestResumeDeviceThatNeverComesAndAShortDeadline(t *testing.T) {
	for _, timeout := range []string{"10", "30", "40"} {
		m := machineWith("root=LABEL=root resume=UUID="+swapUUID+" rd.timeout="+timeout, rootDisk())
		boot(t, m)
		started(t, m, "/dev/vda")
		patience, _ := time.ParseDuration(timeout + "s")
		patience = min(patience, 30*time.Second)
		if at := m.Now().Round(time.Second); at != patience {
			t.Errorf("rd.timeout=%s: started at %v", timeout, at)
		}
		if strings.Contains(m.SaidText(), "cannot be started") {
			t.Errorf("rd.timeout=%s: it gave up:\n%s", timeout, m.SaidText())
		}
		if want := "has not appeared in " + strings.TrimSuffix(patience.String(), "s") + " s"; !strings.Contains(string(m.Journal), want) {
			t.Errorf("rd.timeout=%s: %q was not said", timeout, want)
		}
	}
}

// … also after a resume device that comes at the last moment and holds no image.
func TestResumeDeviceThatComesLateAndAShortDeadline(t *testing.T) {
	m := machineWith("root=LABEL=root resume=UUID="+swapUUID+" rd.timeout=10", rootDisk())
	m.At(9*time.Second, func() { m.Plug(&sim.Disk{Content: sim.Swap(swapUUID, false)}) })
	m.Latency = func(what string) time.Duration {
		if strings.HasPrefix(what, "mount ") {
			return 3 * time.Second
		}
		return 0
	}
	boot(t, m)
	started(t, m, "/dev/vda")
	if strings.Contains(m.SaidText(), "cannot be started") {
		t.Errorf("it gave up:\n%s", m.SaidText())
	}
}

// A root that is not there either is given up when its own time is over.
func TestNeitherResumeDeviceNorRootComes(t *testing.T) {
	m := machineWith("root=LABEL=root resume=UUID=" + swapUUID + " rd.timeout=20 rd.shell=0 panic=1")
	boot(t, m)
	if at := m.Now().Round(time.Second); at != 21*time.Second || !strings.Contains(m.SaidText(), "root=LABEL=root was not found") {
		t.Errorf("ended at %v; said:\n%s", at, m.SaidText())
	}
}
