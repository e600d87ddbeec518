package sim_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"firstlight/internal/sim"
)

func fallbackMachine(cmdline string, disks ...*sim.Disk) *sim.Machine {
	m := full("rd.timeout=60 rd.shell=0 rd.emergency=poweroff "+cmdline, disks...)
	m.Image.Features = []string{"root-fallback"}
	return m
}

// rescueDisk is another root.
func rescueDisk() *sim.Disk {
	return &sim.Disk{Content: sim.Ext4(otherUUID, "rescue"), Files: debian()}
}

func TestAnotherRootWhereTheFirstDoesNotCome(t *testing.T) {
	const fall = " rootfallback=LABEL=absent rootfallback=LABEL=rescue"
	for name, tt := range map[string]struct {
		cmdline string
		disks   []*sim.Disk
		late    *sim.Disk // plugged in after 50 s
		node    string    // "" for none
		says    string
	}{
		"the root is there":                 {"root=LABEL=root" + fall, []*sim.Disk{rootDisk(), rescueDisk()}, nil, "/dev/vda", ""},
		"the root does not come":            {"root=LABEL=root rootflags=subvol=a rootfstype=btrfs" + fall, []*sim.Disk{rescueDisk()}, nil, "/dev/vda", "starting from LABEL=rescue"},
		"nor does the other one in time":    {"root=LABEL=root" + fall, nil, rescueDisk(), "/dev/vda", "starting from LABEL=rescue"},
		"it comes after all, but too late":  {"root=LABEL=root" + fall, []*sim.Disk{rescueDisk()}, rootDisk(), "/dev/vda", "starting from LABEL=rescue"},
		"no image in the one there":         {"root=LABEL=rescue" + fall, []*sim.Disk{rescueDisk(), {Content: sim.Ext4(usrUUID, "rescue"), Files: debian()}}, nil, "", "2 devices have this name"},
		"no medium":                         {"root=live:LABEL=LIVE" + fall, []*sim.Disk{rescueDisk()}, nil, "LiveOS_rootfs", "starting from LABEL=rescue"},
		"a root hash is given":              {"root=LABEL=root roothash=" + strings.Repeat("0a", 32) + fall, []*sim.Disk{rescueDisk()}, nil, "", "a root hash is given"},
		"none of them":                      {"root=LABEL=root" + fall, nil, nil, "", "LABEL=root"},
		"it names nothing":                  {"root=LABEL=root rootfallback=nfs:a", []*sim.Disk{rescueDisk()}, nil, "", "not the name of a block device"},
		"never given up, and still 60 s":    {"root=LABEL=root rd.timeout=0" + fall, []*sim.Disk{rescueDisk()}, nil, "/dev/vda", "starting from LABEL=rescue"},
		"an overlay in memory is laid over": {"root=LABEL=root rd.overlay" + fall, []*sim.Disk{rescueDisk()}, nil, "LiveOS_rootfs", "starting from LABEL=rescue"},
	} {
		t.Run(name, func(t *testing.T) {
			m := fallbackMachine(tt.cmdline, tt.disks...)
			if tt.late != nil {
				m.At(50*time.Second, func() { m.Plug(tt.late) })
			}
			boot(t, m)
			if said := m.SaidText(); !strings.Contains(said, tt.says) {
				t.Errorf("it did not say %q but:\n%s", tt.says, said)
			}
			switch {
			case tt.node == "" && m.Started != nil:
				t.Errorf("it started:\n%s", m.SaidText())
			case tt.node == "LiveOS_rootfs":
				covered(t, m, tt.node)
			case tt.node != "":
				started(t, m, tt.node)
			}
		})
	}
}

// Without the feature the parameter is reported, and no other root is taken.
func TestAFallbackThatTheImageHasNot(t *testing.T) {
	m := machineWith("rd.timeout=60 rd.shell=0 rd.emergency=poweroff root=LABEL=root rootfallback=LABEL=rescue", rescueDisk())
	boot(t, m)
	if m.Started != nil || !bytes.Contains(m.Journal, []byte("--feature root-fallback")) {
		t.Errorf("started %v, and it said:\n%s", m.Started != nil, m.SaidText())
	}
}

// Whichever comes when: the root is never given up before its time, and never
// taken for another one.
func TestFallbackFamily(t *testing.T) {
	var root, rescue *sim.Disk
	var after time.Duration
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		root, rescue = rootDisk(), rescueDisk()
		m := fallbackMachine("root=LABEL=root rootfallback=LABEL=rescue", rescue)
		after = time.Duration(rng.IntN(80)) * time.Second
		if rng.IntN(3) > 0 {
			m.At(after, func() { m.Plug(root) })
		} else {
			after = time.Hour
		}
		return m
	}, func(m *sim.Machine) string {
		said := m.SaidText()
		took := strings.Contains(said, "starting from LABEL=rescue")
		switch {
		case took && root.Written != "":
			return "both roots were used:\n" + said
		case !took && rescue.Written != "":
			return "the other root was used, and that was not said"
		case calm(m) && after < 35*time.Second && took:
			return "the other root was taken although the root came after " + after.String()
		case calm(m) && after > 50*time.Second && !took:
			return "the other root was not taken although the root came after " + after.String()
		case calm(m) && m.Started == nil:
			return "nothing was started:\n" + said
		}
		return ""
	})
}
