package sim_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"firstlight/internal/machine"
	"firstlight/internal/sim"
	"firstlight/internal/sim/content"
)

const (
	zfsSize  = 64 << 20
	poolGUID = 7001
	foreign  = 0x00bab10c
)

// pool describes the pool of a simulated machine.
type pool struct {
	tops   []content.ZVdev
	hostID uint64
	crypt  bool
}

// disks are the devices of a pool, top by top.
func (p pool) disks() []*sim.Disk {
	var list []*sim.Disk
	for i, top := range p.tops {
		leaves := top.Children
		if leaves == nil {
			leaves = []content.ZVdev{top}
		}
		for _, leaf := range leaves {
			list = append(list, p.disk(uint64(i), top, leaf.GUID))
		}
	}
	return list
}

func (p pool) disk(i uint64, top content.ZVdev, guid uint64) *sim.Disk {
	d := &sim.Disk{Size: zfsSize}
	c := content.ZFS{Pool: "tank", PoolGUID: poolGUID, Txg: 40, GUID: guid, Tops: uint64(len(p.tops)), Top: i, Tree: top, HostID: p.hostID, HostName: "elsewhere",
		Ubers: []content.ZUber{{Txg: 40, Root: 1}, {Txg: 41, Root: 2}}}
	for _, x := range c.Pieces(zfsSize) {
		d.Put(x)
	}
	return d
}

func zdisk(guid uint64) content.ZVdev {
	return content.ZVdev{Type: "disk", GUID: guid, Path: fmt.Sprintf("/dev/old%d", guid)}
}

func zvdev(kind string, guid, parity uint64, n int) content.ZVdev {
	v := content.ZVdev{Type: kind, GUID: guid, Parity: parity}
	for i := range n {
		v.Children = append(v.Children, zdisk(guid+1+uint64(i)))
	}
	return v
}

// zpool is what is in it: a root with a dataset below.
func (p pool) zpool() *sim.ZPool {
	root := &sim.Dataset{Name: "tank/ROOT/fl", Mountpoint: "/", Noauto: true, Snapshots: []string{"before"}, Files: debian()}
	root.Files["/home/keep"] = ""
	home := &sim.Dataset{Name: "tank/ROOT/fl/home", Mountpoint: "/home", Files: map[string]string{"/x": ""}}
	if p.crypt {
		root.KeyOf, home.KeyOf, root.Location, root.Secret = root.Name, root.Name, "prompt", passphrase
	}
	return &sim.ZPool{Name: "tank", GUID: poolGUID, Datasets: []*sim.Dataset{{Name: "tank", Mountpoint: "none", Off: true}, {Name: "tank/ROOT", Mountpoint: "none", Off: true},
		root, home, {Name: "tank/ROOT/fl/old", Mountpoint: "legacy"}, {Name: "tank/ROOT/fl/off", Mountpoint: "/var", Off: true}}}
}

func zfsMachine(p pool, line string, disks ...*sim.Disk) *sim.Machine {
	m := machineWith("rd.emergency=poweroff rd.timeout=60 "+line, disks...)
	m.Image.Full, m.Image.Features, m.ZPools = true, []string{"zfs"}, []*sim.ZPool{p.zpool()}
	return m
}

// mounted lists the mounts of datasets.
func mounted(m *sim.Machine) string {
	var list []string
	for _, mt := range m.Mounts {
		if mt.FSType == "zfs" {
			list = append(list, mt.Source+" "+strings.TrimPrefix(mt.Target, "/sysroot")+" "+mt.Data)
		}
	}
	return strings.Join(list, "; ")
}

const rootMounts = "tank/ROOT/fl  zfsutil; tank/ROOT/fl/home /home zfsutil"

