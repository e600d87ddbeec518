package sim_test

import (
	"strings"
	"testing"
	"time"
)

// A disk that comes when the volume runs without it is not taken in, and that is
// said.
func TestDiskThatComesWhenItsVolumeRuns(t *testing.T) {
	m := machineWith("root=UUID=" + keyUUID + " rd.lvm.lv=vg/root rd.lvm.degraded=5 rd.shell=0 rd.timeout=40 panic=5")
	m.Image.Full, m.Image.Features = true, []string{"lvm", "lvm-raid"}
	disks := mirrored(rootDisk())
	m.Plug(disks[0])
	m.At(15*time.Second, func() { m.Plug(disks[1]) })
	boot(t, m)
	if said := strings.Join(strings.Fields(m.SaidText()), " "); !strings.Contains(said, "came when volume root was running degraded already, and is not taken in") {
		t.Errorf("it said:\n%s", m.SaidText())
	}
}
