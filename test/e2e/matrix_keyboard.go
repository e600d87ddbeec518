package e2e

import "firstlight/test/disks"

// german are the keys of a German keyboard, by where they are on an American one,
// that type disks.German.
func german() []string {
	return []string{"y", "w", "semicolon", "l", "f", "spc", "shift-y", "apostrophe", "h", "n", "e", "shift-dot", "spc", "minus", "alt_r-m", "alt_r-q", "spc",
		"grave_accent", "e", "z", "ret"}
}

// acpiTable is a secondary table of ACPI with nothing in it.
func acpiTable() string {
	b := make([]byte, 36)
	copy(b, "SSDT")
	b[4], b[8] = 36, 2
	copy(b[10:], "FLIGHTFIRSTLGT")
	b[24] = 1
	copy(b[28:], "TEST")
	b[32] = 1
	sum := byte(0)
	for _, c := range b {
		sum += c
	}
	b[9] = -sum
	return string(b)
}

// keyboardScenarios type passphrases with the layout that the image has, in a
// font of its own.
func keyboardScenarios() []Scenario {
	d := disks.LUKSGerman
	image := small("ext4", "luks")
	image.Needs, image.Keymap, image.Font = []string{"keyboard"}, "de-latin1", "Uni2-Fixed16"
	return []Scenario{{Name: "luks-german-keyboard", For: image, Layouts: on(d), TrixieFull: true,
		Append: "console=tty0 ro rd.luks.name=" + d.UUID("crypt") + "=cr root=/dev/mapper/cr",
		// The first time it is typed as if the keyboard were American.
		Boots: []Boot{{Do: []Action{{When: promptText, Press: keys("zwolf\r")}, {When: promptText, Press: german()}}, Want: Want{Root: "/dev/(dm-0|mapper/cr) ext4", Prompts: 2}}}},
		// What the kernel reads of the image before it unpacks it.
		{Name: "early-acpi-table", For: small("ext4"), Layouts: on(disks.Plain), Append: "loglevel=7 ro root=UUID=" + disks.Plain.FSUUID("root"), Trixie: true,
			Include: []Include{{"/kernel/firmware/acpi/firstlight.aml", acpiTable()}},
			Boots:   once(Want{Root: "/dev/vda2 ext4", RootOptions: []string{"ro"}, Console: []Seen{see(`SSDT ACPI table found in initrd`)}})},
	}
}
