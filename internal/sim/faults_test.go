package sim_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/sim"

	"golang.org/x/sys/unix"
)

// faulty boots a plain disk on virtio, and what else is given, with faults.
func faulty(t *testing.T, cmdline string, disks []*sim.Disk, faults ...sim.Fault) *sim.Machine {
	t.Helper()
	m := on(0, cmdline+" rd.shell=0 panic=1", disks...)
	m.Faults = faults
	boot(t, m)
	return m
}

func TestWhatGoesWrongForAWhileDoesNotKeepTheBootFromItsRoot(t *testing.T) {
	crypt := "root=UUID=" + rootUUID + " rd.luks.uuid=" + luksUUID
	for _, f := range []sim.Fault{
		{Kind: sim.EventsDelayed, For: 2 * time.Second},
		{Kind: sim.EventsShuffled, For: 2 * time.Second},
		{Kind: sim.EventsDuplicated, Times: 1},
		{Kind: sim.EventsLost, For: 3 * time.Second},
		{Kind: sim.DiskLate, Target: "disk 0", At: 20 * time.Second},
		{Kind: sim.DiskVanishes, Target: "disk 0", At: 2 * time.Second, For: time.Second}, // the question stands
		{Kind: sim.DriverSlow, Target: "virtio0", For: 30 * time.Second},
		{Kind: sim.OperationSlow, Target: "read ", For: time.Second},
		{Kind: sim.PersonWrong, Times: 2},
		{Kind: sim.PersonSlow, For: 5 * time.Minute},
		{Kind: sim.ClockJumps, At: time.Second, For: 10 * time.Second},
	} {
		t.Run(f.String(), func(t *testing.T) {
			root := rootFS()
			m := faulty(t, crypt, simple(locked(2, root)), f)
			rightRoot(t, m, root)
		})
	}
}

func TestWhatIsMissingForGoodIsNamed(t *testing.T) {
	for _, tt := range []struct {
		fault sim.Fault
		says  string
	}{
		{sim.Fault{Kind: sim.DiskAbsent, Target: "disk 0"}, rootUUID},
		{sim.Fault{Kind: sim.DriverMissing, Target: "ext4"}, "ext4"},
		{sim.Fault{Kind: sim.ReadFails, Target: "disk 0"}, "input/output error"},
		{sim.Fault{Kind: sim.OperationFails, Target: "mount ", Errno: unix.EUCLEAN}, "structure needs cleaning"},
		{sim.Fault{Kind: sim.PersonGone}, ""},
	} {
		t.Run(tt.fault.String(), func(t *testing.T) {
			m := faulty(t, "root=UUID="+rootUUID, simple(rootFS()), tt.fault)
			if tt.fault.Kind == sim.PersonGone {
				rightRoot(t, m, m.Mounted(handler.SysRoot)) // nobody is asked
				return
			}
			if m.Started != nil || m.Stopped != machine.Reboot || !strings.Contains(m.SaidText(), tt.says) {
				t.Errorf("stopped %q; said:\n%s", m.Stopped, m.SaidText())
			}
		})
	}
}

func TestDriverIsLoadedBeforeItsDeviceIsFound(t *testing.T) {
	m := on(2, "root=UUID="+rootUUID, rootFS())
	if len(m.Nodes()) != 0 {
		t.Fatalf("%v are there without a driver", m.Nodes())
	}
	boot(t, m)
	want := "scsi_mod libata ahci sd_mod ext4"
	if got := strings.Join(m.Loaded, " "); got != want {
		t.Errorf("loaded %q, want %q", got, want)
	}
	m = on(2, "root=UUID="+rootUUID+" rd.shell=0 panic=1", rootFS())
	m.Faults = []sim.Fault{{Kind: sim.DriverMissing, Target: "ahci"}}
	boot(t, m)
	if m.Started != nil || len(m.Nodes()) != 0 {
		t.Errorf("started %v; %v are there", m.Started, m.Nodes())
	}
}

func TestPanicsAreFailuresOfWhatPanicked(t *testing.T) {
	for _, f := range []sim.Fault{{Kind: sim.OperationPanics, Target: "read ", Times: 1}, {Kind: sim.HandlerPanics, Target: "/size", Times: 1}} {
		root := rootFS()
		m := on(0, "root=UUID="+rootUUID+" rd.shell=0 panic=1", root)
		m.Faults = []sim.Fault{f}
		m.At(5*time.Second, func() { m.Change(root) })
		if err := m.Boot(10 * time.Minute); err != nil {
			t.Fatal(err)
		}
		rightRoot(t, m, root)
		if f.Kind == sim.HandlerPanics && m.Core.Stats().Panics != 1 {
			t.Errorf("%d panics", m.Core.Stats().Panics)
		}
	}
}

func TestHelperThatCrashesOrHangsIsSaid(t *testing.T) {
	for _, kind := range []sim.FaultKind{sim.HelperCrashes, sim.HelperHangs} {
		m := on(0, "root=UUID="+rootUUID+" rd.shell=0 panic=1", rootFS())
		m.Image.Features = []string{"fsck"}
		m.Programs = map[string]func(*sim.Machine, []string) machine.Exit{"/sbin/fsck.ext4": sim.Helper{Takes: time.Second, Writes: "fsck"}.Run}
		m.Faults = []sim.Fault{{Kind: kind, Target: "/sbin/fsck.ext4"}}
		boot(t, m)
		if m.Started != nil || !strings.Contains(m.SaidText(), "/sbin/fsck.ext4") && !strings.Contains(m.SaidText(), "fsck.ext4 ended with 139") {
			t.Errorf("%s: said:\n%s", kind, m.SaidText())
		}
	}
}