// Every way to name the root, and what is mounted then. Nothing but events moves
// these boots.
func TestZFSRootIsNamed(t *testing.T) {
	mirror := pool{tops: []content.ZVdev{zvdev("mirror", 10, 0, 2)}}
	for _, x := range []struct {
		line, mounts string
		bootfs       bool
	}{
		{"root=ZFS=tank/ROOT/fl", rootMounts, false},
		{"root=zfs:tank/ROOT/fl ro", rootMounts, false},
		{"zfs=tank/ROOT/fl", rootMounts, false},
		{"root=zfs:AUTO", rootMounts, true},
		{"root=zfs", rootMounts, false}, // by the mountpoint
		{"boot=zfs", rootMounts, true},
		{"rpool=tank", rootMounts, true},
		{"bootfs=tank/ROOT/fl", rootMounts, false},
		{"boot=zfs root=tank/ROOT/fl", rootMounts, false},
		{"root=zfs:7001/ROOT/fl", rootMounts, false},
		{"root=ZFS=tank/ROOT/fl rootflags=ro", strings.ReplaceAll(rootMounts, "zfsutil", "zfsutil,ro"), false},
		{"root=ZFS=tank/ROOT/fl@before", "tank/ROOT/fl_before  zfsutil", false},
		{"root=ZFS=tank/ROOT/fl@before rollback=1", rootMounts, false},
		{"root=ZFS=tank/ROOT/fl bootfs.snapshot=now", rootMounts, false},
		{"root=ZFS=tank/ROOT/fl@before rd.overlay", "tank/ROOT/fl@before  ro", false},
		{"root=ZFS=tank/ROOT/fl rd.overlay", strings.ReplaceAll(rootMounts, "zfsutil", "zfsutil,ro"), false},
	} {
		m := zfsMachine(mirror, x.line, mirror.disks()...)
		if x.bootfs {
			m.ZPools[0].Bootfs = "tank/ROOT/fl"
		}
		boot(t, m)
		if m.Started == nil || mounted(m) != x.mounts || m.Core.Stats().Fired != 0 {
			t.Errorf("%s: started %t, %q, %d timers\n%s", x.line, m.Started != nil, mounted(m), m.Core.Stats().Fired, m.SaidText())
		}
		if overlay := strings.Contains(x.line, "overlay"); overlay != m.Imported[0].ReadOnly || overlay && len(m.Writes) > 0 {
			t.Errorf("%s: %+v, %d writes", x.line, m.Imported, len(m.Writes))
		}
	}
}

// What keeps a pool from being imported is said, with what to do.
func TestZFSRefusals(t *testing.T) {
	mirror := pool{tops: []content.ZVdev{zvdev("mirror", 10, 0, 2)}}
	log := zdisk(30)
	log.Log = true
	logged := pool{tops: []content.ZVdev{zdisk(20), log}}
	other := mirror
	other.hostID = foreign
	twoLogs := pool{tops: []content.ZVdev{zdisk(20), {Type: "mirror", GUID: 40, Log: true, Children: []content.ZVdev{zdisk(41), zdisk(42)}}}}
	apart := func() []*sim.Disk {
		d := mirror.disks()
		c := content.ZFS{Pool: "tank", PoolGUID: poolGUID, Txg: 41, GUID: 12, Tops: 1, Tree: mirror.tops[0], Ubers: []content.ZUber{{Txg: 40, Root: 1}, {Txg: 41, Root: 9}}}
		d[1] = &sim.Disk{Size: zfsSize}
		for _, x := range c.Pieces(zfsSize) {
			d[1].Put(x)
		}
		return d
	}
	namesake := func() []*sim.Disk {
		c := content.ZFS{Pool: "tank", PoolGUID: 8, Txg: 41, GUID: 99, Tops: 1, Tree: zdisk(99)}
		d := &sim.Disk{Size: zfsSize}
		for _, x := range c.Pieces(zfsSize) {
			d.Put(x)
		}
		return append(mirror.disks(), d)
	}
	const root = "root=ZFS=tank/ROOT/fl "
	for _, x := range []struct {
		name, line string
		p          pool
		disks      []*sim.Disk
		says       []string
	}{
		{"another machine's", root, other, other.disks(), []string{"last used by elsewhere", "zfs_force=1"}},
		{"no disk", root, mirror, nil, []string{"no device"}},
		{"another name", "root=ZFS=tnak/ROOT/fl", mirror, mirror.disks(), []string{"pool tnak", "there is tank"}},
		{"no such dataset", "root=ZFS=tank/ROOT/none", mirror, mirror.disks(), []string{"tank/ROOT/none is not there"}},
		{"a copy", root, mirror, append(mirror.disks(), mirror.disks()[0]), []string{"same device", "disconnect the copy"}},
		{"two pools of one name", root, mirror, namesake(), []string{"more than one pool", "by its number"}},
		{"two pools, and none named", "root=zfs:AUTO", mirror, namesake(), []string{"more than one pool"}},
		{"split", root, mirror, apart(), []string{"without the other", "labelclear"}},
		{"no log", root, logged, logged.disks()[:1], []string{"missing", "cannot be"}},
		{"no log of two", root, twoLogs, twoLogs.disks()[:1], []string{"missing"}},
		{"never degraded", root + "rd.zfs.degraded=never", mirror, mirror.disks()[:1], []string{"rd.zfs.degraded"}},
		{"switched off", root + "rd.zfs=0", mirror, mirror.disks(), []string{"rd.zfs=0"}},
		{"no snapshot", "root=ZFS=tank/ROOT/fl@never", mirror, mirror.disks(), []string{"no snapshot tank/ROOT/fl@never"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			m := zfsMachine(x.p, x.line, x.disks...)
			boot(t, m)
			text := strings.Join(strings.Fields(m.SaidText()), " ")
			if m.Started != nil || mounted(m) != "" {
				t.Errorf("started: %s", mounted(m))
			}
			for _, s := range x.says {
				if !strings.Contains(text, s) {
					t.Errorf("nobody says %q:\n%s", s, m.SaidText())
				}
			}
		})
	}
}

