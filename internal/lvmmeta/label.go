package lvmmeta

import (
	"encoding/binary"
	"errors"
	"io"

	"firstlight/internal/fmt"
)

const (
	labelSectors = 4   // a label is in one of the first four sectors
	labelHeader  = 32  // bytes of the label before the PV header
	mdaHeader    = 512 // bytes of a metadata area before its ring of texts

	// maxAreas bounds each list of areas: they share one sector.
	maxAreas = 32
	// maxText bounds one metadata text in bytes. LVM's default area is 1 MiB;
	// a VG of thousands of LVs has a few MiB of text.
	maxText = 32 << 20

	extensionUsed  = 1 // flag of the PV header extension
	locationIgnore = 1 // flag of a raw location
)

const mdaMagic = "\x20LVM2\x20x[5A%r0N*>"

var le = binary.LittleEndian

// ReadPV reads the label, the PV header and the metadata areas of a device
// of size bytes. It returns ErrNoLabel, wrapped, if there is no label, and
// another error if the label is damaged. Damage in a metadata area is
// reported in PV.Metadata: another area, or another PV, may have the text.
func ReadPV(r io.ReaderAt, size uint64) (*PV, error) {
	var buf [labelSectors * SectorSize]byte
	n, err := r.ReadAt(buf[:], 0)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("lvm: read label: %w", err)
	}
	var bad error
	for s := 0; s < n/SectorSize; s++ {
		sector := buf[s*SectorSize : (s+1)*SectorSize]
		if string(sector[:8]) != "LABELONE" || string(sector[24:32]) != "LVM2 001" {
			continue
		}
		pv, err := parseLabel(sector, s)
		if err != nil {
			if bad == nil {
				bad = err
			}
			continue
		}
		readMetadata(r, size, pv)
		return pv, nil
	}
	if bad != nil {
		return nil, bad
	}
	return nil, fmt.Errorf("lvm: %w", ErrNoLabel)
}

func parseLabel(b []byte, sector int) (*PV, error) {
	if got := le.Uint64(b[8:]); got != uint64(sector) {
		return nil, fmt.Errorf("lvm: label in sector %d says it belongs in sector %d", sector, got)
	}
	if want, got := le.Uint32(b[16:]), checksum(b[20:SectorSize]); want != got {
		return nil, fmt.Errorf("lvm: label in sector %d: checksum %08x, computed %08x", sector, want, got)
	}
	off := le.Uint32(b[20:])
	if off < labelHeader || off > SectorSize-40 {
		return nil, fmt.Errorf("lvm: label in sector %d: PV header at offset %d", sector, off)
	}
	h := b[off:]
	pv := &PV{UUID: formatUUID(string(h[:32])), LabelSector: sector, DeviceSize: le.Uint64(h[32:])}
	if !validUUID(pv.UUID) {
		return nil, fmt.Errorf("lvm: label in sector %d: UUID %q", sector, h[:32])
	}
	h = h[40:]
	var err error
	if pv.DataAreas, h, err = areas(h); err != nil {
		return nil, fmt.Errorf("lvm: label in sector %d: data areas: %w", sector, err)
	}
	if pv.MetadataAreas, h, err = areas(h); err != nil {
		return nil, fmt.Errorf("lvm: label in sector %d: metadata areas: %w", sector, err)
	}
	// The extension came later (2.02.100); zeros stand where there is none.
	if len(h) < 8 || le.Uint32(h) == 0 {
		return pv, nil
	}
	version := le.Uint32(h)
	if version >= 2 {
		pv.Used = le.Uint32(h[4:])&extensionUsed != 0
	}
	if pv.BootAreas, _, err = areas(h[8:]); err != nil {
		return nil, fmt.Errorf("lvm: label in sector %d: bootloader areas: %w", sector, err)
	}
	return pv, nil
}

// areas reads a list of areas that ends with one of offset 0.
func areas(b []byte) (list []Area, rest []byte, err error) {
	for {
		if len(b) < 16 {
			return nil, nil, errors.New("the list does not end within the sector")
		}
		a := Area{le.Uint64(b), le.Uint64(b[8:])}
		b = b[16:]
		if a.Offset == 0 {
			return list, b, nil
		}
		if len(list) == maxAreas {
			return nil, nil, errors.New("too many areas")
		}
		list = append(list, a)
	}
}

