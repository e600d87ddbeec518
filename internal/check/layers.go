package check

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/machine"
)

// remount moves a mount with what is mounted in it, or shows a directory in
// another place.
func (w *world) remount(m machine.Mount) error {
	if m.Flags&unix.MS_REMOUNT != 0 {
		return nil
	}
	if m.Flags&unix.MS_MOVE == 0 {
		w.mounted = append(w.mounted, &mounted{point: m.Target, why: "it shows a directory of another filesystem"})
		w.tellMounts()
		return nil
	}
	found := false
	for _, x := range w.mounted {
		if rest, ok := strings.CutPrefix(x.point, m.Source); ok && (rest == "" || rest[0] == '/') {
			x.point, found = m.Target+rest, true
		}
	}
	if !found {
		return fmt.Errorf("move %s to %s: %w", m.Source, m.Target, unix.EINVAL)
	}
	w.tellMounts()
	return nil
}

// overlaid is an overlay: of what is below it everything shows.
func (w *world) overlaid(m machine.Mount) *mounted {
	over := &mounted{point: m.Target, why: "what is below the overlay is not known"}
	for o := range strings.SplitSeq(m.Data, ",") {
		dirs, ok := strings.CutPrefix(o, "lowerdir=")
		if !ok {
			continue
		}
		for dir := range strings.SplitSeq(dirs, ":") {
			for _, x := range w.mounted {
				if x.point == path.Clean(dir) {
					over.disk, over.from, over.why, over.fstype = x.disk, x.from, x.why, x.fstype
				}
			}
		}
	}
	return over
}

// Loop implements machine.Storage. What is in the file is not in a snapshot.
func (w *world) Loop(root, file string, _ uint64, _ bool) (string, error) {
	return "", fmt.Errorf("%s in %s: a snapshot does not have what is in this file", file, root)
}
