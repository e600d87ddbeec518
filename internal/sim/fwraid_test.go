package sim_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/handler"
	"firstlight/internal/handler/all"
	"firstlight/internal/machine"
	"firstlight/internal/sim"
	"firstlight/internal/sim/content"
)

const fwSize = 64 << 20

// firmware is a machine whose root is a mirror with Intel's metadata, and mdadm
// and mdmon as they behave: a container of the disks that mdadm was told of, and
// the array in it once it is whole, or mdadm is told to do without.
type firmware struct {
	machine.Machine
	sim       *sim.Machine
	root      *sim.Disk
	told      []string
	started   time.Duration // when the array was, -1 for not yet
	last      time.Duration // when mdadm was last told of a disk
	quiet     time.Duration // and how long that was before the start
	degraded  bool
	monitor   bool
	container bool
	broken    []string
}

func (f *firmware) wrong(format string, a ...any) {
	f.broken = append(f.broken, fmt.Sprintf("%v: ", f.sim.Now())+fmt.Sprintf(format, a...))
}

func (f *firmware) HasProgram(p string) bool { return p == "/sbin/mdadm" || p == "/sbin/mdmon" }

func (f *firmware) Run(p machine.Program) (machine.Exit, error) {
	if p.Path == "/sbin/mdmon" {
		if !f.sim.Core.World().ResumeSettled {
			f.wrong("mdmon runs before resume is settled")
		}
		f.monitor = true
		return machine.Exit{}, nil
	}
	if slices.Contains(p.Args, "--examine") {
		return machine.Exit{Output: "     RWH Policy : off\n"}, nil
	}
	silent := slices.Contains(p.Env, "MDADM_NO_MDMON=1")
	if !silent && !f.sim.Core.World().ResumeSettled {
		f.wrong("mdadm may start mdmon before resume is settled")
	}
	run := slices.Contains(p.Args, "--run")
	if !run {
		f.told, f.last = append(f.told, p.Args[slices.IndexFunc(p.Args, func(a string) bool { return strings.HasPrefix(a, "/dev/vd") })]), f.sim.Now()
		if !f.container {
			f.container = true
			f.sim.Plug(&sim.Disk{Name: "md127", Size: 1, Attrs: map[string]string{"md/metadata_version": "external:imsm", "md/array_state": "inactive", "md/level": "", "md/raid_disks": "0"}})
		}
	}
	if f.started < 0 && (run || len(f.told) == 2) {
		f.started, f.degraded, f.quiet = f.sim.Now(), len(f.told) < 2, f.sim.Now()-f.last
		degraded := "0"
		if f.degraded {
			degraded = "1"
		}
		if f.monitor = f.monitor || !silent; f.monitor && f.degraded && strings.Contains(f.sim.Cmdline, ",ro") {
			f.wrong("mdmon makes writable what is to stay read-only")
		}
		f.root.Attrs = map[string]string{"md/metadata_version": "external:/md127/0", "md/array_state": "readonly", "md/level": "raid1", "md/raid_disks": "2", "md/degraded": degraded}
		f.sim.Plug(f.root)
	}
	return machine.Exit{}, nil
}

func (f *firmware) Mount(m machine.Mount) error {
	if m.Target == handler.SysRoot && !f.monitor && !strings.Contains(f.sim.Cmdline, ",ro") {
		f.wrong("the root is mounted without mdmon")
	}
	return f.Machine.Mount(m)
}

// Whatever the order in which the disks of a firmware RAID come, when, and which
// of them does not, nothing is written before resume is settled, and the array is
// started without a disk only once that was waited for, if at all. 1,000 seeds with
// FIRSTLIGHT_SEEDS, 150 without it.
func TestFirmwareRAIDFamily(t *testing.T) {
	n := uint64(150)
	if os.Getenv("FIRSTLIGHT_SEEDS") != "" {
		n = 1000
	}
	outcomes := map[string]int{}
	for seed := range n {
		rng := rand.New(rand.NewPCG(seed, 7))
		policy := [...]string{"", "rd.md.degraded=4", "rd.md.degraded=4,ro", "rd.md.degraded=never", "rd.md.imsm=0"}[rng.IntN(5)]
		wait := map[string]time.Duration{"": 15 * time.Second, "rd.md.degraded=4": 4 * time.Second, "rd.md.degraded=4,ro": 4 * time.Second}[policy]
		resume := [...]string{"", "resume=UUID=00000000-0000-4000-8000-00000000dead"}[rng.IntN(2)]
		missing, late := rng.IntN(4) == 0, time.Duration(rng.IntN(3))*time.Duration(rng.IntN(14))*time.Second
		uuid := content.UUIDText(seed, 5)
		root := sim.Filesystem("ext4", uuid, "root", map[string]string{"/sbin/init": "#!"})
		root.Name = "md126"
		m := &sim.Machine{Cmdline: "root=UUID=" + uuid + " rd.shell=0 rd.timeout=80 " + policy + " " + resume, Seed: seed,
			Image: handler.Image{Full: true, Features: []string{"md-external"}}, Handlers: all.Handlers()}
		f := &firmware{sim: m, root: root, started: -1}
		m.Wrap = func(w machine.Machine) machine.Machine { f.Machine = w; return f }
		for i := range 2 {
			d := &sim.Disk{Size: fwSize}
			d.Put(content.Piece{At: fwSize - 1024, Data: []byte("Intel Raid ISM Cfg Sig. 1.3.00")})
			switch {
			case i == 0:
				m.Plug(d)
			case !missing:
				m.At(late, func() { m.Plug(d) })
			}
		}
		if err := m.Boot(5 * time.Minute); err != nil {
			t.Fatal(err)
		}
		starts := policy != "rd.md.imsm=0" && (!missing || policy != "rd.md.degraded=never")
		switch {
		case (m.Started != nil) != starts:
			f.wrong("started: %v", m.Started != nil)
		case policy == "rd.md.imsm=0" && f.told != nil:
			f.wrong("mdadm was told of %v", f.told)
		case f.degraded && f.quiet < wait:
			f.wrong("started without a disk after %v", f.quiet)
		case !missing && late < wait-2*time.Second && f.degraded:
			f.wrong("started without a disk that came after %v", late)
		}
		if len(f.broken) > 0 {
			t.Fatalf("seed %d, %s, missing %t, late %v:\n%s\n%s", seed, m.Cmdline, missing, late, strings.Join(f.broken, "\n"), m.SaidText())
		}
		outcomes[fmt.Sprintf("starts %t, degraded %t", starts, f.degraded)]++
	}
	if len(outcomes) < 3 {
		t.Errorf("only %v", outcomes)
	}
	t.Log(outcomes)
}
