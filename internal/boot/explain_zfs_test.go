package boot_test

import (
	"time"

	"firstlight/internal/machine"
	"firstlight/internal/sim"
	"firstlight/internal/sim/content"
)

// zpools are machines whose root is in a ZFS pool that is not imported, or not
// opened.
func zpools() []broken {
	leaf := func(guid uint64) content.ZVdev {
		return content.ZVdev{Type: "disk", GUID: guid, Path: "/dev/disk/by-id/ata-Disk_" + string(rune('A'+guid%10)) + "-part1"}
	}
	mirror := content.ZVdev{Type: "mirror", GUID: 4410, Children: []content.ZVdev{leaf(4411), leaf(4412)}}
	of := func(guid, top uint64, tree content.ZVdev, change ...func(*content.ZFS)) *sim.Disk {
		c := content.ZFS{Pool: "rpool", PoolGUID: 11467012348123, Txg: 900, GUID: guid, Tops: 1, Top: top, Tree: tree, Ubers: []content.ZUber{{Txg: 900, Root: 1}, {Txg: 901, Root: 2}}}
		for _, f := range change {
			f(&c)
		}
		return holding(2*gib, c.Pieces(2*gib)...)
	}
	apart := func(c *content.ZFS) { c.Ubers[1].Root = 77 }
	striped := func(c *content.ZFS) { c.Tops = 2 }
	foreign := func(c *content.ZFS) { c.HostID, c.HostName = 0x00c0ffee, "ironwood" }
	log := leaf(4420)
	log.Log = true
	half := content.ZVdev{Type: "raidz", GUID: 4430, Parity: 1, Children: []content.ZVdev{leaf(4431), leaf(4432), leaf(4433)}}
	with := func(name, cmdline string, more func(*sim.Machine), list ...*sim.Disk) broken {
		return broken{theme: "zfs", name: name, cmdline: cmdline, disks: list, more: func(m *sim.Machine) {
			m.Image.Full, m.Image.Features = true, []string{"fsck", "zfs"}
			m.ZPools = []*sim.ZPool{{Name: "rpool", GUID: 11467012348123, Datasets: []*sim.Dataset{{Name: "rpool", Off: true},
				{Name: "rpool/ROOT/debian", Mountpoint: "/", KeyOf: "rpool/ROOT/debian", Location: "prompt", Secret: "correct horse", Files: map[string]string{"/sbin/init": "#!"}}}}}
			if more != nil {
				more(m)
			}
		}}
	}
	waiting := func(b broken) broken {
		b.waiting = true
		return b
	}
	nobody := func(m *sim.Machine) {
		m.Answer = func(machine.Prompt) (string, time.Duration, error) { return "", time.Second, machine.ErrCancelled }
	}
	mistaken := func(m *sim.Machine) {
		m.Answer = func(machine.Prompt) (string, time.Duration, error) { return "wrong", time.Second, nil }
	}
	noTools := func(m *sim.Machine) { m.ZPools = nil }
	const root = "root=ZFS=rpool/ROOT/debian"
	return []broken{
		with("pool-is-absent", root, nil, plain(rootUUID, "system")),
		with("pool-has-another-name", "root=ZFS=tank/ROOT/debian", nil, of(4411, 0, mirror), of(4412, 0, mirror)),
		waiting(with("pool-waits-for-a-device", root+" rd.zfs.degraded=30", nil, of(4412, 0, mirror))),
		with("pool-is-not-imported-degraded", root+" rd.zfs.degraded=never", nil, of(4412, 0, mirror)),
		with("pool-lacks-a-disk-that-it-needs", root, nil, of(4411, 0, leaf(4411), striped)),
		with("raidz-lacks-two-disks", root, nil, of(4432, 0, half)),
		with("pool-lacks-its-log", root, nil, of(4421, 1, content.ZVdev{Type: "mirror", GUID: 4422, Log: true, Children: []content.ZVdev{leaf(4421), leaf(4423)}}, striped)),
		with("pool-of-another-machine", root, nil, of(4411, 0, mirror, foreign), of(4412, 0, mirror, foreign)),
		with("pool-device-twice", root, nil, of(4411, 0, mirror), of(4411, 0, mirror), of(4412, 0, mirror)),
		with("pool-was-split", root, nil, of(4411, 0, mirror), of(4412, 0, mirror, apart)),
		with("two-pools-of-one-name", root, nil, of(4411, 0, mirror), of(4412, 0, mirror), of(9, 0, leaf(9), func(c *content.ZFS) { c.PoolGUID = 5 })),
		with("pool-is-locked", root, mistaken, of(4411, 0, mirror), of(4412, 0, mirror)),
		with("nobody-types-the-passphrase-of-the-pool", root, nobody, of(4411, 0, mirror), of(4412, 0, mirror)),
		with("dataset-is-absent", "root=ZFS=rpool/ROOT/other", nil, of(4411, 0, mirror), of(4412, 0, mirror)),
		with("image-without-the-tools", root, noTools, of(4411, 0, mirror), of(4412, 0, mirror)),
		{theme: "zfs", name: "image-without-zfs", cmdline: root, disks: []*sim.Disk{of(4411, 0, mirror), of(4412, 0, mirror)}},
	}
}
