package e2e

import (
	"time"

	"firstlight/test/disks"
)

// measuredBoots are boots of unified images on a machine with a TPM: what is
// measured into it is what was predicted, and what systemd-stub has found on the EFI
// system partition comes over to the real system.
func measuredBoots() []Scenario {
	const beside = "EFI/BOOT/BOOTX64.EFI.extra.d/"
	const log = `^measured \{"pcr":11,"digests":\[\{"hashAlg":"sha1","digest":"[0-9a-f]{40}"\},.*"content":\{"string":"`
	plain := disks.Plain
	phases := func(name string, u Unified, w Want) Scenario {
		w.Root, w.Measured = "/dev/vda2 ext4", "enter-initrd:leave-initrd"
		w.Handed = append(w.Handed, log+`enter-initrd"`, log+`leave-initrd"`, `^/run/credentials/@encrypted drwx------$`, `^/run/credentials/@encrypted/one -r-------- "beside"$`,
			`^/run/credentials/@encrypted/two -r-------- "for all"$`, `^ENCRYPTED_CREDENTIALS_DIRECTORY=/run/credentials/@encrypted$`)
		w.NoHanded = append(w.NoHanded, `^/run/extensions`, `^/run/credentials/@encrypted/one .*wrong`)
		w.Env = append(w.Env, "ENCRYPTED_CREDENTIALS_DIRECTORY=/run/credentials/@encrypted")
		u.Files = append(u.Files, Include{Path: beside + "one.cred", Data: "beside"}, Include{Path: "loader/credentials/two.cred", Data: "for all"}, Include{Path: "loader/credentials/one.cred", Data: "wrong"})
		return Scenario{Name: name, Full: true, Packed: true, UEFI: true, TPM: true, Unified: &u, Layouts: on(plain), For: small("ext4"), Features: []string{"uki"}, Memory: 768,
			Append: "rw init=/usr/sbin/handed " + uuid(plain.FSUUID("root")), Boots: once(w), Install: []Installed{{Path: "/usr/sbin/handed", Guest: "handed"}}}
	}
	// A system extension beside the image is not used, and that is said.
	newer := Unified{New: true, Sealed: true, Files: []Include{{Path: beside + "more.sysext.raw", Data: "no image"}}}
	whole := disks.DebianPlain("trixie")
	return []Scenario{
		phases("uki-measured-252", Unified{Sealed: true}, Want{}),
		phases("uki-measured", newer, Want{Journal: []string{`system extensions beside the unified image are for a systemd in the initramfs, and are not used: more`},
			Handed: []string{`^/run/systemd/stub/os-release -r--r--r-- `}}),
		// systemd measures on from there, finds the credential and lists it.
		{Name: "uki-measured-debian", Full: true, Packed: true, UEFI: true, TPM: true, TrixieOnly: true, Layouts: on(whole), Features: []string{"uki"}, Memory: 1024,
			Unified: &Unified{New: true, Sealed: true, Files: []Include{{Path: beside + "one.cred", Data: "beside"}}},
			Install: []Installed{{Path: "/usr/sbin/handed", Guest: "handed"}, {Path: "/etc/systemd/system/handed.service", Text: handedUnit},
				{Path: "/etc/systemd/system/multi-user.target.wants/handed.service", Link: "../handed.service"}},
			Append: "ro " + uuid(whole.FSUUID("root")), Boots: []Boot{{Limit: 8 * time.Minute, Want: Want{Debian: true,
				Handed: []string{log + `enter-initrd"`, log + `leave-initrd"`, `^/run/credentials/@encrypted/one .*"beside"$`, `^one +`}}}}},
	}
}

// parametersSet is a boot that sets parameters of the kernel.
func parametersSet() []Scenario {
	plain := disks.Plain
	return []Scenario{{Name: "sysctl", Full: true, Layouts: on(plain), For: small("ext4"),
		Append: "rw init=/usr/sbin/handed " + uuid(plain.FSUUID("root")), Install: []Installed{{Path: "/usr/sbin/handed", Guest: "handed"}},
		Sysctl: []string{"vm.swappiness = 33", "net.ipv4.conf.*.rp_filter = 2", "-net.ipv4.conf.all.rp_filter", "-kernel.not_there = 1"},
		Boots:  once(Want{Root: "/dev/vda2 ext4", Handed: []string{`^vm/swappiness=33$`, `^net/ipv4/conf/lo/rp_filter=2$`, `^net/ipv4/conf/all/rp_filter=0$`}})}}
}

// handedUnit runs test/guest/handed before the report that ends the boot.
const handedUnit = `[Unit]
Description=What systemd-stub has handed on
DefaultDependencies=no
Before=multi-user.target
[Service]
Type=oneshot
ExecStart=/usr/sbin/handed
[Install]
WantedBy=multi-user.target
`
