package network

import (
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
)

// wanted says whether the command line wants a root on the network, or the
// network for another reason. What exactly it says of the network the helper
// reads: only an image that has it needs to know.
func wanted(c *bootcmd.Config) (root, network bool) {
	root = onNetwork(c.Root.Device)
	for _, p := range c.Params {
		switch strings.ReplaceAll(p.Name, "-", "_") {
		case "netroot":
			root = root || p.Value != ""
		case "nfsroot":
			root = root || c.Root.Device.IsZero()
		case "boot":
			root = root || p.Value == "nfs"
		case "rd.neednet":
			network = !p.HasValue || p.Value == "1" || p.Value == "yes" || p.Value == "on" || p.Value == "true" || p.Value == "y"
		}
	}
	return root, network
}

// onNetwork says whether a root is one that a server has.
func onNetwork(d devspec.Spec) bool {
	if d.Kind != devspec.Other {
		return false
	}
	switch d.Scheme {
	case "nfs", "nfs4", "dhcp", "dhcp4", "dhcp6", "iscsi", "nbd", "nvmf", "cifs", "http", "https", "ftp", "tftp":
		return true
	case "live":
		scheme, _, ok := strings.Cut(d.Value, "://")
		return ok && onNetwork(devspec.Spec{Kind: devspec.Other, Scheme: scheme})
	}
	return false
}

// input is what the helper is told: every parameter, one a line, and that the
// network is wanted where the image is for being reached.
func (h *Handler) input() string {
	var b strings.Builder
	if h.implied {
		b.WriteString("rd.neednet=1\n")
	}
	for _, p := range h.w.Config.Params {
		if strings.Contains(p.Name+p.Value, "\n") {
			continue
		}
		b.WriteString(p.Name)
		if p.HasValue {
			b.WriteString("=" + p.Value)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
