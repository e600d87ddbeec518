package uevent

import (
	"maps"
	"path"
	"testing"

	"firstlight/internal/sysfs"
)

// A walk says of each device what its file and links say: the machine that
// runs the test shows it.
func TestWalkSaysWhatTheLinksSay(t *testing.T) {
	sys := sysfs.Dir("/sys")
	n := 0
	Walk(sys, func(m *Message) {
		want := Read(sys, m.Devpath)
		if want == nil {
			return // it has gone
		}
		if n++; !maps.Equal(m.Props, want.Props) {
			t.Errorf("%s: %v, its file and links say %v", m.Devpath, m.Props, want.Props)
		}
	})
	if n == 0 {
		t.Skip("this machine shows no device")
	}
}

// Whatever a link says, it is followed as path.Join follows it.
func TestLinksAreFollowedAsPathJoinDoes(t *testing.T) {
	for _, target := range []string{"../../devices/a/b", "../../../devices/a", "../devices/a", "b", "../..", "../../", "../../devices//a",
		"../../devices/../a", "../../devices/./a", "../../..a/b", "../../.a", "../../devices/a/", "/devices/a", "", "../../devices/a/..b"} {
		for _, dir := range []string{"/class/block", "/bus/pci/devices", "/x"} {
			if got, want := follow(dir, target), path.Join(dir, target); got != want {
				t.Errorf("%q in %s: %s, not %s", target, dir, got, want)
			}
		}
	}
}
