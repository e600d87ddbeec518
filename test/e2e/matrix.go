package e2e

import (
	"slices"
	"strings"
	"time"

	"firstlight/test/disks"
	"firstlight/test/vm"
)

// Matrix is every scenario.
func Matrix() []Scenario {
	return slices.Concat(spellings(), filesystems(), buses(), encrypted(), volumes(), composed(), arrays(), moreArrays(), asMdadm(), stacks(), special(), trouble(), kept(), debians(), roots(), crypts(), hibernated(), faulty(), bcaches(), multipaths(), live(), forms(), networkScenarios(), zpools(), interop(), earlyWritten(), returning(), signed(), bitlocker(), keyboardScenarios(), profiled(), sharedRoots(), cifsScenarios(), unified(), nbdScenarios(), nvmfScenarios(), iscsiScenarios(), parameters(), tcrypts(), btrfses(), zpoolsMore(), network6Scenarios(), overLinks(), managedScenarios(), networkFaults(), asDracutTests(), fetched(), sshScenarios(), clevisScenarios(), onDemand(), aoeScenarios(), btrfsDays(), btrfsSums(), measuredBoots(), parametersSet(), cachedImages(), layered(), on8021X(), withKerberos(), sshfsScenarios(), overRDMA(), overFCoE())
}

// on is the list of the layouts of a scenario.
func on(l ...disks.Layout) []disks.Layout { return l }

// once is a single boot in which nothing is done and w is seen.
func once(w Want) []Boot { return []Boot{{Want: w}} }

// typed is a single boot in which answers are given to prompts.
func typed(w Want, answers ...string) []Boot {
	b := Boot{Want: w}
	for _, a := range answers {
		b.Do = append(b.Do, Action{When: promptText, Type: a + "\r"})
	}
	b.Want.Prompts = len(answers)
	return []Boot{b}
}

func uuid(id string) string { return "root=UUID=" + id }

// spellings is one layout, with its root named in every way.
func spellings() []Scenario {
	p := disks.Plain
	fs, part, first := p.FSUUID("root"), p.PartUUID("root"), p.PartUUID("esp")
	var list []Scenario
	for _, s := range []struct{ name, root string }{
		{"path", "/dev/sda2"},
		{"uuid", "UUID=" + fs},
		{"uuid-upper", "UUID=" + strings.ToUpper(fs)},
		{"uuid-quoted", `"UUID=` + fs + `"`},
		{"label", "LABEL=fl-root"},
		{"partuuid", "PARTUUID=" + part},
		{"partuuid-upper", "PARTUUID=" + strings.ToUpper(part)},
		{"partnroff", "PARTUUID=" + first + "/PARTNROFF=1"},
		{"partlabel", `"PARTLABEL=fl root part"`},
		{"by-uuid", "/dev/disk/by-uuid/" + fs},
		{"by-label", "/dev/disk/by-label/fl-root"},
		{"by-partuuid", "/dev/disk/by-partuuid/" + part},
		{"by-partlabel", `/dev/disk/by-partlabel/fl\x20root\x20part`},
		{"by-id", "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_d0-part2"},
		{"major-minor", "8:2"},
		{"hex", "0802"},
	} {
		list = append(list, Scenario{Name: "root-" + s.name, Layouts: on(p), Bus: vm.VirtioSCSI, For: small("ext4"), Trixie: s.name == "partlabel", TrixieFull: true, Unchanged: true,
			Append: "ro root=" + s.root,
			Boots: once(Want{Root: "/dev/sda2 ext4", RootOptions: []string{"ro"}, Links: []string{
				"/dev/disk/by-uuid/" + fs, "/dev/disk/by-partuuid/" + part, "/dev/disk/by-label/fl-root",
				`/dev/disk/by-partlabel/fl\x20root\x20part`}})})
	}
	mbr, fat := disks.Logical, disks.FAT
	return append(list,
		Scenario{Name: "root-by-path", For: small("ext4"), Layouts: on(p), Append: "ro root=/dev/disk/by-path/pci-0000:00:01.0-part2", TrixieFull: true,
			Unchanged: true, Boots: once(Want{Root: "/dev/vda2 ext4"})},
		Scenario{Name: "root-mbr-id", For: small("ext4"), Layouts: on(mbr), Append: "ro root=PARTUUID=" + mbr.MBRID("d0") + "-06", TrixieFull: true,
			Unchanged: true, Boots: once(Want{Root: "/dev/vda6 ext4"})},
		Scenario{Name: "root-mbr-id-upper", For: small("ext4"), Layouts: on(mbr), Append: "ro root=PARTUUID=" + strings.ToUpper(mbr.MBRID("d0")) + "-06",
			Unchanged: true, Boots: once(Want{Root: "/dev/vda6 ext4"})},
		Scenario{Name: "root-fat-id", For: small("vfat"), Layouts: on(fat), Append: "rw " + uuid(fat.VolumeID("root")), TrixieFull: true,
			Boots: once(Want{Root: "/dev/vda1 vfat", RootOptions: []string{"rw"}})},
		Scenario{Name: "root-fat-id-lower", For: small("vfat"), Layouts: on(fat), Append: "rw " + uuid(strings.ToLower(fat.VolumeID("root"))),
			Boots: once(Want{Root: "/dev/vda1 vfat"})},
		// Parameters in a file of the image; those of the real command line win.
		Scenario{Name: "root-in-image", For: small("ext4"), Layouts: on(p), Append: "ro -- two", Unchanged: true,
			Include: []Include{{"/etc/firstlight/cmdline.d/10-root.conf", "# of this machine\nrw " + uuid(fs) + " -- three\n"}},
			Boots:   once(Want{Root: "/dev/vda2 ext4", RootOptions: []string{"ro"}, Argv: []string{"two", "three"}})},
		Scenario{Name: "root-rw-flags", Packed: true, For: small("ext4"), Layouts: on(p), Append: "rw rootfstype=ext4 rootflags=noatime,data=journal init=/usr/sbin/init fltword=seen " +
			uuid(fs) + " -- one two", Boots: once(Want{Root: "/dev/vda2 ext4", RootOptions: []string{"rw", "noatime", "data=journal"},
			Argv: []string{"one", "two"}, Env: []string{"fltword=seen"}})},
	)
}

