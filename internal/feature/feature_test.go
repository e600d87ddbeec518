package feature

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"firstlight/features"
)

func set(t *testing.T, files map[string]string) (*Set, error) {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name+".toml"] = &fstest.MapFile{Data: []byte(text)}
	}
	return Load(Dir{"features", features.FS}, Dir{"user", fsys})
}

func TestBuiltinFeaturesAreValid(t *testing.T) {
	s, err := set(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.All()) < 40 {
		t.Errorf("only %d features", len(s.All()))
	}
	for _, f := range s.All() {
		if !strings.HasSuffix(f.Description, ".") {
			t.Errorf("%s: the description is no sentence: %q", f.Name, f.Description)
		}
	}
}

func names(list []Chosen) string {
	var out []string
	for _, c := range list {
		out = append(out, c.Name)
	}
	return strings.Join(out, " ")
}

func TestChoose(t *testing.T) {
	s, err := set(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ facts, asked, omit, want string }{
		{"always fstype:ext4 bus:virtio_blk", "", "", "base crc32c ext4 virtio virtio-blk"},
		{"always fstype:xfs layer:luks layer:lvm layer:md-raid1", "", "", "base crc32c dm luks lvm md md-raid1 xfs"},
		{"always layer:md-raid5", "", "", "base md md-raid456"},
		{"always need:keyboard", "", "", "base keyboard usb-host vconsole"},
		{"always", "shell", "", "base keyboard shell usb-host vconsole"},
		{"always fstype:ext4", "", "ext4", "base"},
	} {
		var facts []Fact
		for _, f := range strings.Fields(c.facts) {
			facts = append(facts, Fact{Name: f, Why: "because"})
		}
		got, err := s.Choose(facts, strings.Fields(c.asked), strings.Fields(c.omit))
		if err != nil || names(got) != c.want {
			t.Errorf("%s: %s, %v", c.facts, names(got), err)
		}
	}
	got, err := s.Choose([]Fact{{Name: "generic"}, {Name: "always"}}, []string{"xfs"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range got {
		switch c.Name {
		case "xfs", "crc32c", "base":
			if !c.Asked {
				t.Errorf("%s is wanted for itself", c.Name)
			}
		case "fsck", "shell", "rescue", "emergency":
			t.Errorf("%s came without being asked for", c.Name)
		default:
			if c.Asked {
				t.Errorf("%s is only one of many", c.Name)
			}
		}
	}
	if _, err := s.Choose(nil, []string{"lusk"}, nil); err == nil || !strings.Contains(err.Error(), `did you mean "luks"`) {
		t.Errorf("%v", err)
	}
	if _, err := s.Choose(nil, []string{"luks"}, []string{"luks"}); err == nil {
		t.Error("asked for and left out")
	}
}

func TestUserFeatures(t *testing.T) {
	s, err := set(t, map[string]string{
		"ext4":  "extend = true\ntry_modules = [\"mine\"]\n",
		"xfs":   "description = \"My XFS.\"\nmodules = [\"xfs2\"]\n",
		"mine":  "description = \"Mine.\"\nexcludes = [\"ext4\"]\n[[program]]\nname = \"foo\"\noptional = true\nlinks = [\"/bin/bar\"]\n",
		"local": "description = \"Local.\"\nwhen = [\"fstype:ext*\"]\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	f, _ := s.Get("ext4")
	if len(f.TryModules) != 1 || len(f.Modules) != 1 || f.Origin != "features/ext4.toml + user/ext4.toml" {
		t.Errorf("%+v", f)
	}
	if f, _ := s.Get("xfs"); len(f.Modules) != 1 || f.Modules[0] != "xfs2" || f.Requires != nil {
		t.Errorf("%+v", f)
	}
	if f, _ := s.Get("mine"); len(f.Programs) != 1 || f.Programs[0].Links[0] != "/bin/bar" {
		t.Errorf("%+v", f)
	}
	got, err := s.Choose([]Fact{{Name: "fstype:ext4", Why: "x"}}, nil, nil)
	if err != nil || names(got) != "crc32c ext4 local" {
		t.Errorf("%s %v", names(got), err)
	}
	if _, err := s.Choose([]Fact{{Name: "fstype:ext4", Why: "/ is ext4"}}, []string{"mine"}, nil); err == nil || !strings.Contains(err.Error(), "exclude each other") {
		t.Errorf("%v", err)
	}
}

// What is wrong with a file is said with its line.
func TestErrors(t *testing.T) {
	const d = "description = \"X.\"\n"
	for name, c := range map[string]struct{ text, want string }{
		"unknown-key":    {d + "moduels = [\"x\"]\n", `user/unknown-key.toml:2:1: unknown key "moduels"`},
		"deep-key":       {d + "\n[[program]]\nnam = \"x\"\n", `user/deep-key.toml:4:1: unknown key "program.nam"`},
		"type":           {d + "modules = \"x\"\n", "user/type.toml:2:"},
		"syntax":         {d + "modules = [\n", "user/syntax.toml:2:"},
		"which-init":     {d + "init = \"large\"\n", `init: "large": it is "full", or left out`},
		"no-description": {"modules = [\"x\"]\n", "no description"},
		"bad-when":       {d + "when = [\"filesystem:ext4\"]\n", "a fact is"},
		"bad-pattern":    {d + "modules = [\"drivers/[\"]\n", "not a valid pattern"},
		"requires":       {d + "requires = [\"ext5\"]\n", `feature "ext5" is unknown; did you mean "ext4"?`},
		"extends":        {"extend = true\n", "does not exist"},
		"relative":       {d + "[[file]]\nsource = \"etc/x\"\n", "must be absolute"},
		"mode":           {d + "[[file]]\nsource = \"/etc/x\"\nmode = \"rw\"\n", "not octal"},
		"link":           {d + "[[symlink]]\npath = \"x\"\ntarget = \"y\"\n", "absolute path"},
		"program":        {d + "[[program]]\noptional = true\n", "without a name"},
		"Upper":          {d, "small letters"},
	} {
		_, err := set(t, map[string]string{name: c.text})
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "user/"+name+".toml") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseMode(t *testing.T) {
	for s, want := range map[string]uint32{"": 0, "0600": 0o600, "755": 0o755, "4755": 0o4755} {
		if got, err := ParseMode(s); err != nil || got != want {
			t.Errorf("%q: %o %v", s, got, err)
		}
	}
	for _, s := range []string{"0", "8", "77777", "rw", "-1"} {
		if _, err := ParseMode(s); err == nil {
			t.Errorf("%q accepted", s)
		}
	}
}

func FuzzParse(f *testing.F) {
	b, err := features.FS.ReadFile("luks.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("description = \"x\"\n[[file]]\nsource = \"/a\"\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if feat, err := Parse("x.toml", b); err == nil && feat.Description == "" && !feat.Extend {
			t.Fatal("a feature without description")
		}
	})
}
