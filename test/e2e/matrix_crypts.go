package e2e

import (
	"strings"
	"time"

	"firstlight/test/disks"
	"firstlight/test/signing"
)

// returning are disks that are pulled out once something was made of them, and
// put back, before the root is mounted: until the disk to resume from is there,
// nothing is.
func returning() []Scenario {
	luks, stack, ver, raid, swap := disks.LUKS1, disks.LVMOnLUKS, disks.Verity, disks.RAID0, disks.SwapDisk
	const waits, down = "waiting for a look for a hibernated system", "was taken down: "
	resume := " resume=UUID=" + swap.FSUUID("s0") + " rd.timeout=120"
	with := func(fs string, layers ...string) *Target {
		return &Target{FS: fs, Layers: layers, Needs: []string{"resume"}}
	}
	pulled := func(disk string, first ...Action) []Action {
		return append(first, Action{When: waits, Detach: disk}, Action{When: down, Attach: disk}, Action{Attach: "s0"})
	}
	return []Scenario{
		{Name: "luks-disk-returns", For: with("ext4", "luks"), Features: []string{"mend"}, Layouts: on(luks, swap), Detached: []string{"s0"},
			Append: "ro rd.luks.name=" + luks.UUID("crypt") + "=cr root=/dev/mapper/cr" + resume,
			Boots: []Boot{{Do: pulled("d0", Action{When: promptText, Type: disks.Passphrase + "\r"}),
				Want: Want{Root: "/dev/mapper/cr ext4", Prompts: 1, Timers: true,
					Mapped: []string{"cr CRYPT-LUKS1-" + strings.ReplaceAll(luks.UUID("crypt"), "-", "") + "-cr"}}}}},
		{Name: "lvm-on-luks-disk-returns", Full: true, For: with("ext4", "luks", "lvm"), Features: []string{"mend"}, Layouts: on(stack, swap), Detached: []string{"s0"},
			Append: "ro rd.luks.uuid=" + stack.UUID("crypt") + " root=/dev/inner/root" + resume,
			Boots: []Boot{{Do: pulled("d0", Action{When: promptText, Type: disks.Passphrase + "\r"}),
				Want: Want{Root: "/dev/mapper/inner-root ext4", Prompts: 1, Timers: true}}}},
		{Name: "verity-disk-returns", For: with("erofs", "verity"), Layouts: on(ver, swap), Detached: []string{"s0"}, Append: "ro roothash=" + rootHash + resume, Unchanged: true,
			Boots: []Boot{{Do: pulled("d0"), Want: Want{Root: "/dev/mapper/root erofs", Timers: true}}}},
		{Name: "raid0-disk-returns", For: with("ext4", "md-raid0"), Features: []string{"mend"}, Layouts: on(raid, swap), Detached: []string{"s0"},
			Append: "ro " + uuid(raid.FSUUID("array")) + resume,
			Boots:  []Boot{{Do: pulled("d1"), Want: Want{Root: "/dev/md.* ext4", Timers: true}}}},
	}
}

// signed are verified roots whose root hash somebody has signed.
func signed() []Scenario {
	ver, proved := disks.VeritySigned, small("erofs", "verity")
	const off = " rd.timeout=10 rd.emergency=poweroff"
	const asked = " systemd.verity_root_options=root-hash-signature=base64:" + signature
	const required = " dm_verity.require_signatures=1"
	line := "ro roothash=" + rootHash
	boots := Want{Root: "/dev/mapper/root erofs"}
	refused := func(what string) []Boot {
		return once(Want{NoBoot: true, Console: []Seen{see(what)}, Ends: poweredOff})
	}
	return []Scenario{
		// The firmware has the certificate: Linux 6.12 as Debian builds it takes it
		// from there. First the signature on the partition, then one that is given.
		{Name: "verity-signed", For: proved, Layouts: on(ver), TrixieOnly: true, UEFI: true, Enrolled: true, Append: line + required, Unchanged: true,
			Boots: []Boot{{Want: boots}, {Append: asked, Want: boots}}},
		{Name: "verity-signed-wrongly", Full: true, For: proved, Layouts: on(ver), TrixieOnly: true, UEFI: true, Enrolled: true, Unchanged: true,
			Append: line + " systemd.verity_root_options=root-hash-signature=/etc/other.p7s" + off, Include: []Include{{"/etc/other.p7s", otherSignature()}},
			Boots: refused("the signature is not one of this root hash")},
		// Linux 6.1 as Debian builds it knows no key but those built in.
		{Name: "verity-signer-unknown", For: proved, Layouts: on(ver), Append: line + asked + off, Unchanged: true, Boots: refused("the kernel has no key of whoever has signed")},
		{Name: "verity-signature-beside", Full: true, For: proved, Layouts: on(ver), Append: line, Unchanged: true, Boots: once(boots)},
		{Name: "verity-unsigned", Full: true, For: proved, Layouts: on(disks.Verity), Append: line + required + off, Unchanged: true, Boots: refused("this one has no signature")},
	}
}

// otherSignature is a signature of another root hash.
func otherSignature() string {
	der, err := signing.Sign(strings.Repeat("5a", 32))
	if err != nil {
		panic(err) // the key of the tests does not sign
	}
	return string(der)
}

// bitlockerKey stands for the startup key of disks.BitLocker in a file of an
// image: it is not known before the disks are.
const bitlockerKey = "{startup key}"

// bitlocker are volumes that Windows has made, opened before the root is there.
func bitlocker() []Scenario {
	bl := disks.BitLocker
	const off = ",initramfs\n"
	open := func(name, answer, table string, mapped ...string) Scenario {
		return Scenario{Name: name, Full: true, For: small("ext4", "bitlk"), Layouts: on(disks.SwapDisk, bl, disks.Plain), Secret: true, Detached: []string{"d0"}, Unchanged: true,
			Append:  "ro root=LABEL=fl-root rd.timeout=300",
			Include: []Include{{"/etc/keys/startup.bek", bitlockerKey}, {"/etc/crypttab", table}},
			Boots: []Boot{{Do: []Action{{When: promptText, Type: answer + "\r"}, {When: waitingText, After: 100 * time.Second, Attach: "d0"}},
				Want: Want{Root: "/dev/vde2 ext4", Prompts: 1, Timers: true, Mapped: mapped}}}}
	}
	return []Scenario{
		open("bitlocker", disks.BitLockerPassphrase, "bl-pass /dev/vdb none bitlk"+off+"bl-startup /dev/vdd /etc/keys/startup.bek bitlk"+off,
			"bl-pass CRYPT-BITLK-.*", "bl-startup CRYPT-BITLK-.*"),
		open("bitlocker-recovery", disks.BitLockerRecovery, "bl-recovery /dev/vdc none bitlk"+off, "bl-recovery CRYPT-BITLK-.*"),
	}
}
