package mdsuper

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestConfIsReadFromWhereMdadmHasIt(t *testing.T) {
	text := func(files map[string]string) string {
		return ConfText(func(p string) string { return files[p] }, func(dir string) []string {
			var names []string
			for _, f := range slices.Sorted(maps.Keys(files)) {
				if name, ok := strings.CutPrefix(f, dir+"/"); ok {
					names = append(names, name)
				}
			}
			return names
		})
	}
	for want, files := range map[string]map[string]string{
		"":         {},
		"a":        {"/etc/mdadm/mdadm.conf": "a", "/etc/mdadm.conf": "b"},
		"b":        {"/etc/mdadm.conf": "b"},
		"a\nx\ny":  {"/etc/mdadm/mdadm.conf": "a", "/etc/mdadm/mdadm.conf.d/2.conf": "y", "/etc/mdadm/mdadm.conf.d/1.conf": "x", "/etc/mdadm/mdadm.conf.d/z": "z", "/etc/mdadm/mdadm.conf.d/.h.conf": "h"},
		"b\nw":     {"/etc/mdadm.conf": "b", "/etc/mdadm.conf.d/w.conf": "w"},
		"\nonly.d": {"/etc/mdadm/mdadm.conf.d/1.conf": "only.d"},
	} {
		if got := text(files); got != want {
			t.Errorf("%v: %q, want %q", files, got, want)
		}
	}
}
