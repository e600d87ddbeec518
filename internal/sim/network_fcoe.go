package sim

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// FCoE is who has disks of Fibre Channel over Ethernet, on the wire of all cards that
// are not apart.
type FCoE struct {
	Disks []*Disk
	// Mode is how they are reached: "create" by a switch, "create_vn2vn" without.
	Mode string

	on []string // links that are adapters
}

// writeFCoE is what the kernel's driver does with a link that it is told of.
func (m *Machine) writeFCoE(p, value string) (bool, error) {
	mode, ok := strings.CutPrefix(p, "/module/libfcoe/parameters/")
	if !ok || m.Network == nil || m.Network.FCoE == nil {
		return false, nil
	}
	f := m.Network.FCoE
	for _, c := range m.Network.Cards {
		if c.Name != value {
			continue
		}
		if slices.Contains(f.on, value) {
			return true, unix.EEXIST
		}
		f.on = append(f.on, value)
		if c.Apart || mode != f.Mode {
			return true, nil // nobody answers
		}
		m.At(m.now+webWire, func() {
			for i, d := range f.Disks {
				if name := fmt.Sprintf("sd%c", 'a'+i); m.disks["/dev/"+name] == nil {
					d := *d
					d.Name, d.major, d.minor, d.devpath = name, 8, 16*i, fmt.Sprintf("/devices/virtual/net/%s/ctlr_0/host0/rport-0:0-%d/target0:0:0/0:0:0:%d/block/%s", value, i, i, name)
					m.plugged(&d)
				}
			}
		})
		return true, nil
	}
	return true, fmt.Errorf("write %q to %s: %w", value, p, unix.ENODEV)
}
