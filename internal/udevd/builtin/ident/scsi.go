package ident

import (
	"strconv"
	"strings"

	"firstlight/internal/device"
	"firstlight/internal/fmt"
	"firstlight/internal/udevd/escape"
	"firstlight/internal/udevd/sysdev"
)

// Vital product data pages (SPC-4, 7.8).
const (
	pageList   = 0x00
	pageSerial = 0x80
	pageID     = 0x83
)

// maxPage bounds one page, in bytes: what INQUIRY with a length of one byte
// can give.
const maxPage = 255

// disk reads pages of one SCSI device.
type disk struct {
	unit *device.Device
	node string
	q    Querier
}

// page returns a page with its header of four bytes, cut to the length that
// this states; nil if the device has none. sysfs shows those that the kernel
// has read.
func (d *disk) page(n byte) []byte {
	text, err := d.unit.Sys().Read(d.unit.Devpath() + "/vpd_pg" + strconv.FormatUint(uint64(n), 16))
	if n == pageList && err != nil {
		text, err = d.unit.Sys().Read(d.unit.Devpath() + "/vpd_pg00")
	}
	raw := []byte(text)
	if err != nil {
		if d.q == nil {
			return nil
		}
		if raw, err = d.q.Inquiry(d.node, true, n); err != nil {
			return nil
		}
	}
	if len(raw) < 4 || raw[1] != n {
		return nil
	}
	size := min(4+int(raw[2])<<8+int(raw[3]), maxPage)
	// Reading an attribute takes line ends off its end; within a page they
	// are bytes like any other.
	for len(raw) < size {
		raw = append(raw, '\n')
	}
	return raw[:size]
}

// SCSIID sets the identity of a SCSI disk: ID_SCSI, ID_SERIAL, ID_MODEL,
// ID_WWN … as scsi_id does. The kernel shows nearly all of it; q is asked for
// the rest (nil: nobody is).
func SCSIID(dev *device.Device, q Querier) error {
	unit := dev
	if unit.Subsystem() != "scsi" {
		unit = sysdev.Parent(dev, "scsi", "scsi_device")
	}
	d := &disk{unit: unit, node: dev.Devname(), q: q}
	if unit == nil {
		d.unit = dev // a RAID controller of its own kind: only q can answer
	}
	vendor, model, revision, kind, ok := d.standard()
	if !ok {
		return fmt.Errorf("scsi_id: %s: %w", dev.Devpath(), ErrNothing)
	}
	put := func(key, value string) { set(dev, "ID_"+key, value) }
	put("SCSI", "1")
	put("VENDOR", clean(vendor, 8))
	put("VENDOR_ENC", escape.Encode(limit(vendor, 8)))
	put("MODEL", clean(model, 16))
	put("MODEL_ENC", escape.Encode(limit(model, 16)))
	put("REVISION", clean(revision, 4))
	put("TYPE", scsiType(kind))

	var id scsiIdentity
	if d.supports(pageID) {
		id.unitSerial = string(after(d.page(pageSerial)))
		id.page83(d.page(pageID), vendor, model)
	}
	if id.serial == "" && d.supports(pageSerial) {
		if p := d.page(pageSerial); p != nil {
			id.short = limit(string(after(p)), maxPage)
			id.serial = "S" + vendor + model + id.short
		}
	}
	put("SERIAL", clean(id.serial, maxPage))
	put("SERIAL_SHORT", clean(id.short, maxPage))
	if id.wwn != "" {
		put("WWN", "0x"+id.wwn)
		if id.extension != "" {
			put("WWN_VENDOR_EXTENSION", "0x"+id.extension)
		}
		put("WWN_WITH_EXTENSION", "0x"+id.wwn+id.extension)
	}
	put("TARGET_PORT", id.group)
	put("SCSI_SERIAL", strings.TrimFunc(limit(id.unitSerial, maxPage), func(r rune) bool { return r < 0x80 && escape.Space(byte(r)) }))
	return nil
}

func after(page []byte) []byte {
	if len(page) < 4 {
		return nil
	}
	return page[4:]
}

