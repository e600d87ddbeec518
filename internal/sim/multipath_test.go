package sim_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"firstlight/internal/devmapper"
	"firstlight/internal/handler"
	"firstlight/internal/handler/all"
	"firstlight/internal/sim"
)

// pathsOn are what lies on a disk with several paths.
var pathsOn = []struct {
	name, cmdline string
	disk          func(root *sim.Disk) *sim.Disk
}{
	{"filesystem", "", func(r *sim.Disk) *sim.Disk { return r }},
	{"partition", "", func(r *sim.Disk) *sim.Disk { return sim.WithGPT(diskUUID, part(r)) }},
	{"array", "", func(r *sim.Disk) *sim.Disk { return members(1, 1, r)[0] }},
	{"volume", "", func(r *sim.Disk) *sim.Disk { return volumes(1, r)[0] }},
	{"encrypted", "rd.luks.uuid=" + luksUUID, func(r *sim.Disk) *sim.Disk { return locked(2, r) }},
	{"encrypted volume in a partition", "rd.luks.uuid=" + luksUUID, func(r *sim.Disk) *sim.Disk {
		return sim.WithGPT(diskUUID, part(locked(2, volumes(1, r)[0])))
	}},
}

// direct says what was made of a path itself, "" for nothing: it was mounted, or
// something other than a multipath device is mapped to it.
func direct(m *sim.Machine) string {
	for _, mt := range m.Mounts {
		if strings.HasPrefix(mt.Source, "/dev/nvme") {
			return mt.Source + " is mounted"
		}
	}
	mapper, err := m.Mapper()
	if err != nil {
		return ""
	}
	list, err := mapper.Devices()
	if err != nil {
		return ""
	}
	for _, e := range list {
		info, err := mapper.Info(devmapper.ByName(e.Name))
		if err != nil || strings.HasPrefix(info.UUID, "mpath-") {
			continue
		}
		deps, _ := mapper.Deps(devmapper.ByName(e.Name))
		for _, d := range deps {
			if d.Major == 259 {
				return e.Name + " is on " + d.String()
			}
		}
	}
	return ""
}

