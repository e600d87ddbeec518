package e2e

import (
	"strings"

	"firstlight/test/disks"
)

// crypts are the scenarios of encryption beyond what installers choose.
func crypts() []Scenario {
	const key = "/etc/keys/many.key"
	all, ver, fec := disks.Crypts, disks.Verity, disks.VerityFEC
	proved := small("erofs", "verity")
	const parts = " systemd.verity_root_data=PARTLABEL=data systemd.verity_root_hash=PARTLABEL=tree"
	const off = " rd.timeout=10 rd.emergency=poweroff"
	return []Scenario{
		// Every cipher, mode, hash and option, opened in one boot: the tables are
		// those of cryptsetup.
		{Name: "crypts", For: small("ext4", "luks", "lvm", "plain", "integrity"), Features: []string{"luks-rare"}, Layouts: on(all), Secret: true, Memory: 1024,
			Append:  "ro root=/dev/many/root rd.timeout=600 rd.firstlight.degraded=300",
			Include: []Include{{key, disks.CryptKey}, {"/etc/crypttab", disks.CryptTable(key)}},
			// The derivations of that many keys can keep an emulated processor from
			// identifying a new mapping within the time for which it is waited.
			Boots: once(Want{Tables: true, Timers: true, Root: "/dev/mapper/many-root ext4"})},
		{Name: "integrity", Full: true, For: small("ext4", "dm-integrity", "lvm"), Layouts: on(disks.Integrity), Secret: true, Writes: []string{`d0 WS 20(48|56)\+8 .*`}, // superblock and bitmap
			Append: "ro root=/dev/ints/root",
			Include: []Include{{"/etc/keys/int.key", disks.IntegrityKey}, {"/etc/integritytab", "int-sum PARTUUID=" + disks.Integrity.PartUUID("i0") + " - mode=bitmap\n" +
				"int-mac PARTUUID=" + disks.Integrity.PartUUID("i1") + " /etc/keys/int.key integrity-algorithm=hmac-sha256,journal-watermark=40%\n"}},
			Boots: once(Want{Tables: true, Root: "/dev/mapper/ints-root ext4"})},
		{Name: "tcrypt", For: small("ext4", "tcrypt"), Layouts: on(disks.TCRYPT), Full: true, Append: "ro root=/dev/mapper/tc",
			Include: []Include{{"/etc/crypttab", "tc PARTUUID=" + disks.TCRYPT.PartUUID("part") + " none tcrypt,initramfs\n"}},
			Boots:   typed(Want{Tables: true, Root: "/dev/mapper/tc ext4"}, "not it", disks.Passphrase)},
		// The root hash alone says where everything is.
		{Name: "verity", For: proved, Layouts: on(ver), Append: "ro roothash=" + rootHash, Unchanged: true,
			Boots: once(Want{Tables: true, Root: "/dev/mapper/root erofs"})},
		{Name: "verity-options", Full: true, For: proved, Layouts: on(fec), Unchanged: true,
			Append: "ro roothash=" + rootHash + parts + " systemd.verity_root_options=hash-offset=1048576,ignore-zero-blocks,check-at-most-once," +
				"fec-device=PARTLABEL=fec,fec-roots=4",
			Boots: once(Want{Tables: true, Root: "/dev/mapper/root erofs"})},
		// What does not fit never boots.
		{Name: "verity-wrong-hash", Full: true, For: proved, Layouts: on(ver), Append: "ro roothash=" + strings.Repeat("5a", 32) + parts + off, Unchanged: true,
			Boots: once(Want{NoBoot: true, Console: []Seen{see("the root hash is not that of the hash device")}, Ends: poweredOff})},
		{Name: "verity-corrupt", For: proved, Layouts: on(disks.VerityCorrupt), Append: "ro roothash=" + rootHash + off, Unchanged: true,
			Boots: once(Want{NoBoot: true, Console: []Seen{see(`is corrupted: block \S*0 is not what the root hash`)}, Ends: poweredOff})},
	}
}
