package boot_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"firstlight/internal/machine"
	"firstlight/internal/sim"
	"firstlight/internal/sim/content"
)

// raid is an array with the members' superblocks.
type raid struct {
	content.MD
	size int64
}

func raid1() raid {
	return raid{content.MD{Version: "1.2", UUID: mdUUID, Name: "ironwood:root", Level: 1, Slots: 2, Events: 100, Data: 4 * gib, Made: 1}, 4*gib + content.MDReserved}
}

func raid5() raid {
	r := raid1()
	r.Level, r.Layout, r.Chunk, r.Slots = 5, 2, 512<<10, 3
	return r
}

// member is a disk that is member number slot of an array, after change.
func member(r raid, slot int, change ...func(*content.MD)) *sim.Disk {
	r.Slot, r.Device = slot, fmt.Sprintf("77777777-0000-4000-8000-%012d", slot)
	for _, f := range change {
		f(&r.MD)
	}
	d := holding(r.size, r.Pieces(r.size)...)
	d.Holds = append(d.Holds, sim.Extent{At: r.MDDataOffset(), Disk: plain(rootUUID, "system")})
	return d
}

// arrays are machines whose RAID arrays do not start.
func arrays() []broken {
	array := func(name, cmdline string, list ...*sim.Disk) broken {
		return broken{theme: "raid", name: name, cmdline: "root=UUID=" + rootUUID + " " + cmdline, disks: list}
	}
	waiting := func(b broken) broken {
		b.waiting = true
		return b
	}
	alone := func(slot int) func(*content.MD) {
		return func(m *content.MD) { m.Lost, m.Events = []int{slot}, m.Events+20 }
	}
	dirty := func(m *content.MD) { m.Dirty = true }
	lacking := func(b broken, module string) broken {
		b.more = func(m *sim.Machine) {
			for _, x := range sim.Debian() {
				if x.Name != module {
					m.Modules = append(m.Modules, x)
				}
			}
		}
		return b
	}
	raid0 := raid1()
	raid0.Level, raid0.Chunk, raid0.Slots = 0, 512<<10, 2
	alien := func(name string, at int64, magic string) broken {
		return array(name, "", holding(4*gib, content.Piece{At: at, Data: []byte(magic + strings.Repeat("\x00", 64))[:64]}))
	}
	foreign := holding(4*gib, content.Piece{At: 4*gib - 1024, Data: imsm()})
	return []broken{
		waiting(array("raid1-waits-for-its-other-half", "", member(raid1(), 0))),
		array("raid5-with-one-of-three", "", member(raid5(), 1)),
		array("raid0-with-one-of-two", "", member(raid0, 0)),
		array("split-brain", "", member(raid1(), 0, alone(1)), member(raid1(), 1, alone(0))),
		array("same-slot-twice", "", member(raid1(), 0), member(raid1(), 0)),
		array("dirty-and-degraded-raid5", "", member(raid5(), 0, dirty), member(raid5(), 1, dirty)),
		array("raid-switched-off", "rd.md=0", member(raid1(), 0), member(raid1(), 1)),
		array("command-line-names-another-array", "rd.md.uuid=00000000:00000000:00000000:00000001", member(raid1(), 0), member(raid1(), 1)),
		lacking(array("level-not-in-the-image", "", member(raid5(), 0), member(raid5(), 1), member(raid5(), 2)), "raid456"),
		array("firmware-raid", "", foreign),
		alien("firmware-raid-that-mdadm-does-not-know", 4*gib-512, "$XIDE$"),
		alien("vdo-without-lvm", 0, "dmvdo001\x05\x00\x00\x00\x05"),
	}
}

// imsm is the signature of an array of Intel's firmware, on the last sector
// but one.
func imsm() []byte {
	b := make([]byte, 512)
	copy(b, "Intel Raid ISM Cfg Sig. 1.3.00")
	return b
}

