package overlay

import (
	"strconv"

	"firstlight/internal/fstab"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
)

// The places of an empty root, those of systemd-volatile-root(8), and where
// the real one stays, which systemd lets go of.
const (
	emptyDir  = "/run/systemd/volatile-sysroot"
	emptyBase = "/run/rootfsbase"
)

// bases are what an empty root has, as systemd makes it when it switches roots
// (file-hierarchy(7)): links to what is in /usr, and directories.
var (
	baseLinks = [...]string{"bin", "sbin", "lib", "lib64"}
	baseDirs  = [...]string{"usr", "dev", "proc", "run", "sys", "etc", "root", "tmp", "var"}
)

// emptyRoot puts an empty root in memory in the place of the real one, with
// nothing but its /usr, read-only.
func (h *Handler) emptyRoot(t *ueventd.Task) (ueventd.Outcome, bool) {
	failed := func(err error) (ueventd.Outcome, bool) {
		return h.fail(err.Error(), "look at the kernel's messages (dmesg); systemd.volatile=yes needs all of the system in /usr")
	}
	if err := h.empty(t, "mode=0755"); err != nil {
		return failed(err)
	}
	// A /usr of its own is mounted later, and not over another one.
	entries, _ := fstab.Parse("", h.fstab(t, handler.SysRoot))
	if h.w.Config.Usr.Device.IsDevice() || fstab.Usr(entries) != nil {
		h.done["usr"], h.done["usr read-only"] = true, true
	}
	const usr = emptyDir + "/usr"
	for _, s := range [...]struct {
		name string
		m    machine.Mount
	}{
		{"usr", machine.Mount{Source: handler.SysRoot + "/usr", Target: usr, Flags: fstab.Bind}},
		{"usr read-only", machine.Mount{Source: usr, Target: usr, Flags: fstab.Bind | remount | fstab.ReadOnly}},
		{"lower", machine.Mount{Source: handler.SysRoot, Target: emptyBase, Flags: move}},
		{"empty", machine.Mount{Source: emptyDir, Target: handler.SysRoot, Flags: move}},
	} {
		if err := h.step(t, s.name, s.m); err != nil {
			return failed(err)
		}
	}
	h.w.Lower = emptyBase
	h.backing(t)
	h.w.Say(handler.Normal, "the root is empty and in memory, with the /usr of the real one, since "+h.w.CoverAsked())
	return ueventd.Outcome{}, true
}

// empty makes an empty root in memory, in emptyDir.
func (h *Handler) empty(t *ueventd.Task, options string) error {
	if err := h.step(t, "tmpfs", machine.Mount{Source: "volatile", Target: emptyDir, FSType: "tmpfs", Flags: fstab.StrictAtime, Data: options}); err != nil {
		return err
	}
	if h.done["tree"] {
		return nil
	}
	err := ueventd.Act(t, "make an empty root", func(m machine.Machine) error {
		for _, dir := range baseDirs {
			if err := m.Mkdir(emptyDir+"/"+dir, 0o755); err != nil {
				return err
			}
		}
		for _, link := range baseLinks {
			if err := m.Link("usr/"+link, emptyDir+"/"+link); err != nil {
				return err
			}
		}
		return nil
	})
	h.done["tree"] = err == nil
	return err
}

// tmpfsRoot makes the root of root=tmpfs, which gets its system from mount.usr=.
// That it is mounted tells the mount handler, as with a root that a person has
// mounted.
func (h *Handler) tmpfsRoot(t *ueventd.Task, _ ueventd.Event) ueventd.Outcome {
	w := h.w
	if g := w.Goals.Get(mount.RootGoal); g == nil || g.State == goal.Met {
		return ueventd.Outcome{}
	}
	if !w.ResumeSettled {
		return ueventd.WaitFor("resume comes before any mount", handler.TopicResumeSettled)
	}
	options := "mode=0755"
	if o := fstab.ParseOptions(w.Config.Root.Flags); o.Data != "" {
		options += "," + o.Data
	}
	err := h.empty(t, options)
	if err == nil {
		err = h.step(t, "empty", machine.Mount{Source: emptyDir, Target: handler.SysRoot, Flags: move})
	}
	if err != nil {
		out, _ := h.fail(err.Error(), "check rootflags= and the kernel's messages (dmesg)")
		return out
	}
	w.Say(handler.Detail, "the root is empty and in memory, as root=tmpfs asks")
	return ueventd.Outcome{}
}

// backing tells systemd which device the root below is on
// (/run/systemd/volatile-root), where that is one.
func (h *Handler) backing(t *ueventd.Task) {
	devs := h.w.Find(h.w.Config.Root.Device)
	if len(devs) == 0 {
		return
	}
	major, minor, ok := devs[0].Devnum()
	if !ok {
		return
	}
	target := "/dev/block/" + strconv.Itoa(int(major)) + ":" + strconv.Itoa(int(minor))
	err := ueventd.Act(t, "link /run/systemd/volatile-root to "+target, func(m machine.Machine) error {
		return m.Link(target, "/run/systemd/volatile-root")
	})
	if err != nil { // only some of systemd's generators look at it
		t.Record("decision", "systemd is not told of the root below: "+err.Error())
	}
}
