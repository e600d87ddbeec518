package trial

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Disk is one disk of the machine.
type Disk struct {
	File   string // an image, or a block device
	Bus    string // one of Buses
	Format string // "raw" or "qcow2"
	Device bool   // it is a block device
}

// Buses are the ways in which a disk can be connected.
var Buses = [...]string{"virtio-blk", "virtio-scsi", "nvme", "ahci", "usb"}

// journalPort is where the guest writes its journal: the second serial port,
// for which every kernel has the driver built in, and an image needs nothing.
const journalPort = "/dev/ttyS1"

// Args are QEMU's arguments. The sockets that it connects to are in dir; the
// open files of the disks are its descriptors from 3 on.
func Args(o Options, dir string) []string {
	cpu := "max"
	if o.Accel == "kvm" {
		cpu = "host"
	}
	words := []string{"console=ttyS0", "panic=-1", "rd.firstlight.journal=" + journalPort}
	if o.Test {
		words = append(words, "rd.shell=0", "rd.emergency=poweroff")
	}
	a := []string{"-machine", "q35", "-accel", o.Accel, "-cpu", cpu, "-smp", strconv.Itoa(o.CPUs), "-m", strconv.Itoa(o.Memory),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", o.Kernel, "-initrd", o.Image, "-append", strings.Join(append(words, o.Append...), " ")}
	switch {
	case o.Keyboard:
		a = append(a, "-serial", "mon:stdio")
	default:
		a = append(a, "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console")
	}
	a = append(a, "-chardev", "socket,id=journal,path="+commas(dir)+"/journal", "-serial", "chardev:journal",
		"-chardev", "socket,id=monitor,path="+commas(dir)+"/monitor", "-mon", "chardev=monitor,mode=control")
	made := map[string]bool{}
	onSATA := 0
	for i, d := range o.Disks {
		id := "disk" + strconv.Itoa(i)
		// The descriptor is open for reading only. snapshot=on: what the
		// guest writes goes to a temporary file.
		driver := "file"
		if d.Device {
			driver = "host_device"
		}
		a = append(a, "-add-fd", fmt.Sprintf("fd=%d,set=%d", i+3, i),
			"-drive", fmt.Sprintf("if=none,id=%s,snapshot=on,cache=unsafe,driver=%s,file.driver=%s,file.locking=off,file.filename=/dev/fdset/%d", id, d.Format, driver, i))
		switch d.Bus {
		case "virtio-scsi":
			if !made[d.Bus] {
				a = append(a, "-device", "virtio-scsi-pci,id=scsi")
			}
			a = append(a, "-device", "scsi-hd,bus=scsi.0,drive="+id+",serial="+id)
		case "usb":
			if !made[d.Bus] {
				a = append(a, "-device", "qemu-xhci,id=usb")
			}
			a = append(a, "-device", "usb-storage,bus=usb.0,drive="+id+",serial="+id)
		case "nvme":
			a = append(a, "-device", "nvme,drive="+id+",serial="+id)
		case "ahci":
			a = append(a, "-device", fmt.Sprintf("ide-hd,bus=ide.%d,drive=%s,serial=%[2]s", onSATA, id))
			onSATA++
		default:
			a = append(a, "-device", "virtio-blk-pci,drive="+id+",serial="+id)
		}
		made[d.Bus] = true
	}
	return a
}

// commas doubles them, as QEMU wants it in the value of an option.
func commas(s string) string { return strings.ReplaceAll(s, ",", ",,") }

// OpenDisk looks at an image or a block device. Only what begins as a qcow2
// does is taken for one: a guest may have written anything else.
func OpenDisk(name, bus string) (Disk, error) {
	f, err := os.Open(name)
	if err != nil {
		return Disk{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Disk{}, err
	}
	d := Disk{File: name, Bus: bus, Format: "raw"}
	switch {
	case st.Mode()&os.ModeDevice != 0 && st.Mode()&os.ModeCharDevice == 0:
		d.Device = true
	case !st.Mode().IsRegular():
		return Disk{}, fmt.Errorf("%s is neither a file nor a block device", name)
	}
	var magic [4]byte
	if _, err := f.ReadAt(magic[:], 0); err == nil && string(magic[:]) == "QFI\xfb" && !d.Device {
		d.Format = "qcow2"
	}
	return d, nil
}