func filesystems() []Scenario {
	sub := disks.BtrfsSubvolume
	return []Scenario{
		{Name: "mbr-logical", For: small("ext4"), Layouts: on(disks.Logical), Append: "ro " + uuid(disks.Logical.FSUUID("root")), Unchanged: true,
			Boots: once(Want{Root: "/dev/vda6 ext4"})},
		{Name: "no-partitions", For: small("ext4"), Layouts: on(disks.Whole), Append: "ro " + uuid(disks.Whole.FSUUID("d0")), Unchanged: true,
			Boots: once(Want{Root: "/dev/vda ext4"})},
		{Name: "xfs", For: small("xfs"), Layouts: on(disks.XFS), Append: "ro " + uuid(disks.XFS.FSUUID("root")),
			Boots: once(Want{Root: "/dev/vda1 xfs"})},
		{Name: "btrfs-subvolume", For: small("btrfs"), Layouts: on(sub), Append: "ro rootflags=subvol=@root " + uuid(sub.FSUUID("root")),
			Boots: once(Want{Root: "/dev/vda1 btrfs", RootDir: "/@root"})},
		{Name: "squashfs", For: small("squashfs"), Layouts: on(disks.Squashfs), Append: "ro root=PARTUUID=" + disks.Squashfs.PartUUID("root"), Unchanged: true,
			Boots: once(Want{Root: "/dev/vda1 squashfs"})},
		{Name: "erofs", For: small("erofs"), Layouts: on(disks.Erofs), Append: "ro " + uuid(disks.Erofs.FSUUID("root")), Unchanged: true,
			Boots: once(Want{Root: "/dev/vda1 erofs"})},
	}
}

