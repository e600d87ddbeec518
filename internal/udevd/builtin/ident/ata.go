package ident

import (
	"encoding/binary"
	"strconv"
	"strings"

	"firstlight/internal/device"
	"firstlight/internal/fmt"
	"firstlight/internal/udevd/escape"
	"firstlight/internal/udevd/sysdev"
)

// identifySize is the size of the answer to IDENTIFY (PACKET) DEVICE, in
// bytes.
const identifySize = 512

// ATAID sets the identity of an ATA disk or optical drive: ID_BUS=ata,
// ID_SERIAL, ID_MODEL, ID_WWN and what ata_id says of its features. The
// kernel shows the identity of disks on its own ATA ports; for others, as in
// USB enclosures, q is asked (nil: nobody is).
func ATAID(dev *device.Device, q Querier) error {
	id := fromKernel(dev)
	if id == nil && q != nil {
		var err error
		if id, err = q.Identify(dev.Devname()); err != nil {
			return fmt.Errorf("ata_id: %s: %w", dev.Devpath(), err)
		}
	}
	if id == nil {
		return fmt.Errorf("ata_id: %s: %w", dev.Devpath(), ErrNothing)
	}
	return ATAProperties(dev, id)
}

// fromKernel reads the attribute "id" of the ATA device behind a SCSI disk:
// 256 words in hexadecimal. nil if there is none.
func fromKernel(dev *device.Device) []byte {
	disk := dev
	if disk.Subsystem() != "scsi" {
		if disk = sysdev.Parent(dev, "scsi", "scsi_device"); disk == nil {
			return nil
		}
	}
	at, ok := hctl(disk.Sysname())
	i := strings.LastIndex(disk.Devpath(), "/ata")
	if !ok || i < 0 {
		return nil
	}
	// ata7/host6/… has its disk at ata_device dev7.T, behind a port
	// multiplier at dev7.C.0.
	port, _, _ := strings.Cut(disk.Devpath()[i+len("/ata"):], "/")
	if _, err := strconv.ParseUint(port, 10, 32); err != nil {
		return nil
	}
	name := fmt.Sprintf("dev%s.%d", port, at[2])
	if at[1] != 0 {
		name = fmt.Sprintf("dev%s.%d.0", port, at[1])
	}
	d := sysdev.Open(dev.Sys(), "ata_device", name)
	if d == nil {
		return nil
	}
	text, ok := d.Attr("id")
	if !ok {
		return nil
	}
	id := make([]byte, 0, identifySize)
	for word := range strings.FieldsSeq(text) {
		v, err := strconv.ParseUint(word, 16, 16)
		if err != nil || len(id) == identifySize {
			return nil
		}
		id = binary.LittleEndian.AppendUint16(id, uint16(v))
	}
	if len(id) != identifySize {
		return nil
	}
	return id
}

