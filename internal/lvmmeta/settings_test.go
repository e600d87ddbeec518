package lvmmeta

import (
	"errors"
	"slices"
	"testing"
)

func TestSettingsAreReadAsLVMReadsThem(t *testing.T) {
	var s Settings
	for _, text := range []string{
		"global {\n\ta = \"first\" # not this\n\ta = \"one\"\n\tb = [ \"x\", 3, \"y\" ]\n\tn = 5\n}\nglobal/c = \"path\"\nglobal {\n d = \"again\"\n}\n",
		"global/a = \"later\"\nlocal { e = [] }",
	} {
		if err := s.Add([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		section, name string
		want          []string
		ok            bool
	}{
		{"global", "a", []string{"later"}, true}, {"global", "b", []string{"x", "y"}, true}, {"global", "c", []string{"path"}, true},
		{"global", "d", []string{"again"}, true}, {"local", "e", nil, true}, {"global", "n", nil, false}, {"local", "a", nil, false},
	} {
		if got, ok := s.Strings(tt.section, tt.name); !slices.Equal(got, tt.want) || ok != tt.ok {
			t.Errorf("%s/%s: %q, %v", tt.section, tt.name, got, ok)
		}
	}
	var syntax *SyntaxError
	if err := s.Add([]byte("global {")); !errors.As(err, &syntax) || syntax.Line != 1 {
		t.Errorf("%v", err)
	}
	if s.String("global", "b") != "" || s.String("global", "a") != "later" {
		t.Error("String is for settings of one value")
	}
}

func FuzzSettings(f *testing.F) {
	f.Add("global { a = \"x\" }\nglobal/b = [ \"y\" ]")
	f.Fuzz(func(t *testing.T, text string) {
		var s Settings
		if s.Add([]byte(text)) != nil {
			return
		}
		list, _ := s.Strings("global", "a")
		for _, x := range append(list, s.String("global", "b")) {
			if id := CleanSystemID(x); len(id) > maxSystemID || CleanSystemID(id) != id {
				t.Fatalf("system ID %q of %q", id, x)
			}
		}
	})
}

func TestDevicesFileOfLvmdevices(t *testing.T) {
	text := "# LVM uses devices listed in this file.\n# PVID=commentedcommentedcommentedcomm\nHASH=12\nPRODUCT_UUID=ab\nVERSION=1.1.3\n" +
		"IDTYPE=sys_wwid IDNAME=naa.5000c5 DEVNAME=/dev/sda2 PVID=bSRVHrTnZlY6VJVyL25sJZJXsYrIqS9s PART=2\n" +
		"IDTYPE=devname IDNAME=/dev/sdb DEVNAME=/dev/sdb PVID=.\n"
	if got := DevicesFile([]byte(text)); len(got) != 1 || got[0] != "bSRVHrTnZlY6VJVyL25sJZJXsYrIqS9s" {
		t.Errorf("%q", got)
	}
	pv := PV{UUID: "bSRVHr-TnZl-Y6VJ-VyL2-5sJZ-JXsY-rIqS9s"}
	if !pv.ListedIn(DevicesFile([]byte(text))) || pv.ListedIn(nil) {
		t.Error("the physical volume is not found by its UUID")
	}
	var s Settings
	if err := s.Add([]byte("devices { use_devicesfile = 1 }")); err != nil || !s.Bool("devices", "use_devicesfile", false) || s.Bool("devices", "other", false) {
		t.Errorf("use_devicesfile: %v", err)
	}
}