// A pool of another machine is imported when somebody says that it may be, or who
// this machine is.
func TestZFSForeignPoolIsForced(t *testing.T) {
	p := pool{tops: []content.ZVdev{zdisk(10)}, hostID: foreign}
	for _, x := range []struct {
		line, file string
		forced     bool
	}{{"zfs_force=1", "", true}, {"zfs.force=yes", "", true}, {"", "\x0c\xb1\xba\x00", false}} {
		m := zfsMachine(p, "root=ZFS=tank/ROOT/fl "+x.line, p.disks()...)
		m.Files = map[string]string{"/etc/hostid": x.file}
		boot(t, m)
		if m.Started == nil || m.Imported[0].Forced != x.forced {
			t.Errorf("%q: %+v\n%s", x.line, m.Imported, m.SaidText())
		}
	}
}

// An encrypted dataset is asked for, once for all below it; a wrong passphrase is
// asked for again, and no more than three times.
func TestZFSPassphrase(t *testing.T) {
	p := pool{tops: []content.ZVdev{zdisk(10)}, crypt: true}
	for wrong := range 4 {
		m := zfsMachine(p, "root=ZFS=tank/ROOT/fl", p.disks()...)
		asked := 0
		m.Answer = func(machine.Prompt) (string, time.Duration, error) {
			if asked++; asked <= wrong {
				return "wrong", time.Second, nil
			}
			return passphrase, time.Second, nil
		}
		boot(t, m)
		if (m.Started != nil) != (wrong < 3) || asked != min(wrong+1, 3) {
			t.Errorf("%d wrong: asked %d times, started %t\n%s", wrong, asked, m.Started != nil, m.SaidText())
		}
	}
	// A file of the image, and the passphrase where it is not there.
	for _, has := range []bool{true, false} {
		m := zfsMachine(p, "root=ZFS=tank/ROOT/fl", p.disks()...)
		m.ZPools[0].Datasets[2].Location = "file:///etc/keys/zfs"
		m.Answer = types(passphrase, time.Second)
		if has {
			m.Files = map[string]string{"/etc/keys/zfs": passphrase}
		}
		boot(t, m)
		if m.Started == nil || (len(m.Prompts) == 0) != has {
			t.Errorf("key file there %t: %d prompts\n%s", has, len(m.Prompts), m.SaidText())
		}
	}
}

