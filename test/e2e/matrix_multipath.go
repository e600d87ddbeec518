package e2e

import (
	"fmt"
	"time"

	"firstlight/test/disks"
	"firstlight/test/vm"
)

// multipaths are disks that are reached on two ways, as /etc/multipath of the
// image says.
func multipaths() []Scenario {
	known := func(names ...string) []Include { return []Include{{"/etc/multipath/wwids", disks.WWIDs(names...)}} }
	conf := func(defaults string) Include {
		return Include{"/etc/multipath.conf", "defaults {\n" + defaults + "\n}\n"}
	}
	const off = " rd.timeout=20 rd.emergency=poweroff"
	plain, luks, stack, twice := disks.Plain, disks.LUKS2, disks.StackKey, disks.RAIDTwice
	root, wwid := uuid(plain.FSUUID("root")), disks.WWID("d0")
	both := []Path{{Disk: "d0"}}
	mapped := []string{wwid + " mpath-" + wwid, wwid + "-part2 part2-mpath-" + wwid}
	runs := func(on string) []string { return []string{`multipath device \S+ \(\S+\)\tthere: runs on ` + on + `$`} }
	here := Want{Root: `/dev/mapper/\S+ ext4`, Mapped: mapped, Journal: runs("/dev/sda, /dev/sdb")}
	scenario := func(s Scenario) Scenario {
		s.For, s.Layouts, s.Bus, s.Unchanged = small("ext4", "multipath"), on(plain), vm.VirtioSCSI, true
		if s.Paths == nil {
			s.Paths = both
		}
		s.Append = "ro " + root + s.Append
		return s
	}
	encrypted := func(name string, detached bool, do Action, then string, want Want) Scenario {
		want.Root, want.Prompts, want.Timers, want.Mapped = `/dev/mapper/\S+ ext4`, 1, true, []string{wwid + " mpath-" + wwid}
		return Scenario{Name: name, For: small("ext4", "multipath", "luks"), Layouts: on(luks), Bus: vm.VirtioSCSI, Paths: []Path{{Disk: "d0", Detached: detached}}, Include: known("d0"),
			Append: "ro loglevel=7 rd.luks.uuid=" + luks.UUID("crypt") + " " + uuid(luks.FSUUID("crypt")), Unchanged: true,
			Boots: []Boot{{Do: []Action{do, {When: then}, {Type: disks.Passphrase + "\r"}}, Want: want}}}
	}
	// The kernel does not trust the identifiers of QEMU's namespaces, and makes one.
	made := fmt.Sprintf("nvme.1b36-%x-%x-%08x", "d0", "QEMU NVMe Ctrl", 1)
	nvme := func(name, parameters string, include []Include, want Want) Scenario {
		return Scenario{Name: name, Trixie: true, For: small("ext4", "multipath"), Layouts: on(plain), Bus: vm.NVMe, Paths: both, Include: include, Append: "ro " + root + parameters,
			Unchanged: true, Boots: once(want)}
	}
	refused := Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(`have\s+this\s+name`), see(`is\s+there\s+on\s+several\s+paths`)}}
	friendly := Want{Root: here.Root, Mapped: []string{"mpathc mpath-" + wwid, "mpathc-part2 part2-mpath-" + wwid}, Journal: here.Journal}
	return []Scenario{
		scenario(Scenario{Name: "multipath", Trixie: true, Include: known("d0"), Boots: once(here)}),
		// Reading on the second way fails; in the next the first way goes while a
		// passphrase is asked for, in the one after the second comes then.
		scenario(Scenario{Name: "multipath-fails", Trixie: true, Paths: []Path{{Disk: "d0", Fails: true}}, Include: known("d0"), Boots: once(here)}),
		encrypted("multipath-vanishes", false, Action{When: promptText, Detach: "d0"}, "] Synchroniz", Want{Journal: runs("/dev/sda, /dev/sdb")}),
		encrypted("multipath-late", true, Action{When: promptText, Attach: "d0+"}, "[sdb] Attached", Want{Journal: runs("/dev/sda, /dev/sdb")}),
		// Nothing lists it, and it has two ways all the same.
		scenario(Scenario{Name: "multipath-found", Include: []Include{conf("find_multipaths on")}, Boots: once(here)}),
		scenario(Scenario{Name: "multipath-smart", Full: true, Include: []Include{conf("find_multipaths smart")}, Boots: once(here)}),
		scenario(Scenario{Name: "multipath-greedy", Full: true, Paths: []Path{{Disk: "d0", Detached: true}}, Include: []Include{conf("find_multipaths greedy")},
			Boots: once(Want{Root: here.Root, Mapped: mapped, Journal: runs("/dev/sda")})}),
		scenario(Scenario{Name: "multipath-named", Full: true, Include: append(known("d0"), Include{"/etc/multipath/bindings", "mpathc " + wwid + "\n"},
			conf("user_friendly_names yes\npath_grouping_policy multibus\nno_path_retry queue")), Boots: once(friendly)}),
		// Neither way can be read.
		scenario(Scenario{Name: "multipath-all-fail", Full: true, Paths: []Path{{Disk: "d0", Fails: true}}, Unreadable: map[string][]vm.Sectors{"d0": {{First: 0, Last: 40}}}, Append: off,
			Include: append(known("d0"), conf("no_path_retry queue")), Boots: once(Want{NoBoot: true, Ends: poweredOff, Timers: true, Console: []Seen{see(`was\s+not\s+found`)}})}),
		{Name: "multipath-stack", Full: true, For: small("ext4", "multipath", "luks", "lvm", "md-raid1"), Layouts: on(stack), Bus: vm.VirtioSCSI,
			Paths: []Path{{Disk: "d0"}, {Disk: "d1"}}, Secret: true, Include: append(known("d0", "d1"), Include{"/etc/cryptsetup-keys.d/cr.key", disks.Key}),
			Append: "ro rd.luks.name=" + stack.UUID("crypt") + "=cr root=/dev/mapper/cr",
			Boots:  once(Want{Arrays: []string{`md\S* raid1 \S+ 0`}, Mapped: []string{disks.WWID("d1") + " mpath-.*"}})},
		// Not listed, they are copies; and so are disks that are listed, of
		// which one has the other's content.
		scenario(Scenario{Name: "multipath-unlisted", Append: off, Boots: once(refused)}),
		scenario(Scenario{Name: "multipath-off", Full: true, Include: known("d0"), Append: " multipath=off" + off, Boots: once(Want{NoBoot: true, Ends: poweredOff, Console: refused.Console[:1]})}),
		{Name: "multipath-copies", Full: true, For: small("ext4", "multipath", "md-raid1"), Layouts: on(twice), Bus: vm.VirtioSCSI, Paths: both, Include: known("d0", "d1", "c0"),
			Append: "ro " + uuid(twice.FSUUID("array")) + off, Unchanged: true, Boots: once(Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(`both\s+have\s+slot`)}})},
		// NVMe: the kernel's own, whose paths are no disks; without it each is one.
		nvme("nvme-paths", "", nil, Want{Root: `/dev/nvme\dn1p2 ext4`, Hidden: true}),
		nvme("nvme-paths-dm", " nvme_core.multipath=N", []Include{{"/etc/multipath/wwids", "/" + made + "/\n"}},
			Want{Root: `/dev/mapper/\S+ ext4`, Mapped: []string{made + " mpath-" + made}, Journal: runs("/dev/nvme0n1, /dev/nvme1n1")}),
		nvme("nvme-paths-unlisted", " nvme_core.multipath=N"+off, nil, refused),
		debianPaths(),
	}
}

// debianPaths is a whole system whose multipathd takes over what Firstlight has
// made, and makes the same of another disk: askPaths of its layout compares.
func debianPaths() Scenario {
	l := disks.DebianPaths()
	return Scenario{Name: "bookworm-paths", Full: true, Packed: true, Layouts: on(l), Bus: vm.VirtioSCSI, Memory: 1024, For: small("ext4", "multipath"),
		Paths: []Path{{Disk: "d0"}, {Disk: "d1"}}, Include: []Include{{"/etc/multipath/wwids", disks.WWIDs("d0")}},
		Append: "ro " + uuid(l.FSUUID("root")), Boots: []Boot{{Limit: 6 * time.Minute, Want: Want{Debian: true, Mapped: []string{disks.WWID("d0") + "-part1"}}}}}
}
