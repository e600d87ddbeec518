package e2e

import (
	"strings"
	"time"

	"firstlight/test/disks"
)

// hibernated are machines that come back with their memory, by where it was kept.
func hibernated() []Scenario {
	file, btrfs, lvm, crypt, onLVM, raid := disks.HibernateFile, disks.HibernateBtrfs, disks.HibernateLVM, disks.HibernateCrypt, disks.HibernateOnLVM, disks.HibernateRAID
	answer := []Action{{When: promptText, Type: disks.Passphrase + "\r"}}
	machine := func(name string, l disks.Layout, append string, asks []Action, layers ...string) Scenario {
		return Scenario{Name: name, Full: true, Packed: true, For: &Target{FS: "ext4", Layers: layers, Needs: []string{"resume"}}, Layouts: on(l),
			Append: append, Boots: []Boot{
				{Append: "fltest.do=hibernate", Do: asks, Want: Want{Hibernates: true, Timers: true, Prompts: len(asks)}},
				{Do: asks, Want: Want{Resumed: true, Prompts: len(asks)}},
			}}
	}
	// In a file, of which the kernel is told the device and the first page:
	// that is known once the file is there.
	inFile := func(name string, l disks.Layout) Scenario {
		s := machine(name, l, "rw "+uuid(l.FSUUID("root"))+" fltest.swap=/swapfile", nil)
		s.Full = strings.Contains(name, "btrfs")
		s.Boots[1].Append = "resume=UUID=" + l.FSUUID("root") + " resume_offset=" + swapOffset
		return s
	}
	fromBtrfs := inFile("hibernate-btrfs-file", btrfs)
	fromBtrfs.For.FS = "btrfs"
	// Another kernel brings the system back as well: its own comes with it.
	newer := machine("hibernate-newer-kernel", raid, "ro "+uuid(raid.FSUUID("array"))+" resume=UUID="+raid.FSUUID("swap")+" fltest.swap=/dev/vda2", nil, "md-raid1")
	newer.Boots[1].Kernel = "trixie"
	// The machine has other memory than the image is of: the kernel refuses it,
	// and the system starts afresh. Until then nothing is touched; the one write
	// is the kernel's own, which takes the signature off.
	stale := newer
	stale.Name, stale.Full, stale.Writes = "hibernate-other-memory", false, []string{`d0 \S+ 198656\+8 .*`}
	stale.Boots = []Boot{newer.Boots[0], {Memory: 640, Want: Want{Root: `/dev/md\S* ext4`, Timers: true, Arrays: []string{`md\S* raid1 \S+ 0`}, Console: []Seen{see(`could not resume from`)}}}}
	return []Scenario{
		inFile("hibernate-file", file), fromBtrfs,
		machine("hibernate-lvm", lvm, "ro root=/dev/hlvm/root resume=/dev/hlvm/swap fltest.swap=/dev/hlvm/swap", nil, "lvm"),
		machine("hibernate-luks", crypt, "ro "+uuid(crypt.FSUUID("root"))+" rd.luks.name="+crypt.UUID("crypt")+"=cs resume=/dev/mapper/cs fltest.swap=/dev/mapper/cs", answer, "luks"),
		machine("hibernate-luks-on-lvm", onLVM, "ro root=/dev/honl/root rd.luks.name="+onLVM.UUID("crypt")+"=cs resume=UUID="+onLVM.FSUUID("crypt")+" fltest.swap=/dev/mapper/cs", answer, "luks", "lvm"),
		newer, stale,
		hibernatesItself("trixie"),
	}
}

// hibernatesItself is a Debian that is told to hibernate, and finds its way back
// by what systemd has left in the firmware's variables: nothing on the command
// line says that there is anything to resume.
func hibernatesItself(suite string) Scenario {
	l := disks.DebianHibernate(suite)
	const limit = 6 * time.Minute
	return Scenario{Name: l.Name, Full: true, Packed: true, UEFI: true, TrixieOnly: suite == "trixie", Layouts: on(l), Memory: 1024, Features: []string{"resume-efi"},
		Append: "ro systemd.default_device_timeout_sec=900 " + uuid(l.FSUUID("root")), Boots: []Boot{
			{Append: "fltest.do=hibernate", Limit: limit, Want: Want{Debian: true, Hibernates: true, Timers: true}},
			{Limit: limit, Want: Want{Resumed: true}},
		}}
}
