package btrfs

import (
	"errors"
	"slices"
	"testing"

	"firstlight/internal/handler"
	"firstlight/internal/handler/handlertest"
)

// A device that went and came back while the kernel refused another of the
// filesystem is known by what it was before: it cannot be compared, and nothing is
// compared again and again for it. Once the kernel takes the other, all is well.
func TestDeviceThatIsReplacedMeanwhile(t *testing.T) {
	var h *Handler
	b := handlertest.New(t, "", handler.Image{}, func(w *handler.World) func() { h = NewCareful(w); return nil })
	d := mkfs(t, "two", "vda", "vdb")
	refuse := true
	b.Machine.ScanError = func(devname string) error {
		if devname != "/dev/vdb" || !refuse {
			return nil
		}
		if len(b.Did("tell btrfs")) == 2 {
			b.Replug(d[0])
		}
		return errors.New("refused for now")
	}
	b.Add(d[0])
	b.Add(d[1])
	if n := len(b.Did("look for what the devices")); n == 0 || n > 8 {
		t.Errorf("compared %d times", n)
	}
	if topic, _ := gate(b, h, "vda"); topic == "" {
		t.Error("mounted without the device that the kernel refused")
	}
	refuse, b.Machine.Ready = false, true
	b.Change(d[1])
	if topic, options := gate(b, h, "vda"); topic != "" || options != "" {
		t.Errorf("with both: waits for %q, options %q", topic, options)
	}
	if !slices.Contains(b.Machine.Scanned, "/dev/vdb") {
		t.Errorf("told of %v", b.Machine.Scanned)
	}
}