// Whatever the order and the time in which the paths to a disk come, fail, go
// away and come back: what multipath-tools list is never used by one path alone,
// nothing is used by a path and as a whole at once, the system starts as long as
// one path works all the time, and paths that nothing calls so are copies,
// between which nobody chooses. So are two disks with one content. 1,000 seeds
// with FIRSTLIGHT_SEEDS, 150 without it.
func TestMultipathFamily(t *testing.T) {
	n := uint64(150)
	if os.Getenv("FIRSTLIGHT_SEEDS") != "" {
		n = 1000
	}
	outcomes := map[string]int{}
	for seed := range n {
		rng := rand.New(rand.NewPCG(seed, 11))
		on := pathsOn[rng.IntN(len(pathsOn))]
		disk := on.disk(rootFS())
		mode := [...]string{"listed", "listed", "listed", "strict", "on", "smart", "greedy"}[rng.IntN(7)]
		paths := 1 + rng.IntN(3)
		other := rng.IntN(6) == 0 // a disk of its own with the same content
		files := map[string]string{"/etc/multipath/wwids": "/eui.00/\n", "/etc/multipath.conf": "defaults {\nfind_multipaths " + mode + "\n}\n"}
		if mode == "listed" {
			files = map[string]string{"/etc/multipath/wwids": "/eui.01/\n/eui.02/\n"}
			if rng.IntN(3) == 0 {
				files["/etc/multipath.conf"] = "defaults {\nno_path_retry queue\n}\n"
			}
		}
		m := &sim.Machine{Cmdline: "root=UUID=" + rootUUID + " rd.shell=0 rd.timeout=60 " + on.cmdline, Seed: seed, Files: files,
			Image: handler.Image{Full: true, Features: []string{"multipath"}}, Handlers: all.Handlers(), Answer: types(passphrase, 3*time.Second)}
		if rng.IntN(3) == 0 {
			m.Modules = sim.Debian()
		}
		attach := func(slot int, wwid string) *sim.Disk {
			return &sim.Disk{Name: fmt.Sprintf("nvme%dn1", slot), Label: fmt.Sprintf("path %d", slot), Content: disk.Content, Holds: disk.Holds, Inside: disk.Inside,
				Size: disk.Size, Files: disk.Files, FSType: disk.FSType, Attrs: map[string]string{"wwid": wwid}}
		}
		steady, eventful, story := 0, false, ""
		var plugs []func() // once all faults are known
		for i := range paths {
			d := attach(i, "eui.01")
			at, card := time.Duration(0), sim.NVMe(i, d)
			tell := func(format string, a ...any) { story += fmt.Sprintf("path %d ", i) + fmt.Sprintf(format, a...) + "\n" }
			good := true
			if rng.IntN(4) == 0 {
				at, good = time.Duration(rng.IntN(20))*time.Second, false
				tell("comes at %s", at)
			}
			if rng.IntN(4) == 0 {
				m.Faults, good = append(m.Faults, sim.Fault{Kind: sim.ReadFails, Target: d.Label}), false
				tell("cannot be read")
			}
			plug := func() { m.Attach(card) }
			if at > 0 {
				plugs = append(plugs, func() { m.At(at, plug) })
			} else {
				plugs = append(plugs, plug)
			}
			if rng.IntN(5) == 0 {
				gone := at + time.Duration(rng.IntN(4000))*time.Millisecond
				good = false
				tell("goes at %s", gone)
				plugs = append(plugs, func() { m.At(gone, func() { m.Detach(card) }) })
				if rng.IntN(2) == 0 {
					back := gone + time.Duration(rng.IntN(8000))*time.Millisecond
					tell("comes back at %s", back)
					again := sim.NVMe(i, attach(i, "eui.01"))
					plugs = append(plugs, func() { m.At(back, func() { m.Attach(again) }) })
				}
			}
			if good {
				steady++
			} else {
				eventful = true
			}
		}
		for _, plug := range plugs {
			plug()
		}
		if other {
			m.Attach(sim.NVMe(9, attach(9, "eui.02")))
		}
		if err := m.Boot(5 * time.Minute); err != nil {
			t.Fatal(err)
		}
		fail := func(format string, a ...any) {
			t.Fatalf("seed %d, %s, %d paths to a %s, another disk %t: %s\n%s%s", seed, mode, paths, on.name, other, fmt.Sprintf(format, a...), story, m.SaidText())
		}
		whole := false
		if mapper, err := m.Mapper(); err == nil {
			_, err = mapper.Info(devmapper.ByUUID("mpath-eui.01"))
			whole = err == nil
		}
		single := direct(m)
		switch {
		case single != "" && (mode == "listed" || mode == "greedy"):
			fail("%s", single)
		case single != "" && whole && !other:
			fail("it is used as a whole, and %s", single)
		}
		sources := 0 // of the content, as the boot may use them
		switch {
		case mode == "strict":
			sources = steady
		case steady > 0:
			sources = 1
		}
		if other {
			sources++
		}
		switch started := m.Started != nil; {
		case other && on.name == "array":
			outcomes["uncertain"]++ // an array that is complete waits for nobody
		case mode == "strict" && (eventful || paths > 1 && on.name == "array"), other && (eventful || m.Modules != nil):
			outcomes["uncertain"]++ // what comes later comes too late
		case steady == 0:
			outcomes[fmt.Sprintf("no path all the time, starts %t", started)]++
		case started != (sources == 1):
			fail("started: %t", started)
		default:
			outcomes[fmt.Sprintf("%s, starts %t", mode, started)]++
		}
		m.Close()
	}
	if len(outcomes) < 8 {
		t.Errorf("only %v", outcomes)
	}
	t.Log(outcomes)
}
