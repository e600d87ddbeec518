package boot_test

import (
	"errors"
	"strings"
	"time"

	"firstlight/internal/sim"
	"firstlight/internal/sim/content"
)

const (
	rootUUID = "11111111-1111-4111-8111-1111111111e2"
	dataUUID = "22222222-2222-4222-8222-222222222222"
	swapUUID = "33333333-3333-4333-8333-333333333333"
	usrUUID  = "44444444-4444-4444-8444-444444444444"
	luksUUID = "55555555-5555-4555-8555-555555555555"
	partUUID = "66666666-6666-4666-8666-6666666666a2"
	mdUUID   = "77777777-7777-4777-8777-777777777777"
	gptUUID  = "88888888-8888-4888-8888-888888888888"
)

const gib = 1 << 30

func holding(size int64, pieces ...content.Piece) *sim.Disk {
	d := &sim.Disk{Size: size}
	d.Put(pieces...)
	return d
}

func plain(uuid, label string) *sim.Disk {
	d := holding(8*gib, content.Piece{Data: content.Ext4(uuid, label)})
	d.Files = map[string]string{"/sbin/init": "#!"}
	return d
}

func swap(uuid string, hibernated bool) *sim.Disk {
	return holding(2*gib, content.Piece{Data: content.Swap(uuid, hibernated)})
}

// partitioned is a disk of an EFI partition and the root.
func partitioned(root *sim.Disk) *sim.Disk {
	const size, start, efi = 16 * gib, 1 << 20, 512 << 20
	vfat := holding(efi, content.VFAT(0x1234abcd, "EFI", efi)...)
	d := holding(size, content.GPT(gptUUID, size, []content.Partition{
		{Start: start, Size: efi, Type: content.EFISystem, UUID: "60606060-0000-4666-8666-000000000000", Name: "boot"},
		{Start: start + efi, Size: 8 * gib, Type: content.LinuxData, UUID: partUUID, Name: "system"}})...)
	d.Holds = append(d.Holds, sim.Extent{At: start, Disk: vfat}, sim.Extent{At: start + efi, Disk: root})
	d.Attrs = map[string]string{"device/model": "QEMU HARDDISK   "}
	return d
}

func usual() []*sim.Disk { return []*sim.Disk{partitioned(plain(rootUUID, "system"))} }

func disks(list ...*sim.Disk) []*sim.Disk { return list }

// names are machines whose disks are well, and whose command line is not.
func names() []broken {
	named := func(name, root string, list []*sim.Disk) broken {
		return broken{theme: "names", name: name, cmdline: root, disks: list}
	}
	return []broken{
		named("uuid-differs-in-the-last-character", "root=UUID="+rootUUID[:35]+"3", usual()),
		named("uuid-differs-in-two-characters", "root=UUID=99"+rootUUID[2:], usual()),
		named("uuid-with-a-character-lost", "root=UUID="+rootUUID[:9]+rootUUID[10:], usual()),
		named("uuid-of-nothing", "root=UUID=99999999-9999-4999-8999-999999999999", usual()),
		named("label-in-capitals", "root=LABEL=System", usual()),
		named("label-mistyped", "root=LABEL=sytem", usual()),
		named("label-of-nothing", "root=LABEL=debian", usual()),
		named("partuuid-of-another-disk", "root=PARTUUID="+partUUID[:34]+"b2", usual()),
		named("partuuid-given-as-uuid", "root=UUID="+partUUID, usual()),
		named("uuid-given-as-partuuid", "root=PARTUUID="+rootUUID, usual()),
		named("label-given-as-partlabel", "root=PARTLABEL=EFI", usual()),
		named("sda2-is-vda2-now", "root=/dev/sda2", usual()),
		named("nvme-partition-is-vda2-now", "root=/dev/nvme0n1p2", usual()),
		named("whole-disk-has-another-name", "root=/dev/sda", disks(plain(rootUUID, ""))),
		named("number-of-no-device", "root=8:17", usual()),
		named("no-such-partition", "root=/dev/vda7", usual()),
		named("disk-by-id-is-not-there", "root=/dev/disk/by-id/ata-Samsung_SSD_870_S5Y1-part2", usual()),
		named("nothing-on-the-command-line", "quiet", usual()),
		named("root-parameter-mistyped", "rooot=UUID="+rootUUID, usual()),
		named("luks-parameter-mistyped", "root=/dev/mapper/cr rd.lukss.name="+luksUUID+"=cr", disks(luksDisk())),
		named("value-cannot-be-read", "root=UUID="+dataUUID+" rd.timeout=soon", usual()),
		named("root-is-on-the-network", "root=nfs:192.0.2.1:/srv/root", usual()),
		named("same-uuid-twice", "root=UUID="+rootUUID, disks(partitioned(plain(rootUUID, "system")), plain(rootUUID, "copy"))),
		named("same-label-twice", "root=LABEL=system", disks(plain(rootUUID, "system"), plain(dataUUID, "system"))),
		named("root-names-the-encrypted-device", "root=UUID="+luksUUID, disks(luksDisk())),
		named("root-names-a-physical-volume", "root=/dev/vda", disks(vgDisk(volumes(), 0))),
		named("root-names-a-raid-member", "root=/dev/vda rd.md=0", disks(member(raid1(), 0))),
		named("root-names-swap", "root=/dev/vda", disks(swap(swapUUID, false))),
		named("root-is-an-empty-disk", "root=/dev/vda", disks(&sim.Disk{Size: 4 * gib})),
	}
}

