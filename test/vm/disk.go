package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"firstlight/test/host"
)

// Bus is how a disk is connected to the machine.
type Bus string

// The buses that a disk can be on.
const (
	VirtioBlk  Bus = "virtio-blk"  // /dev/vdX
	VirtioSCSI Bus = "virtio-scsi" // /dev/sdX
	NVMe       Bus = "nvme"        // /dev/nvmeXn1
	AHCI       Bus = "ahci"        // /dev/sdX
	USB        Bus = "usb"         // /dev/sdX
)

// Disk is one disk of a machine.
type Disk struct {
	File string // an image: raw, or qcow2 if its name ends so
	Bus  Bus    // "" is VirtioBlk
	// Serial is the serial number that the guest sees. At most 20 bytes.
	Serial   string
	ReadOnly bool
	// Removable disks stand where they can be unplugged. Detached implies it.
	Removable bool
	// Unreadable sectors, of 512 bytes, answer with an error when they are read.
	Unreadable []Sectors
	// Boots is of the disk that the firmware starts a boot loader from.
	Boots bool
	// Detached disks are known to QEMU but not plugged in: VM.Attach does it.
	Detached bool
	// WWN is what a disk on VirtioSCSI or NVMe says it is in the world, 0 for
	// nothing; a disk that has one can be reached on two ways.
	WWN uint64
	// Second makes this no disk but another way to one.
	Second *Second
}

// Second is another way to a disk, on a controller of its own.
type Second struct {
	Of     int    // the disk's place in the list
	Serial string // the disk's, for the guest
	Fails  bool   // every read on this way is an error
}

// Sectors are those from First to Last.
type Sectors struct{ First, Last int64 }

// faults is a node that answers with errors above node.
func faults(node map[string]any, bad []Sectors) map[string]any {
	var rules []any
	for _, b := range bad {
		for s := b.First; s <= b.Last; s++ {
			rules = append(rules, map[string]any{"event": "none", "iotype": "read", "errno": 5, "sector": s})
		}
	}
	above := map[string]any{"driver": "blkdebug", "node-name": node["node-name"], "read-only": node["read-only"], "image": node, "inject-error": rules}
	delete(node, "node-name")
	return above
}

// port says whether the disk is a PCI device that needs a root port of its
// own, since PCI Express allows hot-plug only behind one.
func (d Disk) port() bool {
	return (d.Detached || d.Removable) && (d.Bus == VirtioBlk || d.Bus == NVMe || d.Bus == "")
}

func deviceID(i int) string { return fmt.Sprintf("disk%d", i) }
func nodeName(i int) string { return fmt.Sprintf("node%d", i) }

// subsystem is the NVM subsystem of disk i, whose controllers are its paths.
func subsystem(i int) string { return fmt.Sprintf("subsystem%d", i) }

// namespace is what both controllers of a disk on NVMe have.
func (d Disk) namespace(i int) map[string]any {
	return map[string]any{"driver": "nvme-ns", "drive": nodeName(i), "bus": deviceID(i), "nsid": 1, "eui64": d.WWN, "shared": true,
		"uuid": "00000000-0000-0000-0000-000000000000"}
}

// device is the description of the guest's device for disk i, for -device and
// for device_add alike.
func (d Disk) device(i int) map[string]any {
	dev := map[string]any{"id": deviceID(i), "drive": nodeName(i)}
	if d.Serial != "" {
		dev["serial"] = d.Serial
	}
	if d.Boots {
		dev["bootindex"] = 1
	}
	if d.port() {
		dev["bus"] = fmt.Sprintf("port%d", i)
	}
	switch d.Bus {
	case VirtioBlk, "":
		dev["driver"] = "virtio-blk-pci"
	case VirtioSCSI:
		dev["driver"], dev["bus"] = "scsi-hd", "scsi0.0"
		dev["scsi-id"], dev["lun"] = 0, i
		if d.WWN != 0 {
			dev["wwn"], dev["share-rw"] = d.WWN, true
		}
		if s := d.Second; s != nil {
			dev["bus"], dev["lun"], dev["serial"] = "scsi1.0", s.Of, s.Serial
			if !s.Fails {
				dev["drive"] = nodeName(s.Of)
			}
		}
	case NVMe:
		dev["driver"] = "nvme"
		if d.Serial == "" {
			dev["serial"] = deviceID(i) // nvme insists on one
		}
		if d.WWN != 0 { // its namespace is a device of its own
			delete(dev, "drive")
			dev["subsys"] = subsystem(i)
		}
		if s := d.Second; s != nil {
			dev["serial"], dev["subsys"] = s.Serial, subsystem(s.Of)
		}
	case AHCI:
		dev["driver"], dev["bus"] = "ide-hd", fmt.Sprintf("ide.%d", i)
	case USB:
		dev["driver"], dev["bus"] = "usb-storage", "usb0.0"
	}
	return dev
}

// diskArgs is the part of QEMU's command line that describes the disks.
func diskArgs(disks []Disk) []string {
	var a []string
	controllers := map[Bus]bool{}
	for i, d := range disks {
		node := map[string]any{"driver": "raw", "node-name": nodeName(i), "read-only": d.ReadOnly,
			"file": map[string]any{"driver": "file", "filename": d.File, "locking": "off"}}
		if strings.HasSuffix(d.File, ".qcow2") {
			node["driver"] = "qcow2"
		}
		// Nothing that a test writes has to survive the host.
		node["cache"] = map[string]any{"no-flush": true}
		if s := d.Second; s != nil {
			node = map[string]any{"driver": "blkdebug", "node-name": nodeName(i), "image": nodeName(s.Of),
				"inject-error": []any{map[string]any{"event": "none", "iotype": "read", "errno": 5}}}
		}
		if len(d.Unreadable) > 0 {
			node = faults(node, d.Unreadable)
		}
		if d.Second == nil || d.Second.Fails {
			a = append(a, "-blockdev", compact(node))
		}
		if d.port() {
			a = append(a, "-device", fmt.Sprintf("pcie-root-port,id=port%d,chassis=%d", i, i+1))
		}
		switch d.Bus {
		case VirtioSCSI:
			if !controllers[d.Bus] {
				a = append(a, "-device", "virtio-scsi-pci,id=scsi0")
				if slices.ContainsFunc(disks, func(d Disk) bool { return d.Second != nil }) {
					a = append(a, "-device", "virtio-scsi-pci,id=scsi1")
				}
			}
		case USB:
			if !controllers[d.Bus] {
				a = append(a, "-device", "qemu-xhci,id=usb0")
			}
		}
		controllers[d.Bus] = true
		shared := d.Bus == NVMe && d.WWN != 0 && d.Second == nil
		if shared {
			a = append(a, "-device", "nvme-subsys,id="+subsystem(i)+",nqn="+subsystem(i))
		}
		if !d.Detached {
			a = append(a, "-device", compact(d.device(i)))
		}
		if shared {
			a = append(a, "-device", compact(d.namespace(i)))
		}
	}
	return a
}

func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of strings and numbers always marshal
	}
	return string(b)
}

// Overlay makes a qcow2 file that starts as a copy of a raw image and takes
// the writes that are meant for it.
func Overlay(ctx context.Context, base, overlay string) error {
	if err := os.Remove(overlay); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("overlay of %s: %w", base, err)
	}
	_, err := host.Run(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", overlay)
	return err
}

// Same says whether an overlay still reads like its raw base image.
func Same(ctx context.Context, base, overlay string) (bool, error) {
	_, err := host.Run(ctx, "qemu-img", "compare", "-f", "raw", "-F", "qcow2", base, overlay)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return false, nil
	}
	return err == nil, err
}
