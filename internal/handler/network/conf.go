package network

import (
	"slices"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/handler"
)

// urlOf is the image that a server has, "" for none. It is for the helper alone.
func urlOf(w *handler.World) string {
	if w.Fetch == nil {
		return ""
	}
	return w.Fetch.URL
}

// wanted says whether the command line wants a root on the network, or the
// network for another reason. What exactly it says of the network the helper
// reads: only an image that has it needs to know.
func wanted(c *bootcmd.Config) (root, network bool) {
	root = onNetwork(c.Root.Device)
	for _, p := range c.Params {
		switch strings.ReplaceAll(p.Name, "-", "_") {
		case "netroot":
			root = root || p.Value != ""
		case "rd.firstlight.ondemand":
			root = root || p.Value == "" || p.Value == "1"
		case "nbdroot":
			root = true
		case "nfsroot", "sshfsroot":
			root = root || c.Root.Device.IsZero()
		case "boot":
			root = root || p.Value == "nfs"
		case "rd.nvmf.connect", "rd.nvmf.discover", "nvmf.connect", "nvmf.discover", "nvmf_connect", "nvmf_discover":
			network = network || strings.HasPrefix(p.Value, "tcp,") || strings.HasPrefix(p.Value, "rdma,")
		case "rd.iscsi.firmware", "rd.iscsi.target.name", "iscsi_firmware", "iscsi_auto", "iscsi_target_name":
			root = root || p.Value != "0" && p.Value != "no"
		case "fcoe":
			network = network || UsesFCoE(c)
		case "netboot":
			root = root || p.Value == "nfs" || !p.HasValue
		case "rd.neednet":
			network = network || !p.HasValue || p.Value == "1" || p.Value == "yes" || p.Value == "on" || p.Value == "true" || p.Value == "y"
		}
	}
	return root, network
}

// UsesFCoE says whether links may be adapters of Fibre Channel: rd.fcoe=0 is none of
// them.
func UsesFCoE(c *bootcmd.Config) bool {
	on := true
	for _, p := range c.Params {
		switch p.Name {
		case "rd.fcoe":
			on = p.Value != "0" && p.Value != "no" && p.Value != "off" && p.Value != "false"
		case "rd.nofcoe":
			on = p.Value == "0"
		}
	}
	return on
}

// asksFirmware says whether the firmware's iSCSI table is asked for.
func asksFirmware(c *bootcmd.Config) bool {
	for _, p := range c.Params {
		switch name := strings.ReplaceAll(p.Name, "-", "_"); {
		case name == "ip" && (p.Value == "ibft" || strings.HasSuffix(p.Value, ":ibft")), name == "rd.iscsi.ibft", name == "rd.iscsi.firmware", name == "iscsi_firmware", name == "iscsi_auto",
			(name == "root" || name == "netroot") && p.Value == "iscsi":
			return true
		}
	}
	return false
}

// onNetwork says whether a root is one that a server has.
func onNetwork(d devspec.Spec) bool {
	if d.Kind != devspec.Other {
		return false
	}
	switch d.Scheme {
	case "nfs", "nfs4", "dhcp", "dhcp4", "dhcp6", "iscsi", "nbd", "nvmf", "cifs", "sshfs", "aoe", "http", "https", "ftp", "tftp":
		return true
	case "live":
		scheme, _, ok := strings.Cut(d.Value, "://")
		return ok && onNetwork(devspec.Spec{Kind: devspec.Other, Scheme: scheme})
	}
	return false
}

// Input is what the helpers are told: every parameter, one a line, and where the
// image is if a parameter says it that is none of the network's.
func Input(c *bootcmd.Config, url string) string {
	var b strings.Builder
	said := url == ""
	for _, p := range c.Params {
		said = said || (p.Name == "root" || p.Name == "netroot") && strings.HasSuffix(strings.Trim(p.Value, `"`), url) && !strings.Contains(p.Value, "oci:")
	}
	if !said {
		b.WriteString("netroot=" + url + "\n")
	}
	for _, p := range c.Params {
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

// drivers are the modules of the links that the command line wants to have made.
// The kernel would ask for them by a program that no image has.
func drivers(c *bootcmd.Config) (list []string) {
	if asksFirmware(c) {
		// The kernel shows an iBFT that is none of ACPI's tables, and its interface may
		// be in a VLAN.
		list = append(list, "iscsi_ibft", "8021q")
	}
	for _, p := range c.Params {
		module := ""
		switch p.Name {
		case "vlan":
			module = "8021q"
		case "bond", "team":
			module = "bonding"
		case "bridge":
			module = "bridge"
		}
		if module != "" && !slices.Contains(list, module) {
			list = append(list, module)
		}
	}
	return list
}