func buses() []Scenario {
	var list []Scenario
	for _, b := range []struct {
		bus    vm.Bus
		root   string
		trixie bool
	}{
		{vm.VirtioBlk, "/dev/vda2", true}, {vm.VirtioSCSI, "/dev/sda2", false}, {vm.NVMe, "/dev/nvme0n1p2", true},
		{vm.AHCI, "/dev/sda2", false}, {vm.USB, "/dev/sda2", false},
	} {
		list = append(list, Scenario{Name: "bus-" + string(b.bus), Layouts: on(disks.Plain), Bus: b.bus, Trixie: b.trixie, Unchanged: true,
			Append: "ro " + uuid(disks.Plain.FSUUID("root")), Boots: once(Want{Root: b.root + " ext4",
				// A USB disk may take its time to settle after it was found.
				Timers: b.bus == vm.USB})})
	}
	return list
}

func encrypted() []Scenario {
	one, two, key, kd := disks.LUKS1, disks.LUKS2, disks.LUKSKey, disks.KeyDisk
	keyPath := "/etc/cryptsetup-keys.d/cr.key"
	mapped := func(l disks.Layout, version string) Want {
		return Want{Root: "/dev/mapper/cr ext4",
			Mapped: []string{"cr CRYPT-LUKS" + version + "-" + strings.ReplaceAll(l.UUID("crypt"), "-", "") + "-cr"}}
	}
	apart, rawApart := disks.LUKSApart, disks.LUKSRawApart
	late := mapped(key, "2")
	late.Timers = true
	name := func(l disks.Layout) string { return "rd.luks.name=" + l.UUID("crypt") + "=cr " }
	return []Scenario{
		{Name: "luks1", For: small("ext4", "luks"), Layouts: on(one), Append: "ro " + name(one) + "root=/dev/mapper/cr",
			Boots: typed(mapped(one, "1"), disks.Passphrase)},
		{Name: "luks2-argon2id", Layouts: on(two), Append: "ro " + name(two) + uuid(two.FSUUID("crypt")),
			Boots: typed(mapped(two, "2"), disks.Passphrase)},
		{Name: "luks2-wrong-twice", For: small("ext4", "luks"), Layouts: on(two), Append: "ro " + name(two) + uuid(two.FSUUID("crypt")),
			Boots: typed(mapped(two, "2"), "wrong", "wrong again", disks.Passphrase)},
		{Name: "luks2-uuid-only", For: small("ext4", "luks"), Layouts: on(two), Append: "ro rd.luks.uuid=luks-" + two.UUID("crypt") + " " + uuid(two.FSUUID("crypt")),
			Boots: typed(Want{Mapped: []string{"luks-" + two.UUID("crypt") + " CRYPT-LUKS2-.*"}}, disks.Passphrase)},
		{Name: "luks2-editing", For: small("ext4", "luks"), Layouts: on(two), Append: "ro " + name(two) + uuid(two.FSUUID("crypt")),
			// Ctrl-U empties the line, backspace takes one key back.
			Boots: typed(mapped(two, "2"), "nonsense\x15"+disks.Passphrase+"xy\x7f\x7f")},
		{Name: "luks-cryptdevice", For: small("ext4", "luks"), Layouts: on(one), Append: "ro cryptdevice=UUID=" + one.UUID("crypt") + ":cr root=/dev/mapper/cr",
			Boots: typed(mapped(one, "1"), disks.Passphrase)},
		{Name: "luks-key-in-image", For: small("ext4", "luks"), Layouts: on(key), Include: []Include{{keyPath, disks.Key}}, Secret: true,
			Append: "ro " + name(key) + "rd.luks.key=" + key.UUID("crypt") + "=" + keyPath + " root=/dev/mapper/cr",
			Boots:  once(mapped(key, "2"))},
		{Name: "luks-crypttab-in-image", For: small("ext4", "luks"), Layouts: on(key), Secret: true, Append: "ro " + uuid(key.FSUUID("crypt")),
			Include: []Include{{keyPath, disks.Key}, {"/etc/crypttab", "# name device key options\ncr UUID=" + key.UUID("crypt") + " " + keyPath + " luks,discard\n"}},
			Boots:   once(mapped(key, "2"))},
		{Name: "luks-key-on-late-disk", For: small("ext4", "luks"), Layouts: on(key, kd), Detached: []string{"k0"}, Trixie: true,
			Append: "ro " + name(key) + "rd.luks.key=" + key.UUID("crypt") + "=/keys/root.key:UUID=" + kd.FSUUID("keys") +
				" rd.luks.options=keyfile-timeout=60s root=/dev/mapper/cr",
			Boots: []Boot{{Do: []Action{{When: waitingText, After: 5 * time.Second, Attach: "k0"}}, Want: late}}},
		// The question stands on every console, and any of them answers.
		{Name: "luks1-second-console", For: small("ext4", "luks"), Layouts: on(one), Append: "console=ttyS1 ro " + name(one) + "root=/dev/mapper/cr",
			Boots: []Boot{{Do: []Action{{When: promptText}, {Second: true, When: promptText, Type: disks.Passphrase + "\r"}}, Want: func() Want {
				w := mapped(one, "1")
				w.Prompts, w.Second = 1, []Seen{see(promptText + `[^\n]*: \*{13}\s`)}
				return w
			}()}}},
		{Name: "luks1-keyboard", For: small("ext4", "luks"), Layouts: on(one), Append: "console=tty0 ro " + name(one) + "root=/dev/mapper/cr",
			Boots: []Boot{{Do: []Action{{When: promptText, Press: keys("wrong\r")}, {When: promptText, Press: keys(disks.Passphrase + "\r")}}, Want: func() Want {
				w := mapped(one, "1")
				w.Prompts = 2
				return w
			}()}}},
		// The header is a file of another disk, as crypttab(5) says it …
		{Name: "luks2-header-on-disk", For: small("ext4", "luks"), Layouts: on(apart), Append: "ro " + uuid(apart.FSUUID("crypt")),
			Include: []Include{{"/etc/crypttab", "cr PARTUUID=" + apart.PartUUID("data") + " none luks,header=/boot/cr.hdr:UUID=" + apart.FSUUID("heads") + "\n"}}, Secret: true,
			Boots: typed(mapped(apart, "2"), disks.Passphrase)},
		// … or a partition of its own, as systemd's parameters do.
		{Name: "luks1-header-device", For: small("ext4", "luks"), Layouts: on(rawApart), Trixie: true,
			Append: "ro " + name(rawApart) + "rd.luks.data=" + rawApart.UUID("crypt") + "=PARTUUID=" + rawApart.PartUUID("data") +
				" rd.luks.options=" + rawApart.UUID("crypt") + "=header=/dev/disk/by-partuuid/" + rawApart.PartUUID("head") + " root=/dev/mapper/cr",
			Boots: typed(mapped(rawApart, "1"), disks.Passphrase)},
	}
}

