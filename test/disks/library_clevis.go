package disks

import (
	"embed"
	"path"
)

// clevisFiles are what Debian's clevis 19-2 made, with tang 11-2: for each pin the
// token that `clevis luks bind` wrote and the passphrase that is in it, and the
// server's private keys.
//
//go:embed clevis
var clevisFiles embed.FS

func clevisFile(name string) string {
	b, err := clevisFiles.ReadFile(path.Join("clevis", name))
	if err != nil {
		panic(err)
	}
	return string(b)
}

// TangKeys are the private keys of the server that the volumes are bound to, by the
// names of their files.
func TangKeys() map[string]string {
	list, err := clevisFiles.ReadDir("clevis")
	if err != nil {
		panic(err)
	}
	out := map[string]string{}
	for _, e := range list {
		if path.Ext(e.Name()) == ".jwk" {
			out[e.Name()] = clevisFile(e.Name())
		}
	}
	return out
}

// Volumes that Clevis has bound: to the server at 10.7.0.1:7500, and to two of
// three, at the ports 7500, 7501 and 7502. They have a passphrase as well.
var (
	ClevisTang = clevisLayout("tang")
	ClevisSSS  = clevisLayout("sss")
)

func clevisLayout(pin string) Layout {
	return Layout{Name: "clevis-" + pin, Disks: one(128), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "part"}}},
		LUKS{Name: "crypt", On: "part", Version: 2, Passphrase: Passphrase, KDF: "cheap"},
		FS{On: "crypt", Type: "ext4", Content: tiny},
		Tool{Argv: []string{"@write", "/tmp/clevis.pass"}, Stdin: clevisFile(pin + ".pass")},
		Tool{Argv: []string{"cryptsetup", "luksAddKey", "--batch-mode", "--key-file", "-", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "{part}", "/tmp/clevis.pass"}, Stdin: Passphrase},
		Tool{Argv: []string{"cryptsetup", "token", "import", "--json-file", "-", "{part}"}, Stdin: clevisFile(pin + ".json")},
	}}
}
