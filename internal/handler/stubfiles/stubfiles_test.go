package stubfiles

import (
	"testing"

	"firstlight/internal/filter"
	"firstlight/internal/handler"
	"firstlight/internal/handler/handlertest"
	"firstlight/internal/ueventd"
)

// What the stub left is where systemd of the real system looks for it, nothing is
// made of what it did not leave, and the root is held back until then.
func TestFilesOfTheStubAreHandedOn(t *testing.T) {
	var h *Handler
	b := handlertest.New(t, "root=/dev/sda", handler.Image{Full: true, Features: []string{Feature}}, func(w *handler.World) func() {
		h = New(w)
		return h.Start
	})
	gates := b.World().Gates
	if len(gates) != 1 {
		t.Fatalf("%d gates", len(gates))
	}
	if waits, _, _ := gates[0](nil); waits != "" || !h.done {
		t.Errorf("the root is held back for %q", waits)
	}
	h.done = false
	if waits, why, _ := gates[0](nil); waits != topic || why == "" {
		t.Errorf("the root is not held back")
	}
	b.Machine.Files["/.extra/tpm2-pcr-signature.json"] = "{}"
	b.World().Sched.Push(ueventd.Event{Queue: queue, Kind: filter.Add})
	b.Run()
	if got := b.Machine.Files["/run/systemd/tpm2-pcr-signature.json"]; got != "{}" || !h.done {
		t.Errorf("the signatures are %q", got)
	}
	if _, ok := b.Machine.Files["/run/systemd/stub/profile"]; ok {
		t.Error("a profile out of nothing")
	}
}

// An image that is not meant to be part of a unified one looks for nothing.
func TestOtherImagesLookForNothing(t *testing.T) {
	b := handlertest.New(t, "root=/dev/sda", handler.Image{Full: true}, func(w *handler.World) func() { return New(w).Start })
	if len(b.World().Gates) != 0 || len(b.Did("copy")) != 0 {
		t.Errorf("%d gates, %q", len(b.World().Gates), b.Did("copy"))
	}
}
