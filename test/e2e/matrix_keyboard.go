package e2e

import "firstlight/test/disks"

// german are the keys of a German keyboard, by where they are on an American one,
// that type disks.German.
func german() []string {
	return []string{"y", "w", "semicolon", "l", "f", "spc", "shift-y", "apostrophe", "h", "n", "e", "shift-dot", "spc", "minus", "alt_r-m", "alt_r-q", "spc",
		"grave_accent", "e", "z", "ret"}
}

// keyboardScenarios type passphrases with the layout that the image has, in a
// font of its own.
func keyboardScenarios() []Scenario {
	d := disks.LUKSGerman
	image := small("ext4", "luks")
	image.Needs, image.Keymap, image.Font = []string{"keyboard"}, "de-latin1", "Uni2-Fixed16"
	return []Scenario{{Name: "luks-german-keyboard", For: image, Layouts: on(d), Trixie: true,
		Append: "console=tty0 ro rd.luks.name=" + d.UUID("crypt") + "=cr root=/dev/mapper/cr",
		// The first time it is typed as if the keyboard were American.
		Boots: []Boot{{Do: []Action{{When: promptText, Press: keys("zwolf\r")}, {When: promptText, Press: german()}}, Want: Want{Root: "/dev/(dm-0|mapper/cr) ext4", Prompts: 2}}}}}
}
