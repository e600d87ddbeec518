package detect

import (
	"fmt"
	"path"
	"strings"
)

// journal takes the device that the journal of a mounted filesystem is on, where
// that is another one.
func (d *detector) journal(m mount, dev string) error {
	name := ""
	switch m.fstype {
	case "xfs":
		for o := range strings.SplitSeq(m.super, ",") {
			if v, ok := strings.CutPrefix(o, "logdev="); ok {
				name = v
			}
		}
	case "ext3", "ext4":
		// The kernel's thread of a journal is called "jbd2/vda2-8", by its inode,
		// or "jbd2/vdb" where that is a device; of a name 15 bytes are kept.
		pid, err := d.s.Sys.Read("/fs/ext4/" + path.Base(dev) + "/journal_task")
		if err != nil {
			return nil // none, or an old kernel
		}
		comm, err := d.s.Root.ReadFile("/proc/" + strings.TrimSpace(pid) + "/comm")
		if err != nil {
			return nil
		}
		of, ok := strings.CutPrefix(strings.TrimSpace(string(comm)), "jbd2/")
		if !ok || strings.HasPrefix(of, path.Base(dev)+"-") || len(of) >= 15-len("jbd2/") {
			return nil
		}
		name = "/dev/" + of
	}
	if name == "" {
		return nil
	}
	what := "the journal of " + m.point
	p, err := d.blockName(name)
	if err != nil {
		return fmt.Errorf("detect: the device %s with %s: %w: %w", name, what, err, ErrUndecided)
	}
	d.fact("layer:external-journal", fmt.Sprintf("%s is on %s", what, name))
	return d.block(p, what, 0)
}
