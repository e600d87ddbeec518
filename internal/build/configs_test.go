package build

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/feature"
)

func TestConfigsAddUp(t *testing.T) {
	c, err := ParseConfigs([]ConfigFile{
		{"a.toml", []byte("mode = \"target\"\nfeatures = [\"shell\"]\ncompression = \"xz\"\nstrip = true\n[[file]]\nsource = \"/a\"\n")},
		{"b.toml", []byte("features = [\"lvm\"]\nstrip = false\n[root]\nfstype = \"xfs\"\n[[file]]\nsource = \"/b\"\n")},
		{"c.toml", []byte("compression = \"gzip\"\n[root]\nfstype = [\"ext4\", \"btrfs\"]\n[install]\nbackup = false\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.Features, []string{"shell", "lvm"}) || c.Compression != "gzip" || c.Strip || !slices.Equal(c.Root.FSType, List{"ext4", "btrfs"}) {
		t.Errorf("%+v, root %+v", c, c.Root)
	}
	if len(c.Files) != 2 || c.Files[0].Source != "/a" || c.Files[1].Source != "/b" {
		t.Errorf("files: %+v", c.Files)
	}
	if c.Install.Backup == nil || *c.Install.Backup {
		t.Errorf("backup: %v", c.Install.Backup)
	}
}

func TestConfigsNameTheFileThatIsWrong(t *testing.T) {
	for want, files := range map[string][]ConfigFile{
		"b.toml: ":                             {{"a.toml", nil}, {"b.toml", []byte("align = 3")}, {"c.toml", []byte("strip = true")}},
		"a.toml: ":                             {{"a.toml", []byte("mode = \"target\"")}, {"b.toml", []byte("strip = true")}},
		"b.toml:1:1":                           {{"a.toml", nil}, {"b.toml", []byte("instal = 3")}},
		`is "install" meant?`:                  {{"b.toml", []byte("instal = 3")}},
		`is "image" meant?`:                    {{"b.toml", []byte("[install]\nimages = \"/x\"")}},
		`is "fstype" meant?`:                   {{"b.toml", []byte("[root]\nfs_type = \"x\"")}},
		`is "secret" meant?`:                   {{"b.toml", []byte("[[file]]\nsecrets = true")}},
		"install.image":                        {{"b.toml", []byte("[install]\nimage = \"boot/%v\"")}},
		"nothing else follows a %":             {{"b.toml", []byte("[install]\nimage = \"/boot/%k\"")}},
		"is the place of the image itself":     {{"b.toml", []byte("[install]\nimage = \"/boot/%v\"\nfallback = \"/boot/%v\"")}},
		"mode target needs a table [root]":     {{"a.toml", []byte("mode = \"target\"")}},
		"which mode \"host\" does not look at": {{"a.toml", []byte("[root]\n")}, {"b.toml", []byte("mode = \"host\"")}},
	} {
		_, err := ParseConfigs(files)
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func TestImagePath(t *testing.T) {
	for pattern, want := range map[string]string{"/boot/initrd.img-%v": "/boot/initrd.img-6.1.0-1", "/b/%v/%%v": "/b/6.1.0-1/%v", "/boot/x": "/boot/x"} {
		if got, err := ImagePath(pattern, "6.1.0-1"); got != want || err != nil {
			t.Errorf("%s: %s, %v", pattern, got, err)
		}
	}
	for _, pattern := range []string{"", "x", "/boot/", "/boot/%", "/boot/%x", "/a\nb"} {
		if got, err := ImagePath(pattern, "1"); err == nil {
			t.Errorf("%q gave %q", pattern, got)
		}
	}
}

// Each key of the file is described, and nothing that is no key.
func TestEveryKeyIsDescribed(t *testing.T) {
	var have []string
	for _, k := range Keys() {
		have = append(have, k.Name)
		text := k.Example + "\n"
		if dot := strings.LastIndexByte(k.Name, '.'); dot >= 0 {
			table := k.Name[:dot]
			text = "[" + table + "]\n" + text
			if table == "file" || table == "uki.profile" {
				text = "[[" + table + "]]\n" + k.Example + "\n"
			}
		}
		var c Config
		if err := feature.Decode("example", []byte(text), &c); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
	}
	var want []string
	var walk func(prefix string, of reflect.Type)
	walk = func(prefix string, of reflect.Type) {
		for f := range of.Fields() {
			tag, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
			typ := f.Type
			for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
				typ = typ.Elem()
			}
			switch {
			case tag == "-":
			case typ.Kind() == reflect.Struct:
				walk(prefix+tag+".", typ)
			default:
				want = append(want, prefix+tag)
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("described: %q\nkeys:      %q", have, want)
	}
}

func TestProfileComesBeforeTheConfiguration(t *testing.T) {
	read := func(name string) (ConfigFile, error) {
		if name != "vm" {
			return ConfigFile{}, errors.New("no such profile")
		}
		return ConfigFile{"vm.toml", []byte("mode = \"target\"\nfeatures = [\"a\"]\n[root]\nbus = [\"nvme\"]\nfstype = \"ext4\"\n")}, nil
	}
	own := []ConfigFile{{"own.toml", []byte("profile = \"vm\"\nfeatures = [\"b\"]\n[root]\nfstype = \"xfs\"\n")}}
	for _, name := range []string{"", "vm"} {
		c, err := ParseWithProfile(name, own, read)
		if err != nil || c.Mode != ModeTarget || !slices.Equal(c.Features, []string{"a", "b"}) || !slices.Equal(c.Root.FSType, List{"xfs"}) || !slices.Equal(c.Root.Bus, List{"nvme"}) || c.Profile != "vm" {
			t.Errorf("%q: %+v %v", name, c, err)
		}
	}
	if _, err := ParseWithProfile("other", nil, read); !errors.Is(err, ErrConfig) {
		t.Errorf("unknown: %v", err)
	}
	if c, err := ParseWithProfile("", nil, read); err != nil || c.Profile != "" {
		t.Errorf("none: %+v %v", c, err)
	}
}
