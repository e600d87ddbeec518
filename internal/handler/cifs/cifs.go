// Package cifs mounts a root that is a share of an SMB server, by the kernel's own
// client.
//
// package network says when the server can be reached, and its address. Names and
// passwords stand in the command line, in the lease, or in cifsuser= and
// cifspass=; they go into the options of the mount and nowhere else.
package cifs

import (
	"errors"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/bootcmd"
	"firstlight/internal/fmt"
	"firstlight/internal/fstab"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/handler/network"
	"firstlight/internal/machine"
	"firstlight/internal/netreport"
	"firstlight/internal/ueventd"
)

// pause is the time after which a server that did not serve is asked again, for
// the first time: no event tells that it does now. It doubles each time.
const pause = time.Second

// Handler mounts the root.
type Handler struct {
	w    *handler.World
	root *netreport.Report // where the root is, nil while that is not known
}

// New registers the handler with that of the network.
func New(w *handler.World, n *network.Handler) *Handler {
	h := &Handler{w: w}
	n.Provide("cifs", func(_ *ueventd.Task, r *netreport.Report) {
		if r.Get("n") != "" && h.root == nil {
			return // the first root is the root
		}
		h.root = r
		w.MountRoot = h.mountRoot
	})
	return h
}

// share is what is written in root=.
type share struct {
	user, password string
	named          bool   // there is a user
	server         string // without brackets
	path           string // "share/dir"
}

// parse reads cifs://[USER[:PASSWORD]@]SERVER[:]/SHARE[/DIR].
func parse(text string) (s share, ok bool) {
	text, ok = strings.CutPrefix(text, "cifs://")
	if !ok {
		return s, false
	}
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		s.named = true
		s.user, s.password, _ = strings.Cut(text[:at], ":")
		text = text[at+1:]
	}
	slash := strings.IndexByte(text, '/')
	if slash <= 0 {
		return s, false
	}
	s.server = strings.Trim(strings.TrimSuffix(text[:slash], ":"), "[]")
	s.path = strings.Trim(text[slash:], "/")
	return s, s.server != "" && s.path != ""
}

// last is the value of a parameter.
func last(c *bootcmd.Config, name string) (value string, has bool) {
	for _, p := range c.Params {
		if p.Name == name {
			value, has = p.Value, true
		}
	}
	return value, has
}

// share is the root as the lease, or else the command line, says it.
func (h *Handler) share() (share, bool) {
	if source := h.root.Source(); source != "" {
		return parse(source)
	}
	for _, name := range []string{"root", "netroot"} {
		v, _ := last(h.w.Config, name)
		if s, ok := parse(v); ok {
			return s, true
		}
	}
	return share{}, false
}

// options are the options of the mount (mount.cifs(8)); a comma in a password is
// written twice.
func (h *Handler) options(s *share, more string) string {
	// A root waits for its server; by itself the kernel gives up.
	o := "ip=" + h.root.Get("server") + ",hard"
	if !s.named {
		s.user, s.named = last(h.w.Config, "cifsuser")
		s.password, _ = last(h.w.Config, "cifspass")
	}
	if s.named {
		o += ",username=" + s.user + ",password=" + strings.ReplaceAll(s.password, ",", ",,")
	} else if !strings.Contains(","+more+",", ",sec=") {
		o += ",sec=none"
	}
	if more != "" {
		o += "," + more
	}
	return o
}

// mountRoot is handler.World's MountRoot.
func (h *Handler) mountRoot(t *ueventd.Task, readOnly bool) (ueventd.Outcome, bool) {
	w, r := h.w, h.root
	if text := r.Get("text"); text != "" {
		return h.needs("the share", text, r.Get("try"))
	}
	s, ok := h.share()
	if !ok {
		return h.needs("the share", "is not named as cifs://SERVER/SHARE", "correct root=, netroot= or the path of the root that the DHCP server gives")
	}
	if strings.ContainsAny(s.user, ",") {
		return h.needs("the share", "its user has a comma in the name, which the kernel cannot be told", "choose another user")
	}
	source := "//" + s.server + "/" + s.path
	o := fstab.ParseOptions(w.Config.Root.Flags)
	flags := uintptr(o.Set &^ fstab.ReadOnly)
	if readOnly {
		flags |= fstab.ReadOnly
	}
	if err := w.LoadModules(t, "cifs"); err != nil {
		if errors.Is(err, machine.ErrNoModule) {
			return h.needs(source, "the driver cifs is not in this image", "rebuild the image with --feature cifs")
		}
		return h.needs(source, err.Error(), "")
	}
	w.Break(t, bootcmd.StagePreMount)
	w.Break(t, bootcmd.StageMount)
	w.SetFact(mount.RootGoal, goal.Fact{Subject: source, Condition: goal.Working, Text: "is being mounted"})
	data := h.options(&s, o.Data)
	err := ueventd.Act(t, fmt.Sprintf("mount %s on %s as cifs, flags %#x", source, handler.SysRoot, flags), func(m machine.Machine) error {
		return m.Mount(machine.Mount{Source: source, Target: handler.SysRoot, FSType: "cifs", Flags: flags, Data: data})
	})
	if err == nil {
		w.Say(handler.Detail, "mounted "+source+" on "+handler.SysRoot)
		return ueventd.Outcome{}, true
	}
	text, try := explain(err, s.server)
	w.SetFact(mount.RootGoal, goal.Fact{Subject: source, Condition: goal.Incomplete, Text: text, Try: try})
	return ueventd.Retry(pause, text), false
}

// explain says what an error of the kernel means (fs/smb/client).
func explain(err error, server string) (text, try string) {
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.EKEYREJECTED):
		return server + " does not accept the user or the password", "look at the user and the password in root= or cifsuser= and cifspass=, and at the rights of the share"
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return server + " has no such share or directory", "look at the name of the share"
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.EHOSTDOWN), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ETIMEDOUT), errors.Is(err, unix.EAGAIN):
		return server + " does not answer", "look whether the server runs"
	case errors.Is(err, unix.EINVAL):
		return "the kernel does not take the options: " + err.Error(), "look at rootflags="
	case errors.Is(err, unix.EOPNOTSUPP):
		return server + " speaks another version of the protocol", "name one with rootflags=vers="
	}
	return err.Error(), ""
}

// needs says what keeps the root from being mounted, until the network is
// different.
func (h *Handler) needs(subject, text, try string) (ueventd.Outcome, bool) {
	h.w.SetFact(mount.RootGoal, goal.Fact{Subject: subject, Condition: goal.Incomplete, Text: text, Try: try})
	return ueventd.WaitFor("the root from a server "+text, network.Topic, handler.TopicRetry), false
}
