// Package lvmmeta reads LVM2's on-disk metadata and decides what can be
// activated from it.
//
// ReadPV reads one physical volume: the label, the PV header and its
// metadata areas. Assemble puts the physical volumes that were seen together
// into volume groups and says what is missing or refused. Group.Activate
// gives the device-mapper table of a logical volume.
//
// The package is pure: it reads through io.ReaderAt, never writes, reads no
// clock, and knows nothing of /dev. The format is described by the comments
// of LVM2's lib/format_text (layout.h, format-text.h) and by lvmsystemid(7),
// pvcreate(8) and vgcfgbackup(8). All numbers on disk are little-endian.
package lvmmeta

import (
	"errors"
	"hash/crc32"
)

// SectorSize is the unit of all sector counts of this package, in bytes.
const SectorSize = 512

// ErrNoLabel is returned by ReadPV for a device without an LVM2 label.
var ErrNoLabel = errors.New("no LVM2 label")

// Area is a range of a physical volume, in bytes from its start. Size 0 of
// the last data area means "to the end of the device".
type Area struct {
	Offset, Size uint64
}

// PV is what one device says of itself as a physical volume.
type PV struct {
	// UUID is the PV's UUID in LVM's form,
	// "fpLqGs-mkv4-Pc5E-dFUr-Ie5f-K0CK-6f4BcC".
	UUID string
	// LabelSector is the sector, 0 to 3, in which the label was found.
	LabelSector int
	// DeviceSize is the size of the device in bytes when the PV was made or
	// last resized.
	DeviceSize uint64
	// DataAreas, MetadataAreas and BootAreas are the areas that the PV
	// header lists.
	DataAreas, MetadataAreas, BootAreas []Area
	// Used says that the PV header's extension marks the PV as belonging to
	// a VG. A PV without metadata areas of its own can be told from an
	// orphan by it.
	Used bool
	// Metadata is what was found in each metadata area, in their order.
	Metadata []Metadata
	// VG is the newest valid metadata of the PV's areas; nil if it has none
	// (an orphan, or a PV without usable metadata areas).
	VG *VG
}

// Metadata is the state of one metadata area.
type Metadata struct {
	Area Area
	// Ignored areas are there but not kept up to date (pvchange
	// --metadataignore y); their text is not read.
	Ignored bool
	// Size and Checksum are those of the committed text; Size is 0 if the
	// area holds none.
	Size     uint64
	Checksum uint32
	// Seqno is the text's sequence number, if Err is nil.
	Seqno uint64
	// Err says why the area or its text could not be used.
	Err error
}

// crcInit is the value with which LVM starts each of its checksums.
const crcInit = 0xf597a6cf

// checksum is LVM's CRC: the IEEE polynomial, without the usual inversions,
// from crcInit.
func checksum(parts ...[]byte) uint32 {
	crc := ^uint32(crcInit)
	for _, p := range parts {
		crc = crc32.Update(crc, crc32.IEEETable, p)
	}
	return ^crc
}

// formatUUID gives the 32 characters of a UUID on disk LVM's hyphens.
func formatUUID(raw string) string {
	if len(raw) != 32 {
		return raw
	}
	return raw[0:6] + "-" + raw[6:10] + "-" + raw[10:14] + "-" + raw[14:18] + "-" + raw[18:22] + "-" + raw[22:26] + "-" + raw[26:32]
}

// plainUUID removes the hyphens of a UUID in LVM's form.
func plainUUID(s string) string {
	b := make([]byte, 0, 32)
	for i := range len(s) {
		if s[i] != '-' {
			b = append(b, s[i])
		}
	}
	return string(b)
}

// validUUID says whether s is 32 letters and digits with LVM's hyphens.
func validUUID(s string) bool {
	raw := plainUUID(s)
	if len(raw) != 32 || formatUUID(raw) != s {
		return false
	}
	for i := range len(raw) {
		c := raw[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			// LVM's alphabet also has '!' and '#'.
			if c != '!' && c != '#' {
				return false
			}
		}
	}
	return true
}