// A dataset below the root whose key only the real system has is left to it; one
// that cannot be mounted is tried again when a person has left the shell, and what is
// mounted already is not mounted twice.
func TestZFSWhatIsBelowTheRoot(t *testing.T) {
	p := pool{tops: []content.ZVdev{zdisk(10)}}
	m := zfsMachine(p, "root=ZFS=tank/ROOT/fl", p.disks()...)
	home := m.ZPools[0].Datasets[3]
	home.KeyOf, home.Location, home.Secret = home.Name, "file:///etc/keys/home", "x"
	boot(t, m)
	if m.Started == nil || mounted(m) != "tank/ROOT/fl  zfsutil" || len(m.Prompts) != 0 {
		t.Errorf("%q, %d prompts\n%s", mounted(m), len(m.Prompts), m.SaidText())
	}
	m = zfsMachine(p, "root=ZFS=tank/ROOT/fl rd.emergency=shell rd.shell", p.disks()...)
	m.ZPools[0].Datasets[3].KeyOf = "tank/ROOT/fl/home"
	m.ZPools[0].Datasets[3].Location, m.ZPools[0].Datasets[3].Secret = "prompt", passphrase
	m.ShellFor = time.Second
	tries := 0
	m.Answer = func(q machine.Prompt) (string, time.Duration, error) {
		if tries++; tries <= 3 {
			return "wrong", time.Second, nil
		}
		return passphrase, time.Second, nil
	}
	boot(t, m)
	if m.Started == nil || mounted(m) != rootMounts || len(m.Imported) != 1 {
		t.Errorf("%q, %d tries, imported %v\n%s", mounted(m), tries, m.Imported, m.SaidText())
	}
}

// A pool that a person has imported in the shell is used as it is.
func TestZFSPoolIsImportedByHand(t *testing.T) {
	p := pool{tops: []content.ZVdev{zdisk(10)}}
	m := zfsMachine(p, "root=ZFS=tank/ROOT/fl", p.disks()...)
	m.ZPools[0].ByHand = true
	boot(t, m)
	if m.Started == nil || mounted(m) != rootMounts {
		t.Errorf("%q\n%s", mounted(m), m.SaidText())
	}
}

// Clones that are there are used again, and nothing is destroyed.
func TestZFSCloneIsUsedAgain(t *testing.T) {
	p := pool{tops: []content.ZVdev{zdisk(10)}}
	for origin, starts := range map[string]bool{"tank/ROOT/fl@before": true, "tank/ROOT/fl@other": false, "": false} {
		m := zfsMachine(p, "root=ZFS=tank/ROOT/fl@before", p.disks()...)
		m.ZPools[0].Datasets = append(m.ZPools[0].Datasets, &sim.Dataset{Name: "tank/ROOT/fl_before", Mountpoint: "none", Own: "/", Origin: origin, Files: debian()})
		boot(t, m)
		if (m.Started != nil) != starts || starts && mounted(m) != "tank/ROOT/fl_before  zfsutil" {
			t.Errorf("origin %q: %q\n%s", origin, mounted(m), m.SaidText())
		}
	}
}

