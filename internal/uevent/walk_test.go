package uevent

import (
	"maps"
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
