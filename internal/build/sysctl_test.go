package build

import (
	"strings"
	"testing"

	"firstlight/internal/feature"
	"firstlight/internal/image"
)

// What of the system's files an image has: each name once, from the most important
// directory, in the order of names; what is hidden by /dev/null is not there.
func TestParametersOfTheKernel(t *testing.T) {
	files := map[string]string{"etc/sysctl.d/20-a.conf": "kernel.a=etc\n", "usr/lib/sysctl.d/20-a.conf": "kernel.a=usr\n", "usr/lib/sysctl.d/10-b.conf": "kernel.b=1\nnonsense\n",
		"etc/sysctl.conf": "kernel.c=last\nkernel.b=2\n", "etc/sysctl.d/README": "kernel.d=1\n"}
	for _, tt := range []struct {
		name string
		conf []string
		on   bool
		want string
	}{
		{"the system's", nil, true, "=kernel/a=etc\n=kernel/c=last\n=kernel/b=2\n"},
		{"the configuration's", []string{"vm.swappiness=10", "/etc/sysctl.d/20-a.conf", "-vm.x=1"}, true, "=vm/swappiness=10\n=kernel/a=etc\n-vm/x=1\n"},
		{"nobody's", nil, false, ""},
	} {
		b := &builder{tree: image.NewTree(), report: &Report{}, o: Options{Sysroot: system(t, files), Config: Config{Sysctl: tt.conf}}}
		if tt.on {
			b.report.Features = []feature.Chosen{{Feature: &feature.Feature{Name: "sysctl"}}}
		}
		if err := b.sysctl(); err != nil {
			t.Fatal(err)
		}
		got := ""
		if e := b.tree.Get("etc/firstlight/sysctl"); e != nil {
			got = string(e.Data)
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if notes := strings.Join(b.report.Notes, "\n"); (tt.on && tt.conf == nil) != strings.Contains(notes, "10-b.conf:2") {
			t.Errorf("%s: notes %q", tt.name, notes)
		}
	}
	b := &builder{tree: image.NewTree(), report: &Report{Features: []feature.Chosen{{Feature: &feature.Feature{Name: "sysctl"}}}}, o: Options{Sysroot: system(t, files), Config: Config{Sysctl: []string{"vm.swappiness"}}}}
	if err := b.sysctl(); err == nil || !strings.Contains(err.Error(), "has no value") {
		t.Errorf("a setting without a value: %v", err)
	}
}
