package vm

import (
	"context"
	"fmt"
)

// NIC is one network card. What it sends goes to a datagram socket of the
// harness, frame by frame, and what comes from there it receives.
type NIC struct {
	Model string // of -device; "" is virtio-net-pci
	MAC   string
	// Local is the socket that QEMU makes, Remote the harness's, which is there
	// before the machine.
	Local, Remote string
	// NoCarrier: its cable is not plugged in when the machine starts.
	NoCarrier bool
	// Boots: the firmware starts what it fetches with this card: a BIOS by the
	// card's ROM (iPXE), UEFI by itself.
	Boots bool
}

func nicID(i int) string { return fmt.Sprintf("nic%d", i) }

func nicArgs(nics []NIC, uefi bool) []string {
	var a []string
	for i, n := range nics {
		model := n.Model
		if model == "" {
			model = "virtio-net-pci"
		}
		rom := "romfile="
		switch {
		case n.Boots && uefi:
			rom += ",bootindex=0"
		case n.Boots:
			rom = "bootindex=0"
		}
		a = append(a, "-netdev", fmt.Sprintf("dgram,id=net%d,local.type=unix,local.path=%s,remote.type=unix,remote.path=%s", i, n.Local, n.Remote),
			"-device", fmt.Sprintf("%s,id=%s,netdev=net%d,mac=%s,%s", model, nicID(i), i, n.MAC, rom))
	}
	return a
}

// SetCarrier plugs the cable of card i in or pulls it out.
func (v *VM) SetCarrier(ctx context.Context, i int, on bool) error {
	return v.QMP.Do(ctx, "set_link", map[string]any{"name": nicID(i), "up": on})
}