// ATAProperties sets the properties that follow from the 512 bytes of
// IDENTIFY DEVICE or IDENTIFY PACKET DEVICE (ATA8-ACS, 7.16 and 7.17): 256
// words, little endian. ErrNothing if they are all zero.
func ATAProperties(dev *device.Device, id []byte) error {
	if len(id) < identifySize {
		return fmt.Errorf("ata_id: %s: the identity has %d bytes instead of %d", dev.Devpath(), len(id), identifySize)
	}
	w := func(n int) uint16 { return binary.LittleEndian.Uint16(id[2*n:]) }
	empty := true
	for _, b := range id[:identifySize] {
		empty = empty && b == 0
	}
	if empty {
		return fmt.Errorf("ata_id: %s: %w", dev.Devpath(), ErrNothing)
	}
	put := func(key, value string) { set(dev, "ID_"+key, value) }

	put("ATA", "1")
	kind := "disk"
	if w(0)&0x8000 != 0 { // ATAPI
		switch w(0) >> 8 & 0x1f {
		case 0, 5:
			kind = "cd"
		case 1:
			kind = "tape"
		case 7:
			kind = "optical"
		default:
			kind = "generic"
		}
	}
	put("TYPE", kind)
	put("BUS", "ata")
	rawModel := ataString(id, 27, 40)
	model, serial := clean(rawModel, 40), clean(ataString(id, 10, 20), 20)
	put("MODEL", model)
	put("MODEL_ENC", escape.Encode(rawModel))
	put("REVISION", clean(ataString(id, 23, 8), 8))
	if serial != "" {
		put("SERIAL", model+"_"+serial)
		put("SERIAL_SHORT", serial)
	} else {
		put("SERIAL", model)
	}

	// feature says whether the drive has a feature (bit of a word) and has it
	// switched on (the same bit, three words on).
	feature := func(name string, word, bit int) (has, on bool) {
		if w(word)>>bit&1 == 0 {
			return false, false
		}
		on = w(word+3)>>bit&1 != 0
		put("ATA_"+name, "1")
		put("ATA_"+name+"_ENABLED", digit(on))
		return true, on
	}
	number := func(name string, n int) { put("ATA_"+name, strconv.Itoa(n)) }
	feature("WRITE_CACHE", 82, 5)
	feature("FEATURE_SET_HPA", 82, 10)
	feature("FEATURE_SET_PM", 82, 3)
	if has, on := feature("FEATURE_SET_SECURITY", 82, 1); has {
		number("FEATURE_SET_SECURITY_ERASE_UNIT_MIN", 2*int(w(89)))
		if on {
			level := "high"
			if w(128)>>8&1 != 0 {
				level = "maximum"
			}
			put("ATA_FEATURE_SET_SECURITY_LEVEL", level)
		}
		if w(128)>>5&1 != 0 {
			number("FEATURE_SET_SECURITY_ENHANCED_ERASE_UNIT_MIN", 2*int(w(90)))
		}
		for _, s := range [...]struct {
			name string
			bit  int
		}{{"EXPIRE", 4}, {"FROZEN", 3}, {"LOCKED", 2}} {
			if w(128)>>s.bit&1 != 0 {
				put("ATA_FEATURE_SET_SECURITY_"+s.name, "1")
			}
		}
	}
	feature("FEATURE_SET_SMART", 82, 0)
	if has, _ := feature("FEATURE_SET_AAM", 83, 9); has {
		number("FEATURE_SET_AAM_VENDOR_RECOMMENDED_VALUE", int(w(94)>>8))
		number("FEATURE_SET_AAM_CURRENT_VALUE", int(w(94)&0xff))
	}
	feature("FEATURE_SET_PUIS", 83, 5)
	if has, on := feature("FEATURE_SET_APM", 83, 3); has && on {
		number("FEATURE_SET_APM_CURRENT_VALUE", int(w(91)&0xff))
	}
	if w(83)&1 != 0 {
		put("ATA_DOWNLOAD_MICROCODE", "1")
	}
	if s := w(76); s != 0 && s != 0xffff {
		put("ATA_SATA", "1")
		if s>>2&1 != 0 {
			put("ATA_SATA_SIGNAL_RATE_GEN2", "1")
		}
		if s>>1&1 != 0 {
			put("ATA_SATA_SIGNAL_RATE_GEN1", "1")
		}
	}
	switch rpm := w(217); {
	case rpm == 1: // no rotating media
		number("ROTATION_RATE_RPM", 0)
	case rpm >= 0x401 && rpm <= 0xfffe:
		number("ROTATION_RATE_RPM", int(rpm))
	}
	if w(108)&0xf000 == 0x5000 { // NAA 5, IEEE registered
		wwn := uint64(w(108))<<48 | uint64(w(109))<<32 | uint64(w(110))<<16 | uint64(w(111))
		put("WWN", fmt.Sprintf("0x%x", wwn))
		put("WWN_WITH_EXTENSION", fmt.Sprintf("0x%x", wwn))
	}
	if w(0) == 0x848a || w(0) == 0x844a || w(83)&0xc004 == 0x4004 {
		put("ATA_CFA", "1")
	}
	return nil
}

func digit(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// ataString reads a string: two characters a word, the first in the high
// byte. It ends at a zero byte.
func ataString(id []byte, word, size int) string {
	b := make([]byte, size)
	for i := range size {
		b[i] = id[2*word+i^1]
	}
	return limit(string(b), size)
}