// drives are machines that do not reach their disks.
func drives() []broken {
	drive := func(name string, more func(*sim.Machine), list ...*sim.Disk) broken {
		return broken{theme: "drives", name: name, cmdline: "root=UUID=" + rootUUID, disks: list, more: more}
	}
	without := func(names ...string) []sim.Module {
		var out []sim.Module
		for _, m := range sim.Debian() {
			if !strings.Contains(" "+strings.Join(names, " ")+" ", " "+m.Name+" ") {
				out = append(out, m)
			}
		}
		return out
	}
	const others = "megaraid_sas - pci:v00001000d0000005B* pci:v00001000d00000015*\n" +
		"nvme nvme pci:v*d*sv*sd*bc01sc08i02*\nusb_storage usb-storage usb:v*p*d*dc*dsc*dp*ic08isc06ip50*\n" +
		"virtio_blk virtio-blk virtio:d00000002v*\nvirtio_pci virtio pci:v00001AF4d*\n"
	on := func(bus *sim.Device, missing ...string) func(*sim.Machine) {
		return func(m *sim.Machine) {
			m.Modules = without(missing...)
			m.Files = map[string]string{"/etc/firstlight/other-drivers": others}
			m.Attach(bus)
		}
	}
	root := func() *sim.Disk { return plain(rootUUID, "system") }
	return []broken{
		drive("no-disk-and-no-controller", nil),
		drive("virtio-blk-not-in-the-image", on(sim.Virtio(3, root()), "virtio_blk")),
		drive("virtio-pci-not-in-the-image", on(sim.Virtio(3, root()), "virtio_pci")),
		drive("nvme-not-in-the-image", on(sim.NVMe(1, root()), "nvme")),
		drive("usb-storage-not-in-the-image", on(sim.USB(2, root()), "usb_storage"), plain(dataUUID, "data")),
		drive("driver-that-no-feature-brings", on(&sim.Device{Name: "0000:02:00.0", Subsystem: "pci",
			Modalias: "pci:v00001000d0000005Bsv00001028sd00001F38bc01sc04i00", Disks: disks(root())})),
		drive("controller-that-nobody-knows", on(&sim.Device{Name: "0000:02:00.0", Subsystem: "pci",
			Modalias: "pci:v00001D4Cd00000001sv00001D4Csd00000001bc01sc07i00", Disks: disks(root())})),
		drive("two-controllers-of-which-one-works", func(m *sim.Machine) {
			on(sim.NVMe(1, root()), "nvme")(m)
			m.Attach(sim.Virtio(4, plain(dataUUID, "data")))
		}),
		drive("image-of-another-kernel", func(m *sim.Machine) {
			on(sim.Virtio(3, root()), "virtio_blk", "virtio_pci")(m)
			m.Image.Running = "6.1.0-57-amd64"
		}),
		drive("driver-cannot-be-loaded", func(m *sim.Machine) {
			on(sim.Virtio(3, root()))(m)
			m.Files = nil
			for i := range m.Modules {
				if m.Modules[i].Name == "virtio_blk" {
					m.Modules[i].Err = errors.New("exec format error")
				}
			}
		}),
		drive("disk-appeared-and-vanished", func(m *sim.Machine) {
			d := root()
			m.Plug(plain(dataUUID, "data"))
			m.Fail = func(what string) error {
				if strings.HasPrefix(what, "mount /dev/") {
					return errors.New("mount: input/output error")
				}
				return nil
			}
			m.At(2*time.Second, func() { m.Plug(d) })
			m.At(30*time.Second, func() { m.Unplug(d) })
		}),
		drive("disk-cannot-be-read", func(m *sim.Machine) {
			m.Fail = func(what string) error {
				if what == "read /dev/vda" {
					return errors.New("read /dev/vda: input/output error")
				}
				return nil
			}
		}, root(), plain(dataUUID, "data")),
		drive("disk-does-not-answer", func(m *sim.Machine) {
			m.Latency = func(what string) time.Duration {
				if what == "read /dev/vda" {
					return time.Hour
				}
				return time.Millisecond
			}
		}, root(), plain(dataUUID, "data")),
		drive("partition-table-damaged", nil, func() *sim.Disk {
			d := partitioned(root())
			table := d.Holds[0].Data
			for i := 512; i < 1024; i++ {
				table[i] ^= 0x5a
			}
			d.Holds = append(d.Holds[:1:1], d.Holds[3:]...) // nor is the copy whole
			return d
		}()),
		drive("superblock-damaged", nil, func() *sim.Disk {
			d := &sim.Disk{}
			super := content.XFS(dataUUID, "root")
			super[4] ^= 0xff // its block size
			d.Put(content.Piece{Data: super})
			return d
		}()),
		drive("checksum-of-the-root-is-wrong", nil, func() *sim.Disk {
			d := &sim.Disk{Size: 8 * gib}
			sb := content.XFS(rootUUID, "system")
			sb[108] ^= 1
			d.Put(content.Piece{Data: sb})
			return d
		}()),
		drive("two-signatures-on-the-root", nil, func() *sim.Disk {
			d := root()
			d.Put(content.Piece{Data: content.XFS(dataUUID, "old")})
			return d
		}()),
	}
}