func volumes() []Scenario {
	lin, str, hyp := disks.LVMLinear, disks.LVMStriped, disks.LVMHyphens
	return []Scenario{
		{Name: "lvm-linear", For: small("ext4", "lvm"), Layouts: on(lin), Append: "ro rd.lvm.lv=vg/root root=/dev/mapper/vg-root", Trixie: true, Unchanged: true,
			Boots: once(Want{Root: "/dev/mapper/vg-root ext4", Mapped: []string{"vg-root LVM-.{64}"}, Links: []string{"/dev/vg/root", "/dev/mapper/vg-root"}})},
		{Name: "lvm-by-uuid", For: small("ext4", "lvm"), Layouts: on(lin), Append: "ro " + uuid(lin.FSUUID("vg/root")), Unchanged: true,
			Boots: once(Want{Mapped: []string{"vg-root LVM-.{64}"}})},
		{Name: "lvm-striped", For: small("ext4", "lvm"), Layouts: on(str), Append: "ro root=/dev/vgs/root", Unchanged: true,
			Boots: once(Want{Root: "/dev/mapper/vgs-root ext4"})},
		{Name: "lvm-hyphens", For: small("ext4", "lvm"), Layouts: on(hyp), Append: "ro root=/dev/mapper/my--vg----x-the--root", Unchanged: true,
			Boots: once(Want{Mapped: []string{"my--vg----x-the--root LVM-.{64}"}, Links: []string{"/dev/my-vg--x/the-root"}})},
		{Name: "lvm-hyphens-vg-lv", For: small("ext4", "lvm"), Layouts: on(hyp), Append: "ro root=/dev/my-vg--x/the-root", Unchanged: true,
			Boots: once(Want{Mapped: []string{"my--vg----x-the--root LVM-.{64}"}})},
	}
}

