package e2e

import (
	"slices"
	"time"

	"firstlight/test/disks"
)

// interop are whole systems in which the field's own tools have to see what they
// see after a boot of the same disks with Debian's initramfs-tools, or dracut
// where those cannot (docs/interoperation.md has each difference, and why).
func interop() []Scenario { return slices.Concat(interopCommon(), interopMore(), interopLast()) }

// both boots one layout's disks with either image. answers are the passphrases
// that are typed, of which the other image asks by the words of question.
func both(l disks.Layout, by string, target *Target, line, theirs, question string, differs []string, answers ...string) Scenario {
	const limit = 8 * time.Minute
	// A busy host makes an emulated machine slower than systemd expects of any.
	const patience = "systemd.default_timeout_start_sec=900 systemd.default_device_timeout_sec=900"
	s := Scenario{Name: l.Name, Full: true, Packed: true, For: target, Layouts: on(l), Memory: 1024, Interop: true, Append: patience, Differs: slices.Concat(differs, differ),
		Boots: []Boot{
			{Append: line, Limit: limit, Want: Want{Debian: true, Prompts: len(answers)}},
			{Append: theirs, By: by, Fresh: true, Limit: limit, Want: Want{Debian: true}},
		}}
	for _, a := range answers {
		s.Boots[0].Do = append(s.Boots[0].Do, Action{When: promptText, Type: a + "\r"})
		s.Boots[1].Do = append(s.Boots[1].Do, Action{When: question, Type: a + "\r"})
	}
	return s
}

// same is both for what asks nothing, with what may be written before the mount.
func same(l disks.Layout, by string, target *Target, line string, writes, differs []string) Scenario {
	s := both(l, by, target, line, line, "", differs)
	s.Writes = writes
	return s
}

func interopCommon() []Scenario {
	stack, md, lvm, btrfs := disks.InteropStack, disks.InteropMD, disks.InteropLVM, disks.InteropBtrfs
	verity, integrity := disks.InteropVerity, disks.InteropIntegrity
	tab := same(integrity, dracut, small("ext4", "dm-integrity"), "ro "+uuid(integrity.FSUUID("int-root")), anything, noArrays)
	tab.Include = []Include{{"/etc/integritytab", disks.IntegrityTab}}
	const rooted = "ro root=/dev/mapper/cryptroot resume=/dev/vg/swap"
	key := both(stack, initramfsTools, small("ext4", "luks", "lvm", "md-raid1"), rooted, rooted, "unlock disk", nil, disks.Passphrase)
	key.Include = []Include{{"/etc/crypttab", disks.InteropCrypttab}}
	return []Scenario{
		key,
		same(md, initramfsTools, small("ext4", "md-raid10"), "ro "+uuid(md.FSUUID("root"))+" resume=UUID="+md.FSUUID("swap"), []string{`d\d WSM 2064\+1 .*`}, nil), // the bitmap's superblock
		same(lvm, initramfsTools, small("ext4", "lvm", "lvm-raid"), "ro root=/dev/mapper/vdeb-root", written["lvm-raid"], noArrays),
		same(btrfs, initramfsTools, small("btrfs"), "ro "+uuid(btrfs.FSUUID("d0")), nil, slices.Concat(noArrays, []string{`links: /dev/disk/by-uuid/\S+ \.\./\.\./vd[ab]`})),
		same(verity, dracut, small("ext4", "verity"), "ro root=/dev/mapper/root roothash="+rootHash, nil, noArrays),
		tab,
	}
}

// noArrays are what is said of arrays where there are none, and the module for
// them is loaded or not.
var noArrays = []string{`/proc/mdstat: (/bin/sh: .*|:|<none>|Personalities|devices:|unused)`}

// differ are lines that differ for every stack.
var differ = []string{
	`mdadm --detail: Update Time : .*`,
	`mdadm --detail: Events : \d+`,
	`mdadm --detail: State : (active|clean) ?`,
	`md sysfs: array_state (active|clean)`,
	`/proc/mdstat: \[(linear|multipath|raid\d+)\]`,
	`bcache: (pendings_cleanup|register|register_quiet|ls: .*)`,
	`links: /dev/(input|disk/by-diskseq)/.*`,
	`units of storage: systemd-fsckd.*`,
	`units of storage: mdadm-last-resort@.*`,
}
