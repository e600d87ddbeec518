package detect

import (
	"fmt"
	"strings"
)

// pool takes a filesystem in a ZFS pool: the drivers of all of the pool's devices.
// Which these are, udev's database says, by the labels that it has seen; nothing in
// sysfs does.
func (d *detector) pool(m mount, point string) error {
	name, _, _ := strings.Cut(m.source, "/")
	list, err := d.s.Sys.List("/class/block")
	if err != nil {
		return fmt.Errorf("detect: %w", err)
	}
	var devs []string
	for _, b := range list {
		number, err := d.s.Sys.Read("/class/block/" + b + "/dev")
		if err != nil {
			continue
		}
		text, err := d.s.Root.ReadFile("/run/udev/data/b" + number)
		if err != nil || !strings.Contains(string(text), "\nE:ID_FS_TYPE=zfs_member\n") || !strings.Contains(string(text), "\nE:ID_FS_LABEL="+name+"\n") {
			continue
		}
		dev, err := d.s.Sys.Resolve("/class/block/" + b)
		if err != nil {
			return fmt.Errorf("detect: a device of the ZFS pool %s: %w", name, err)
		}
		devs = append(devs, dev)
	}
	if devs == nil {
		return fmt.Errorf("detect: %s is in the ZFS pool %s, and udev knows no device of it: %w", point, name, ErrUndecided)
	}
	d.fact("fstype:zfs", fmt.Sprintf("%s is %s of the ZFS pool %s", point, m.source, name))
	d.note("key files that encrypted datasets name (keylocation) have to be put into the image with --include")
	for _, dev := range devs {
		if err := d.block(dev, point, 0); err != nil {
			return err
		}
	}
	return nil
}