func arrays() []Scenario {
	var list []Scenario
	for _, a := range []struct {
		layout disks.Layout
		level  string
		trixie bool
	}{
		{disks.RAID1, "raid1", true}, {disks.RAID5, "raid5", false}, {disks.RAIDMeta090, "raid1", false},
		{disks.RAIDMeta10, "raid1", false}, {disks.RAIDMeta11, "raid1", false},
	} {
		list = append(list, Scenario{Name: a.layout.Name, For: small("ext4", "md-"+a.level), Layouts: on(a.layout), Trixie: a.trixie,
			Append: "ro " + uuid(a.layout.FSUUID("array")),
			Boots:  once(Want{Root: `/dev/md\S* ext4`, Arrays: []string{`md\S* ` + a.level + ` (clean|active|write-pending|active-idle|read-auto) 0`}})})
	}
	part := disks.RAIDPartition
	return append(list,
		Scenario{Name: "raid-partition", For: small("ext4", "md-raid1"), Layouts: on(part), Append: "ro rd.md.uuid=" + part.MDUUID("array") + " " + uuid(part.FSUUID("root")),
			Boots: once(Want{Root: `/dev/md\S*p2 ext4`, Arrays: []string{`md\S* raid1 .* 0`}})},
		// What is on the second member is not known; the real init, which powers
		// off at once, is not started before all of it was copied.
		Scenario{Name: "raid1-waitclean", Writes: anything, For: small("ext4", "md-raid1"), Layouts: on(disks.RAID1Dirty),
			Append: "ro rd.md.waitclean loglevel=7 " + uuid(disks.RAID1Dirty.FSUUID("array")),
			Boots:  once(Want{Arrays: []string{`md\S* raid1 \S+ 0`}, Console: []Seen{see(`(?s)resync of RAID array.*resync done.*reboot: `)}})},
		Scenario{Name: "raid1-degraded", For: small("ext4", "md-raid1"), Layouts: on(disks.RAID1), Absent: []string{"d1"}, Append: "ro " + uuid(disks.RAID1.FSUUID("array")),
			Boots: once(Want{Root: `/dev/md\S* ext4`, Arrays: []string{`md\S* raid1 .* 1`}, Timers: true,
				Console: []Seen{see("degraded|1 of 2|missing")}})},
		Scenario{Name: "raid1-late-member", For: small("ext4", "md-raid1"), Layouts: on(disks.RAID1), Detached: []string{"d1"}, Append: "ro " + uuid(disks.RAID1.FSUUID("array")),
			Boots: []Boot{{Do: []Action{{When: waitingText, After: 5 * time.Second, Attach: "d1"}},
				Want: Want{Root: `/dev/md\S* ext4`, Arrays: []string{`md\S* raid1 .* 0`}, Timers: true}}}},
	)
}

func stacks() []Scenario {
	st, key, in, bt := disks.Stack, disks.StackKey, disks.LVMOnLUKS, disks.BtrfsOnLUKS
	return []Scenario{
		{Name: "stack", Layouts: on(st), Trixie: true, Append: "ro rd.luks.name=" + st.UUID("crypt") + "=cr root=/dev/mapper/cr",
			Boots: typed(Want{Timers: true, Mapped: []string{"cr CRYPT-LUKS2-.*", "vg-crypt LVM-.*"}, Arrays: []string{`md\S* raid1 .* 0`}}, disks.Passphrase)},
		{Name: "stack-key", For: small("ext4", "luks", "lvm", "md-raid1"), Layouts: on(key), Trixie: true, Secret: true, Include: []Include{{"/etc/cryptsetup-keys.d/cr.key", disks.Key}},
			Append: "ro rd.luks.name=" + key.UUID("crypt") + "=cr root=/dev/mapper/cr",
			Boots:  once(Want{Mapped: []string{"cr CRYPT-LUKS2-.*", "vg-crypt LVM-.*"}, Arrays: []string{`md\S* raid1 .* 0`}})},
		{Name: "lvm-on-luks", For: small("ext4", "luks", "lvm"), Layouts: on(in), Append: "ro rd.luks.uuid=" + in.UUID("crypt") + " root=/dev/inner/root",
			Boots: typed(Want{Mapped: []string{"inner-root LVM-.*", "luks-.* CRYPT-LUKS2-.*"}}, disks.Passphrase)},
		{Name: "btrfs-on-two-luks", For: small("btrfs", "luks"), Layouts: on(bt), Append: "ro rd.luks.uuid=" + bt.UUID("c0") + " rd.luks.uuid=" + bt.UUID("c1") + " " + uuid(bt.FSUUID("c0")),
			Boots: typed(Want{Root: ".* btrfs", Mapped: []string{"luks-" + bt.UUID("c0") + " .*", "luks-" + bt.UUID("c1") + " .*"}}, disks.Passphrase)},
	}
}

