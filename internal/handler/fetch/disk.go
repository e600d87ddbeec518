package fetch

import (
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/handler/netdisk"
	"firstlight/internal/netreport"
	"firstlight/internal/ueventd"
)

// A file of a web server can be a disk instead, which is read as it is needed, by a
// helper program that stays (package httpdisk). No sum can be formed over it then:
// dm-verity verifies it, or nothing does, and that has to be asked for.

// DiskProgram is the helper in the image.
const DiskProgram = "/usr/lib/firstlight/httpdisk"

// diskQueue is that of the first disk, and of the others with their number.
const diskQueue = "httpdisk"

// disk begins with a disk, once.
func (h *Handler) disk(r *netreport.Report) {
	w, n := h.w, r.Int("n")
	if h.disks[n] {
		return
	}
	h.disks[n] = true
	if w.Fetch != nil || !w.Config.Root.Device.IsDevice() {
		w.DropFact(mount.RootGoal)
	}
	w.Sched.Push(ueventd.Event{Queue: netdisk.Number(diskQueue, n), Kind: kindStart, Value: r})
}

// param is what the command line says last of a name.
func param(c *bootcmd.Config, name string) (value string, has bool) {
	for _, p := range c.Params {
		if strings.ReplaceAll(p.Name, "-", "_") == name {
			value, has = p.Value, true
		}
	}
	return value, has
}

// allowed says whether a switch is set.
func allowed(c *bootcmd.Config, name string) bool {
	v, has := param(c, name)
	switch strings.ToLower(v) {
	case "0", "no", "off", "false", "n", "f":
		return false
	}
	return has
}

// urls are those of the command line in the order of package netconf: what another
// parameter names, root=, then each netroot=.
func (h *Handler) urls() (list []string) {
	add := func(text string) {
		text = strings.TrimPrefix(strings.Trim(text, "\""), "live:")
		if u, err := fetchplan.ParseURL(text); err == nil && u.Host != "" {
			list = append(list, text)
		}
	}
	root, _ := param(h.w.Config, "root")
	add(root)
	if f := h.w.Fetch; f != nil && (len(list) == 0 || list[0] != f.URL) {
		add(f.URL)
	}
	for _, p := range h.w.Config.Params {
		if p.Name == "netroot" {
			add(p.Value)
		}
	}
	return list
}

// connect starts the helper of a disk.
func (h *Handler) connect(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	w, r := h.w, ev.Value.(*netreport.Report)
	c := w.Config
	url, k := r.Source(), r.Int("url")
	if urls := h.urls(); url == "" && k < len(urls) {
		url = urls[k]
	}
	blocked := func(text, try string) ueventd.Outcome {
		w.SetFact(ev.Queue, goal.Fact{Subject: "the disk on a web server", Condition: goal.Blocked, Text: text, Try: try})
		w.Say(handler.Loud, "the disk on a web server: "+text)
		return ueventd.WaitFor(text, handler.TopicRetry)
	}
	verified := c.Verity.Enabled && c.Verity.Root.Asked()
	anyTLS := allowed(c, "rd.noverifyssl")
	switch {
	case !verified && !allowed(c, "rd.firstlight.unverified"):
		return blocked("nothing verifies what is read from it piece by piece: no sum can, and no root hash is given",
			"give the root hash of a disk with dm-verity (roothash=), let all of the image be fetched, which can have a sum or a signature, or take whatever comes with rd.firstlight.unverified")
	case !verified && anyTLS:
		return blocked("nothing at all would be verified: rd.noverifyssl takes any server, and no root hash is given", "give a root hash (roothash=), or leave rd.noverifyssl out")
	}
	if err := w.LoadModules(t, "nbd"); err != nil {
		return blocked("has no driver: "+err.Error(), "build the image with --feature http-disk")
	}
	if !verified {
		w.Say(handler.Loud, "the disk on a web server is not verified, as rd.firstlight.unverified allows")
	}
	yes := func(b bool) string {
		if b {
			return "yes"
		}
		return ""
	}
	proxy, _ := param(c, "proxy")
	input := netreport.Report{State: netreport.StateRoot}.With("url", url).With("n", r.Get("n")).With("verified", yes(verified)).With("notls", yes(anyTLS)).With("proxy", proxy)
	helper := &netdisk.Helper{W: w, Queue: ev.Queue, Path: DiskProgram, Feature: "http-disk", Subject: "the disk on a web server", Root: r.Int("n") == 0, Up: h.up}
	return helper.Run(t, input.String()+"\n")
}

// up lets an image that is a disk be looked into.
func (h *Handler) up() {
	if f := h.w.Fetch; f != nil && !f.Done {
		f.Done = true
		h.w.Sched.Notify(handler.TopicFetched)
	}
}
