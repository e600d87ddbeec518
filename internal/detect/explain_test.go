package detect

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	m := machine(t, stack+disk("vdc", "3")+"sys/devices/virtual/block/dm-1/dev: 253:1\n")
	for name, want := range map[string]struct{ needed, why, below, facts string }{
		"/dev/mapper/root": {"yes", "it is mounted on /", "dm-0 md0 vda1 vda vdb1 vdb", "layer:dm layer:luks layer:lvm layer:md-raid1"},
		"dm-1":             {"yes", "it is mounted on /", "dm-0 md0 vda1 vda vdb1 vdb", "layer:dm layer:luks layer:lvm layer:md-raid1"},
		"md0":              {"yes", "what the boot needs lies on it", "vda1 vda vdb1 vdb", "layer:md-raid1"},
		"/dev/vda1":        {"yes", "what the boot needs lies on it", "vda", ""},
		"vdb":              {"yes", "what the boot needs lies on it", "", ""},
		"/dev/vdc1":        {"no", "nothing that the boot needs lies on it", "vdc", ""},
	} {
		x, err := Explain(m, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if (want.needed == "yes") != x.Needed || x.Why != want.why || strings.Join(x.Below, " ") != want.below || facts(x.Need) != want.facts {
			t.Errorf("%s: %+v %q", name, x, facts(x.Need))
		}
		if len(x.Need.Modules) == 0 {
			t.Errorf("%s: no drivers", name)
		}
	}
	if _, err := Explain(m, "/dev/nonesuch"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