func TestUnreadableDiskIsReadAgainWithItsNextEvent(t *testing.T) {
	root := rootFS()
	m := on(0, "root=UUID="+rootUUID, root)
	m.Faults = []sim.Fault{{Kind: sim.OpenFails, Target: "disk 0", Times: 1}}
	m.At(5*time.Second, func() { m.Change(root) })
	boot(t, m)
	rightRoot(t, m, root)
}

func TestWatcherSeesEveryStepAndOperation(t *testing.T) {
	m := on(0, "root=UUID="+rootUUID, rootFS())
	steps, mounts := 0, 0
	m.AfterStep = func() {
		steps++
		if m.Core.World() == nil {
			t.Error("no core")
		}
	}
	m.Wrap = func(in machine.Machine) machine.Machine { return countMounts{in, &mounts} }
	boot(t, m)
	if steps < 12 || mounts != 1 || len(m.Writes) != 1 || m.Writes[0].By != "mount on /sysroot" || m.Writes[0].Node != "/dev/vda" {
		t.Errorf("%d steps, %d mounts, writes %+v", steps, mounts, m.Writes)
	}
}

type countMounts struct {
	machine.Machine
	n *int
}

func (c countMounts) Mount(m machine.Mount) error {
	*c.n++
	return c.Machine.Mount(m)
}

// random is a machine of a random stack with random faults.
func random(seed uint64, lasting bool) (*sim.Machine, *sim.Disk) {
	rng := rand.New(rand.NewPCG(seed, 99))
	s := stacks[rng.IntN(len(stacks))]
	root := rootFS()
	m := on(rng.IntN(5), "root=UUID="+rootUUID+" rd.shell=0 panic=1 "+s.cmdline, s.disks(root)...)
	m.Seed = seed
	m.Faults = m.RandomFaults(rng, 5, lasting)
	return m, root
}

func TestSameSeedSameJournalWhateverGoesWrong(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	different := map[string]bool{}
	n := uint64(30)
	if testing.Short() {
		n = 10
	}
	for seed := range n {
		var first []byte
		for _, procs := range []int{1, 2, 1} {
			runtime.GOMAXPROCS(procs)
			m, _ := random(seed, true)
			if err := m.Boot(20 * time.Minute); err != nil {
				t.Fatalf("seed %d, %v: %v", seed, m.Faults, err)
			}
			got := fmt.Appendf(bytes.Clone(m.Journal), "%v %v %v %v", m.Now(), m.Mounts, m.Writes == nil, m.Finished)
			if first == nil {
				first = got
				different[string(first)] = true
			}
			m.Close()
			if !bytes.Equal(got, first) {
				t.Fatalf("seed %d gave two journals; faults %v", seed, m.Faults)
			}
		}
	}
	if len(different) < int(n)*3/4 {
		t.Errorf("%d seeds gave only %d journals", n, len(different))
	}
}

func TestNoSeedBootsIntoAWrongRoot(t *testing.T) {
	n := uint64(120)
	if testing.Short() {
		n = 30
	}
	started := 0
	for seed := range n {
		m, root := random(seed, true)
		if err := m.Boot(20 * time.Minute); err != nil {
			t.Fatalf("seed %d, %v: %v", seed, m.Faults, err)
		}
		if m.Started == nil {
			continue
		}
		started++
		defer m.Close()
		copied := strings.Contains(fmt.Sprint(m.Faults), string(sim.DiskCopied))
		if got := m.Mounted(handler.SysRoot); (got != root || !m.MountedWhole(handler.SysRoot)) && !copied && !stale(m) {
			t.Errorf("seed %d booted into %q, whole %v; faults %v", seed, got.Label, m.MountedWhole(handler.SysRoot), m.Faults)
		}
	}
	if started < int(n)/3 {
		t.Errorf("only %d of %d started", started, n)
	}
}

// stale says whether an older state of a disk was about, which is all that can
// be known of the root where the newer one never comes.
func stale(m *sim.Machine) bool {
	text := fmt.Sprint(m.Faults)
	return strings.Contains(text, string(sim.DiskStale)) || strings.Contains(text, string(sim.DiskSplit))
}

// It may hold an image: nothing is written while that may still become known.
func TestResumeDeviceThatCannotBeReadAtFirst(t *testing.T) {
	root := rootDisk()
	swap := &sim.Disk{Label: "swap", Content: sim.Swap(swapUUID, true)}
	m := machineWith("root=LABEL=root resume=/dev/vdb", root, swap)
	m.Faults = []sim.Fault{{Kind: sim.ReadFails, Target: "swap"}}
	m.At(20*time.Second, func() {
		m.Faults[0].Target = "none"
		m.Change(swap)
	})
	boot(t, m)
	if m.Resumed != "/dev/vdb" || root.Written != "" {
		t.Errorf("resumed from %q, root written to by %q", m.Resumed, root.Written)
	}
}

func TestResumeDeviceThatCanNeverBeRead(t *testing.T) {
	m := machineWith("root=LABEL=root resume=/dev/vdb", rootDisk(), &sim.Disk{Label: "swap", Content: sim.Swap(swapUUID, true)})
	m.Faults = []sim.Fault{{Kind: sim.ReadFails, Target: "swap"}}
	boot(t, m)
	started(t, m, "/dev/vda")
	if at := m.Now().Round(time.Second); at != 30*time.Second || !strings.Contains(m.SaidText(), "cannot be read for 30 s: starting without resuming") {
		t.Errorf("started at %v; said:\n%s", at, m.SaidText())
	}
}
