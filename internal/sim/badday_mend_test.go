package sim_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/sim"
	"firstlight/internal/sim/content"
	"firstlight/internal/testtool"
)

// lateSwap is the device to resume from, with nothing to be resumed: until it
// comes nothing is mounted.
func lateSwap() *sim.Disk { return sim.SwapArea(swapUUID, false) }

// flapping is a machine whose root lies on disks of which one or all go away
// once it is activated and come back, before the root is mounted; then what to
// resume from comes. pulled are those that go.
type flapping struct {
	name    string
	cmdline string
	image   func(*sim.Machine)
	disks   func(t *testing.T) []*sim.Disk
	pulled  []int
}

func onLUKS(root *sim.Disk) *sim.Disk {
	return sim.Encrypt(content.LUKS{Version: 2, UUID: luksUUID, Passphrases: []string{passphrase}}, root)
}

func ofArray(level, slots int, root *sim.Disk) []*sim.Disk {
	return sim.Members(content.MD{Version: "1.2", UUID: arrayUUID, Name: "host:0", Level: level, Slots: slots, Chunk: 64 << 10, Events: 17, Made: 1700000000}, root, 0)
}

func theRoot() *sim.Disk { return sim.Filesystem("ext4", rootUUID, "root", debian()) }

var flaps = []flapping{
	{name: "luks", cmdline: "rd.luks.uuid=" + luksUUID, disks: func(*testing.T) []*sim.Disk { return []*sim.Disk{onLUKS(theRoot())} }, pulled: []int{0}},
	{name: "lvm on luks", cmdline: "rd.luks.uuid=" + luksUUID, disks: func(*testing.T) []*sim.Disk {
		return []*sim.Disk{onLUKS(sim.Volumes(volumeGroup(1), map[string]*sim.Disk{"root": theRoot()})[0])}
	}, pulled: []int{0}},
	{name: "raid0", disks: func(*testing.T) []*sim.Disk { return ofArray(0, 2, theRoot()) }, pulled: []int{1}},
	{name: "raid1, both", disks: func(*testing.T) []*sim.Disk { return ofArray(1, 2, theRoot()) }, pulled: []int{0, 1}},
	{name: "luks on raid1, both", cmdline: "rd.luks.uuid=" + luksUUID, disks: func(*testing.T) []*sim.Disk { return ofArray(1, 2, onLUKS(theRoot())) }, pulled: []int{0, 1}},
	{name: "verity", image: func(m *sim.Machine) {
		made, _ := verified()
		m.Cmdline = strings.ReplaceAll(m.Cmdline, "root=LABEL=root", "roothash="+made.root+" systemd.verity_root_data=/dev/vda systemd.verity_root_hash=/dev/vdb")
	}, disks: func(t *testing.T) []*sim.Disk {
		testtool.Need(t, "veritysetup")
		made, err := verified()
		if err != nil {
			t.Fatal(err)
		}
		return []*sim.Disk{{Content: made.data, Size: int64(len(made.data)), Files: debian()}, {Content: made.tree, Size: int64(len(made.tree))}}
	}, pulled: []int{1}},
}

// machine is one of them; the disks go after pull and are back after back.
func (f *flapping) machine(t *testing.T, pull, back, swap time.Duration) *sim.Machine {
	t.Helper()
	disks := f.disks(t)
	m := machineWith("root=LABEL=root rd.emergency=poweroff rd.timeout=120 resume=UUID="+swapUUID+" "+f.cmdline, disks...)
	m.Image.Full = true
	if f.image != nil {
		f.image(m)
	}
	for i, n := range f.pulled {
		d := disks[n]
		m.At(pull+time.Duration(i)*20*time.Millisecond, func() { m.Unplug(d) })
		m.At(back+time.Duration(i)*30*time.Millisecond, func() { m.Plug(d) })
	}
	m.At(swap, func() { m.Plug(lateSwap()) })
	m.Answer = types(passphrase, time.Second)
	return m
}

// What was made of a disk that goes away while nothing is mounted is made again
// when it comes back, and the boot goes on.
func TestADiskUnderEachKindOfMappingGoesAndComesBack(t *testing.T) {
	for _, f := range flaps {
		t.Run(f.name, func(t *testing.T) {
			m := f.machine(t, 5*time.Second, 8*time.Second, 12*time.Second)
			boot(t, m)
			if m.Started == nil {
				t.Fatalf("not started\n%s", m.SaidText())
			}
			if !strings.Contains(m.SaidText(), "was taken down: ") {
				t.Errorf("not said:\n%s", m.SaidText())
			}
			if n := len(m.Prompts); n > 1 {
				t.Errorf("asked %d times for what was typed once", n)
			}
		})
	}
}

// With any times of going and coming, and faults beside it, the boot ends in a
// system, or says why not; nothing is written to a disk before the root is
// mounted.
func TestMendFamily(t *testing.T) {
	var f *flapping
	var inTime bool
	family(t, func(seed uint64, rng *rand.Rand) *sim.Machine {
		f = &flaps[seed%uint64(len(flaps))]
		pull := time.Duration(rng.Int64N(int64(8 * time.Second)))
		back := pull + time.Duration(rng.Int64N(int64(6*time.Second)))
		swap := 10*time.Second + time.Duration(rng.Int64N(int64(15*time.Second)))
		inTime = true
		if rng.IntN(8) == 0 { // it stays away
			back, inTime = time.Hour, false
		}
		return f.machine(t, pull, back, swap)
	}, func(m *sim.Machine) string {
		other := slices.ContainsFunc(m.Faults, func(f sim.Fault) bool {
			return f.Kind == sim.OperationFails || f.Kind == sim.DiskVanishes || f.Kind == sim.ReadFails || f.Kind == sim.OpenFails
		})
		late := slices.ContainsFunc(m.Faults, func(f sim.Fault) bool { return f.Kind == sim.DiskLate })
		switch {
		case inTime && m.Started == nil && !other:
			return f.name + ": not started"
		case !inTime && m.Started != nil && !other && !late && f.name != "raid1, both":
			return f.name + ": started from a disk that is not there"
		case m.Started == nil && m.Stopped == "":
			return f.name + ": neither started nor given up"
		}
		return ""
	})
}
