package e2e

import (
	"time"

	"firstlight/test/disks"
)

// unified are boots from unified images, by firmware that starts nothing that is
// not signed with the key of the tests.
func unified() []Scenario {
	plain := disks.Plain
	boot := func(name string, u Unified, w Want) Scenario {
		w.Root = "/dev/vda2 ext4"
		return Scenario{Name: name, Full: true, Packed: true, UEFI: true, Unified: &u, Layouts: on(plain), For: small("ext4"), Memory: 768,
			Append: "rw " + uuid(plain.FSUUID("root")), Boots: once(w)}
	}
	refused := func(how tampering) Boot {
		return Boot{Tampered: how, Do: []Action{{When: "Access Denied"}, {Quit: true}}, Want: Want{NoBoot: true}}
	}
	first := boot("uki-signed", Unified{}, Want{})
	first.Full = false
	tampered := boot("uki-tampered", Unified{New: true}, Want{})
	tampered.Boots = append(tampered.Boots, refused(unsigned), refused(changed))
	tampered.Boots[0].Want.Root = "/dev/vda2 ext4"
	// What the stub adds to the initramfs is in nobody's way, and the signatures go
	// to where systemd looks for them.
	addon := boot("uki-addon", Unified{New: true, Sealed: true, Addon: "FROMADDON=yes", Files: []Include{{Path: "EFI/BOOT/BOOTX64.EFI.extra.d/test.cred", Data: "credential"}}},
		Want{Env: []string{"FROMADDON=yes"}, Journal: []string{`hand /.extra/tpm2-pcr-signature.json .* as /run/systemd/tpm2-pcr-signature.json`, `hand /.extra/tpm2-pcr-public-key.pem `}})
	addon.Features = []string{"uki"}
	whole := disks.DebianPlain("trixie")
	return []Scenario{
		first, tampered,
		addon,
		{Name: "uki-debian", Full: true, Packed: true, UEFI: true, TrixieOnly: true, Unified: &Unified{New: true}, Layouts: on(whole), Memory: 1024,
			Append: "ro " + uuid(whole.FSUUID("root")), Boots: []Boot{{Limit: 8 * time.Minute, Want: Want{Debian: true}}}},
	}
}
