package check

import (
	"slices"
	"strings"
	"testing"

	"firstlight/internal/handler/all"
)

// A stop at a shell is told, and nothing that is not true is: who is there
// leaves it, and where nobody is the boot stays at it.
func TestStopAtAShellIsLeftByWhoIsThere(t *testing.T) {
	s := taken(t, "plain")
	im := open(t, built(t, virtio))
	im.put("/bin/sh", "#!")
	line := "ro rd.break=mount " + rootOf(s)
	r := Run(im, s, Config{Cmdline: line, Handlers: all.Handlers()})
	if r.Verdict != Boots || !slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, "stopped before mount") }) ||
		slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, "no shell") }) {
		t.Errorf("with a person: %s, %q", r.Verdict, r.Warnings)
	}
	r = Run(im, s, Config{Cmdline: line, Handlers: all.Handlers(), Unattended: true})
	if r.Verdict != Unknown || !strings.Contains(strings.Join(r.Explanation, " "), "until a person leaves it") {
		t.Errorf("with nobody: %s, %q", r.Verdict, r.Explanation)
	}
}
