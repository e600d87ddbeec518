package network

import (
	"slices"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/machine"
	"firstlight/internal/netreport"
	"firstlight/internal/ueventd"
)

// early is the queue of what is got ready while the network waits for answers. It
// has one event, once.
const early = "ahead"

// Early names what a root of a kind needs besides the network: drivers, which it
// takes a while to load, and what else do does; nil is nothing. It is got ready
// while a server or the other machines of the link are waited for, when there is
// nothing else to do, if the command line says that the root is of that kind, or
// leaves it to a DHCP server and the image is for no other. Whoever needs the
// drivers loads them all the same, and says then what is missing.
func (h *Handler) Early(kind string, modules []string, do func()) {
	if h.early == nil {
		h.early = map[string]ahead{}
	}
	h.early[kind] = ahead{modules, do}
}

type ahead struct {
	modules []string
	do      func()
}

// waits says whether a report means that there is time.
func waits(r *netreport.Report) bool {
	return r.State == netreport.StateDHCP || r.State == netreport.StateProbe
}

// ahead gets ready what the root needs. What goes wrong is said by who needs it.
func (h *Handler) ahead(t *ueventd.Task, _ ueventd.Event) ueventd.Outcome {
	kinds := h.kinds()
	for _, k := range kinds {
		if do := h.early[k].do; do != nil {
			do()
		}
	}
	for _, k := range kinds {
		for _, name := range h.early[k].modules {
			if name == "nfsv4" && only3(h.w.Config) {
				continue
			}
			loadAhead(t, name)
		}
	}
	if fs := h.filesystem(); fs != "" && !slices.Contains(kinds, "nfs") && len(kinds) > 0 {
		loadAhead(t, fs)
	}
	return ueventd.Outcome{}
}

func loadAhead(t *ueventd.Task, module string) {
	ueventd.Act(t, "load "+module+" ahead", func(m machine.Machine) error { return m.Load(module) })
}

// kinds are those of the roots that the command line names.
func (h *Handler) kinds() (list []string) {
	add := func(kind string) {
		if kind == "nfs4" {
			kind = "nfs"
		}
		if _, ok := h.early[kind]; ok && !slices.Contains(list, kind) {
			list = append(list, kind)
		}
	}
	c := h.w.Config
	add(c.Root.Device.Scheme) // SERVER:/PATH is of NFS too
	leased := false
	for _, p := range c.Params {
		switch name := strings.ReplaceAll(p.Name, "-", "_"); name {
		case "root", "netroot":
			scheme, _, _ := strings.Cut(p.Value, ":")
			add(strings.TrimPrefix(scheme, "/dev/"))
			leased = leased || strings.HasPrefix(scheme, "dhcp")
		case "nbdroot":
			add("nbd")
		case "nfsroot":
			add("nfs")
		case "sshfsroot":
			add("sshfs")
		case "boot":
			if p.Value == "nfs" {
				add("nfs")
			}
		default:
			if strings.HasPrefix(name, "rd.iscsi.target") || strings.HasPrefix(name, "iscsi_target") || strings.HasPrefix(name, "rd.iscsi.firmware") {
				add("iscsi")
			}
		}
	}
	if len(list) == 0 && leased {
		for kind := range h.early {
			if h.w.Image.Has(kind) {
				add(kind)
			}
		}
		if len(list) > 1 {
			return nil
		}
	}
	return list
}

// filesystem is the driver of the one filesystem that the image is for, "" where
// it is for several.
func (h *Handler) filesystem() (only string) {
	for _, fs := range [...]string{"ext4", "xfs", "btrfs", "f2fs"} {
		if h.w.Image.Has(fs) {
			if only != "" {
				return ""
			}
			only = fs
		}
	}
	return only
}

// only3 says whether the command line asks for version 3 of NFS.
func only3(c *bootcmd.Config) bool {
	for _, p := range c.Params {
		switch p.Name {
		case "root", "netroot", "nfsroot", "rootflags":
			if strings.Contains(p.Value, "vers=3") || strings.Contains(p.Value, ",v3") || strings.Contains(p.Value, ":v3") {
				return true
			}
		}
	}
	return false
}
