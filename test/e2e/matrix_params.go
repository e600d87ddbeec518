package e2e

import (
	"encoding/pem"
	"time"

	"firstlight/test/disks"
	"firstlight/test/signing"
)

// tcryptKey begins what stands for a key file of disks.TCryptForms.
const tcryptKey = "{key file}"

// tcrypts are volumes of TrueCrypt and VeraCrypt, opened before the root is there.
func tcrypts() []Scenario {
	forms := disks.TCryptForms
	open := func(name, passphrase, options, node string, takes time.Duration, files ...Include) Scenario {
		return Scenario{Name: name, Full: true, For: small("ext4", "tcrypt"), Layouts: on(disks.SwapDisk, forms, disks.Plain), Secret: true, Detached: []string{"d0"}, Unchanged: true,
			Append: "ro root=LABEL=fl-root rd.timeout=400", Include: append(files, Include{"/etc/crypttab", "opened " + node + " none " + options + ",initramfs\n"}),
			Boots: []Boot{{Do: []Action{{When: promptText, Type: passphrase + "\r"}, {When: waitingText, After: takes, Attach: "d0"}},
				Want: Want{Root: "/dev/vde2 ext4", Prompts: 1, Timers: true, Mapped: []string{"opened CRYPT-TCRYPT-.*"}}}}}
	}
	return []Scenario{
		open("tcrypt-hidden", disks.TCryptHidden, "tcrypt-hidden", "/dev/vdb", time.Minute),
		open("tcrypt-keyfiles", disks.TCryptPassphrase, "tcrypt-keyfile=/etc/keys/one,tcrypt-keyfile=/etc/keys/two", "/dev/vdc", time.Minute,
			Include{"/etc/keys/one", tcryptKey + "keyfile1"}, Include{"/etc/keys/two", tcryptKey + "keyfile2"}),
	}
}

// testCertificate is that of the key of the tests, in PEM.
func testCertificate() string {
	der, err := signing.Certificate()
	if err != nil {
		panic(err) // the key of the tests makes none
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// parameters are what the command line asks for that few machines need.
func parameters() []Scenario {
	ext, xfs, plain, swap := disks.JournalExt4, disks.JournalXFS, disks.Plain, disks.SwapDisk
	const off = " rd.timeout=20 rd.emergency=poweroff"
	apart := func(name string, l disks.Layout, typ, args string) Scenario {
		// A disk before it gives the journal another number than it had.
		return Scenario{Name: name, Full: true, For: small(typ, "external-journal"), Layouts: on(swap, l), Append: "ro root=LABEL=apart" + args,
			Boots: once(Want{Root: "/dev/vdb " + typ})}
	}
	late := apart("journal-ext4", ext, "ext4", "")
	late.Full, late.Detached = false, []string{"j0"}
	late.Boots = []Boot{{Do: []Action{{When: waitingText, After: 2 * time.Second, Attach: "j0"}}, Want: Want{Root: "/dev/vdb ext4", Timers: true}}}
	missing := apart("journal-ext4-missing", ext, "ext4", off)
	missing.Absent, missing.Unchanged = []string{"j0"}, true
	missing.Boots = once(Want{NoBoot: true, Console: []Seen{see("the journal of /dev/vdb")}, Ends: poweredOff})
	return []Scenario{
		{Name: "root-fallback", For: &Target{FS: "ext4", Needs: []string{"root-fallback"}}, Layouts: on(plain), Append: "ro root=LABEL=gone rootfallback=LABEL=gone-too rootfallback=LABEL=fl-root rd.timeout=15",
			Boots: once(Want{Root: "/dev/vda2 ext4", Timers: true, Console: []Seen{see("starting from LABEL=fl-root")}})},
		late, missing,
		// Linux 6.1 as Debian builds it has no key of who has signed; the image has
		// a certificate.
		{Name: "dissect-certificate", Full: true, For: &Target{FS: "erofs", Layers: []string{"verity"}, Needs: []string{"gpt-auto"}}, Layouts: on(disks.VeritySigned), Append: "ro root=dissect", Unchanged: true,
			Include: []Include{{"/etc/verity.d/tests.crt", testCertificate()}}, Boots: once(Want{Root: "/dev/mapper/root erofs"})},
		{Name: "dissect-signer-unknown", Full: true, For: &Target{FS: "erofs", Layers: []string{"verity"}, Needs: []string{"gpt-auto"}}, Layouts: on(disks.VeritySigned), Append: "ro root=dissect" + off, Unchanged: true,
			Boots: once(Want{NoBoot: true, Console: []Seen{see("no key of whoever has signed")}, Ends: poweredOff})},
		{Name: "live-plainroot", For: small("ext4", "live"), Layouts: on(plain), Append: "rw boot=live plainroot " + uuid(plain.FSUUID("root")), Unchanged: true,
			Boots: once(Want{Argv: []string{"plainroot"}, Root: "overlay overlay", Mounts: []string{"/run/live/rootfs/filesystem.squashfs /dev/vda2 ext4 ro,.*"}})},
		{Name: "live-exposedroot", Full: true, For: small("iso9660", "live"), Layouts: on(disks.LiveBoot), Append: "boot=live exposedroot", Unchanged: true,
			Boots: once(Want{Argv: []string{"exposedroot"}, Root: "/dev/loop0 squashfs", Mounts: []string{"/run/live/medium /dev/vda iso9660 ro,.*", "/home overlay overlay rw,.*"}})},
		{Name: "live-media-offset", Full: true, For: small("iso9660", "live"), Layouts: on(disks.LiveWithin), Append: "boot=live live-media=/dev/vda live-media-offset=1048576", Unchanged: true,
			Boots: once(Want{Root: "overlay overlay", Mounts: []string{"/run/live/medium /dev/mapper/live-medium iso9660 ro,.*"}})},
		{Name: "live-todisk", Full: true, For: small("iso9660", "live"), Features: []string{"live-persistence"}, Layouts: on(disks.LiveBoot, disks.LiveTarget), Append: "boot=live",
			Writes: []string{`e0 .*`}, // that is what todisk= asks for
			Boots: []Boot{{Append: " todisk=LABEL=target", Want: Want{Root: "overlay overlay", Mounts: []string{"/run/live/medium /dev/vdb ext4 .*"}}},
				{Append: " live-media=LABEL=target", Want: Want{Root: "overlay overlay", Mounts: []string{"/run/live/medium /dev/vdb ext4 ro,.*"}}}}},
		apart("journal-xfs", xfs, "xfs", ""),
		apart("journal-xfs-named", xfs, "xfs", " root.journaldev=/dev/vdc"),
	}
}
