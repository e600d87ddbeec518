package zfs

import (
	"errors"
	"io/fs"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
)

// mountRoot is handler.World's MountRoot. The root is writable unless its property
// readonly, rootflags= or what the pool is imported with says otherwise: nothing in
// a system on ZFS would make it so later.
func (h *Handler) mountRoot(t *ueventd.Task, _ bool) (ueventd.Outcome, bool) {
	if !h.ready {
		return ueventd.WaitFor("the pool of the root", topic, handler.TopicRetry), false
	}
	w := h.w
	w.Break(t, bootcmd.StagePreMount)
	w.Break(t, bootcmd.StageMount)
	if !h.mounted {
		if err := h.mount(t, &h.datasets[0], handler.SysRoot); err != nil {
			return h.unmountable(&h.datasets[0], err)
		}
		h.mounted = true
	}
	if w.CoverAsked() != "" {
		return ueventd.Outcome{}, true // what is below comes over the cover
	}
	return h.mountBelow(t)
}

// mountBelow mounts the datasets below the root in it.
func (h *Handler) mountBelow(t *ueventd.Task) (ueventd.Outcome, bool) {
	for len(h.datasets) > 1 {
		d := &h.datasets[1]
		target, err := h.target(t, d.mountpoint)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			// The real system makes it, when it mounts what is left.
			h.w.Say(handler.Normal, d.name+" is not mounted: there is no "+d.mountpoint+" in the root")
		case err == nil:
			err = h.mount(t, d, target)
			fallthrough
		default:
			if err != nil {
				return h.unmountable(d, err)
			}
		}
		h.datasets = append(h.datasets[:1], h.datasets[2:]...)
	}
	return ueventd.Outcome{}, true
}

// target is where a directory of the real system is: a link on the way means what
// it means there.
func (h *Handler) target(t *ueventd.Task, file string) (string, error) {
	info, err := ueventd.Do(t, "look for "+file+" in the root", func(m machine.Machine) (machine.FileInfo, error) { return m.InRoot(handler.SysRoot, file) })
	switch {
	case err != nil:
		return "", err
	case !info.Mode.IsDir():
		return "", refuse(file+" is not a directory in the root", "")
	}
	return handler.SysRoot + info.Path, nil
}

// mount mounts a dataset by ZFS's own helper of mount(8), which tells the kernel
// what the properties of the dataset say.
func (h *Handler) mount(t *ueventd.Task, d *dataset, target string) error {
	var options []string
	if d.util {
		options = append(options, "zfsutil")
	}
	if flags := h.w.Config.Root.Flags; flags != "" {
		options = append(options, flags)
	}
	if h.readOnly || strings.Contains(d.name, "@") {
		options = append(options, "ro")
	}
	var args []string
	if len(options) > 0 {
		args = []string{"-o", strings.Join(options, ",")}
	}
	_, err := h.run(t, "mount.zfs", nil, append(args, d.name, target)...)
	if err == nil {
		h.w.Say(handler.Detail, "mounted "+d.name+" (zfs) on "+target)
	}
	return err
}

// unmountable says why a dataset is not mounted.
func (h *Handler) unmountable(d *dataset, err error) (ueventd.Outcome, bool) {
	try := "look at the kernel's messages (dmesg) for the reason; check rootflags="
	if p, ok := err.(*problem); ok && p.try != "" {
		try = p.try
	}
	text := d.name + " cannot be mounted: " + err.Error()
	h.fact(goal.Blocked, text, try)
	return ueventd.WaitFor(text, handler.TopicRetry), false
}
