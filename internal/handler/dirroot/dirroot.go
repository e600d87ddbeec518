// Package dirroot is for what root= may say in systemd's words that names no
// filesystem to be mounted: a directory (root=bind:DIR), and no root at all
// (root=off). It belongs to the full /init.
package dirroot

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"time"

	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/fstab"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
)

const queue = "directory"

// remount is MS_REMOUNT of linux/mount.h.
const remount = 1 << 5

// maxTable bounds the mount table, in bytes.
const maxTable = 1 << 20

// Handler makes a directory the root.
type Handler struct {
	w   *handler.World
	dir string
}

// New registers the handler.
func New(w *handler.World) *Handler {
	h := &Handler{w: w}
	w.Sched.Route(queue, h.handle)
	return h
}

// Start begins with what root= asks for. The root's goal is there by then.
func (h *Handler) Start() {
	w := h.w
	r := w.Config.Root.Device
	if r.Kind != devspec.Other {
		return
	}
	switch r.Scheme {
	case "off":
		w.SetFact(mount.RootGoal, goal.Fact{Subject: "root=off", Condition: goal.Blocked,
			Text: "asks that no root is mounted, and without one there is no system to start: Firstlight is none itself",
			Try:  "name the root with root=, or mount one on " + handler.SysRoot + " in the shell"})
		if g := w.Goals.Get(mount.RootGoal); g != nil { // nothing that may come will do
			g.Deadline = w.Sched.Now() + time.Second
		}
	case "bind":
		dir, _ := strings.CutPrefix(r.Value, "bind:")
		if h.dir = path.Clean("/" + dir); !strings.HasPrefix(dir, "/") || h.dir == "/" {
			h.fact(goal.Blocked, "is not the absolute path of a directory", "write root=bind:/run/DIRECTORY")
			return
		}
		w.Sched.Push(ueventd.Event{Queue: queue, Kind: filter.Add})
	}
}

func (h *Handler) fact(c goal.Condition, text, try string) {
	h.w.SetFact(mount.RootGoal, goal.Fact{Subject: "root=" + h.w.Config.Root.Device.Value, Condition: c, Text: text, Try: try})
}

// handle shows the directory as the root. That it is mounted tells the mount
// handler, as with a root that a person has mounted.
func (h *Handler) handle(t *ueventd.Task, _ ueventd.Event) ueventd.Outcome {
	w := h.w
	if g := w.Goals.Get(mount.RootGoal); g == nil || g.State == goal.Met {
		return ueventd.Outcome{}
	}
	if !w.ResumeSettled {
		return ueventd.WaitFor("resume comes before any mount", handler.TopicResumeSettled)
	}
	blocked := func(text, try string) ueventd.Outcome {
		h.fact(goal.Blocked, text, try)
		return ueventd.WaitFor(text, handler.TopicRetry, handler.KindMounts)
	}
	info, err := ueventd.Do(t, "look for "+h.dir, func(m machine.Machine) (machine.FileInfo, error) { return m.InRoot("/", h.dir) })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		h.fact(goal.Incomplete, "is not there", "put it there: mount something on it in the shell (rd.break=initqueue)")
		return ueventd.WaitFor(h.dir, handler.TopicRetry, handler.KindMounts)
	case err != nil:
		return blocked(err.Error(), "look at the kernel's messages (dmesg)")
	case !info.Mode.IsDir():
		return blocked("is no directory", "name a directory")
	}
	on, err := ueventd.Do(t, "look what "+info.Path+" is on", func(m machine.Machine) (string, error) {
		table, err := m.ReadFile("/proc/self/mountinfo", maxTable)
		return mountPoint(string(table), info.Path), err
	})
	if err != nil {
		return blocked(err.Error(), "look at the kernel's messages (dmesg)")
	}
	if on == "/" {
		return blocked("is a directory of the image itself, whose memory is given back when the real system starts",
			"mount something there, or put the system into the image as an archive: root=live:/FILE.tar")
	}
	mounts := []machine.Mount{{Source: info.Path, Target: handler.SysRoot, Flags: fstab.Bind | fstab.Rec}}
	if w.Config.Root.ReadOnly {
		mounts = append(mounts, machine.Mount{Source: handler.SysRoot, Target: handler.SysRoot, Flags: fstab.Bind | remount | fstab.ReadOnly})
	}
	err = ueventd.Act(t, "show "+info.Path+" on "+handler.SysRoot, func(m machine.Machine) error {
		for _, x := range mounts {
			if err := m.Mount(x); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return blocked(err.Error(), "look at the kernel's messages (dmesg)")
	}
	w.Say(handler.Normal, "the root is the directory "+info.Path+", as root=bind: asks")
	return ueventd.Outcome{}
}

// mountPoint is what a path is on, by a table in the form of /proc/self/mountinfo.
func mountPoint(table, p string) string {
	best := "/"
	for line := range strings.SplitSeq(table, "\n") {
		f := strings.Fields(line)
		if len(f) > 4 && len(f[4]) > len(best) && (p == f[4] || strings.HasPrefix(p, f[4]+"/")) {
			best = f[4]
		}
	}
	return best
}
