// Package fcoe reads what the command line says of Fibre Channel over Ethernet, in
// dracut's spelling: fcoe=LINK:dcb|nodcb[:fabric|vn2vn]. It is pure.
package fcoe

import (
	"errors"
	"strings"
)

// Instance is a link that is to be an adapter of Fibre Channel.
type Instance struct {
	// Link is its name, or MAC its hardware address, in lower case with colons.
	Link, MAC string
	// DCB: an lldpad is to agree with the switch on priorities. No image has one.
	DCB bool
	// VN2VN: those at the other end are reached without a Fibre Channel switch.
	VN2VN bool
}

// String names the link.
func (i Instance) String() string {
	if i.MAC != "" {
		return i.MAC
	}
	return i.Link
}

// Mode is the kernel's name for how its peers are found.
func (i Instance) Mode() string {
	if i.VN2VN {
		return "vn2vn"
	}
	return "fabric"
}

// Parameter is the kernel's attribute, below /sys, that the link's name is written to
// (drivers/scsi/fcoe/fcoe_transport.c).
func (i Instance) Parameter() string {
	if i.VN2VN {
		return "/module/libfcoe/parameters/create_vn2vn"
	}
	return "/module/libfcoe/parameters/create"
}

func errForm() error { return errors.New("not fcoe=LINK:nodcb, or fcoe=LINK:nodcb:vn2vn") }

func errFirmware() error {
	return errors.New("which link the firmware has used is not looked up: name it, fcoe=LINK:nodcb")
}

// maxName is IFNAMSIZ without the end.
const maxName = 15

// Parse reads the value of fcoe=.
func Parse(value string) (i Instance, err error) {
	rest := value
	cut := func(suffix string) bool {
		if s, ok := strings.CutSuffix(rest, ":"+suffix); ok {
			rest = s
			return true
		}
		return false
	}
	if i.VN2VN = cut("vn2vn"); !i.VN2VN {
		cut("fabric")
	}
	if i.DCB = cut("dcb"); !i.DCB {
		cut("nodcb")
	}
	switch {
	case rest == "edd":
		return Instance{}, errFirmware()
	case strings.Count(rest, ":") == 5 && len(rest) == 17:
		i.MAC = strings.ToLower(rest)
		for n := range len(i.MAC) {
			c := i.MAC[n]
			if (n%3 == 2) != (c == ':') || n%3 != 2 && !strings.Contains("0123456789abcdef", string(c)) {
				return Instance{}, errForm()
			}
		}
		return i, nil
	case rest == "" || len(rest) > maxName || strings.ContainsAny(rest, ":/ \t\n\x00") || rest == "." || rest == "..":
		return Instance{}, errForm()
	}
	i.Link = rest
	return i, nil
}
