package mdsuper

import (
	"crypto/sha1"
	"strings"
	"testing"
)

const conf = `# mdadm.conf
DEVICE partitions /dev/sd*
CREATE owner=root group=disk mode=0660 auto=yes
HOMEHOST <system>
MAILADDR root
ARRAY /dev/md/root metadata=1.2 name=ironwood:data
   UUID=817be13c:af87725b:16e3e66b:a51c6e16 # the rest of it
arr md5 uuid=15e96d64:1334a1c2:1902aa8b:ef09815b num-devices=2 level=1
ARRAY <ignore> name="other host:x y"
AUTO +1.x -all
`

func TestConfIsRead(t *testing.T) {
	c, errs := ParseConf("mdadm.conf", conf)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if len(c.Arrays) != 3 || c.HomeHost != "<system>" || len(c.Devices) != 2 || c.Create["mode"] != "0660" || len(c.Auto) != 2 {
		t.Fatalf("%+v", c)
	}
	a := c.Arrays[0]
	if a.Device != "/dev/md/root" || a.UUID.String() != "817be13c:af87725b:16e3e66b:a51c6e16" || a.Metadata != "1.2" || a.Name != "ironwood:data" || a.Line != 6 {
		t.Errorf("%+v", a)
	}
	if a := c.Arrays[1]; a.Device != "/dev/md5" || a.Level != "raid1" || a.NumDevices != 2 {
		t.Errorf("%+v", a)
	}
	if a := c.Arrays[2]; !a.Ignored() || a.Name != "other host:x y" {
		t.Errorf("%+v", a)
	}
}

func TestConfErrorsHaveTheirLine(t *testing.T) {
	for text, want := range map[string]string{
		"\nBOGUS x":                          `c:2: unknown keyword "BOGUS"`,
		"ARRAY /dev/md0 uuid=12":             "c:1: ARRAY: md: UUID \"12\" has 2 digits",
		"ARRAY /dev/md0":                     "c:1: ARRAY says nothing",
		"ARRAY /dev/md0 /dev/md1 name=x":     "c:1: ARRAY names two devices",
		"ARRAY a/b name=x":                   "not a name of an MD device",
		"ARRAY /dev/md0 name=x bogus=1":      `unknown word "bogus=1"`,
		"ARRAY /dev/md0 name=\"x":            "quote is not closed",
		"ARRAY /dev/md0 super-minor=x":       "super-minor",
		"ARRAY /dev/md0 name=x num-devices=": "not a number of devices",
		"HOMEHOST a b":                       "2 words",
		"HOMEHOST a\nHOMEHOST b":             "c:2: HOMEHOST is given twice",
		"CREATE owner":                       "not key=value",
	} {
		_, errs := ParseConf("c", text)
		if len(errs) != 1 || !strings.Contains(errs[0].Error(), want) {
			t.Errorf("%q: %v, want %q", text, errs, want)
		}
	}
}

// A bad ARRAY line must not make another array match by what is left of it.
func TestABadArrayLineIsNotUsed(t *testing.T) {
	c, errs := ParseConf("c", "ARRAY /dev/md0 uuid=zz name=a\nARRAY /dev/md1 name=b")
	if len(errs) != 1 || len(c.Arrays) != 1 || c.Arrays[0].Name != "b" {
		t.Errorf("%v %+v", errs, c.Arrays)
	}
}

func TestArrayLinesMatchTheirArrays(t *testing.T) {
	cases := arrays(t)
	one := members(t, cases, "raid1-1.2")[0].Super
	old := members(t, cases, "raid1-0.90")[0].Super
	for _, c := range []struct {
		line     string
		one, old bool
	}{
		{"UUID=" + one.UUID.String(), true, false},
		{"UUID=" + old.UUID.Dashed(), false, true},
		{"name=data", true, false},
		{"name=ironwood:data", true, false},
		{"name=elsewhere:data", false, false},
		{"super-minor=100", false, true},
		{"super-minor=1", false, false},
		{"devices=/dev/sda*,/dev/vd?", true, true},
		{"devices=/dev/sda*", false, false},
		{"devices=/dev/vda level=raid1", true, true},
		{"devices=/dev/vda level=5", false, false},
		{"devices=/dev/vda metadata=1.x", true, false},
		{"devices=/dev/vda metadata=0.90", false, true},
		{"devices=/dev/vda metadata=1.0", false, false},
		{"devices=/dev/vda num-devices=3", false, false},
		{"container=/dev/md0 member=0", false, false},
	} {
		conf, errs := ParseConf("c", "ARRAY /dev/md0 "+c.line)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		if got := conf.Match(one, "/dev/vda", "ironwood") != nil; got != c.one {
			t.Errorf("%s matches 1.2: %v", c.line, got)
		}
		if got := conf.Match(old, "/dev/vda", "ironwood") != nil; got != c.old {
			t.Errorf("%s matches 0.90: %v", c.line, got)
		}
	}
}

