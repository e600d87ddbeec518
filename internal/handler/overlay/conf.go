package overlay

import (
	"errors"
	"io/fs"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/fstab"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/overlayconf"
	"firstlight/internal/ueventd"
)

// confFeature has overlayroot's files looked at.
const confFeature = "overlayroot-conf"

// imageConf is overlayroot's file in the image. Those of the root count before it.
const imageConf = "/conf/conf.d/overlayroot"

// maxConf bounds such a file, in bytes.
const maxConf = 64 << 10

// confs is handler.World's OnLoop: once the root is mounted, the files say
// whether it is to be covered. The command line is stronger.
func (h *Handler) confs(t *ueventd.Task) (devspec.Spec, ueventd.Outcome, bool) {
	if h.done["confs"] {
		return devspec.Spec{}, ueventd.Outcome{}, true
	}
	value, by := "", ""
	take := func(name string, text []byte, err error) {
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				h.w.Say(handler.Loud, err.Error())
			}
			return
		}
		if v, ok := overlayconf.Parse(string(text)); ok {
			value, by = v, name
		}
	}
	text, err := ueventd.Do(t, "read "+imageConf, func(m machine.Machine) ([]byte, error) { return m.ReadFile(imageConf, maxConf) })
	take(imageConf, text, err)
	for _, name := range overlayconf.Files() {
		text, err := ueventd.Do(t, "read "+name+" of the root", func(m machine.Machine) ([]byte, error) { return m.ReadInRoot(handler.SysRoot, name, maxConf) })
		take(name, text, err)
	}
	h.done["confs"] = true
	if value == "" || value == "disabled" {
		return devspec.Spec{}, ueventd.Outcome{}, true
	}
	o, s, why := read("overlayroot in "+by, value)
	if why != "" { // the root is to be covered, and how is not known
		h.w.Config.Overlay = bootcmd.Overlay{Kind: bootcmd.OverlayMedia, By: by, Cannot: "what cannot be understood: overlayroot= " + why}
	} else {
		h.w.Config.Overlay, h.secret = o, s
		h.begin()
	}
	// The root was mounted as if nothing lay over it.
	err = ueventd.Act(t, "make the root read-only, since it is covered", func(m machine.Machine) error {
		return m.Mount(machine.Mount{Target: handler.SysRoot, Flags: remount | fstab.ReadOnly})
	})
	if err != nil {
		out, _ := h.fail("the root below cannot be made read-only: "+err.Error(), "look at the kernel's messages (dmesg)")
		h.done["confs"] = false
		return devspec.Spec{}, out, false
	}
	// What is laid over the root is asked for anew.
	h.w.Sched.Push(ueventd.Event{Queue: filter.Root, Kind: filter.Add})
	return devspec.Spec{}, ueventd.WaitFor("the overlay that "+by+" asks for", handler.TopicRetry), false
}