// Devices of a pool come in any order, late or not at all, and one may be there
// twice; disks answer with errors for a while. Nothing is written before resume is
// settled; a pool is imported degraded only once what is missing was waited for, if
// at all, and never without a top-level vdev; read-only where that is asked for.
func TestZFSFamily(t *testing.T) {
	const wait = 5 * time.Second
	type machineOf struct {
		p             pool
		policy        string
		missing, late []int
		lateAt        time.Duration
		twice         bool
		redundant     bool // enough is there for good
		resume        bool
	}
	var x machineOf
	outcomes := map[string]int{}
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		x = machineOf{policy: [...]string{"rd.zfs.degraded=5", "rd.zfs.degraded=5,ro", "rd.zfs.degraded=5,overlay", "rd.zfs.degraded=never"}[rng.IntN(4)]}
		parity := 0
		switch rng.IntN(5) {
		case 0:
			x.p.tops = []content.ZVdev{zdisk(10)}
		case 1:
			x.p.tops, parity = []content.ZVdev{zvdev("mirror", 10, 0, 2)}, 1
		case 2:
			x.p.tops, parity = []content.ZVdev{zvdev("raidz", 10, 1, 3)}, 1
		case 3:
			x.p.tops, parity = []content.ZVdev{zvdev("raidz", 10, 2, 4)}, 2
		default:
			x.p.tops = []content.ZVdev{zdisk(10), zdisk(20)}
		}
		if rng.IntN(8) == 0 {
			x.p.hostID = foreign
		}
		x.p.crypt = rng.IntN(4) == 0
		disks := x.p.disks()
		order := rng.Perm(len(disks))
		gone := 0
		if rng.IntN(2) == 0 {
			gone = rng.IntN(min(len(disks), parity+2))
		}
		x.missing = order[:gone]
		rest := order[gone:]
		if late := rng.IntN(3); late > 0 && len(rest) > 1 {
			x.late, rest = rest[:1], rest[1:]
			x.lateAt = time.Duration(1+rng.IntN(12)) * time.Second
		}
		x.redundant = gone <= parity
		x.twice = rng.IntN(10) == 0 && len(rest) > 0
		line := x.policy
		if x.resume = rng.IntN(3) == 0; x.resume {
			line += " resume=UUID=00000000-0000-4000-8000-00000000dead"
		}
		m := zfsMachine(x.p, "root=ZFS=tank/ROOT/fl rd.shell=0 "+line)
		m.Answer = types(passphrase, time.Second)
		for _, i := range rest {
			m.Plug(disks[i])
		}
		for _, i := range x.late {
			m.At(x.lateAt, func() { m.Plug(disks[i]) })
		}
		if x.twice {
			m.Plug(x.p.disks()[rest[0]])
		}
		return m
	}, func(m *sim.Machine) string {
		degraded, readOnly := false, false
		if len(m.Imported) > 1 {
			return "imported twice"
		}
		for _, i := range m.Imported {
			// A disk that cannot be read just then counts as one that fails in use.
			degraded, readOnly = i.Missing > 0 && calm(m), i.ReadOnly
			if x.resume && i.At < 5*time.Second && calm(m) {
				return "imported while a resume device was waited for"
			}
			if i.Forced {
				return "forced"
			}
		}
		for _, w := range m.Writes {
			if len(m.Imported) == 0 || w.At < m.Imported[0].At {
				return "written to by " + w.By + " before the import"
			}
		}
		started := m.Started != nil
		foreigner := x.p.hostID != 0
		never := x.policy == "rd.zfs.degraded=never"
		switch {
		case started && (x.twice || foreigner) && calm(m):
			return "started from what is refused"
		case started && !x.redundant:
			return "started without what it needs"
		case degraded && never:
			return "imported degraded"
		case degraded && readOnly == (x.policy == "rd.zfs.degraded=5"):
			return "imported read-only: " + fmt.Sprint(readOnly)
		case !started && calm(m) && !x.twice && !foreigner && x.redundant && (len(x.missing) == 0 || !never):
			return "not started"
		case degraded && len(x.missing) == 0 && x.lateAt < wait-2*time.Second && calm(m) && prompt(m):
			return "without a device that came after " + x.lateAt.String()
		case degraded && m.Imported[0].At < wait && prompt(m):
			return "degraded too early"
		case readOnly && len(m.Writes) > 0:
			return "written to, though read-only"
		}
		outcomes[fmt.Sprintf("started %t, degraded %t, read-only %t", started, degraded, readOnly)]++
		return ""
	})
	if len(outcomes) < 4 {
		t.Error(outcomes)
	}
	t.Log(outcomes)
}

// prompt says whether no device and no clock was so slow, or jumped so far, that
// who is there counts as missing: what is announced is waited for no longer than
// udevd.Patience.
func prompt(m *sim.Machine) bool {
	text := fmt.Sprint(m.Faults)
	return !strings.Contains(text, "slow") && !strings.Contains(text, "clock") && !strings.Contains(text, "delayed")
}