func TestHomehostIsKnownFromBothVersions(t *testing.T) {
	cases := arrays(t)
	for _, name := range []string{"raid1-0.90", "raid5-0.90", "raid1-1.2", "raid5-1.0"} {
		s := members(t, cases, name)[0].Super
		if !s.Local("ironwood") || s.Local("elsewhere") || s.Local("") {
			t.Errorf("%s: local to ironwood %v, to elsewhere %v", name, s.Local("ironwood"), s.Local("elsewhere"))
		}
	}
	if sha1.Size != 20 {
		t.Error("hash of another size")
	}
}

func TestAutoLines(t *testing.T) {
	one := &Super{Version: Version{1, 2}}
	old := &Super{}
	for _, c := range []struct {
		auto                      string
		one, oneLocal, old, oldLo bool
	}{
		{"", true, true, true, true},
		{"AUTO -all", false, false, false, false},
		{"AUTO +1.x -all", true, true, false, false},
		{"AUTO homehost -all", false, true, false, true},
		{"AUTO -0.90", true, true, false, false},
		{"AUTO no", false, false, false, false},
		{"AUTO yes -all", true, true, true, true},
	} {
		conf, _ := ParseConf("c", c.auto)
		got := [4]bool{conf.MayAssemble(one, false), conf.MayAssemble(one, true), conf.MayAssemble(old, false), conf.MayAssemble(old, true)}
		if want := [4]bool{c.one, c.oneLocal, c.old, c.oldLo}; got != want {
			t.Errorf("%q: %v, want %v", c.auto, got, want)
		}
	}
}

// The names are those that mdadm --incremental of Debian 12 gives; the test
// of package md compares some of them with mdadm itself.
func TestNames(t *testing.T) {
	v1 := func(name string) *Super { return &Super{Version: Version{1, 2}, Name: name} }
	old := &Super{PreferredMinor: 3}
	oldLocal := &Super{PreferredMinor: 3}
	h := sha1.Sum([]byte("here"))
	for i := range 8 {
		oldLocal.UUID[8+i] = h[nativeByte(i)]
	}
	for _, c := range []struct {
		super *Super
		conf  string
		taken string // kernel names and links in use
		want  string // kernel name, link
	}{
		{v1("here:root"), "", "", "md127 root"},
		{v1("here:root"), "", "md127 md126", "md125 root"},
		{v1("here:root"), "", "root", "md127 root_0"},
		{v1("here:0"), "", "", "md0 0"},
		{v1("here:md4"), "", "", "md4 4"},
		{v1("here:0"), "", "md0", "md127 0"},
		{v1("there:root"), "", "", "md127 there:root"},
		{v1("there:0"), "", "", "md127 there:0"},
		{v1("there:root"), "HOMEHOST <ignore>", "", "md127 root"},
		{v1("there:root"), "HOMEHOST there", "", "md127 root"},
		{v1("any:root"), "", "", "md127 root"},
		{v1("root"), "", "", "md127 root_0"},
		{v1("root"), "", "root_0", "md127 root_1"},
		{v1(""), "", "", "md127 "},
		{v1("here:a/b"), "", "", "md127 a-b"},
		{v1("here:.."), "", "", "md127 md--"},
		{v1("here:root"), "CREATE names=yes", "", "md_root root"},
		{v1("there:x"), "ARRAY /dev/md/boot name=there:x", "", "md127 boot"},
		{v1("there:x"), "ARRAY /dev/md7 name=there:x", "", "md7 "},
		{v1("there:x"), "ARRAY /dev/md/7 name=there:x", "", "md7 7"},
		{v1("there:x"), "ARRAY md_sys name=there:x", "", "md_sys sys"},
		{v1("there:x"), "ARRAY name=there:x", "", "md127 x"},
		{v1("here:root"), "ARRAY /dev/md127 name=else", "", "md126 root"},
		{old, "", "", "md127 3_0"},
		{oldLocal, "", "", "md3 3"},
	} {
		conf, errs := ParseConf("c", c.conf)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		taken := func(name string) bool {
			for _, s := range strings.Fields(c.taken) {
				if s == name {
					return true
				}
			}
			return false
		}
		n := conf.NameArray(c.super, conf.Match(c.super, "/dev/vda", "here"), "here", Taken{taken, taken})
		if got := n.Kernel + " " + n.Link; got != c.want {
			t.Errorf("%q with %q, %q in use: %q, want %q", c.super.Name, c.conf, c.taken, got, c.want)
		}
		if wantPath := "/dev/md/" + n.Link; n.Link != "" && n.Path != wantPath || n.Link == "" && n.Path != "/dev/"+n.Kernel {
			t.Errorf("path %q of %+v", n.Path, n)
		}
	}
}

func FuzzConf(f *testing.F) {
	f.Add(conf)
	f.Add("ARRAY x name='a\n b' ")
	f.Fuzz(func(t *testing.T, text string) {
		c, _ := ParseConf("c", text)
		no := func(string) bool { return false }
		s := &Super{Version: Version{1, 2}, Name: "a:b", RaidDisks: 1}
		n := c.NameArray(s, c.Match(s, "/dev/sda", "a"), "a", Taken{no, no})
		if n.Kernel == "" || strings.Contains(n.Kernel, "/") || n.Link == ".." {
			t.Fatalf("%+v", n)
		}
	})
}