// volumes is a group of two disks with the root on both.
func volumes() *content.VG {
	id := func(c string) string { return strings.Repeat(c, 32) }
	return &content.VG{Name: "vg0", UUID: id("g"), Seqno: 5, Extent: 4 << 20,
		PVs: []content.PV{{UUID: id("a"), Size: 2 * gib, Device: "/dev/sda2"}, {UUID: id("b"), Size: 2 * gib, Device: "/dev/sdb1"}},
		LVs: []content.LV{{Name: "root", UUID: id("r"), Segments: []content.Segment{
			{Extents: 100, Areas: []content.Area{{PV: 0}}}, {Extents: 100, Areas: []content.Area{{PV: 1}}}}}}}
}

func vgDisk(g *content.VG, pv int) *sim.Disk { return holding(g.PVs[pv].Size, g.Pieces(pv)...) }

// groups are machines whose volume groups do not come up.
func groups() []broken {
	group := func(name, cmdline string, change func(*content.VG), pvs ...int) broken {
		g := volumes()
		if change != nil {
			change(g)
		}
		b := broken{theme: "lvm", name: name, cmdline: cmdline}
		for _, i := range pvs {
			b.disks = append(b.disks, vgDisk(g, i))
		}
		return b
	}
	const root = "root=/dev/vg0/root"
	other := func(g *content.VG) { g.Name, g.UUID = "data", strings.Repeat("h", 32) }
	return []broken{
		group("physical-volume-missing", root, nil, 0),
		group("physical-volume-missing-root-by-uuid", "root=UUID="+rootUUID, nil, 1),
		group("group-not-seen-at-all", root, nil),
		group("another-group-was-seen", root, other, 0, 1),
		group("exported", root, func(g *content.VG) { g.Status = []string{"EXPORTED"} }, 0, 1),
		group("of-another-host", root, func(g *content.VG) { g.Host = "oak" }, 0, 1),
		group("same-physical-volume-twice", root, nil, 0, 1, 1),
		group("no-such-volume", "root=/dev/vg0/slash", nil, 0, 1),
		group("volume-is-thin", root, func(g *content.VG) { g.LVs[0].Type = "thin" }, 0, 1),
		group("command-line-names-other-volumes", "root=UUID="+rootUUID+" rd.lvm.lv=vg1/root", nil, 0, 1),
		group("lvm-switched-off", root+" rd.lvm=0", nil, 0, 1),
	}
}

func luks() content.LUKS {
	return content.LUKS{Version: 2, UUID: luksUUID, Label: "secret", Passphrases: []string{"correct horse"}}
}

func luksDisk() *sim.Disk {
	d := holding(4*gib, luks().Pieces()...)
	d.Holds = append(d.Holds, sim.Extent{At: luks().DataOffset(), Disk: plain(rootUUID, "system"), Key: luks().Key()})
	return d
}

// luksDisks are encrypted disks that have nothing to do with each other.
func luksDisks(n int) []*sim.Disk {
	var list []*sim.Disk
	for i := range n {
		l := luks()
		l.UUID, l.Label = fmt.Sprintf("%s%02d", luksUUID[:34], i), ""
		list = append(list, holding(4*gib, l.Pieces()...))
	}
	return list
}

