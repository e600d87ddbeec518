package sim

import (
	"io/fs"
	"slices"
	"strings"

	"firstlight/internal/bcachefsfmt"
	"firstlight/internal/machine"

	"golang.org/x/sys/unix"
)

// bcachefs is what the kernel makes of the members that a mount names, one after
// the other: they are all of one filesystem, each once, and none is missing
// without the option that allows it. It returns the first.
func (m *Machine) bcachefs(mt machine.Mount) (*Disk, error) {
	var first *Disk
	var super *bcachefsfmt.Super
	var seen []int
	for node := range strings.SplitSeq(mt.Source, ":") {
		d := m.disks[node]
		if d == nil {
			return nil, fs.ErrNotExist
		}
		if m.readFails(d) {
			return nil, unix.EIO
		}
		s, err := bcachefsfmt.Read(reader{d})
		switch {
		case err != nil || super != nil && s.UUID != super.UUID || slices.Contains(seen, s.Index):
			return nil, unix.EINVAL
		case s.Locked:
			return nil, unix.ENOKEY
		case super == nil:
			first, super = d, s
		}
		seen = append(seen, s.Index)
	}
	if len(seen) < super.Count() && !slices.Contains(strings.Split(mt.Data, ","), "degraded") {
		return nil, unix.EINVAL
	}
	return first, nil
}