// standard gives the standard INQUIRY data: vendor of 8, model of 16 and
// revision of 4 bytes, padded with spaces as the device sends them, and the
// peripheral device type.
func (d *disk) standard() (vendor, model, revision string, kind int, ok bool) {
	raw, err := d.unit.Sys().Read(d.unit.Devpath() + "/inquiry")
	if err != nil && d.q != nil {
		var b []byte
		b, err = d.q.Inquiry(d.node, false, 0)
		raw = string(b)
	}
	if err == nil && len(raw) >= 36 {
		return raw[8:16], raw[16:32], raw[32:36], int(raw[0] & 0x1f), true
	}
	vendor, ok1 := d.unit.Attr("vendor")
	model, ok2 := d.unit.Attr("model")
	revision, _ = d.unit.Attr("rev")
	text, _ := d.unit.Attr("type")
	kind, err = strconv.Atoi(text)
	if err != nil {
		kind = 0x1f // unknown
	}
	return pad(vendor, 8), pad(model, 16), pad(revision, 4), kind, ok1 && ok2
}

func pad(s string, size int) string {
	if len(s) > size {
		return s[:size]
	}
	return s + strings.Repeat(" ", size-len(s))
}

// supports says whether the device has a page: the kernel has read it, or
// the list of pages names it.
func (d *disk) supports(n byte) bool {
	if d.unit.Sys().Exists(d.unit.Devpath() + "/vpd_pg" + strconv.FormatUint(uint64(n), 16)) {
		return true
	}
	for _, p := range after(d.page(pageList)) {
		if p == n {
			return true
		}
	}
	return false
}

// scsiIdentity is what page 0x83 says.
type scsiIdentity struct {
	serial, short string
	wwn           string // 16 hexadecimal digits, or fewer
	extension     string
	group         string // of target ports, hexadecimal
	unitSerial    string
}

// Types of designators and their code sets (SPC-4, 7.8.6).
const (
	idVendor = 0
	idT10    = 1
	idEUI    = 2
	idNAA    = 3
	idGroup  = 5
	binary83 = 1
	ascii83  = 2
	anyNAA   = -1
)

// preferred is the order in which designators are looked for: what names the
// unit all over the world first. Of NAA the extended form comes before the
// plain one, and any other after both.
var preferred = [...]struct{ kind, naa, code int }{
	{idNAA, 6, binary83}, {idNAA, 6, ascii83},
	{idNAA, 5, binary83}, {idNAA, 5, ascii83},
	{idNAA, anyNAA, binary83}, {idNAA, anyNAA, ascii83},
	{idEUI, anyNAA, binary83}, {idEUI, anyNAA, ascii83},
	{idT10, anyNAA, binary83}, {idT10, anyNAA, ascii83},
	{idVendor, anyNAA, binary83}, {idVendor, anyNAA, ascii83},
}

// page83 takes the identity from page 0x83.
func (id *scsiIdentity) page83(page []byte, vendor, model string) {
	if len(page) < 8 {
		return
	}
	if page[6] != 0 {
		// Old disks give their name in the form of SCSI-2: no designators,
		// the bytes of the name itself.
		id.serial = hexOf([]byte{idNAA})[1:] + hexOf(page[4:])
		id.short = id.serial
		return
	}
	for d := page[4:]; len(d) >= 4 && len(d) >= 4+int(d[3]); d = d[4+int(d[3]):] {
		// The group of ports that the unit was reached by.
		if d[1]&0x0f == idGroup && d[0]&0x0f == binary83 && d[3] >= 4 && (d[1]&0x30 == 0x10 || d[1]&0x30 == 0) {
			id.group = strconv.FormatUint(uint64(d[6])<<8|uint64(d[7]), 16)
		}
	}
	for _, want := range preferred {
		for d := page[4:]; len(d) >= 4 && len(d) >= 4+int(d[3]); d = d[4+int(d[3]):] {
			value := d[4 : 4+int(d[3])]
			switch {
			case d[1]&0x30 != 0, int(d[1]&0x0f) != want.kind, int(d[0]&0x0f) != want.code:
				continue
			case want.naa != anyNAA && (len(value) == 0 || int(value[0]>>4) != want.naa):
				continue
			}
			text := hexOf(value)
			if want.code == ascii83 {
				text = limit(string(value), maxPage)
			}
			id.serial = strconv.Itoa(want.kind)
			if want.kind == idVendor {
				id.serial += vendor + model
			}
			id.serial += text
			id.short = text
			if want.kind == idNAA {
				id.wwn, id.extension = text, ""
				if len(text) > 16 {
					id.wwn, id.extension = text[:16], text[16:min(len(text), 32)]
				}
			}
			return
		}
	}
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	s := make([]byte, 0, 2*len(b))
	for _, c := range b {
		s = append(s, digits[c>>4], digits[c&15])
	}
	return string(s)
}
