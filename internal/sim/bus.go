package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// buses are the subsystems whose devices are found below /sys/bus; those of
// all others are members of classes.
var buses = map[string]bool{"pci": true, "virtio": true, "scsi": true, "usb": true, "platform": true, "acpi": true,
	"hid": true, "i2c": true, "serio": true, "pnp": true, "mmc": true, "cpu": true}

// Device is a device that is no disk: a controller, a port, a network card.
// What is behind it appears once its driver is there.
type Device struct {
	Name      string // the last element of its path, "0000:00:03.0"
	Subsystem string // "pci", "virtio", "net" …
	// Modalias is by what its driver is found; with "" it needs none.
	Modalias string
	// Probe is how long the driver takes to find what is behind it; 0 takes
	// from the seed, up to 50 ms.
	Probe    time.Duration
	Attrs    map[string]string // attributes, by their path below the device
	Props    map[string]string // properties of its events besides the usual ones
	Children []*Device
	Disks    []*Disk

	path   string
	there  bool
	driven bool // its driver has found what is behind it
	life   int
}

// Attach makes a device appear, below none: before Boot it is there from the
// start, with all that its driver would find if that is built in.
func (m *Machine) Attach(d *Device) {
	m.init()
	m.give(d)
	m.attach(d, rootOf(d.Subsystem))
	if !slices.Contains(m.devices, d) {
		m.devices = append(m.devices, d)
	}
}

// give notes the disks behind a device.
func (m *Machine) give(d *Device) {
	for _, c := range d.Disks {
		c.Bus = d
		if !slices.Contains(m.given, c) {
			m.given = append(m.given, c)
		}
	}
	for _, c := range d.Children {
		m.give(c)
	}
}

func rootOf(subsystem string) string {
	if subsystem == "pci" {
		return "/devices/pci0000:00"
	}
	return "/devices/platform"
}

func (m *Machine) attach(d *Device, under string) {
	if d.Subsystem == "net" || d.Subsystem == "nvme" || d.Subsystem == "input" || d.Subsystem == "scsi_host" || d.Subsystem == "tpm" {
		under += "/" + d.Subsystem
	}
	d.path, d.there = under+"/"+d.Name, true
	text := ""
	for _, k := range sortedKeys(d.Props) {
		text += k + "=" + d.Props[k] + "\n"
	}
	if d.Modalias != "" {
		text += "MODALIAS=" + d.Modalias + "\n"
	}
	if text == "" {
		text = "SUBSYSTEM=" + d.Subsystem
	}
	dir := m.sys.device(d.path, d.Subsystem, strings.TrimSuffix(text, "\n"))
	if d.Modalias != "" {
		m.sys.put(dir, "/modalias", d.Modalias)
	}
	for _, k := range sortedKeys(d.Attrs) {
		m.sys.put(dir, "/"+k, d.Attrs[k])
	}
	m.tellDevice("add", d)
	m.drive(d)
}

// Detach makes a device go away, with everything behind it.
func (m *Machine) Detach(d *Device) {
	if !d.there {
		return
	}
	for i := len(d.Disks) - 1; i >= 0; i-- {
		m.Unplug(d.Disks[i])
	}
	for i := len(d.Children) - 1; i >= 0; i-- {
		m.Detach(d.Children[i])
	}
	d.there, d.driven = false, false
	d.life++
	m.sys.removeDevice(d.path, d.Subsystem)
	m.tellDevice("remove", d)
}

// drive lets the driver of a device begin, if it has one now.
func (m *Machine) drive(d *Device) {
	if d.driven || !m.hasDriver(d.Modalias) {
		return
	}
	if m.Core == nil {
		m.driven(d)
		return
	}
	took := d.Probe
	if took == 0 && d.Modalias != "" {
		took = time.Duration(m.rng.Int64N(int64(50 * time.Millisecond)))
	}
	if took += m.slowness(d.Name); took == 0 {
		m.driven(d)
		return
	}
	life := d.life
	m.At(m.now+took, func() {
		if d.there && !d.driven && d.life == life {
			m.driven(d)
		}
	})
}

// driven makes what is behind a device appear.
func (m *Machine) driven(d *Device) {
	d.driven = true
	if d.Modalias != "" {
		m.sys.link(d.path+"/driver", "/bus/"+d.Subsystem+"/drivers/simulated")
		m.sys.device("/bus/"+d.Subsystem+"/drivers/simulated", "drivers", "")
		m.tellDevice("bind", d)
	}
	for _, c := range d.Children {
		m.attach(c, d.path)
	}
	for _, c := range d.Disks {
		if !m.away[c] {
			m.Plug(c)
		}
	}
}

// tellDevice announces a device that is no disk.
func (m *Machine) tellDevice(action string, d *Device) {
	if m.Core == nil {
		return
	}
	props := make(map[string]string, 6+len(d.Props))
	for k, v := range d.Props {
		props[k] = v
	}
	props["ACTION"], props["DEVPATH"], props["SUBSYSTEM"] = action, d.path, d.Subsystem
	if d.Modalias != "" {
		props["MODALIAS"] = d.Modalias
	}
	m.announce(action, d.path, props)
}

// nameOnBus gives a disk on a bus its name and numbers, as its driver does.
func (m *Machine) nameOnBus(d *Disk) {
	b := d.Bus
	below := "/block/"
	switch b.Subsystem {
	case "virtio":
		d.major, d.minor = 254, 16*m.slot("vd", d)
		if d.Name == "" {
			d.Name = "vd" + letters(d.minor/16)
		}
	case "nvme":
		below = "/"
		d.major, d.minor = 259, 64*m.slot("nvme", d)
		if d.Name == "" {
			d.Name = b.Name + "n1"
		}
	default:
		d.major, d.minor = 8, 16*m.slot("sd", d)
		if d.Name == "" {
			d.Name = "sd" + letters(d.minor/16)
		}
	}
	d.devpath = b.path + below + d.Name
}

