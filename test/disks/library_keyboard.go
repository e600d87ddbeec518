package disks

// German is a passphrase that can be typed on a German keyboard alone: letters
// that lie elsewhere, some behind AltGr, one made with a dead key.
const German = "zwölf Zähne: ßµ@ êy"

// LUKSGerman is an encrypted disk that German opens.
var LUKSGerman = Layout{Name: "luks-german", Disks: one(128), Steps: []Step{
	LUKS{Name: "crypt", On: "d0", Version: 2, Passphrase: German, KDF: "cheap"},
	FS{On: "crypt", Type: "ext4", Content: tiny},
}}