func special() []Scenario {
	usr, hib := disks.SeparateUsr, disks.Hibernate
	resume := "ro " + uuid(hib.FSUUID("root")) + " resume=UUID=" + hib.FSUUID("swap") + " fltest.do=hibernate fltest.swap=/dev/vda2"
	return []Scenario{
		{Name: "separate-usr", For: &Target{FS: "ext4", Needs: []string{"usr"}}, Layouts: on(usr), Append: "ro " + uuid(usr.FSUUID("root")), Unchanged: true,
			Boots: once(Want{Root: "/dev/vda1 ext4", Usr: "/dev/vda2 ext4"})},
		{Name: "fsck-dirty", Writes: anything, Features: []string{"fsck"}, For: small("ext4"), Layouts: on(disks.Dirty), Append: "ro " + uuid(disks.Dirty.FSUUID("d0")), Repaired: "d0",
			Boots: once(Want{Root: "/dev/vda ext4"})},
		{Name: "hibernate", Packed: true, For: &Target{FS: "ext4", Needs: []string{"resume"}}, Layouts: on(hib), Append: resume, Boots: []Boot{
			{Want: Want{Root: "/dev/vda1 ext4", Hibernates: true, Timers: true}},
			{Want: Want{Resumed: true}},
		}},
		// A disk that is pulled out takes its links along.
		{Name: "unplug", For: small("ext4"), Layouts: on(disks.Plain, disks.KeyDisk), Detached: []string{"d0"}, Append: "ro root=LABEL=fl-root",
			Boots: []Boot{{Do: []Action{{When: "LABEL=KEYS", Detach: "k0"}, {When: "went away", Attach: "d0"}},
				Want: Want{Root: "/dev/vd.2 ext4", Timers: true, Links: []string{"/dev/disk/by-label/fl-root"},
					NoLinks: []string{"/dev/disk/by-label/KEYS", "/dev/disk/by-uuid/" + disks.KeyDisk.FSUUID("keys")}}}}},
		{Name: "hot-plug", Layouts: on(disks.Plain), Detached: []string{"d0"}, Append: "ro " + uuid(disks.Plain.FSUUID("root")),
			Boots: []Boot{{Do: []Action{{When: waitingText, After: 10 * time.Second, Attach: "d0"}},
				Want: Want{Root: "/dev/vda2 ext4", Timers: true, Console: []Seen{see(disks.Plain.FSUUID("root"))}}}}},
	}
}

// shellPassword is the hash of "open sesame" (crypt(5), SHA-512).
const shellPassword = "$6$firstlight$nkHk8CspploD787olisBcV4l4wWeAuQf/w4jlDfxNmXKSOrV.iambD98WuzyeL4WrALdPDrxMd/o2Sihy/IOv1"