func readMetadata(r io.ReaderAt, size uint64, pv *PV) {
	for _, a := range pv.MetadataAreas {
		m := Metadata{Area: a}
		loc, err := readArea(r, size, a)
		switch {
		case err != nil:
			m.Err = fmt.Errorf("lvm: metadata area at %d: %w", a.Offset, err)
		case loc.flags&locationIgnore != 0:
			m.Ignored = true
		case loc.offset != 0:
			m.Size, m.Checksum = loc.size, loc.checksum
			if pv.VG != nil && pv.VG.textSize == m.Size && pv.VG.textCRC == m.Checksum {
				m.Seqno = pv.VG.Seqno // the same text once more
				break
			}
			vg, err := readText(r, a, loc)
			if err != nil {
				m.Err = fmt.Errorf("lvm: metadata area at %d: %w", a.Offset, err)
				break
			}
			m.Seqno = vg.Seqno
			if pv.VG == nil || vg.Seqno > pv.VG.Seqno {
				pv.VG = vg
			}
		}
		pv.Metadata = append(pv.Metadata, m)
	}
}

// location is LVM's raw_locn: where in the area the text is.
type location struct {
	offset, size    uint64
	checksum, flags uint32
}

// readArea reads the header of a metadata area and gives the committed text's
// location. The second location, of a text that was written but not
// committed, is passed over: the VG's state is the committed one.
func readArea(r io.ReaderAt, size uint64, a Area) (location, error) {
	var none location
	if a.Size <= mdaHeader || a.Offset > size || a.Size > size-a.Offset {
		return none, fmt.Errorf("%d bytes do not fit the device of %d bytes", a.Size, size)
	}
	var b [mdaHeader]byte
	if _, err := io.ReadFull(io.NewSectionReader(r, int64(a.Offset), mdaHeader), b[:]); err != nil {
		return none, fmt.Errorf("read header: %w", err)
	}
	if string(b[4:20]) != mdaMagic {
		return none, errors.New("header has no magic")
	}
	if want, got := le.Uint32(b[:]), checksum(b[4:]); want != got {
		return none, fmt.Errorf("header checksum %08x, computed %08x", want, got)
	}
	if v := le.Uint32(b[20:]); v != 1 {
		return none, fmt.Errorf("header version %d", v)
	}
	if off := le.Uint64(b[24:]); off != a.Offset {
		return none, fmt.Errorf("header says it belongs at %d", off)
	}
	if n := le.Uint64(b[32:]); n != a.Size {
		return none, fmt.Errorf("header says %d bytes, PV header %d", n, a.Size)
	}
	loc := location{le.Uint64(b[40:]), le.Uint64(b[48:]), le.Uint32(b[56:]), le.Uint32(b[60:])}
	if loc.offset == 0 || loc.flags&locationIgnore != 0 {
		return loc, nil
	}
	if loc.offset < mdaHeader || loc.offset >= a.Size || loc.size > a.Size-mdaHeader {
		return none, fmt.Errorf("text of %d bytes at %d does not fit the area of %d bytes", loc.size, loc.offset, a.Size)
	}
	if loc.size > maxText {
		return none, fmt.Errorf("text of %d bytes is larger than %d", loc.size, maxText)
	}
	return loc, nil
}

// readText reads the text at loc, which may go on at the start of the area's
// ring, checks it and gives the VG that it describes.
func readText(r io.ReaderAt, a Area, loc location) (*VG, error) {
	first := min(loc.size, a.Size-loc.offset)
	text := make([]byte, loc.size)
	if _, err := io.ReadFull(io.NewSectionReader(r, int64(a.Offset+loc.offset), int64(first)), text[:first]); err != nil {
		return nil, fmt.Errorf("read text: %w", err)
	}
	if first < loc.size {
		rest := text[first:]
		if _, err := io.ReadFull(io.NewSectionReader(r, int64(a.Offset+mdaHeader), int64(len(rest))), rest); err != nil {
			return nil, fmt.Errorf("read text: %w", err)
		}
	}
	if got := checksum(text); got != loc.checksum {
		return nil, fmt.Errorf("text checksum %08x, computed %08x", loc.checksum, got)
	}
	vg, err := ParseText(text)
	if err != nil {
		return nil, err
	}
	vg.textSize, vg.textCRC = loc.size, loc.checksum
	return vg, nil
}
