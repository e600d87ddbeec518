package ident

import (
	"strconv"
	"strings"

	"firstlight/internal/device"
	"firstlight/internal/udevd/sysdev"
)

// scsi adds the address of a SCSI device. Its transport has no subsystem of
// its own; the names of the directories above tell.
func (w *where) scsi(p *device.Device) *device.Device {
	if p.Devtype() != "scsi_device" {
		return p
	}
	if id, ok := p.Attr("ieee1394_id"); ok {
		w.add("ieee1394-0x%s", id)
		w.parent = true
		return skip(p)
	}
	switch path := p.Devpath(); {
	case strings.Contains(path, "/rport-"):
		w.parent = true
		return w.fibreChannel(p)
	case strings.Contains(path, "/end_device-"):
		w.parent = true
		return w.sas(p)
	case strings.Contains(path, "/session"):
		w.parent = true
		return w.iscsi(p)
	case strings.Contains(path, "/ata"):
		return w.ata(p)
	case strings.Contains(path, "/vmbus_"):
		return w.hyperv(p, 37)
	case strings.Contains(path, "/VMBUS"):
		return w.hyperv(p, 38)
	}
	return w.host(p)
}

// lun writes the logical unit number as the kernel's: plain up to 255, else
// as the 64 bits that go over the wire (SAM-5, 4.7).
func lun(p *device.Device) string {
	n, err := strconv.ParseUint(p.Sysnum(), 10, 64)
	if err != nil {
		return ""
	}
	if n < 256 {
		return "lun-" + strconv.FormatUint(n, 10)
	}
	return "lun-0x" + hex4(n) + hex4(n>>16) + "00000000"
}

func hex4(n uint64) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[n>>12&15], digits[n>>8&15], digits[n>>4&15], digits[n&15]})
}

// attrOf reads an attribute of the transport's object called like above.
func attrOf(at *device.Device, class, attr string) (string, bool) {
	if at == nil {
		return "", false
	}
	d := sysdev.Open(at.Sys(), class, at.Sysname())
	if d == nil {
		return "", false
	}
	return d.Attr(attr)
}

func (w *where) fibreChannel(p *device.Device) *device.Device {
	target := sysdev.Parent(p, "scsi", "scsi_target")
	port, ok := attrOf(target, "fc_transport", "port_name")
	if !ok {
		return nil
	}
	w.add("fc-%s-%s", port, lun(p))
	return p
}

// sas names a disk by the port of the host or expander that it is plugged
// into; by its own address if several of these lead to it.
func (w *where) sas(p *device.Device) *device.Device {
	target := sysdev.Parent(p, "scsi", "scsi_target")
	if target == nil {
		return nil
	}
	end := target.Parent()
	if end == nil || sysdev.Open(p.Sys(), "sas_device", end.Sysname()) == nil {
		return nil
	}
	port := end.Parent()
	phys, ok := attrOf(port, "sas_port", "num_phys")
	if !ok {
		return nil
	}
	if phys != "1" {
		address, ok := attrOf(end, "sas_device", "sas_address")
		if !ok {
			return nil
		}
		w.add("sas-%s-%s", address, lun(p))
		return p
	}
	phy, ok := attrOf(end, "sas_device", "phy_identifier")
	above := port.Parent()
	if !ok || above == nil {
		return nil
	}
	if d := sysdev.Open(p.Sys(), "sas_device", above.Sysname()); d != nil {
		address, ok := d.Attr("sas_address")
		if !ok {
			return nil
		}
		w.add("sas-exp%s-phy%s-%s", address, phy, lun(p))
		return p
	}
	w.add("sas-phy%s-%s", phy, lun(p))
	return p
}

func (w *where) iscsi(p *device.Device) *device.Device {
	session := p.Parent()
	for session != nil && !strings.HasPrefix(session.Sysname(), "session") {
		session = session.Parent()
	}
	name, ok := attrOf(session, "iscsi_session", "targetname")
	if !ok {
		return nil
	}
	conn := sysdev.Open(p.Sys(), "iscsi_connection", "connection"+session.Sysnum()+":0")
	if conn == nil {
		return nil
	}
	address, ok1 := conn.Attr("persistent_address")
	port, ok2 := conn.Attr("persistent_port")
	if !ok1 || !ok2 {
		return nil
	}
	w.add("ip-%s:%s-iscsi-%s-%s", address, port, name, lun(p))
	return p
}

// ata names a disk by its port. Behind a port multiplier the channel tells
// the disks apart, on a cable with two drives the target.
func (w *where) ata(p *device.Device) *device.Device {
	host := sysdev.Parent(p, "scsi", "scsi_host")
	if host == nil {
		return nil
	}
	port, ok := attrOf(host.Parent(), "ata_port", "port_no")
	at, ok2 := hctl(p.Sysname())
	if !ok || !ok2 {
		return nil
	}
	w.compat = prepend(w.compat, "ata-"+port)
	if at[1] != 0 {
		w.add("ata-%s.%d.0", port, at[1])
	} else {
		w.add("ata-%s.%d", port, at[2])
	}
	return p
}

func (w *where) hyperv(p *device.Device, size int) *device.Device {
	host := sysdev.Parent(p, "scsi", "scsi_host")
	if host == nil || host.Parent() == nil {
		return nil
	}
	guid, ok := host.Parent().Attr("device_id")
	if !ok || len(guid) < size || guid[0] != '{' || guid[size-1] != '}' {
		return nil
	}
	w.add("vmbus-%s-%s", strings.ReplaceAll(guid[1:size-1], "-", ""), lun(p))
	return p
}

// host names a device by its SCSI address, with the host counted from the
// first one of its adapter: the kernel's own number depends on the order in
// which adapters were found.
func (w *where) host(p *device.Device) *device.Device {
	host := sysdev.Parent(p, "scsi", "scsi_host")
	at, ok := hctl(p.Sysname())
	if host == nil || !ok {
		return nil
	}
	dir := host.Devpath()[:strings.LastIndexByte(host.Devpath(), '/')]
	names, err := p.Sys().List(dir)
	if err != nil {
		return nil
	}
	first := -1
	for _, n := range names {
		number, ok := strings.CutPrefix(n, "host")
		if !ok {
			continue
		}
		if v, err := strconv.ParseUint(number, 10, 31); err == nil && (first < 0 || int(v) < first) {
			first = int(v)
		}
	}
	if first < 0 {
		return host
	}
	w.add("scsi-%d:%d:%d:%d", at[0]-first, at[1], at[2], at[3])
	return host
}
