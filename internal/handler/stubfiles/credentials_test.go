package stubfiles

import (
	"testing"

	"firstlight/internal/handler"
	"firstlight/internal/handler/handlertest"
)

func TestNamesOfCredentials(t *testing.T) {
	for name, want := range map[string]bool{"a": true, "systemd.extra-unit.x": true, "ä": true, "": false, ".": false, "..": false, "a/b": false, "a b": false, "a:b": false, "a\x7f": false, "a.new": false} {
		if validName(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

// A machine that cannot say what the stub has left has left nothing.
func TestNoCredentialsOutOfNothing(t *testing.T) {
	b := handlertest.New(t, "root=/dev/sda", handler.Image{Full: true, Features: []string{Feature}}, func(w *handler.World) func() { return New(w).Start })
	if b.Said("credential") || b.Said("extension") {
		t.Error("it spoke of some")
	}
}