// encrypted are machines whose root stays locked.
func encrypted() []broken {
	lock := func(name, cmdline string, more func(*sim.Machine), list ...*sim.Disk) broken {
		if list == nil {
			list = disks(luksDisk())
		}
		return broken{theme: "luks", name: name, cmdline: cmdline, more: more, disks: list}
	}
	const root = "root=/dev/mapper/cr rd.luks.name=" + luksUUID + "=cr"
	answers := func(text string, err error) func(*sim.Machine) {
		return func(m *sim.Machine) {
			m.Answer = func(machine.Prompt) (string, time.Duration, error) { return text, time.Second, err }
		}
	}
	right := answers("correct horse", nil)
	wait := func(b broken) broken {
		b.waiting = true
		return b
	}
	table := func(text string) func(*sim.Machine) {
		return func(m *sim.Machine) { m.Image.Crypttab = text }
	}
	return []broken{
		lock("wrong-three-times", root, answers("wrong", nil)),
		lock("person-refuses", root, answers("", machine.ErrCancelled)),
		lock("nobody-to-ask", root, answers("", machine.ErrNoConsole)),
		lock("headless-without-a-key", root+" rd.luks.options=headless=1", nil),
		wait(lock("device-of-the-key-is-absent", root+" rd.luks.key=/key:UUID="+dataUUID, nil)),
		lock("key-does-not-open-it", root+" rd.luks.key=/etc/key rd.luks.options=headless=1", func(m *sim.Machine) {
			m.Files = map[string]string{"/etc/key": "wrong\n"}
		}),
		lock("nothing-asks-to-unlock-it", "root=UUID="+rootUUID, nil),
		lock("nothing-asks-to-unlock-any-of-many", "root=UUID="+rootUUID, nil, luksDisks(20)...),
		lock("unreadable-disk-among-many-encrypted-ones", "root=UUID="+rootUUID, func(m *sim.Machine) {
			m.Faults = []sim.Fault{{Kind: sim.ReadFails, Target: "vdi"}}
		}, luksDisks(12)...),
		lock("encryption-switched-off-with-many", "root=UUID="+rootUUID+" rd.luks=0", nil, luksDisks(4)...),
		lock("command-line-has-nearly-its-uuid", "root=UUID="+rootUUID+" rd.luks.uuid="+luksUUID[:35]+"6", nil),
		lock("encrypted-device-is-absent", root, nil, plain(dataUUID, "data")),
		lock("crypttab-names-an-absent-device", "root=/dev/mapper/cr", table("cr UUID=99999999-9999-4999-8999-999999999999 none luks\n"), plain(dataUUID, "data")),
		lock("encryption-switched-off", root+" rd.luks=0", nil),
		lock("dm-crypt-not-in-the-image", root, func(m *sim.Machine) {
			right(m)
			for _, x := range sim.Debian() {
				if x.Name != "dm_crypt" {
					m.Modules = append(m.Modules, x)
				}
			}
		}),
		lock("cipher-not-supported", root, func(m *sim.Machine) {
			right(m)
			m.Fail = func(what string) error {
				if strings.HasPrefix(what, "unlock ") {
					return fmt.Errorf("device mapper: cr: target crypt: %w", syscall.ENOENT)
				}
				return nil
			}
		}),
		lock("header-damaged", root, nil, func() *sim.Disk {
			d := luksDisk()
			for _, at := range []int64{4096, 8192, 16384 + 4096} { // both copies of the text
				d.Put(content.Piece{At: at, Data: []byte("garbage!")})
			}
			return d
		}()),
		lock("same-header-twice", root, right, luksDisk(), luksDisk()),
		lock("unlocked-and-holds-something-else", root+" root=UUID="+dataUUID, right),
	}
}

