package check

import (
	"testing"

	"firstlight/internal/machine"
	"firstlight/internal/snapshot"
)

// What several layers make together is what the snapshot has of the same ones,
// and of no others: without it that is not known.
func TestAnOverlayOfSeveralLayers(t *testing.T) {
	root := &snapshot.Mount{Point: "/", FSType: "overlay", Options: "rw,relatime,lowerdir=/a:/b,upperdir=/u,workdir=/w",
		Entries: map[string]snapshot.Entry{"/usr": {Mode: 0o40755}}}
	base := &snapshot.Mount{Point: "/b", FSType: "squashfs", Entries: map[string]snapshot.Entry{}}
	w := &world{snap: &snapshot.Snapshot{Mounts: []*snapshot.Mount{base, root}}, mounted: []*mounted{{point: "/a"}, {point: "/b", from: base}}}
	for dirs, want := range map[string]*snapshot.Mount{"/a:/b": root, "/b": base, "/c:/b": nil} {
		if got := w.overlaid(machine.Mount{FSType: "overlay", Data: "lowerdir=" + dirs + ",upperdir=/x,workdir=/y"}).from; got != want {
			t.Errorf("%s: %+v", dirs, got)
		}
	}
}
