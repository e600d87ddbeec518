package network

import (
	"errors"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/fmt"
	"firstlight/internal/fstab"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/nfs"
	"firstlight/internal/ueventd"
)

// pause is the time after which a server that did not serve is asked again, for
// the first time: no event tells that it does now. It doubles each time.
const pause = time.Second

// mountRoot is handler.World's MountRoot: it mounts the root that a server has.
func (h *Handler) mountRoot(t *ueventd.Task, readOnly bool) (ueventd.Outcome, bool) {
	w := h.w
	r := h.root
	switch o := &w.Config.Overlay; {
	case o.Cannot != "":
		return h.rootNeeds("is to be covered in a way that Firstlight has not: "+o.By+" asks for "+o.Cannot, "choose another kind of overlay, or boot without that parameter")
	case r == nil && h.ready == 0:
		return h.rootNeeds("needs the network, which is not up yet", "")
	case r == nil:
		return h.rootNeeds("is looked for", "")
	case r.Get("text") != "":
		return h.rootNeeds(r.Get("text"), r.Get("try"))
	case r.Get("kind") != "nfs":
		return h.rootNeeds("is of the kind "+r.Get("kind")+", which this image cannot use", "rebuild the image with --feature "+r.Get("kind"))
	}
	o := fstab.ParseOptions(joinOptions(r.Get("options"), w.Config.Root.Flags))
	src := nfs.Source{Server: r.Get("server"), Name: r.Get("name"), Path: r.Get("path"), Options: o.Data, Only4: r.Get("version") == "4" || w.Config.Root.Device.Scheme == "nfs4",
		Below: w.Config.Overlay.Kind != bootcmd.OverlayNone}
	tries, err := src.Tries(r.Get("client"))
	if err != nil {
		return h.rootNeeds(err.Error(), "correct root=, nfsroot= or the path of the root that the DHCP server gives")
	}
	if out, ok := h.tickets(o.Data); !ok {
		return out, false
	}
	w.Break(t, bootcmd.StagePreMount)
	flags := uintptr(o.Set &^ fstab.ReadOnly)
	if readOnly {
		flags |= fstab.ReadOnly
	}
	w.SetFact(mount.RootGoal, goal.Fact{Subject: tries[0].Source, Condition: goal.Working, Text: "is being mounted"})
	if err := w.LoadModules(t, "nfs"); err != nil && errors.Is(err, machine.ErrNoModule) {
		return h.noDriver("nfs", "nfs")
	}
	if nfs.RDMA(o.Data) {
		if err := w.LoadModules(t, "rpcrdma"); err != nil && errors.Is(err, machine.ErrNoModule) {
			return h.noDriver("rpcrdma", "nfs-rdma")
		}
	}
	w.Break(t, bootcmd.StageMount)
	var last error
	for _, try := range tries {
		if err := w.LoadModules(t, try.Module); err != nil {
			if another(last) {
				last = err
			}
			continue
		}
		err := ueventd.Act(t, fmt.Sprintf("mount %s on %s as %s, flags %#x, options %q", try.Source, handler.SysRoot, try.Type, flags, try.Data), func(m machine.Machine) error {
			return m.Mount(machine.Mount{Source: try.Source, Target: handler.SysRoot, FSType: try.Type, Flags: flags, Data: try.Data})
		})
		if err == nil {
			w.Say(handler.Detail, "mounted "+try.Source+" (NFS "+try.Version+") on "+handler.SysRoot)
			w.DropFact(kerberosQueue + " Kerberos")
			return ueventd.Outcome{}, true
		}
		w.Say(handler.Detail, "NFS "+try.Version+": "+err.Error())
		if another(last) { // what was said first of what both know says most
			last = err
		}
		if nfs.Final(err) {
			break
		}
	}
	if errors.Is(last, machine.ErrNoModule) {
		return h.noDriver(tries[len(tries)-1].Module, "nfs")
	}
	text, try := nfs.Explain(last, src)
	w.SetFact(mount.RootGoal, goal.Fact{Subject: tries[0].Source, Condition: goal.Incomplete, Text: text, Try: try})
	return ueventd.Retry(pause, text), false
}

// another says whether a failed try tells nothing of those that follow: the server, or
// the image, does not know that version.
func another(err error) bool {
	return err == nil || nfs.OtherVersion(err) || errors.Is(err, machine.ErrNoModule)
}

// noDriver says that the image cannot mount NFS.
func (h *Handler) noDriver(module, feature string) (ueventd.Outcome, bool) {
	text := "the driver " + module + " is not in this image"
	h.w.SetFact(mount.RootGoal, goal.Fact{Subject: h.describe(), Condition: goal.Blocked, Text: text, Try: "rebuild the image with --feature " + feature})
	return ueventd.WaitFor(text, handler.TopicRetry), false
}

// rootNeeds says what keeps the root from being mounted, until the network is
// different.
func (h *Handler) rootNeeds(text, try string) (ueventd.Outcome, bool) {
	h.w.SetFact(mount.RootGoal, goal.Fact{Subject: h.describe(), Condition: goal.Incomplete, Text: text, Try: try})
	return ueventd.WaitFor("the root from a server "+text, Topic, handler.TopicRetry), false
}

// describe is what the command line calls the root.
func (h *Handler) describe() string {
	if d := h.w.Config.Root.Device; !d.IsZero() {
		return "root=" + d.String()
	}
	return "the root from a server"
}

func joinOptions(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	}
	return a + "," + b
}
