package btrfs

import (
	"strings"
	"testing"
	"time"

	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/handlertest"
)

// A filesystem of which some is only on the missing device is never mounted
// without it, however long that is waited for; with it, at once.
func TestWhatLacksDataIsNotMounted(t *testing.T) {
	var h *Handler
	b := handlertest.New(t, "rd.btrfs.degraded=5,ro", handler.Image{}, func(w *handler.World) func() { h = NewCareful(w); return nil })
	d := mkfsOf(t, "raid0", "spread", "vda", "vdb")
	b.Add(d[0])
	b.Pass(time.Minute)
	topic, why, options := h.Gate(b.World().Devices.ByName("/dev/vda"))
	if topic == "" || options != "" || !strings.Contains(why, "cannot be had without the rest") {
		t.Fatalf("%q %q %q", topic, why, options)
	}
	if f := b.Fact("btrfs filesystem"); f.Condition != goal.Incomplete || !strings.Contains(f.Text, "1 of 2 devices (/dev/vda is devid 1); it cannot be had without the rest") {
		t.Errorf("%+v", f)
	}
	b.Add(d[1])
	if topic, options := gate(b, h, "vda"); topic != "" || options != "" {
		t.Errorf("with both: %q %q", topic, options)
	}
}

// One that can do without is mounted as the command line asks.
func TestHowADegradedFilesystemIsMounted(t *testing.T) {
	for cmdline, want := range map[string]string{"rd.btrfs.degraded=5": "degraded", "rd.btrfs.degraded=5,ro": "degraded,rescue=nologreplay,ro",
		"rd.btrfs.degraded=5,overlay": "degraded,rescue=nologreplay,ro", "rd.btrfs.degraded=never": ""} {
		var h *Handler
		b := handlertest.New(t, cmdline, handler.Image{}, func(w *handler.World) func() { h = NewCareful(w); return nil })
		b.Add(mkfs(t, "two", "vda", "vdb")[1])
		b.Pass(time.Minute)
		if topic, options := gate(b, h, "vdb"); options != want || (topic == "") != (want != "") {
			t.Errorf("%s: %q %q", cmdline, topic, options)
		}
		if covered := b.World().CoverAsked(); strings.HasSuffix(cmdline, "overlay") != (covered != "") {
			t.Errorf("%s: covered for %q", cmdline, covered)
		}
	}
}