// filesystems are machines that find their root, and cannot use it.
func filesystems() []broken {
	fs := func(name, cmdline string, more func(*sim.Machine), list ...*sim.Disk) broken {
		return broken{theme: "root", name: name, cmdline: cmdline, more: more, disks: list}
	}
	const root = "root=UUID=" + rootUUID
	fail := func(prefix, text string) func(*sim.Machine) {
		return func(m *sim.Machine) {
			m.Fail = func(what string) error {
				if strings.HasPrefix(what, prefix) {
					return errors.New(text)
				}
				return nil
			}
		}
	}
	fsck := func(exit machine.Exit) func(*sim.Machine) {
		return func(m *sim.Machine) {
			m.Programs = map[string]func(*sim.Machine, []string) machine.Exit{
				"/sbin/fsck.ext4": func(*sim.Machine, []string) machine.Exit { return exit }}
		}
	}
	with := func(files map[string]string) *sim.Disk {
		d := plain(rootUUID, "system")
		d.Files = files
		return d
	}
	fstab := func(line string) *sim.Disk {
		return with(map[string]string{"/etc/fstab": line + "\n", "/usr/.empty": ""})
	}
	btrfs := func(number int, devices int) *sim.Disk {
		f := content.Btrfs{UUID: rootUUID, Device: fmt.Sprintf("bbbbbbbb-0000-4000-8000-%012d", number), Label: "pool", Devices: devices, Number: number, Size: 4 * gib}
		d := holding(4*gib, f.Pieces()...)
		d.Files = map[string]string{"/sbin/init": "#!"}
		return d
	}
	incomplete := func(m *sim.Machine) {
		fail("mount /dev/", "mount /dev/vda on /sysroot: input/output error")(m)
	}
	waiting := func(b broken) broken {
		b.waiting = true
		return b
	}
	return []broken{
		fs("filesystem-has-no-driver", root+" rootfstype=bcachefs", fail("mount /dev/", "mount /dev/vda on /sysroot: no such device"), plain(rootUUID, "system")),
		fs("mount-fails", root, fail("mount /dev/", "mount /dev/vda on /sysroot: structure needs cleaning"), plain(rootUUID, "system")),
		fs("options-are-refused", root+" rootflags=subvol=@", fail("mount /dev/", "mount /dev/vda on /sysroot: invalid argument"), plain(rootUUID, "system")),
		fs("errors-that-need-a-decision", root, fsck(machine.Exit{Code: 4,
			Output: "/dev/vda: Inode 12 has illegal block(s).\n\n/dev/vda: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.\n"}), plain(rootUUID, "system")),
		fs("check-could-not-run", root, fsck(machine.Exit{Code: 8, Output: "fsck.ext4: Operation error"}), plain(rootUUID, "system")),
		fs("no-init", root, nil, with(map[string]string{"/etc/passwd": ""})),
		fs("init-of-the-command-line-does-not-exist", root+" init=/usr/lib/systemd/sistemd", nil, plain(rootUUID, "system")),
		fs("init-cannot-be-executed", root+" init=/etc/init.sh", nil, with(map[string]string{"/etc/init.sh": "text"})),
		fs("real-system-cannot-be-started", root, fail("switch root", "/sbin/init needs /lib64/ld-linux-x86-64.so.2: no such file or directory"), plain(rootUUID, "system")),
		fs("usr-is-absent", root, nil, fstab("UUID="+usrUUID+" /usr ext4 defaults 0 2")),
		fs("usr-is-nearly-there", root, nil, fstab("LABEL=usr-data /usr ext4 defaults 0 2"), plain(usrUUID, "usr_data")),
		fs("usr-and-srv-are-absent", root, nil, fstab("UUID="+usrUUID+" /usr ext4 defaults 0 2\nLABEL=srv /srv xfs x-initrd.mount 0 2")),
		fs("mount-point-is-a-file", root, nil, with(map[string]string{"/etc/fstab": "UUID=" + usrUUID + " /usr ext4 defaults 0 0\n", "/usr": "x"}), plain(usrUUID, "")),
		waiting(fs("btrfs-waits-for-a-device", root, nil, btrfs(1, 2))),
		fs("btrfs-cannot-do-without-it", root, incomplete, btrfs(1, 2)),
		fs("btrfs-device-twice", root, nil, btrfs(1, 2), btrfs(2, 2), btrfs(2, 2)),
		fs("uuid-of-a-btrfs-device", "root=UUID=bbbbbbbb-0000-4000-8000-000000000001", nil, btrfs(1, 1)),
		fs("two-resume-devices", root+" resume=UUID="+swapUUID, nil, plain(rootUUID, "system"), swap(swapUUID, true), swap(swapUUID, true)),
		waiting(fs("resume-device-is-absent", root+" resume=UUID="+swapUUID, fail("mount /dev/", "mount: no such device"), plain(rootUUID, "system"))),
		fs("zfs-pool", root, nil, holding(4*gib, content.Piece{At: 128 << 10, Data: zfs()})),
	}
}

// zfs is enough of a ZFS label to be known as one: uberblocks of both kinds.
func zfs() []byte {
	b := make([]byte, 128<<10)
	for i := 0; i < len(b); i += 1024 {
		copy(b[i:], "\x0c\xb1\xba\x00\x00\x00\x00\x00")
	}
	return b
}