// trouble is what must fail, or go on, with an explanation.
func trouble() []Scenario {
	const off = " rd.emergency=poweroff"
	wrong := "deadbeef-0000-4000-8000-000000000001"
	plain, hib := disks.Plain, disks.Hibernate
	return []Scenario{
		{Name: "wrong-root", For: small("ext4"), Layouts: on(plain), Append: "ro " + uuid(wrong) + " rd.timeout=20" + off, Unchanged: true,
			Boots: once(Want{NoBoot: true, Console: []Seen{see(wrong), see("vda2"), see("power")}, Ends: poweredOff})},
		// On every console, and the three keys reboot.
		{Name: "ctrl-alt-del", For: small("ext4"), Layouts: on(plain), Append: "console=ttyS1 ro " + uuid(wrong) + " rd.timeout=20 panic=0", Unchanged: true,
			Boots: []Boot{{Do: []Action{{When: "cannot be started"}, {Second: true, When: "cannot be started"}, {When: "Ctrl-Alt-Del reboots", Press: []string{"ctrl-alt-delete"}}},
				Want: Want{NoBoot: true, Ends: rebooted, Console: []Seen{see(wrong), see("Ctrl-Alt-Del: rebooting")},
					Second: []Seen{see(waitingText), see(wrong), see("Seen: +vda"), see("Ctrl-Alt-Del: rebooting")}}}}},
		{Name: "panic-reboots", For: small("ext4"), Layouts: on(plain), Append: "ro " + uuid(wrong) + " rd.timeout=10 panic=3", Unchanged: true,
			Boots: once(Want{NoBoot: true, Ends: rebooted, Console: []Seen{see("reboot in 3 s, as panic= asks")}})},
		{Name: "wrong-passphrase", For: small("ext4", "luks"), Layouts: on(disks.LUKS1), Append: "ro rd.luks.name=" + disks.LUKS1.UUID("crypt") + "=cr root=/dev/mapper/cr rd.timeout=20" + off,
			Unchanged: true, Boots: typed(Want{NoBoot: true, Console: []Seen{see("passphrase")}}, "no", "no no", "no no no")},
		{Name: "same-uuid-twice", For: small("ext4"), Layouts: on(disks.Twins), Append: "ro " + uuid(disks.UUID("twins", "both")) + " rd.timeout=20" + off, Unchanged: true,
			Boots: once(Want{NoBoot: true, Console: []Seen{see("vda"), see("vdb"), see(disks.UUID("twins", "both"))}})},
		{Name: "no-init", For: small("ext4"), Layouts: on(disks.NoInit), Append: "ro " + uuid(disks.NoInit.FSUUID("d0")) + " rd.timeout=20" + off, Unchanged: true,
			Boots: once(Want{NoBoot: true, Console: []Seen{see("init")}})},
		{Name: "fsck-broken", Features: []string{"fsck"}, For: small("ext4"), Layouts: on(disks.Broken), Append: "ro " + uuid(disks.Broken.FSUUID("d0")) + " rd.timeout=20" + off,
			Boots: once(Want{NoBoot: true, Console: []Seen{see("fsck")}})},
		{Name: "resume-never-comes", For: small("ext4"), Layouts: on(hib), Append: "ro " + uuid(hib.FSUUID("root")) + " resume=UUID=" + wrong, Unchanged: true,
			Boots: once(Want{Root: "/dev/vda1 ext4", Timers: true, Console: []Seen{see(wrong)}})},
		{Name: "found-after-the-screen", For: small("ext4"), Layouts: on(plain), Detached: []string{"d0"}, Append: "ro " + uuid(plain.FSUUID("root")) + " rd.timeout=15 panic=120",
			Boots: []Boot{{Do: []Action{{When: "cannot be started", Attach: "d0"}},
				Want: Want{Root: "/dev/vda2 ext4", Timers: true, Console: []Seen{see("cannot be started")}}}}},
		// A console is fit for a question after a shell had it.
		{Name: "break-stages", Layouts: on(disks.LUKS1), For: small("ext4", "luks"), Features: []string{"shell"},
			Append: "ro rd.luks.name=" + disks.LUKS1.UUID("crypt") + "=cr root=/dev/mapper/cr rd.shell rd.break=" + strings.Join(stages[:4], ",") +
				" rd.break=" + strings.Join(stages[4:8], " rd.break=") + " rd.break",
			Boots: []Boot{{Do: throughStages(), Want: Want{Root: "/dev/mapper/cr ext4", Prompts: 1}}}},
		// A shell that nobody asks for does not hold the machine.
		{Name: "shell-untouched", Layouts: on(plain), For: small("ext4"), Features: []string{"shell"}, Detached: []string{"d0"},
			Append: "ro " + uuid(plain.FSUUID("root")) + " rd.timeout=15 rd.shell",
			Boots: []Boot{{Do: []Action{{When: "Press Enter for a shell", Attach: "d0"}},
				Want: Want{Root: "/dev/vda2 ext4", Timers: true, Console: []Seen{see("cannot be started")}}}}},
		// A shell that somebody asks for is theirs until they leave it.
		{Name: "shell-asked-for", Layouts: on(plain), For: small("ext4"), Features: []string{"shell"}, Detached: []string{"d0"},
			Append: "ro " + uuid(plain.FSUUID("root")) + " rd.timeout=15 rd.shell",
			Boots: []Boot{{Do: []Action{
				{When: "Press Enter for a shell", Type: "\r"},
				{When: "firstlight# ", Attach: "d0"},
				{When: "Leave the shell to start the system", Type: "exit\r"},
			}, Want: Want{Root: "/dev/vda2 ext4", Timers: true, Console: []Seen{see("cannot be started")}}}}},
		// The disk comes while a person is at the shell, behind a password;
		// the system starts when the shell is left, and not before.
		{Name: "emergency-shell", Layouts: on(plain), For: small("ext4"), Features: []string{"shell"}, Detached: []string{"d0"}, Secret: true,
			Include: []Include{{"/etc/firstlight/password", shellPassword + "\n"}}, Append: "ro " + uuid(plain.FSUUID("root")) + " rd.timeout=15 rd.shell",
			Boots: []Boot{{Do: []Action{
				{When: "Password for the emergency shell", Type: "not it\r"},
				{When: "Wrong password"},
				{When: "Password for the emergency shell", Type: "open sesame\r"},
				{When: "firstlight# ", Type: "echo forty-$((1+1))\r"},
				{When: "forty-2", Attach: "d0"},
				{When: "Leave the shell to start the system", Type: "exit\r"},
			}, Want: Want{Root: "/dev/vda2 ext4", Timers: true, Console: []Seen{see("cannot be started")}}}}},
	}
}

