package sim_test

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"firstlight/internal/sim"
	"firstlight/internal/sim/content"
)

const logUUID = "99999999-9999-4999-8999-999999999999"

// apart is a root with its journal on another disk.
func apart(typ string) (root, log *sim.Disk) {
	if typ == "xfs" {
		log = &sim.Disk{Content: xfsLog(rootUUID), Files: map[string]string{}}
		b := content.XFS(rootUUID, "root")
		binary.BigEndian.PutUint64(b[48:], 0)
		// Nothing of the simulated machine looks at the sum, but the prober does.
		binary.LittleEndian.PutUint32(b[224:], 0)
		binary.LittleEndian.PutUint32(b[224:], castagnoli(b))
		return &sim.Disk{Content: b, Files: debian(), Log: log}, log
	}
	b := sim.Ext4(logUUID, "log")
	binary.LittleEndian.PutUint32(b[1024+0x5c:], 0)
	binary.LittleEndian.PutUint32(b[1024+0x60:], 0x8) // it is a journal
	log = &sim.Disk{Content: b}
	b = sim.Ext4(rootUUID, "root")
	binary.LittleEndian.PutUint32(b[1024+0xe0:], 0)
	copy(b[1024+0xd0:], sim.UUID(logUUID))
	return &sim.Disk{Content: b, Files: debian(), Log: log}, log
}

// xfsLog begins with one record of the log of a filesystem.
func xfsLog(of string) []byte {
	b := make([]byte, 512)
	be := binary.BigEndian
	be.PutUint32(b, 0xfeedbabe)
	be.PutUint32(b[8:], 2)
	be.PutUint32(b[12:], 512)
	be.PutUint32(b[300:], 1)
	copy(b[304:], sim.UUID(of))
	return b
}

func journalMachine(cmdline string, disks ...*sim.Disk) *sim.Machine {
	m := full("rd.timeout=60 rd.shell=0 rd.emergency=poweroff "+cmdline, disks...)
	m.Image.Features = []string{"external-journal"}
	return m
}

func TestARootWithItsJournalOnAnotherDisk(t *testing.T) {
	for _, typ := range []string{"ext4", "xfs"} {
		for name, tt := range map[string]struct {
			cmdline string
			late    bool // the journal comes after 20 s
			never   bool
			twice   bool
			says    string // "" where it starts
		}{
			"by its UUID":          {"root=LABEL=root", false, false, false, ""},
			"after the root":       {"root=LABEL=root", true, false, false, ""},
			"named":                {"root=LABEL=root root.journaldev=/dev/vdb", false, false, false, ""},
			"named by an option":   {"root=LABEL=root rootflags=noatime,logdev=/dev/vdb", false, false, false, ""},
			"it does not come":     {"root=LABEL=root", false, true, false, "the journal of /dev/vda"},
			"another one is named": {"root=LABEL=root root.journaldev=LABEL=changes", false, false, false, `labelled "changes" has not appeared`},
			"there are two":        {"root=LABEL=root", false, false, true, "more than one device is"},
		} {
			t.Run(typ+" "+name, func(t *testing.T) {
				root, log := apart(typ)
				m := journalMachine(tt.cmdline, root)
				switch {
				case tt.late:
					m.At(20*time.Second, func() { m.Plug(log) })
				case !tt.never:
					m.Plug(log)
				}
				if tt.twice {
					m.Plug(&sim.Disk{Content: log.Content})
				}
				boot(t, m)
				said := m.SaidText()
				switch {
				case tt.says == "":
					started(t, m, "/dev/vda")
				case m.Started != nil || !strings.Contains(said, tt.says):
					t.Errorf("started %v; it did not say %q but:\n%s", m.Started != nil, tt.says, said)
				case root.Written+log.Written != "":
					t.Errorf("written by %s%s", root.Written, log.Written)
				}
			})
		}
	}
}

// One with its journal inside needs nothing.
func TestARootWithItsJournalInIt(t *testing.T) {
	m := journalMachine("root=LABEL=root", rootDisk())
	boot(t, m)
	started(t, m, "/dev/vda")
	noTimer(t, m)
}

// In whatever order they come: the root is never mounted without its journal,
// nor with another one.
func TestJournalFamily(t *testing.T) {
	var root, log *sim.Disk
	family(t, func(seed uint64, rng *rand.Rand) *sim.Machine {
		root, log = apart([...]string{"ext4", "xfs"}[seed%2])
		disks := []*sim.Disk{root, log, changesDisk()}
		rng.Shuffle(len(disks), func(i, j int) { disks[i], disks[j] = disks[j], disks[i] })
		return journalMachine("root=LABEL=root", disks...)
	}, func(m *sim.Machine) string {
		if calm(m) && m.Started == nil {
			return "nothing was started:\n" + m.SaidText()
		}
		return ""
	})
}

func castagnoli(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// A journal in a logical volume is activated for the root's sake alone.
func TestAJournalInAVolume(t *testing.T) {
	root, log := apart("ext4")
	m := journalMachine("root=LABEL=root", append([]*sim.Disk{root}, volumes(1, log)...)...)
	boot(t, m)
	started(t, m, "/dev/vda")
}