// slot is the lowest number that no disk of a driver has now.
func (m *Machine) slot(kind string, d *Disk) int {
	used := m.slots[kind]
	for i := range used {
		if used[i] == nil || used[i] == d {
			used[i] = d
			return i
		}
	}
	m.slots[kind] = append(used, d)
	return len(used)
}

// free gives the number of a disk back.
func (m *Machine) free(d *Disk) {
	for _, kind := range [...]string{"vd", "nvme", "sd"} {
		for i, other := range m.slots[kind] {
			if other == d {
				m.slots[kind][i] = nil
			}
		}
	}
}

// The usual ways in which a disk is attached. slot tells devices of one kind
// apart.

// Virtio attaches disks to virtio-blk, one behind each PCI device.
func Virtio(slot int, d *Disk) *Device {
	return pci(slot, "pci:v00001AF4d00001042sv00001AF4sd00001100bc01sc00i00", &Device{Name: "virtio" + strconv.Itoa(slot), Subsystem: "virtio",
		Modalias: "virtio:d00000002v00001AF4", Disks: []*Disk{d}})
}

// NVMe attaches a disk to an NVMe controller.
func NVMe(slot int, d *Disk) *Device {
	return pci(slot, "pci:v0000144Dd0000A808sv0000144Dsd0000A801bc01sc08i02", &Device{Name: "nvme" + strconv.Itoa(slot), Subsystem: "nvme",
		Disks: []*Disk{d}, Attrs: map[string]string{"serial": fmt.Sprintf("S%011d", slot), "model": "Simulated NVMe"}})
}

// SATA attaches disks to the ports of one AHCI controller.
func SATA(slot int, disks ...*Disk) *Device {
	c := pci(slot, "pci:v00008086d0000A102sv00008086sd00007270bc01sc06i01")
	for i, d := range disks {
		c.Children = append(c.Children, scsi(fmt.Sprintf("ata%d", slot*8+i+1), slot*8+i, d))
	}
	return c
}

// VirtioSCSI attaches disks to a virtio SCSI controller.
func VirtioSCSI(slot int, disks ...*Disk) *Device {
	v := &Device{Name: "virtio" + strconv.Itoa(slot), Subsystem: "virtio", Modalias: "virtio:d00000008v00001AF4"}
	for i, d := range disks {
		v.Children = append(v.Children, scsi(fmt.Sprintf("port%d", i), slot*8+i, d))
	}
	return pci(slot, "pci:v00001AF4d00001048sv00001AF4sd00001100bc01sc00i00", v)
}

// USB attaches a disk to a port of a USB controller.
func USB(slot int, d *Disk) *Device {
	bus := strconv.Itoa(slot + 1)
	port := &Device{Name: bus + "-1", Subsystem: "usb", Modalias: "usb:v0781p5583d0100dc00dsc00dp00ic08isc06ip50in00",
		Props:    map[string]string{"DEVTYPE": "usb_interface", "INTERFACE": "8/6/80"},
		Children: []*Device{scsi("host"+strconv.Itoa(100+slot), 100+slot, d)}}
	hub := &Device{Name: "usb" + bus, Subsystem: "usb", Props: map[string]string{"DEVTYPE": "usb_device"}, Children: []*Device{port}}
	return pci(slot, "pci:v00008086d0000A12Fsv00008086sd00007270bc0Csc03i30", hub)
}

// NIC is a network card with its link.
func NIC(slot int) *Device {
	return pci(slot, "pci:v00001AF4d00001041sv00001AF4sd00001100bc02sc00i00", &Device{Name: "virtio" + strconv.Itoa(slot), Subsystem: "virtio",
		Modalias: "virtio:d00000001v00001AF4", Children: []*Device{{Name: "eth" + strconv.Itoa(slot), Subsystem: "net",
			Props: map[string]string{"INTERFACE": "eth" + strconv.Itoa(slot), "IFINDEX": strconv.Itoa(slot + 2)},
			Attrs: map[string]string{"address": fmt.Sprintf("52:54:00:00:00:%02x", slot&0xff), "operstate": "up", "carrier": "1", "type": "1"}}}})
}

// LinkChanged lets the link of a card come up or go down, if its driver is
// there: the kernel says that of a network interface by other means than its
// attributes, and tells of a change.
func (m *Machine) LinkChanged(card *Device, up bool) {
	for _, c := range card.Children {
		if c.Subsystem == "net" && c.there {
			m.sys.set(c.path+"/carrier", map[bool]string{true: "1", false: "0"}[up])
			m.tellDevice("change", c)
		}
		m.LinkChanged(c, up)
	}
}

func pci(slot int, modalias string, children ...*Device) *Device {
	return &Device{Name: fmt.Sprintf("0000:00:%02x.%x", slot>>3&0x1f, slot&7), Subsystem: "pci", Modalias: modalias, Children: children}
}

// scsi is a port with one SCSI device behind it.
func scsi(port string, host int, d *Disk) *Device {
	return &Device{Name: port, Subsystem: "scsi", Props: map[string]string{"DEVTYPE": "scsi_host"},
		Children: []*Device{{Name: fmt.Sprintf("%d:0:0:0", host), Subsystem: "scsi", Modalias: "scsi:t-0x00",
			Props: map[string]string{"DEVTYPE": "scsi_device"}, Disks: []*Disk{d},
			Attrs: map[string]string{"type": "0", "vendor": "SIM", "model": "Disk", "rev": "1.0", "scsi_level": "6"}}}}
}