// stages are those at which a boot can be stopped.
var stages = []string{"cmdline", "pre-udev", "pre-trigger", "initqueue", "pre-mount", "mount", "pre-pivot", "cleanup", "switch-root"}

// throughStages leaves the shell at each stage, and types the passphrase that
// is asked for once devices are acted on.
func throughStages() []Action {
	var list []Action
	for _, s := range stages {
		list = append(list, Action{When: "stopped before " + s}, Action{When: "firstlight# ", Type: "exit\r"})
		if s == "initqueue" {
			list = append(list, Action{When: promptText, Type: disks.Passphrase + "\r"})
		}
	}
	return list
}

// debians are whole systems.
func debians() []Scenario {
	stack := func(suite string) Scenario {
		l := disks.DebianStack(suite)
		return Scenario{Name: suite + "-stack", Packed: true, Layouts: on(l), Memory: 1024, TrixieOnly: suite == "trixie",
			Append: "ro rd.luks.name=" + l.UUID("crypt") + "=cryptroot root=/dev/mapper/cryptroot",
			Boots: []Boot{{Limit: 6 * time.Minute, Do: []Action{{When: promptText, Type: disks.Passphrase + "\r"}},
				Want: Want{Debian: true, Prompts: 1, Mapped: []string{"cryptroot", "vg-crypt"}}}}}
	}
	plain := func(suite string) Scenario {
		l := disks.DebianPlain(suite)
		return Scenario{Name: suite + "-plain", Packed: true, Layouts: on(l), Memory: 1024, TrixieOnly: suite == "trixie", Append: "ro " + uuid(l.FSUUID("root")),
			Boots: []Boot{{Limit: 6 * time.Minute, Want: Want{Debian: true}}}}
	}
	wrong := wrongUUID(disks.DebianPlain("bookworm"))
	keeps := keptByDebian("bookworm-plain", Scenario{Store: true}, 1, `^a boot failed before this one: `, `^      1  .*FAILED `, `^     2\*.*started`, `^Needs:   root=UUID=`+wrong+` was not found$`)
	return append(hostBuilt(), keeps, plain("trixie"), stack("bookworm"), stack("trixie"))
}
